"""Characters that nobody sees do not change a word: format characters, controls, escape sequences; ligatures, wide forms."""

from __future__ import annotations

import random
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from textkit.tasks.embed.serving.embedder import Embedder
from textkit.tasks.language.serving.scorer import LanguageModel
from textkit.tasks.translate.serving.translator import Translator
from textkit.text.cleaning import cleaned, cleaned_lines, visible, visible_lines
from textkit.text.normalizer import _UNSETTLED, Normalizer, _settledness
from textkit.text.words import Words

TEACHER = "He is a teacher."
UNSEEN = [
    f"\ufeff{TEACHER}", "He is\u200b a teacher.", "He is a tea\u00adcher.", "He is a teacher\u200d.", f"\u200e{TEACHER}",
    f"{TEACHER}\ufe0f", "He is a teacher\u2060.", f"\u202a{TEACHER}\u202c", "He is a te\u200bacher.", "He is a teacher\a.",
    f"{TEACHER}\x1b[0m", f"\x1b[1;31m{TEACHER}\x1b[0m", "He is a te\u200cacher.", "He \u2066is\u2069 a teacher.",
    "He is a te\U000e0061acher.", f"\u061c{TEACHER}", "He is a \ufff9teacher\ufffb.", "He is a tea\U000e0100cher.",
    "He is a\u180e teacher.", "He is a te\x00acher.", "He is\x7f a teacher.", f"\x1b]8;;http://a.b\x1b\\{TEACHER}\x1b]8;;\a",
    "He is a tea\x84cher.", "\x1b(BHe is a teacher.", f"\ufeff\ufeff{TEACHER}", "He is a te\u2062acher.",
    "Ｈｅ ｉｓ ａ ｔｅａｃｈｅｒ．", "He\u3000is a\x1cteacher.",
]  # fmt: skip


@pytest.mark.parametrize("line", UNSEEN, ids=ascii)
def test_a_line_with_something_unseen_reads_as_the_line_without(line: str) -> None:
    assert cleaned(line) == TEACHER
    assert Normalizer(clean=True).words([line]) == Normalizer().words([TEACHER])


def test_every_shipped_model_serves_what_is_unseen_as_the_plain_line() -> None:
    blank = "\u200b\ufeff"
    vectors = Embedder()([TEACHER, *UNSEEN, blank])
    assert (vectors[:-1] == vectors[0]).all()
    assert not vectors[-1].any()
    assert set(Translator(beam_size=1)([TEACHER, *UNSEEN])) == {"Er ist Lehrer."}
    assert Translator(beam_size=1)([blank]) == [""]
    scorer = LanguageModel()
    assert {tuple(one.ids.tolist()) for one in scorer([TEACHER, *UNSEEN])} == {tuple(scorer([TEACHER])[0].ids.tolist())}
    assert [one.tokens for one in scorer([blank, ""])] == [1, 1]


@pytest.mark.parametrize(
    "text",
    [
        "می‌خواهم",  # Persian: the joiner belongs to the spelling
        "क्‍ष क्‌ष",  # Devanagari: with half forms, and without
        "ന്‍ ക",  # Malayalam: a joiner at the end of a word
        "👩\u200d💻 👨\u200d👩\u200d👧",
        "؀ ۝",  # format characters that are visible
        "a\tb c\u00a0d\u2028e\r",
        "½ ™ … x²",  # what NFKC would change besides ligatures and widths stays
        "naïve Straße 日本語。",
        "我爱你，世界！（是？）",  # marks of Chinese and Japanese, which a model may have to write
    ],
    ids=ascii,
)
def test_what_a_script_needs_stays(text: str) -> None:
    assert cleaned(text) == text


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("ﬁne oﬀer ﬆop", "fine offer stop"),
        ("Ａ１！", "A1!"),
        ("日本ＡＢＣ。Ｈｉ，ｙｏｕ！", "日本ABC。Hi,you!"),
        ("｢ﾃｽﾄ｡｣", "「テスト。」"),
        ("ｶﾞｷﾞ", "ガギ"),
        ("ĳs", "ijs"),
        ("ﻻ", "لا"),
        ("a\u200db", "ab"),  # between Latin letters a joiner joins nothing
        ("می\u200c.", "می."),
        ("खाना\u00adपकाना", "खानापकाना"),
        (
            "\u1781\u17d2\u1789\u17bb\u17c6\u200b\u1791\u17c5",
            "\u1781\u17d2\u1789\u17bb\u17c6 \u1791\u17c5",
        ),  # Khmer: a word ends
        ("می\u200c\u200cخواهم", "می\u200cخواهم"),  # a joiner next to other unseen characters is kept
        ("می\u200f\u200cخواهم", "می\u200cخواهم"),
        ("می\u00ad\u200cخواهم", "می\u200cخواهم"),
        ("می\u200c\ufeffخواهم", "می\u200cخواهم"),
        ("می\u200c\u200d\u2060خواهم", "می\u200cخواهم"),
        ("می\u200c\u200c.", "می."),
        ("می\u200c\x1cخواهم", "می خواهم"),
        ("क्\ufeff\u200dष क्\u200c\u200cष", "क्\u200dष क्\u200cष"),
        ("👩\u200d\u200d💻 👩\ufe0f\u200d\u2060💻", "👩\u200d💻 👩\u200d💻"),
        ("a\ufe0f\u200d💻", "a💻"),
        ("ไทย\u200bไทย", "ไทย ไทย"),
        ("ไทย\u200b\u200bไทย", "ไทย ไทย"),
        ("ไทย\u200b\ufeff\u200bไทย", "ไทย ไทย"),
        ("ไทย\u200b\u200b.", "ไทย."),
        ("❤\ufe0f", "❤"),
        ("\x1bHello", "Hello"),
        ("\x1b[38;5;196mred\x1b[0m, \x9b1mbold", "red, bold"),
        ("\x1b]0;a title\aprompt", "prompt"),
        ("\x1b]0;never closed", "]0;never closed"),
    ],
    ids=ascii,
)
def test_what_becomes_of(text: str, right: str) -> None:
    assert cleaned(text) == right


