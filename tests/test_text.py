"""How text becomes ids: words, hashed n-grams against fastText's numbers, pieces, tokenizers, and their manifests."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

import textkit.text.words
from textkit.errors import TextkitError
from textkit.text.normalizer import Normalizer
from textkit.text.rule import Encoded, TextRule
from textkit.text.rules import rule_from_spec
from textkit.text.subwords import NGrams, Pieces, hash_ngrams
from textkit.text.tokenizer import Pretokenized
from textkit.text.words import Words


def lists(encoded: Encoded) -> list[list[int]]:
    """The ids as one list per line."""
    ends = np.cumsum(encoded.lengths)
    assert ends.size == 0 or ends[-1] == len(encoded.ids)
    return [encoded.ids[end - length : end].tolist() for end, length in zip(ends, encoded.lengths, strict=True)]


def pieces_json(words: list[str]) -> str:
    """A tokenizer without merges: its pieces are the characters of `words`."""
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.train_from_iterator(words, trainers.BpeTrainer(vocab_size=0, show_progress=False))
    return tokenizer.to_str()


# --- normalising ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Hello, World!", ["hello", ",", "world", "!"]),
        ("don't", ["don", "'", "t"]),
        ("3.5€ a+b", ["3", ".", "5", "€", "a", "+", "b"]),
        ("cafe\u0301", ["café"]),
        ("日本語のtext", ["日", "本", "語", "の", "text"]),
        ("a\u00a0b\u2028c\td", ["a", "b", "c", "d"]),
        ("  ", []),
        ("", []),
        ("two\nlines", ["two", "lines"]),
        ("ÀÉ ΣΑΣ", ["àé", "σας"]),
        ("x\0y", ["x\0y"]),
    ],
)
def test_words_of_a_line(line: str, words: list[str]) -> None:
    assert Normalizer().words([line]) == [words]


def test_options_of_the_normalizer() -> None:
    assert Normalizer(lowercase=False, punctuation="keep").words(["A-b, C."]) == [["A-b,", "C."]]
    assert Normalizer(unicode="NFKC").words(["ﬁne ①"]) == [["fine", "1"]]
    assert Normalizer(unicode="none").words(["cafe\u0301"]) == [["cafe\u0301"]]
    for wrong in ({"unicode": "NFX"}, {"punctuation": "drop"}):
        with pytest.raises(ValueError, match="|".join(wrong.values())):
            Normalizer(**wrong)


def test_lines_stay_lines() -> None:
    # U+0085, \v, \f, \x1c-\x1e end a line for str.splitlines; here they are white space, as they are in a single line.
    lines = ["a\x85b", "", "\u0301c", "Σ", "d\ve\ff", "g\x1ch", "x" * 1000]
    assert Normalizer().words(lines) == [words for line in lines for words in Normalizer().words([line])]
    assert len(Normalizer().words(lines)) == len(lines)
    assert Normalizer().words([]) == []


# --- words ------------------------------------------------------------------------------------------------------------


def test_words_without_an_id_are_left_out() -> None:
    rule = Words(["the", "cat", "."])
    encoded = rule.encode(["The cat.", "a dog", "", "cat the unknown cat"])
    assert lists(encoded) == [[0, 1, 2], [], [], [1, 0, 1]]
    assert (encoded.weight, encoded.spans, encoded.ids.dtype, encoded.lengths.dtype) == (None, None, np.int64, np.int64)
    assert lists(rule.encode([])) == []
    assert lists(rule.encode(["", " "])) == [[], []]
    assert rule.tokens("The grey cat") == [("the", 0, 1), ("grey", 1, 1), ("cat", 1, 2)]
    assert (len(rule), "cat" in rule, "Cat" in rule, rule.id("cat"), rule.id("x")) == (3, True, False, 1, -1)
    assert rule.vocabulary()[0] == ["the", "cat", "."]
    assert rule.vocabulary()[1].tolist() == [0, 1, 2]


@pytest.mark.parametrize("subwords", [None, NGrams(1, 2, 31, 3)], ids=["words", "ngrams"])
@pytest.mark.parametrize("third", ["\0", "x"])
def test_nul_is_text_and_no_end_of_a_line(third: str, subwords: NGrams | None) -> None:
    # Lines are looked up as one text with a NUL at the end of each, unless a line contains a NUL.
    rule = Words(["a", "b", third], subwords=subwords)
    assert ("\0" in rule, rule.id("\0")) == ((True, 2) if third == "\0" else (False, -1))
    for lines in (
        ["a \0 b", "b", ""],
        ["a", "b \0"],
        ["\0", ""],
        ["", "a b", ""],
        ["", "", "b"],
        ["two\nlines b", "a"],
    ):
        together = rule.encode(lines)
        apart = [rule.encode_words(rule.normalizer.words([line])) for line in lines]
        assert lists(together) == [lists(one)[0] for one in apart]
        assert lists(together) == [lists(rule.encode([line]))[0] for line in lines]
        widths = [sum(stop - start for _, start, stop in rule.tokens(line)) for line in lines]
        assert together.lengths.tolist() == widths
    assert lists(rule.encode(["a \0 b"]))[0][0] == 0
    if third == "\0":
        assert lists(rule.encode(["a \0 b", "b"])) == [[0, 2, 1], [1]]


def test_a_word_twice_is_refused() -> None:
    with pytest.raises(TextkitError, match="occurs twice"):
        Words(["a", "b", "a"])


# --- hashed n-grams ---------------------------------------------------------------------------------------------------

# The result of get_subwords of fastText 0.9.3 (without the words' own rows) for bucket=1000, minn=3, maxn=6.
FASTTEXT = {
    "where": [652, 715, 707, 586, 941, 621, 176, 234, 420, 811, 991, 33, 469, 498],
    "naïve": [890, 692, 190, 201, 546, 404, 43, 687, 832, 7, 331, 570, 548, 654],
    "日本語": [587, 581, 609, 559, 923, 355],
    "a": [600],
    "xyzzy": [200, 910, 812, 279, 248, 238, 653, 145, 832, 123, 399, 44, 830, 286],
}


def test_ngrams_are_those_of_fasttext() -> None:
    buckets, counts = hash_ngrams(list(FASTTEXT), 3, 6, 1000)
    assert buckets.tolist() == [bucket for word in FASTTEXT.values() for bucket in word]
    assert counts.tolist() == [14, 14, 6, 1, 14]
    # With minn=1, maxn=2: <é, é, é!, !, !> - no boundary mark stands alone.
    assert hash_ngrams(["é!"], 1, 2, 1000)[0].tolist() == [627, 777, 592, 540, 630]
    assert hash_ngrams(["é!".encode()], 1, 2, 1000)[0].tolist() == [627, 777, 592, 540, 630]


def slow_ngrams(word: str, minimum: int, maximum: int, buckets: int) -> list[int]:
    """fastText's computeSubwords, a character at a time."""
    marked = f"<{word}>"
    found = []
    for start in range(len(marked)):
        for n in range(minimum, maximum + 1):
            if start + n > len(marked) or (n == 1 and start in (0, len(marked) - 1)):
                continue
            state = 2166136261
            for byte in marked[start : start + n].encode("utf-8", "surrogatepass"):
                state = ((state ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
            found.append(state % buckets)
    return found


@pytest.mark.parametrize(("minimum", "maximum"), [(3, 6), (1, 1), (1, 4), (2, 2), (5, 30)])
def test_ngrams_of_any_words_in_any_grouping(monkeypatch: pytest.MonkeyPatch, minimum: int, maximum: int) -> None:
    generator = random.Random(3)
    alphabet = "abcé日\U0001f600<>\ud800"
    words = ["".join(generator.choices(alphabet, k=generator.randrange(12))) for _ in range(200)]
    wanted = [slow_ngrams(word, minimum, maximum, 2_000_000) for word in words]
    for at_once in (1, 7, 64, 1 << 16):  # the end of what is hashed together may fall inside a word
        monkeypatch.setattr("textkit.text.subwords._HASHED_AT_ONCE", at_once)
        buckets, counts = hash_ngrams(words, minimum, maximum, 2_000_000)
        assert buckets.tolist() == [bucket for word in wanted for bucket in word]
        assert counts.tolist() == [len(word) for word in wanted]


def test_an_unseen_word_is_spelled_by_its_ngrams() -> None:
    rule = Words(["cat", "sat"], subwords=NGrams(3, 6, 1000, 2))
    encoded = rule.encode(["cat a sat", "sat", "", "a"])
    assert lists(encoded) == [[0, 602, 1], [1], [], [602]]
    encoded = rule.encode(["where cat"])
    assert lists(encoded) == [[bucket + 2 for bucket in FASTTEXT["where"]] + [0]]
    assert encoded.weight is not None
    assert encoded.weight.tolist() == [np.float32(1 / 14)] * 14 + [1]
    assert encoded.spans is not None
    assert encoded.spans.tolist() == [14, 1]
    assert rule.tokens("where cat") == [("where", 0, 14), ("cat", 14, 15)]
    assert rule.encode(["cat sat"]).weight is None  # nothing to spell


def test_ngrams_without_a_row_are_left_out() -> None:
    kept = np.array(sorted({652, 176, 600}), np.int32)
    rule = Words(["cat"], subwords=NGrams(3, 6, 1000, 1, kept))
    assert len(rule) == 4
    encoded = rule.encode(["where x cat", "xyzzy", "a a"])
    # 176, 600, 652 are rows 1, 2, 3; `x` and `xyzzy` have no n-gram that was kept.
    assert lists(encoded) == [[3, 1, 0], [], [2, 2]]
    assert encoded.weight is not None
    assert encoded.weight.tolist() == [0.5, 0.5, 1, 1, 1]
    assert encoded.spans is not None
    assert encoded.spans.tolist() == [2, 0, 1, 0, 1, 1]
    assert rule.tokens("where x cat") == [("where", 0, 2), ("x", 2, 2), ("cat", 2, 3)]
    assert lists(rule.encode(["xyzzy"])) == [[]]


def test_rows_of_unseen_words_are_remembered_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textkit.text.words, "_CACHED_WORDS", 3)
    rule = Words(["cat"], subwords=NGrams(3, 4, 50, 1))
    fresh = Words(["cat"], subwords=NGrams(3, 4, 50, 1))
    for line in ("dog cow", "dog cow", "hen dog", "emu ape", "a b c d e f", "f e", "cat"):
        expected = fresh.encode([line])
        fresh._cache.clear()
        assert lists(rule.encode([line])) == lists(expected)
        assert len(rule._cache) <= 3


def test_subwords_must_begin_where_words_end() -> None:
    with pytest.raises(ValueError, match="begin at 5, words end at 1"):
        Words(["cat"], subwords=NGrams(3, 6, 10, 5))


# --- pieces and tokenizers --------------------------------------------------------------------------------------------


def test_an_unseen_word_is_spelled_by_pieces() -> None:
    rule = Words(["cat"], subwords=Pieces(pieces_json(["abc"]), 1))
    assert len(rule) == 4
    encoded = rule.encode(["cab cat", "xyz"])
    assert lists(encoded) == [[3, 1, 2, 0], []]  # c a b; x, y and z are no pieces
    assert encoded.weight is not None
    assert encoded.weight.tolist() == [np.float32(1 / 3)] * 3 + [1]


def word_tokenizer(special: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"[U]": 0, "cat": 1, "sat": 2, "[C]": 3}, unk_token="[U]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        tokenizer.post_processor = processors.TemplateProcessing(single="[C] $A", special_tokens=[("[C]", 3)])
    tokenizer.enable_padding(length=9)
    tokenizer.enable_truncation(2)
    return tokenizer


def test_a_tokenizer_without_its_padding_and_truncation() -> None:
    rule = Pretokenized(word_tokenizer(special=True).to_str().encode())
    assert lists(rule.encode(["cat sat dog cat", "sat"])) == [[3, 1, 2, 0, 1], [3, 2]]
    assert lists(rule.encode([])) == []
    assert rule.tokens("cat dog") == [("[C]", 0, 1), ("cat", 1, 2), ("[U]", 2, 3)]
    assert (len(rule), rule.vocabulary()[0]) == (4, ["[U]", "cat", "sat", "[C]"])


def test_a_tokenizer_that_fails_is_one_error() -> None:
    rule = Pretokenized(word_tokenizer().to_str().encode())
    with pytest.raises(TextkitError, match="tokenizer failed"):
        rule.encode(["half a pair \ud800"])


# --- a line's ids do not depend on its neighbours ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        Words(["cat", "sat", "日", "é"]),
        Words(["cat", "sat", "日", "é"], subwords=NGrams(2, 4, 97, 4)),
        Words(["cat", "sat", "日", "é"], subwords=NGrams(2, 4, 97, 4, np.arange(0, 97, 3, dtype=np.int32))),
        Words(["cat", "sat", "日", "é"], subwords=Pieces(pieces_json(["abcést"]), 4)),
        Pretokenized(word_tokenizer().to_str().encode()),
    ],
    ids=["words", "ngrams", "kept", "pieces", "tokenizer"],
)
def test_encoding_by_line_and_together(rule: TextRule) -> None:
    generator = random.Random(5)
    vocabulary = ["cat", "sat", "日本", "É", "e\u0301", "dog!", "\u0301", "\u2028", "", " ", "ß", "İ", "x" * 50]
    lines = [" ".join(generator.choices(vocabulary, k=generator.randrange(6))) for _ in range(100)]
    together = rule.encode(lines)
    apart = [rule.encode([line]) for line in lines]
    assert lists(together) == [lists(one)[0] for one in apart]
    weight = np.concatenate([np.ones(len(one.ids)) if one.weight is None else one.weight for one in apart])
    assert (np.ones(len(together.ids)) if together.weight is None else together.weight).tolist() == weight.tolist()
    for line, one in zip(lines, apart, strict=True):
        spans = [stop - start for _, start, stop in rule.tokens(line)]
        assert sum(spans) == one.lengths[0]
        if one.spans is not None:
            assert spans == one.spans.tolist()


