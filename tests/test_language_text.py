"""LanguageText and what learns it: words as white space separates them, and bytes, of which none is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from textkit.corpora.corpus import Corpus
from textkit.corpora.language_tokenizing import LanguageTokenizerOptions, learn
from textkit.errors import TextkitError
from textkit.tasks.language.serving.watch import Watch
from textkit.text.cleaning import cleaned
from textkit.text.language import LanguageText
from textkit.text.rules import rule_from_spec

WIKITEXT = Path(__file__).resolve().parents[2] / "shared" / "data" / "wikitext2" / "train.txt.gz"
TEXT = "the cat sat\n\nthe dog sat\n \t \n<unk> the naïve cat\n"
HARD = [
    "😀👩‍👩‍👧‍👦🇩🇪 flags",
    "我爱你。他骑自行车，很快！",
    "nul\x00, bell\x07, return\r, vertical\x0b",
    "\ttabs\t\tand  several   spaces ",
    "a\u2028separator\u2029 \u00a0and\u3000other spaces",
    " e\u0301 combining, ﬁ ligature, ½",
    "<s> </s> <eos> <unk>  <eos> <|endoftext|>",
    "Ġ Ċ Ģ are only letters",
    "x" * 3000,
    "",
]


def corpus(folder: Path, text: str = TEXT) -> Corpus:
    (folder / "lines.txt").write_text(text, encoding="utf-8", newline="")
    return Corpus([folder / "lines.txt"])


def made(folder: Path, text: str = TEXT, **options) -> LanguageText:
    return learn(corpus(folder, text), LanguageTokenizerOptions(**{"min_count": 1, **options}))


def ids_of(rule: LanguageText, lines: list[str]) -> list[list[int]]:
    encoded = rule.encode(lines)
    return [part.tolist() for part in np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])]


def test_words_stand_in_the_order_of_frequency_and_a_line_has_an_end(tmp_path):
    rule = made(tmp_path)
    assert [rule.token(row) for row in range(len(rule))] == ["<eos>", "<unk>", "the", "cat", "sat", "dog", "naïve"]
    assert (rule.eos, rule.unk, rule.words) == (0, 1, True)
    assert ids_of(rule, [" the  cat\tsat ", "", " \t\u2028 ", "a <unk> Cat dog"]) == [
        [2, 3, 4, 0],
        [0],
        [0],
        [1, 1, 1, 5, 0],
    ]
    assert rule.decode([[2, 3, 0], [], [1, 5]]) == ["the cat", "", "<unk> dog"]
    assert rule.tokens("the bird") == [("the", 0, 1), ("<unk>", 1, 2), ("<eos>", 2, 3)]
    assert rule.count_words([" the  cat\tsat ", "", " \t "]) == 3
    words, rows = rule.vocabulary()
    assert dict(zip(words, rows, strict=True))["naïve"] == 6


def test_the_name_of_the_end_is_no_word_of_a_text(tmp_path):
    for vocab in ("word", "bpe"):
        rule = made(tmp_path, "<eos> a <eos> b\n" * 9, vocab=vocab)
        assert ids_of(rule, [" <eos> "])[0].count(rule.eos) == 1  # only the line's own end


def test_rare_words_and_a_small_table(tmp_path):
    assert made(tmp_path, min_count=2).vocabulary()[0] == ["<eos>", "<unk>", "the", "cat", "sat"]
    assert made(tmp_path, vocab_size=4).vocabulary()[0] == ["<eos>", "<unk>", "the", "cat"]
    assert made(tmp_path, "A a B\n", lowercase=True).vocabulary()[0] == ["<eos>", "<unk>", "a", "b"]
    assert made(tmp_path, "é e\u0301\n", unicode="NFC").vocabulary()[0] == ["<eos>", "<unk>", "é"]


@pytest.mark.parametrize(("vocab", "rows"), [("bpe", 270), ("byte", 257)])
def test_nothing_is_lost_in_bytes(tmp_path, vocab, rows):
    rule = made(tmp_path, TEXT * 5, vocab=vocab, vocab_size=270)
    assert rule.decode(ids_of(rule, HARD)) == [cleaned(line) for line in HARD]
    rule = made(tmp_path, TEXT * 5, vocab=vocab, vocab_size=270, clean=False)
    assert len(rule) == rows
    assert rule.unk is None
    assert not rule.words
    found = ids_of(rule, HARD)
    assert rule.decode(found) == HARD
    assert all(line[-1] == rule.eos and rule.eos not in line[:-1] for line in found)
    assert ids_of(rule, ["", "   "]) == [[0], [0]]


def test_a_byte_is_a_token_and_half_a_character_is_shown_as_its_bytes(tmp_path):
    rule = made(tmp_path, vocab="byte")
    (found,) = ids_of(rule, ["a é"])
    assert [rule.token(row) for row in found] == ["a", " ", "<0xC3>", "<0xA9>", "<eos>"]
    assert rule.decode([found[:3], found[:4]]) == ["a \ufffd", "a é"]


def test_bytes_of_any_kind_are_told_as_they_come_and_each_is_read_a_few_times(tmp_path, monkeypatch):
    """Letters of one to four bytes, in parts, and bytes that belong to no letter."""
    rule = made(tmp_path, vocab="byte")
    kinds = ["a", " ", "é", "日", "🙂", "\ufffd"]
    data = [kind.encode() for kind in kinds] + [b"\xe6\x97", b"\xff", b"\x80"]
    data = b"".join(data[at] for at in np.random.default_rng(3).integers(0, len(data), 2000))
    token_of = {rule.token(at): at for at in range(len(rule))}
    tokens = [token_of[chr(byte) if byte < 128 else f"<0x{byte:02X}>"] for byte in data]
    whole = rule.decode([tokens])[0]
    assert whole == data.decode(errors="replace")
    read, told, decode = [0], [], rule.decode
    monkeypatch.setattr(rule, "decode", lambda lines: read.append(sum(map(len, lines))) or decode(lines))
    watch = Watch(rule, (), 1, 1, "", told.append)
    for step, token in enumerate(tokens):
        watch(step, np.zeros(1, np.int64), np.array([[token]]), np.ones((1, 1), bool))
    assert whole.startswith("".join(told))
    assert len(told) > 1000
    watch.say(whole)
    assert "".join(told) == whole
    assert sum(read) < 20 * len(tokens)


def test_pairs_are_merged_within_words(tmp_path):
    rule = made(tmp_path, "low low low lower lowest\n" * 20, vocab="bpe", vocab_size=259 + 3)
    pieces = [rule.token(row) for row in range(257, len(rule))]
    assert " low" in pieces
    assert all(" " not in piece[1:] for piece in pieces)


@pytest.mark.parametrize("vocab", ["word", "bpe", "byte"])
def test_a_manifest_gives_the_rule_again(tmp_path, vocab):
    rule = made(tmp_path, vocab=vocab)
    again = rule_from_spec(json.loads(json.dumps(rule.spec())), rule.files().__getitem__)
    assert type(again) is LanguageText
    assert (again.eos, again.unk, again.words, len(again)) == (rule.eos, rule.unk, rule.words, len(rule))
    assert ids_of(again, HARD) == ids_of(rule, HARD)
    assert made(tmp_path, vocab=vocab).files() == rule.files()


@pytest.mark.parametrize(
    ("key", "value"),
    [("eos", -1), ("eos", "0"), ("unk", True), ("words", 1), ("size", 3), ("size", 1 << 40), ("eos", 99)],
)
def test_a_wrong_manifest_is_refused(tmp_path, key, value):
    rule = made(tmp_path)
    with pytest.raises(TextkitError, match="not described rightly"):
        rule_from_spec(rule.spec() | {key: value}, rule.files().__getitem__)


@pytest.mark.parametrize("vocab", ["word", "bpe", "byte"])
def test_a_text_without_words_is_an_error(tmp_path, vocab):
    with pytest.raises(TextkitError, match=r"lines\.txt: no line has text on it"):
        made(tmp_path, "\n \n", vocab=vocab)


def test_a_vocabulary_too_small_is_an_error(tmp_path):
    with pytest.raises(TextkitError, match="need 258"):
        made(tmp_path, vocab="bpe", vocab_size=257)
    with pytest.raises(TextkitError, match="need 3"):
        made(tmp_path, vocab_size=2)
    with pytest.raises(TextkitError, match="min_count=9: no word occurs so often"):
        made(tmp_path, min_count=9)
    with pytest.raises(ValueError, match="min_count=0"):
        LanguageTokenizerOptions(min_count=0)


@pytest.mark.slow
def test_wikitext2_has_the_tokens_and_words_of_its_paper():
    """Merity et al. 2016, table 2: 2,088,628 tokens with one <eos> per line, 33,278 words counting <eos>."""
    if not WIKITEXT.exists():
        pytest.skip(f"{WIKITEXT} is not there")
    text = Corpus([WIKITEXT])
    rule = learn(text, LanguageTokenizerOptions(min_count=1, clean=False))  # two of its words hold invisible characters
    assert len(rule) == 33_278
    assert sum(len(rule.encode(lines).ids) for lines in text.chunks(20_000)) == 2_088_628
    assert sum(rule.count_words(lines) + len(lines) for lines in text.chunks(20_000)) == 2_088_628