def test_where_marks_are_words_the_wide_ones_are_the_plain_ones() -> None:
    assert Normalizer(clean=True).words(["你好！"]) == [["你", "好", "!"]]
    assert Normalizer(clean=True, punctuation="keep").words(["你好！"]) == [["你好！"]]


def test_emoji_that_are_words_of_their_own_have_no_joiner_between_them() -> None:
    assert Normalizer(clean=True).words(["a👩\u200d💻\ufe0fb"]) == [["a", "👩", "💻", "b"]]
    assert Normalizer(clean=True, punctuation="keep").words(["👩\u200d💻"]) == [["👩\u200d💻"]]


def test_no_format_character_of_unicode_is_a_word_or_part_of_one() -> None:
    kept = {chr(point) for point in (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)}
    for point in range(sys.maxunicode + 1):
        character = chr(point)
        if unicodedata.category(character) == "Cf" and not 0x13430 <= point <= 0x1345F and character not in kept:
            assert cleaned(f"a{character}b") == "ab", hex(point)


def test_lines_are_cleaned_together_as_one_by_one() -> None:
    random.seed(1)
    drawn = [
        random.choice(["plain", "é", "ﬁ", "\u200b", "a\x1c", "\x1b[0m", "\x1b]0;", "日", "\a"]) for _ in range(3000)
    ]
    lines = ["".join(drawn[at : at + random.randrange(9)]) for at in range(0, 3000, 3)]
    assert list(cleaned_lines(lines)) == [cleaned(line) for line in lines]
    assert cleaned("\n".join(lines)).split("\n") == [cleaned(line) for line in lines]  # long enough for numpy
    assert [cleaned(cleaned(line)) for line in lines] == [cleaned(line) for line in lines]
    assert visible("ﬁ\u200b！") == "ﬁ！"
    assert list(visible_lines(lines)) == [visible(line) for line in lines]
    assert list(visible_lines(lines[:9])) == [visible(line) for line in lines[:9]]


def test_an_old_bundle_keeps_its_rule() -> None:
    spec = {"lowercase": True, "unicode": "NFC", "punctuation": "split"}
    assert Normalizer(**spec).words(["te\u00adacher"]) == [["te\u00adacher"]]
    assert Normalizer().spec() == spec
    assert Normalizer(clean=True).spec() == {**spec, "clean": True}
    with pytest.raises(ValueError, match="clean"):
        Normalizer(clean="yes")


@pytest.mark.parametrize("form", ["NFC", "NFKC", "NFD", "NFKD"])
def test_lines_of_a_long_text_are_brought_into_the_form_as_a_line_alone(form: str) -> None:
    """The lines include marks at the beginning of a line, and marks out of order."""
    random.seed(2)
    drawn = [
        random.choice(["a", "\u0301", "\u0323", "\u0338", "é", "ﬁ", "가", "\u1100", "\u1161", " ", "\u00ad"])
        for _ in range(20_000)
    ]
    lines = ["".join(drawn[at : at + random.randrange(9)]) for at in range(0, 20_000, 5)]
    normalizer = Normalizer(unicode=form, clean=True)
    assert normalizer("\n".join(lines)).split("\n") == [normalizer(line) for line in lines]
    assert normalizer.form("\n".join(lines)) == unicodedata.normalize(form, "\n".join(lines))


