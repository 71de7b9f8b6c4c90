"""Lines as the rows that a fastText classifier takes for them, against fastText's own code written out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from textkit.errors import TextkitError
from textkit.interop.fasttext.bin import spell
from textkit.text.fasttext import FastText, hash_words
from textkit.text.rules import rule_from_spec
from textkit.text.subwords import NGrams, hash_ngrams


def by_hand(line: str, words: list[str], word_ngrams: int, grams: tuple[int, int], buckets: int) -> list[int]:
    """fastText's getLine, written out: the rows of a line, in its order."""

    def fnv(text: str) -> int:
        state = 2166136261
        for byte in text.encode():
            state = ((state ^ (byte - 256 if byte > 127 else byte) & 0xFFFFFFFF) * 16777619) & 0xFFFFFFFF
        return state

    rows, hashes = [], []
    for separator in "\0\t\v\f\r":
        line = line.replace(separator, " ")
    for word in [*filter(None, line.split(" ")), "</s>"]:
        if word not in words and word.startswith("__label__"):
            continue
        rows += [words.index(word)] if word in words else []
        hashes.append(fnv(word) - (1 << 32 if fnv(word) >> 31 else 0))
        if word == "</s>":
            break
        marked = f"<{word}>"
        for at in range(len(marked)):
            for n in range(max(1, grams[0]), grams[1] + 1):
                if at + n <= len(marked) and not (n == 1 and at in (0, len(marked) - 1)):
                    rows.append(len(words) + fnv(marked[at : at + n]) % buckets)
    for at in range(len(hashes)):
        state = hashes[at] & 0xFFFFFFFFFFFFFFFF
        for following in hashes[at + 1 : at + word_ngrams]:
            state = (state * 116049371 + following) & 0xFFFFFFFFFFFFFFFF
            rows.append(len(words) + state % buckets)
    return rows


LINES = [
    "the cat", "", "cat  naïve\t日本 q", "q", "the\0cat\vthe", "a </s> the cat", "__label__x cat __label__ the",
    "fish\u00a0dog\x85fish", "the " * 30, "ж" * 200 + " cat " + "x" * 64 + " " + "y" * 65, "<the> </s", "\U0001f600 a b c d e",
]  # fmt: skip


@pytest.mark.parametrize(
    ("word_ngrams", "grams", "buckets"),
    [(1, (0, 0), 0), (3, (0, 0), 97), (1, (2, 4), 1000), (2, (1, 6), 53), (5, (3, 3), 7)],
)
def test_lines_are_the_rows_that_fasttext_takes(word_ngrams: int, grams: tuple[int, int], buckets: int) -> None:
    words = ["</s>", "the", "cat", "naïve", "__label__"]
    rule = FastText(words, word_ngrams, max(1, grams[0]), grams[1], buckets)
    encoded = rule.encode(LINES)
    assert encoded.weight is None
    ends = np.cumsum(encoded.lengths)
    for line, end, length in zip(LINES, ends, encoded.lengths, strict=True):
        wanted = by_hand(line, words, word_ngrams, grams, buckets)
        assert Counter(encoded.ids[end - length : end].tolist()) == Counter(wanted), line
        np.testing.assert_array_equal(rule.encode([line]).ids, encoded.ids[end - length : end])
    assert encoded.spans.sum() == len(encoded.ids)
    assert rule.encode([]).ids.shape == (0,)
    again = rule_from_spec(rule.spec(), rule.files().__getitem__)
    np.testing.assert_array_equal(again.encode(LINES).ids, encoded.ids)
    assert (len(again), again.vocabulary()[0]) == (len(words) + buckets, words)


