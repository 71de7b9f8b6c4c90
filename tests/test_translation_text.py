"""TranslationText and what learns it: none of the three tokenizers loses anything between a line and its ids."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import unicodedata
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from textkit.corpora.pairs import PairCorpus
from textkit.corpora.tokenizing import BYTES, SPECIAL, TokenizerOptions, learn
from textkit.errors import TextkitError
from textkit.text.cleaning import cleaned
from textkit.text.rules import rule_from_spec
from textkit.text.translation import TranslationText

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TSV = """\
A man rides a bike.\tEin Mann fährt Fahrrad.
A man, a woman; two men!\tEin Mann, eine Frau; zwei Männer!
The woman rides the bike (again).\tDie Frau fährt (wieder) Fahrrad.
It's 10:30 - the man's bike is red.\tEs ist 10:30 - das Fahrrad des Mannes ist rot.
"""
HARD = [
    "Он едет на велосипеде — «быстро», ё-моё!",
    "我爱你。他骑自行车，很快！",
    "日本語のテキスト、カタカナ。",
    "😀👩‍👩‍👧‍👦🇩🇪 flags & families ☕️",
    "a_b c++ #tag @user x=y^2 `code` ~/path <b>bold</b> 50% €5",
    "e\u0301 combining, ﬁ ligature, ½, ＡＢＣ",
    "<s> </s> <pad> <unk> <0x41> <0x0A> [UNK]",
    "zero\u200bwidth\u200djoiner\ufeff, soft\u00adhyphen, nul\x00, bell\x07",
    "x" * 3000,
]
ALL = ("bpe", "unigram", "word")


def corpus(folder: Path, text: str = TSV * 5) -> PairCorpus:
    (folder / "pairs.tsv").write_text(text, encoding="utf-8")
    return PairCorpus([folder / "pairs.tsv"])


def made(folder: Path, text: str = TSV * 5, **options) -> TranslationText:
    return learn(corpus(folder, text), TokenizerOptions(**{"vocab_size": 420, **options}))


def back(rule: TranslationText, lines: list[str]) -> list[str]:
    encoded = rule.encode_target(lines)
    return rule.decode(np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1]))


def spaced(line: str, form: str = "NFC") -> str:
    """What the docstring of tokenizing.py promises, written in plain Python."""
    text = unicodedata.normalize(form, line) if form != "none" else line
    for space in "\t\u00a0\u2028\u3000▁":
        text = text.replace(space, " ")
    return " ".join(part for part in text.split(" ") if part)


@pytest.mark.parametrize("tokenizer", ["bpe", "unigram"])
@pytest.mark.parametrize("punctuation", ["split", "keep"])
def test_what_was_never_seen_comes_back_as_it_was(tmp_path, tokenizer, punctuation):
    rule = made(tmp_path, tokenizer=tokenizer, punctuation=punctuation, clean=False)
    assert back(rule, HARD) == [spaced(line) for line in HARD]
    assert back(rule, [line + line for line in HARD]) == [spaced(line + line) for line in HARD]
    rule = made(tmp_path, tokenizer=tokenizer, punctuation=punctuation)
    assert back(rule, HARD) == [spaced(cleaned(line)) for line in HARD]


@pytest.mark.parametrize("tokenizer", ALL)
def test_words_of_the_training_come_back_as_they_were(tmp_path, tokenizer):
    rule = made(tmp_path, tokenizer=tokenizer)
    lines = [side for line in TSV.splitlines() for side in line.split("\t")]
    assert back(rule, lines) == lines


@pytest.mark.parametrize("tokenizer", ALL)
def test_white_space_is_normalised_as_documented(tmp_path, tokenizer):
    rule = made(tmp_path, tokenizer=tokenizer)
    lines = ["  a  man ", "a\tman", "a\u00a0man", "a\u3000\u2028man", "a▁man", "▁a man▁▁", "a man"]
    assert back(rule, lines) == ["a man"] * len(lines)
    assert rule.decode([rule.encode_target([" a  man"]).ids.tolist()]) == ["a man"]
    assert back(rule, ["", " ", "▁", "\t\u00a0"]) == [""] * 4
    assert rule.encode(["", " "]).ids.tolist() == [rule.eos] * 2


@pytest.mark.parametrize(
    ("options", "line", "expected"),
    [
        ({"unicode": "NFC", "clean": False}, "Ma\u0308nner ﬁ ½", "Männer ﬁ ½"),
        ({"unicode": "NFC"}, "Ma\u0308nner ﬁ ½", "Männer fi ½"),  # a ligature is two letters, whatever the form
        ({"unicode": "NFKC"}, "Ma\u0308nner ﬁ ½ Ａ", "Männer fi 1⁄2 A"),
        ({"unicode": "none"}, "Ma\u0308nner", "Ma\u0308nner"),
        ({"lowercase": True}, "ÄRGER İ", "ärger i̇"),
    ],
)
def test_unicode_form_and_case(tmp_path, options, line, expected):
    rule = made(tmp_path, **options)
    assert back(rule, [line]) == [expected]


def real_lines(*path: str, most: int = 3000) -> list[str]:
    file = DATA.joinpath(*path)
    if not file.exists():
        pytest.skip(f"no {file}: the data sets of the workplace are not here")
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", encoding="utf-8", newline="\n") as stream:
        return [line.rstrip("\n") for line in islice(stream, most)]


@pytest.mark.parametrize("tokenizer", ["bpe", "unigram"])
@pytest.mark.parametrize(
    "names", [("val.en", "val.de"), pytest.param(("tok/val.en", "tok/val.de"), marks=pytest.mark.slow)]
)
def test_nothing_of_real_text_is_lost(tmp_path, tokenizer, names):
    source, target = (real_lines("multi30k", name) for name in names)
    text = "".join(f"{a}\t{b}\n" for a, b in zip(source[:400], target[:400], strict=True))
    rule = made(tmp_path, text, tokenizer=tokenizer, vocab_size=1500)
    for lines in (source, target):  # more than half of the lines were not trained on
        assert back(rule, lines) == [spaced(line) for line in lines]
    test = real_lines("tatoeba", "dev.en-de.tsv", most=1000)
    assert back(rule, test) == [spaced(line) for line in test]


def test_words_of_text_that_is_tokenised_already(tmp_path):
    source, target = (real_lines("multi30k", "tok", name, most=500) for name in ("val.en", "val.de"))
    text = "".join(f"{a}\t{b}\n" for a, b in zip(source, target, strict=True))
    for punctuation in ("split", "keep"):
        rule = made(tmp_path, text, tokenizer="word", vocab_size=9000, min_count=1, punctuation=punctuation)
        assert back(rule, source) == [spaced(line) for line in source]
    pieces = rule.source_tokens("a t-shirt , isn 't it &apos; ?")
    assert " ".join(pieces) == "▁a ▁t-shirt ▁, ▁isn ▁'t ▁it ▁&apos; ▁? </s>"


def test_words_are_the_most_frequent_then_in_order_of_their_letters(tmp_path):
    rule = made(tmp_path, "b a b\tc c, b\nb\ta d d d\n", tokenizer="word", min_count=2)
    words, ids = rule.vocabulary()
    # b four times, d three times, a and c twice (c once more before a comma), the comma once
    assert words == [*SPECIAL, "▁b", "▁d", "▁a", "▁c"]
    assert ids.tolist() == list(range(8))
    assert (rule.pad, rule.unk, rule.start, rule.eos, len(rule), rule.target_size) == (0, 1, 2, 3, 8, 8)
    encoded = rule.encode(["a b, x", "", "d"])
    assert encoded.ids.tolist() == [6, 4, 1, 1, 3, 3, 5, 3]
    assert encoded.lengths.tolist() == [5, 1, 2]
    assert rule.decode([[2, 6, 4, 1, 3, 0, 0], [], [3]]) == ["a b <unk>", "", ""]
    limited = made(tmp_path, "b a b\tc c, b\nb\ta d d d\n", tokenizer="word", min_count=2, vocab_size=6)
    assert limited.vocabulary()[0] == [*SPECIAL, "▁b", "▁d"]


def test_ideographs_are_words_of_their_own(tmp_path):
    rule = made(tmp_path, "我爱 你\tx\n" * 2, tokenizer="word")
    assert rule.source_tokens("我爱 你")[:-1] == ["▁我", "爱", "▁你"]
    assert rule.decode([rule.encode_target(["我爱 你"]).ids.tolist()]) == ["我爱 你"]


def test_an_unknown_word_is_shown_and_replaced_as_it_stands_in_the_line(tmp_path):
    rule = made(tmp_path, "a man , he\tein mann , er\n" * 2, tokenizer="word", lowercase=True)
    pieces = rule.source_tokens(" A  Zebra,Man (He ")
    assert pieces == [
        "▁a",
        "▁Zebra",
        ",",
        "Man",
        "▁(",
        "He",
        "</s>",
    ]  # all but the first unknown: ▁man is known, not man
    assert len(pieces) == len(rule.encode([" A  Zebra,Man (He "]).ids)
    assert rule.detokenized(pieces[:-1]) == "a Zebra,Man (He"
    assert rule.target_token(rule.unk) == "▁<unk>"
    assert rule.target_token(rule.eos) == "</s>"
    assert rule.target_token(10**6) == ""
    assert rule.tokens("a man") == [("▁a", 0, 1), ("▁man", 1, 2), ("</s>", 2, 3)]


def test_reversed_source_ends_with_eos_all_the_same(tmp_path):
    plain = made(tmp_path, "a b c\td\n" * 2, tokenizer="word")
    turned = made(tmp_path, "a b c\td\n" * 2, tokenizer="word", reverse=True)
    a, b, c = plain.encode(["a b c"]).ids[:3].tolist()
    assert turned.encode(["a b c", "", "b", "c a"]).ids.tolist() == [c, b, a, 3, 3, b, 3, a, c, 3]
    assert turned.source_tokens("a b c") == ["▁c", "▁b", "▁a", "</s>"]
    assert turned.encode_target(["a b c"]).ids.tolist() == [a, b, c, 3]


@pytest.mark.parametrize("tokenizer", ALL)
def test_a_vocabulary_for_each_side(tmp_path, tokenizer):
    rule = made(tmp_path, tokenizer=tokenizer, joint=False)
    joint = made(tmp_path, tokenizer=tokenizer)
    assert (rule.shared, joint.shared) == (False, True)
    source, target = rule.vocabulary()[0], [rule.target_token(at) for at in range(rule.target_size)]
    assert source[:4] == target[:4] == list(SPECIAL)
    assert any("bike" in piece for piece in source)
    assert not any("bike" in piece for piece in target)
    assert any("Fah" in piece for piece in target)
    assert sorted(rule.files()) == ["target_tokenizer.json", "tokenizer.json"]
    again = rule_from_spec(json.loads(json.dumps(rule.spec())), rule.files().__getitem__)
    lines = ["Ein Mann fährt.", "A man rides."]
    assert again.encode(lines).ids.tolist() == rule.encode(lines).ids.tolist()
    assert again.encode_target(lines).ids.tolist() == rule.encode_target(lines).ids.tolist()
    assert (len(again), again.target_size) == (len(rule), rule.target_size)


@pytest.mark.parametrize("tokenizer", ALL)
def test_text_cannot_say_a_special_token(tmp_path, tokenizer):
    text = TSV * 5 + "<s> </s> x</s> <pad> <0x41>\t</s> <s> <pad> <0x0A>\n" * 30
    for punctuation in ("split", "keep"):
        rule = made(tmp_path, text, tokenizer=tokenizer, punctuation=punctuation)
        ids = rule.encode(["<s> </s> <pad>x</s>y a<0x41> <s>"]).ids.tolist()
        assert not {rule.start, rule.eos, rule.pad} & set(ids[:-1])
        assert not {rule.source.tokenizer.token_to_id(byte) for byte in BYTES if "0x41" in byte} & set(ids)
        assert back(rule, ["<s> </s> <pad> <0x41>"]) == ["<s> </s> <pad> <0x41>"]


def test_a_sequence_of_bytes_that_is_no_character_is_still_a_line(tmp_path):
    rule = made(tmp_path)
    byte = rule.source.tokenizer.token_to_id("<0xF0>")
    assert rule.decode([[byte, rule.encode_target(["man"]).ids[0]]]) == ["\ufffd man"]


def test_without_bytes_an_unseen_character_is_unknown(tmp_path):
    for tokenizer in ("bpe", "unigram"):
        rule = made(tmp_path, tokenizer=tokenizer, spell_bytes=False, vocab_size=120)
        assert len(rule) <= 120
        assert rule.unk in rule.encode(["a 你 man"]).ids
        assert back(rule, ["a man"]) == ["a man"]
        assert "你" in "".join(rule.source_tokens("a 你 man"))


@pytest.mark.parametrize("tokenizer", ALL)
def test_training_is_the_same_in_every_process(tmp_path, tokenizer):
    file = corpus(tmp_path, TSV * 5 + "".join(f"w{n % 90} v{n % 77}\tu{n % 50}\n" for n in range(400))).paths[0]
    code = (
        "import hashlib, sys; from textkit.corpora.pairs import PairCorpus; from textkit.corpora.tokenizing import *\n"
        "rule = learn(PairCorpus([sys.argv[1]]), TokenizerOptions(tokenizer=sys.argv[2], vocab_size=420))\n"
        "print(hashlib.sha256(rule.files()['tokenizer.json']).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, file, tokenizer], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(3)
    }
    rule = learn(PairCorpus([file]), TokenizerOptions(tokenizer=tokenizer, vocab_size=420))
    assert digests == {hashlib.sha256(rule.files()["tokenizer.json"]).hexdigest()}


@pytest.mark.parametrize("tokenizer", ALL)
def test_no_more_entries_than_asked_for(tmp_path, tokenizer):
    text = TSV * 5 + "".join(f"word{n} other{n * 7}\tanderes{n * 3}\n" for n in range(300))
    rule = made(tmp_path, text, tokenizer=tokenizer, vocab_size=400, min_count=1)
    assert len(rule) == rule.target_size
    assert 390 <= len(rule) <= 400  # EM may drop the last few pieces of a unigram model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 270}, r"vocab_size=270: too small for bpe: 4 special tokens, 256 bytes, the \d+ characters"),
        ({"vocab_size": 20, "tokenizer": "unigram", "spell_bytes": False}, "vocab_size=20: too small for unigram"),
        ({"vocab_size": 4, "tokenizer": "word"}, "vocab_size=4: too small: 4 special tokens and a word need 5"),
        ({"tokenizer": "word", "min_count": 1000}, "min_count=1000: no word occurs so often"),
    ],
)
def test_a_vocabulary_too_small(tmp_path, options, message):
    with pytest.raises(TextkitError, match=message):
        made(tmp_path, **options)


def test_options_out_of_their_range():
    for options in ({"vocab_size": 0}, {"min_count": -1}):
        with pytest.raises(ValueError, match="must be at least 1"):
            TokenizerOptions(**options)


def test_pairs_without_text(tmp_path):
    with pytest.raises(TextkitError, match=r"pairs\.tsv: no pair has text on it"):
        made(tmp_path, "\t\n \t \n")


def test_special_ids_and_sizes_of_the_model_may_lie_beyond_the_tokenizer(tmp_path):
    json_ = made(tmp_path, "a b\tc\n" * 2, tokenizer="word").files()["tokenizer.json"]  # 4 ▁a, 5 ▁b, 6 ▁c
    rule = TranslationText(json_, start=9, eos=0, pad=9, unk=1, source_size=20, target_size=20)
    assert rule.encode(["a b c d"]).ids.tolist() == [4, 5, 6, 1, 0]
    assert rule.encode_target(["b a d"]).ids.tolist() == [5, 4, 1, 0]
    assert rule.decode([[9, 4, 6, 1, 19, 0, 9]]) == ["a c <unk>"]  # 19 stands for no piece
    assert (rule.target_token(5), rule.target_token(19), rule.source.piece(19)) == ("▁b", "", None)
    again = rule_from_spec(json.loads(json.dumps(rule.spec())), rule.files().__getitem__)
    assert again.encode(["c b"]).ids.tolist() == [6, 5, 0]
    assert (len(again), again.target_size, again.start, again.pad) == (20, 20, 9, 9)
    assert again.decode([[4]]) == ["a"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"eos": -1}, "eos is -1"), ({"eos": "3"}, "eos is '3'"), ({"eos": True}, "eos is True"),
        ({"eos": None}, "eos is None"), ({"start": 2**40}, "start is 1099511627776"), ({"reverse": 1}, "reverse is 1"),
        ({"pad": 10**6}, "ids beyond"), ({"target_size": 3}, "ids beyond"), ({"source_size": 2}, "ids beyond"),
        ({"tokenizer": None}, "None"), ({"tokenizer": 5}, "5"), ({"tokenizer": ["x"]}, "list"),
        ({"tokenizer": "../x"}, "../x"), ({"target_tokenizer": "odd"}, "odd: not a tokenizer"),
        ({"target_tokenizer": "missing.json"}, "missing.json"), ({"target_tokenizer": 7}, "7"),
    ],
)  # fmt: skip
def test_a_hostile_description_gets_one_line(tmp_path, change, reason):
    rule = made(tmp_path, tokenizer="word")
    files = rule.files() | {"odd": b"\x01\x02\x03"}
    with pytest.raises(TextkitError) as caught:
        rule_from_spec(rule.spec() | change, files.__getitem__)
    assert "\n" not in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("key", ["eos", "tokenizer", "reverse", "target_tokenizer", "source_size"])
def test_a_description_that_lacks_something(tmp_path, key):
    rule = made(tmp_path, tokenizer="word")
    spec = rule.spec()
    del spec[key]
    with pytest.raises(TextkitError, match=key):
        rule_from_spec(spec, rule.files().__getitem__)


def test_ids_that_are_none_get_one_line(tmp_path):
    with pytest.raises(TextkitError, match="tokenizer failed"):
        made(tmp_path).decode([[2**40]])


def test_a_line_of_100_000_characters(tmp_path):
    for tokenizer in ALL:
        rule = made(tmp_path, tokenizer=tokenizer)
        for line in ("x" * 100_000, "a man " * 16_000):
            assert len(rule.encode([line]).ids) > 1


def test_a_pattern_that_never_ends_gets_one_line(capfd):
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(x+x+)+y"), "removed")
    rule = TranslationText(tokenizer.to_str().encode(), start=0, eos=0, pad=0, unk=0)
    with pytest.raises(TextkitError, match="the model's tokenizer failed") as caught:
        rule.encode(["x" * 40])
    assert "\n" not in str(caught.value)
    with pytest.raises(TextkitError, match="the model's tokenizer failed"):
        rule.source_tokens("x" * 40)
    capfd.readouterr()  # where the library writes its panic


def test_marks_part_words_or_belong_to_them(tmp_path):
    text = "don't , (ok)\tja-nein .\n" * 2
    split, keep = (made(tmp_path, text, tokenizer="word", punctuation=how) for how in ("split", "keep"))
    assert split.source_tokens("don't , (ok)")[:-1] == ["▁don", "'", "t", "▁,", "▁(", "ok", ")"]
    assert keep.source_tokens("don't , (ok)")[:-1] == ["▁don't", "▁,", "▁(ok)"]
    assert "▁ja-nein" in keep.vocabulary()[0]


@pytest.mark.parametrize("tokenizer", ["bpe", "unigram"])
def test_a_character_seen_twice_is_spelled_by_its_bytes_and_one_seen_thrice_has_an_entry(tmp_path, tokenizer):
    rule = made(tmp_path, TSV * 5 + "ж\tя\nж\tx\nя я\ty\n", tokenizer=tokenizer)
    assert rule.source_tokens("ж")[:-1] == ["▁", "<0xD0>", "<0xB6>"]
    assert "".join(rule.source_tokens("я")[:-1]) == "▁я"


def test_marks_that_no_piece_holds_are_read_as_those_that_mean_the_same(tmp_path: Path):
    rule = made(tmp_path, 'He said "no" - twice.\tEr sagte \u201enein\u201c.\n' * 50)
    assert rule.readable("\u201cno\u201d \u00abno\u00bb \u22125 on\u2011line") == '"no" "no" -5 on-line'
    assert rule.readable("\u2019no\u2019") == "\u2019no\u2019"  # there is no ' in the pairs
    assert rule.unread("\u2019no\u2019") == "\u2019"