# --- in a manifest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        Words(["the", "cat"], Normalizer(False, "NFKC", "keep")),
        Words(["the", "日"], subwords=NGrams(3, 5, 100, 2)),
        Words(["the", "日"], subwords=NGrams(3, 5, 100, 2, np.array([5, 7, 99], np.int32))),
        Words(["the", "日"], subwords=Pieces(pieces_json(["theca"]), 2)),
        Words([], subwords=NGrams(3, 5, 100, 0)),
        Pretokenized(word_tokenizer().to_str().encode()),
    ],
)
def test_a_rule_comes_back_from_its_manifest(rule: TextRule) -> None:
    spec = json.loads(json.dumps(rule.spec()))
    again = rule_from_spec(spec, rule.files().__getitem__)
    assert type(again) is type(rule)
    assert (len(again), again.spec(), again.files()) == (len(rule), rule.spec(), rule.files())
    line = "The cat theat 日本, cat."
    assert lists(again.encode([line])) == lists(rule.encode([line]))


NORMALIZER = {"lowercase": True, "unicode": "NFC", "punctuation": "split"}


def words_spec(**subwords: Any) -> dict[str, Any]:
    base = {"kind": "ngrams", "min": 3, "max": 5, "buckets": 9, "hash": "fasttext-fnv1a", "first": 2, "kept": None}
    return {"kind": "words", "words": "w", "normalizer": NORMALIZER, "subwords": base | subwords if subwords else None}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "'kind'"),
        ({"kind": "pickle"}, "unknown kind 'pickle'"),
        ({"kind": "words", "words": "w"}, "'normalizer'"),
        (words_spec() | {"normalizer": {"lower": 1}}, "lower"),
        (words_spec() | {"normalizer": NORMALIZER | {"unicode": "X"}}, "unicode=X"),
        (words_spec() | {"words": "absent"}, "absent"),
        (words_spec() | {"words": "latin"}, "utf-8"),
        (words_spec() | {"words": "twice"}, "twice"),
        (words_spec(kind="regex"), "unknown subwords"),
        (words_spec(hash="md5"), "unknown subwords"),
        (words_spec(min=0), "n-grams of 0 to 5"),
        (words_spec(min=6), "n-grams of 6 to 5"),
        (words_spec(buckets=0), "0 buckets"),
        (words_spec(buckets=2**31), "buckets"),
        (words_spec(first=3), "begin at 3"),
        (words_spec(max="many"), "many"),
        (words_spec(kept="descending"), "ascending"),
        (words_spec(kept="beyond"), "ascending"),
        (words_spec(kept="odd"), "multiple"),
        ({"kind": "tokenizer", "file": "w"}, "not a tokenizer"),
        (words_spec() | {"subwords": {"kind": "pieces", "file": "w", "first": 2}}, "not a tokenizer"),
    ],
)
def test_a_manifest_that_describes_no_rule(spec: dict[str, Any], said: str) -> None:
    files = {
        "w": b"the\ncat\n",
        "twice": b"a\na\n",
        "latin": b"caf\xe9\n",
        "descending": np.array([5, 3], "<i4").tobytes(),
        "beyond": np.array([3, 9], "<i4").tobytes(),
        "odd": b"abc",
    }
    with pytest.raises(TextkitError, match=said):
        rule_from_spec(spec, files.__getitem__)