@pytest.mark.parametrize(("word_ngrams", "grams", "buckets"), [(1, (2, 4), 1000), (2, (1, 6), 53), (5, (3, 3), 7)])
def test_composed_words_weigh_as_many_rows(word_ngrams: int, grams: tuple[int, int], buckets: int) -> None:
    words = ["</s>", "the", "cat", "naïve", "a", "日本"]
    table = np.random.default_rng(0).normal(size=(len(words) + buckets, 3)).astype(np.float32)
    own = table.copy()
    spell(own[: len(words)], own[len(words) :], [word.encode() for word in words], NGrams(*grams, buckets, 0))
    rule = FastText(words, word_ngrams, *grams, buckets, composed=True)
    encoded = rule.encode(LINES)
    ends = np.cumsum(encoded.lengths)
    for line, end, length in zip(LINES, ends, encoded.lengths, strict=True):
        wanted = by_hand(line, words, word_ngrams, grams, buckets)
        weight = encoded.weight[end - length : end]
        assert weight.sum() == len(wanted), line
        rows = own[encoded.ids[end - length : end]].astype(np.float64)
        np.testing.assert_allclose(
            weight.astype(np.float64) @ rows, table[wanted].sum(0, np.float64), rtol=1e-4, atol=1e-4
        )
    again = rule_from_spec(rule.spec(), rule.files().__getitem__)
    np.testing.assert_array_equal(again.encode(LINES).weight, encoded.weight)
    assert len(rule.encode(["the cat 日本"]).ids) == 4 + sum(4 - n + 1 for n in range(2, word_ngrams + 1))


def test_buckets_without_a_row_are_left_out() -> None:
    whole = FastText(["a", "</s>"], 2, 2, 3, 100)
    some = np.arange(0, 100, 3)
    rule = FastText(["a", "</s>"], 2, 2, 3, 100, some)
    for line in LINES:
        wanted = [row for row in whole.encode([line]).ids.tolist() if row < 2 or (row - 2) % 3 == 0]
        assert rule.encode([line]).ids.tolist() == [row if row < 2 else (row - 2) // 3 + 2 for row in wanted]
    again = rule_from_spec(rule.spec(), rule.files().__getitem__)
    assert again.encode(LINES).ids.tolist() == rule.encode(LINES).ids.tolist()
    assert len(again) == 2 + len(some)


def test_tokens_are_the_words_and_where_their_rows_are() -> None:
    rule = FastText(["cat", "</s>"], 2, 3, 3, 50)
    tokens = rule.tokens("cat __label__q dogs\tcat")
    assert [word for word, _, _ in tokens] == ["cat", "dogs", "cat"]
    encoded = rule.encode(["cat dogs cat"])
    # <ca cat at> with the word and the two words; <do dog ogs gs> and the two; the last as the first; the line's end
    assert [last - first for _, first, last in tokens] == [5, 5, 5]
    assert (tokens[0][1], tokens[-1][2] + 1) == (0, len(encoded.ids))
    assert encoded.ids[0] == 0
    assert encoded.ids[-1] == 1


def test_a_word_has_one_hash_however_long() -> None:
    words = ["", "a", "naïve", "x" * 63, "x" * 64, "x" * 65, "ж" * 100]
    # The n-gram of a whole word with its marks is what hash_ngrams makes of the word.
    marked = [f"<{word}>" for word in words[1:]]
    for word, mark in zip(words[1:], marked, strict=True):
        grams, _ = hash_ngrams([word], len(mark), len(mark), 2**31 - 1)
        assert hash_words([mark])[0] % (1 << 32) % (2**31 - 1) == grams[0]
    assert hash_words(words).tolist() == [int(hash_words([word])[0]) for word in words]
    assert hash_words([]).tolist() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"min": 4, "max": 2}, "n-grams of 4 to 2 characters"),
        ({"kept": "k"}, "not ascending numbers below 50"),
        ({"words": "twice"}, "a word occurs twice"),
        ({"words": "latin"}, "not described rightly"),
        ({"composed": True, "kept": "few"}, "every bucket has a row"),
    ],
)
def test_rules_that_are_not_sound(changes: dict[str, object], said: str) -> None:
    spec = FastText(["a"], 1, 2, 3, 50).spec() | changes
    files = {"words.txt": b"a\n", "k": b"\xff\xff\x01", "few": b"\1", "twice": b"a\na\n", "latin": b"\xe4\n"}
    with pytest.raises(TextkitError, match=said):
        rule_from_spec(spec, files.__getitem__)
