"""Turns lines into the rows whose mean a fastText classifier looks at (Joulin et al. 2017): words and n-grams.

Follows fastText to the letter (dictionary.cc, getLine): a word of the table takes its own row and those of its character
n-grams, any other word those of its n-grams alone; then come the n-grams of words. `</s>` ends every line and counts as a word.
Words that look like labels are left out. Knows no file system, no graph and no model; numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np

from textkit.errors import TextkitError
from textkit.text.bounds import MOST_ROWS
from textkit.text.hashed import BUCKETS_FILE, from_gaps, gaps
from textkit.text.rule import Encoded, TextRule
from textkit.text.spaces import ascii_lines
from textkit.text.subwords import hash_ngrams
from textkit.text.words import WORDS_FILE

EOS = "</s>"  # fastText's word for the end of a line; it has no character n-grams
LABEL = "__label__"  # how labels begin in fastText's data
_MULTIPLIER = np.uint64(116049371)
_LONG = 64  # bytes of a word; those that follow are hashed word by word


class FastText(TextRule):
    """A table of `words`, each its own row 0..n-1; the rows of the `buckets` follow.

    `composed`: a word's row is the mean of those that fastText takes for the word, and weighs as many; otherwise it is the
    word's own, and the n-grams of the word follow it. With the first a known word is one look-up.
    `minimum`, `maximum`: characters in the shortest and the longest n-gram of a word (`maximum` 0: there are none).
    `word_ngrams`: words in the longest n-gram of words. `kept` i64, ascending: the buckets that have a row; None: all have.
    """

    kind = "fasttext"

    def __init__(
        self,
        words: Sequence[str],
        word_ngrams: int = 1,
        minimum: int = 1,
        maximum: int = 0,
        buckets: int = 0,
        kept: np.ndarray | None = None,
        composed: bool = False,
    ) -> None:
        if composed and kept is not None:
            raise ValueError("where words are composed every bucket has a row")
        self.words = list(words)
        self.word_ngrams, self.minimum, self.maximum = word_ngrams, minimum, maximum
        self.buckets, self.kept, self.composed = buckets, kept, composed
        self._weight = self._weights() if composed else None
        self._ids = {word: row for row, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            raise TextkitError(f"{WORDS_FILE}: a word occurs twice")
        self._row: np.ndarray | None = None  # i32[bucket], -1 where a bucket has no row
        if kept is not None:
            self._row = np.full(buckets, -1, np.int32)
            self._row[kept] = np.arange(len(kept)) + len(self.words)

    def __len__(self) -> int:
        return len(self.words) + (self.buckets if self.kept is None else len(self.kept))

    def words_of(self, lines: Sequence[str]) -> list[list[str]]:
        """Each line's words up to its end, without those that look like labels."""
        text = "\n".join(line.replace("\n", " ") if "\n" in line else line for line in lines)
        if "\0" in text:  # fastText takes it for white space
            text = text.replace("\0", " ")
        cut = ascii_lines(text)
        if EOS in text or LABEL in text:
            cut = [self._counted(words) for words in cut]
        return cut

    def _counted(self, words: list[str]) -> list[str]:
        if EOS in words:
            words = words[: words.index(EOS)]
        return [word for word in words if word in self._ids or not word.startswith(LABEL)]

    def _weights(self) -> np.ndarray:
        """How many rows fastText takes for each word of the table, f32[word]."""
        characters = np.fromiter(map(len, self.words), np.int64, len(self.words)) + 2  # with the marks around a word
        weight = np.ones(len(self.words), np.float32)
        for n in range(self.minimum, self.maximum + 1 if self.buckets else 0):
            weight += np.maximum(characters + 1 - n - 2 * (n == 1), 0)  # a mark alone is no n-gram
        if EOS in self.words:
            weight[self.words.index(EOS)] = 1
        return weight

    def encode(self, lines: Sequence[str]) -> Encoded:
        """The rows of each line. `spans`: each word takes its own rows and those of the n-grams of words that begin with it.

        The last word of a line is `</s>`."""
        if not lines:
            return Encoded(np.empty(0, np.int64), np.empty(0, np.int64))
        cut = self.words_of(lines)
        for words in cut:
            words.append(EOS)
        counts = np.fromiter(map(len, cut), np.int64, len(cut))
        place = _Places({EOS: 0})
        at = np.fromiter(map(place.__getitem__, chain.from_iterable(cut)), np.int64, int(counts.sum()))
        distinct = list(place)
        rows, weights, sizes = self._rows_of(distinct)
        own = sizes[at]  # rows of each word
        found = []  # the rows of n-grams of words, and the word that each begins with
        if self.word_ngrams > 1 and self.buckets:
            for buckets, first in word_ngrams(hash_words(distinct)[at], counts, self.word_ngrams, self.buckets):
                of_buckets = self._rows_of_buckets(buckets)
                found.append((of_buckets[of_buckets >= 0], first[of_buckets >= 0]))
        spans = own.copy()
        for _, first in found:
            spans[first] += 1  # a word begins one n-gram of each length
        begins = np.cumsum(spans) - spans
        ids = np.empty(int(spans.sum()), np.int64)
        weight = None if weights is None else np.ones(len(ids), np.float32)
        here, there = _runs(begins, own), _runs((np.cumsum(sizes) - sizes)[at], own)
        ids[here] = rows[there]
        if weight is not None and weights is not None:
            weight[here] = weights[there]
        ends = begins + own
        for of_buckets, first in found:
            ids[ends[first]] = of_buckets
            ends[first] += 1
        return Encoded(ids, np.add.reduceat(spans, np.cumsum(counts) - counts), weight, spans)

    def _rows_of(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """The rows of each word and what they weigh (None: all 1), end to end [total], and how many each word has i64[word].

        The first word is `</s>`."""
        known = np.fromiter(map(self._ids.get, words, repeat(-1)), np.int64, len(words))
        is_known = known >= 0
        spelled = ~is_known if self.composed else np.ones(len(words), bool)
        spelled[0] = False
        grams = np.zeros(len(words), np.int64)
        rows = np.empty(0, np.int64)
        if self.maximum and self.buckets and spelled.any():
            of = [words[word] for word in np.flatnonzero(spelled).tolist()]
            buckets, counts = hash_ngrams(of, self.minimum, self.maximum, self.buckets)
            rows = self._rows_of_buckets(buckets)
            there = rows >= 0
            before = np.concatenate([[0], np.cumsum(there)])
            ends = np.cumsum(counts)
            grams[spelled] = before[ends] - before[ends - counts]
            rows = rows[there]
        sizes = is_known + grams
        starts = np.cumsum(sizes) - sizes
        flat = np.empty(int(sizes.sum()), np.int64)
        flat[starts[is_known]] = known[is_known]
        flat[_runs(starts + is_known, grams)] = rows
        if self._weight is None:
            return flat, None, sizes
        weights = np.ones(len(flat), np.float32)
        weights[starts[is_known]] = self._weight[known[is_known]]
        return flat, weights, sizes

    def _rows_of_buckets(self, buckets: np.ndarray) -> np.ndarray:
        """The row of each bucket, -1 where it has none."""
        return buckets + len(self.words) if self._row is None else self._row[buckets]

    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        words = self.words_of([line])[0]
        spans = self.encode([line]).spans
        assert spans is not None
        ends = np.cumsum(spans)[:-1].tolist()  # the last is the end of the line, which is no part of the text
        return [(word, end - span, end) for word, end, span in zip(words, ends, spans.tolist(), strict=False)]

    def vocabulary(self) -> tuple[list[str], np.ndarray]:
        return list(self.words), np.arange(len(self.words))

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "words": WORDS_FILE, "word_ngrams": self.word_ngrams, "min": self.minimum, "max": self.maximum,
            "buckets": self.buckets, "kept": None if self.kept is None else BUCKETS_FILE, "composed": self.composed,
        }  # fmt: skip

    def files(self) -> dict[str, bytes]:
        found = {WORDS_FILE: "".join(f"{word}\n" for word in self.words).encode()}
        return found if self.kept is None else found | {BUCKETS_FILE: gaps(self.kept)}