@pytest.mark.parametrize(
    "form", ["NFC", *(pytest.param(form, marks=pytest.mark.slow) for form in ("NFKC", "NFD", "NFKD"))]
)
def test_lower_case_leaves_the_unicode_form(form: str) -> None:
    letters = [chr(point) for point in range(0x20000) if not 0xD800 <= point < 0xE000]
    text = "\n".join(f"{letter} {letter}\u030c {letter}\u0331" for letter in letters)
    assert unicodedata.is_normalized(form, Normalizer(unicode=form, punctuation="keep")(text))


def test_a_vocabulary_holds_one_spelling_of_a_word(tmp_path: Path) -> None:
    from textkit.corpora.corpus import Corpus
    from textkit_plugins.embeddings import vocabulary

    path = tmp_path / "text.txt"
    path.write_text("Ǐani J\u030cani H\u0331aram\nǰani j\u030cani \u1e96aram h\u0331aram\n", encoding="utf-8")
    rule = vocabulary.build(Corpus([path]), vocabulary.TextOptions(min_count=1))
    assert sorted(rule.words) == sorted(["ǐani", "ǰani", "\u1e96aram"])
    for line in ("J\u030cani", "ǰani", "j\u030cani"):
        assert rule.encode([line]).ids.tolist() == [rule.id("ǰani")]


def test_a_table_of_an_old_bundle_is_found_by_the_composed_spelling() -> None:
    rule = Words(["tree", "j\u030cani", "h\u0331aram", "\u1e96aram"], Normalizer())
    assert rule.encode(["J\u030cani", "\u1e96aram", "H\u0331aram"]).ids.tolist() == [1, 3, 3]
    assert len(rule) == 4


def test_tokenizers_learnt_here_keep_the_form_in_lower_case(tmp_path: Path) -> None:
    from textkit.corpora import language_tokenizing, tokenizing
    from textkit.corpora.corpus import Corpus
    from textkit.corpora.pairs import PairCorpus

    path = tmp_path / "pairs.tsv"
    path.write_text("J\u030cani te\u00adacher\tǰani\nǰani teacher\tJ\u030cani\n" * 3, encoding="utf-8")
    options = tokenizing.TokenizerOptions(tokenizer="word", lowercase=True)
    pairs = tokenizing.learn(PairCorpus([path]), options)
    assert pairs.encode(["J\u030cani"]).ids.tolist() == pairs.encode(["ǰani"]).ids.tolist()
    assert not {piece for piece in pairs.vocabulary()[0] if "j\u030c" in piece or "\u00ad" in piece}
    words = language_tokenizing.LanguageTokenizerOptions(lowercase=True, unicode="NFC")
    language = language_tokenizing.learn(Corpus([path]), words)
    assert sorted(language.vocabulary()[0])[2:] == ["teacher", "ǰani"]
    assert language.spec()["clean"] is True
    assert pairs.spec()["clean"] is True


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_a_long_text_has_the_form_that_each_of_its_lines_has(form: str) -> None:
    odd = "a\u00e9 e\u0301\u0327\u0300 \u1e96h\u0331 \u1100\u1161\u11a8 \uac00\u11a8 \u0915\u093c \u09c7\u09be"
    odd += "\ufb01 \u212b \U0001d15e\U00011131\u0346"
    drawn = np.random.default_rng(4)
    lines = ["".join(drawn.choice(list(odd), 12)) for _ in range(600)]
    made = Normalizer(unicode=form)
    assert made.form("\n".join(lines)).split("\n") == [unicodedata.normalize(form, line) for line in lines]  # type: ignore[arg-type]


def test_no_character_that_joins_the_one_before_counts_as_settled() -> None:
    """Those of a line are only looked at one by one, so each that may change beside another must be known."""
    pairs = [found.split() for point in range(0x110000) if " " in (found := unicodedata.decomposition(chr(point)))]
    joins = {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and not pair[0].startswith("<")}
    joins |= {chr(point) for point in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    assert len(joins) > 100
    for form in ("NFC", "NFKC"):
        assert {_settledness(form, character) for character in joins} == {_UNSETTLED}  # type: ignore[arg-type]