def from_spec(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> FastText:
    """The rule that a manifest describes. Raises KeyError, TypeError or ValueError if the description is wrong."""
    data = read(spec["words"])
    if data.count(b"\n") > MOST_ROWS:
        raise ValueError(f"more than {MOST_ROWS} words")
    if spec["max"] and spec["min"] > spec["max"]:
        raise ValueError(f"n-grams of {spec['min']} to {spec['max']} characters")
    kept = from_gaps(read(spec["kept"]), spec["buckets"]) if spec["kept"] else None
    return FastText(
        data.decode("utf-8").split("\n")[:-1], spec["word_ngrams"], spec["min"], spec["max"], spec["buckets"], kept,
        spec["composed"],
    )  # fmt: skip


class _Places(dict[str, int]):
    """word -> its place among the distinct words so far; a new word comes last."""

    def __missing__(self, word: str) -> int:
        self[word] = place = len(self)
        return place


def hash_words(words: Sequence[str]) -> np.ndarray:
    """fastText's hash of each word, i64[word]: the signed number of 32 bits that fastText keeps."""
    encoded = [word.encode("utf-8", "surrogatepass") for word in words]
    sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
    starts = np.cumsum(sizes) - sizes
    data = np.frombuffer(b"".join(encoded), np.int8).astype(np.int32).view(np.uint32)  # bytes enter sign-extended
    state = np.full(len(encoded), 2166136261, np.uint32)
    going = np.arange(len(encoded))
    for at in range(_LONG):
        going = going[sizes[going] > at]
        if not len(going):
            break
        state[going] = (state[going] ^ data[starts[going] + at]) * np.uint32(16777619)
    for word in np.flatnonzero(sizes > _LONG).tolist():
        value = int(state[word])
        for byte in encoded[word][_LONG:]:
            value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
        state[word] = value
    return state.view(np.int32).astype(np.int64)


def word_ngrams(
    hashes: np.ndarray, counts: np.ndarray, longest: int, buckets: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The buckets of the n-grams of n words, n = 2 to `longest`, and the word that each begins with, both i64[n-gram].

    As fastText's addWordNgrams (dictionary.cc). `hashes` i64[word]: those of the lines' words, end to end; `counts` i64[line]:
    how many words each line has.
    """
    left = np.repeat(np.cumsum(counts), counts) - np.arange(len(hashes))  # words from here to the end of the line
    each = np.ascontiguousarray(hashes, np.int64).view(np.uint64)
    state = each
    for n in range(2, longest + 1):
        first = np.flatnonzero(left >= n)
        if not len(first):
            return
        state = state[: len(each) - n + 1] * _MULTIPLIER + each[n - 1 :]
        yield (state[first] % np.uint64(buckets)).astype(np.int64), first


def _runs(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The whole numbers from each of `starts` on, as many as `sizes` says, end to end."""
    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)
