"""Turns lines into hashed features (Weinberger et al. 2009): words, n-grams of words and of characters, each in a bucket.

A bag of them is what a linear classifier reads (Joulin et al. 2017). Nothing is looked up by name, so the rule has no
vocabulary of words; it may keep only some of the buckets. All is arithmetic on arrays: a line of 40 characters took
25 microseconds on a busy machine. Knows no file system, no graph and no model; numpy only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from textkit.errors import quoted
from textkit.text.normalizer import Normalizer
from textkit.text.rule import Encoded, TextRule

BUCKETS_FILE = "buckets.u8"
HASH = "polynomial64"
_SPACE, _END = 32, 10
_DIGITS = re.compile(r"\d+")
_MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_MULTIPLIER, -1, 1 << 64)
_SALT = np.uint64(0xD6E8FEB86659FD93)
_GAP = 255  # a byte of BUCKETS_FILE that only adds to the next
_AT_ONCE = 1 << 18  # characters hashed together


class Hashed(TextRule):
    """Lines -> rows of their features: of each kind in order, words first, then longer and longer n-grams.

    `word_ngrams`: words in the longest n-gram of words, 0 for none. `minimum`, `maximum`: characters in the shortest and the
    longest n-gram of characters (`maximum` 0: none). A space stands before and after each word and counts as a character, but
    no n-gram is a space alone. `across`: whether such an n-gram may reach from one word into the next. `digits`: whether digits
    are read. `kept` i64, ascending: the buckets that have a row; None: all of the `buckets` have one.
    """

    kind = "hashed"

    def __init__(
        self,
        normalizer: Normalizer,
        word_ngrams: int,
        minimum: int,
        maximum: int,
        buckets: int,
        kept: np.ndarray | None = None,
        across: bool = False,
        digits: bool = True,
    ) -> None:
        self.normalizer, self.word_ngrams, self.minimum, self.maximum = normalizer, word_ngrams, minimum, maximum
        self.buckets, self.kept, self.across, self.digits = buckets, kept, across, digits
        self._row: np.ndarray | None = None  # i32[bucket], -1 where a bucket has no row
        if kept is not None:
            self._row = np.full(buckets, -1, np.int32)
            self._row[kept] = np.arange(len(kept))

    def __len__(self) -> int:
        return self.buckets if self.kept is None else len(self.kept)

    def keeping(self, kept: np.ndarray) -> Hashed:
        """The same rule, in which only the buckets `kept` have a row."""
        return Hashed(
            self.normalizer, self.word_ngrams, self.minimum, self.maximum, self.buckets, kept, self.across, self.digits
        )

    def encode(self, lines: Sequence[str]) -> Encoded:
        buckets, counts = self.buckets_of(lines)
        if self._row is None:
            return Encoded(buckets, counts)
        rows = self._row[buckets]
        there = rows >= 0
        before = np.concatenate([[0], np.cumsum(there)])
        ends = np.cumsum(counts)
        return Encoded(rows[there].astype(np.int64), before[ends] - before[ends - counts])

    def buckets_of(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The bucket of every feature of each line, end to end i64[total], and how many each line has i64[line]."""
        found, counts = [], []
        for some in _portions(lines):
            buckets, of_lines = self._hashed(some)
            found.append(buckets)
            counts.append(of_lines)
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(found), np.concatenate(counts)

    def rows_of_words(self, words: Sequence[str]) -> np.ndarray:
        """The row of each word i64[word], -1 for what is not one word, or has no row."""
        alone = Hashed(self.normalizer, 1, 1, 0, self.buckets, digits=self.digits)
        buckets, counts = alone.buckets_of(words)
        found = np.full(len(words), -1)
        one = counts == 1
        rows = buckets[np.repeat(one, counts)]
        found[one] = rows if self._row is None else self._row[rows]
        return found

    def words_of(self, lines: Sequence[str]) -> list[list[str]]:
        """Each line's words, as they are hashed."""
        text = "\n".join(" ".join(line.splitlines()) for line in lines)
        text = self.normalizer(text)
        if not self.digits:
            text = _DIGITS.sub(" ", text)
        return [line.split() for line in text.split("\n")]

    def _hashed(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        words = self.words_of(lines)
        # Every line as " word word ": one text, whose n-grams are differences of sums over its beginnings.
        text = "".join(f" {' '.join(line)} \n" if line else "\n" for line in words)
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        size = len(points)
        powers, inverses = _powers(size + 1)
        sums = np.zeros(size + 1, np.uint64)  # of all characters before each place, each times a power of its place
        np.cumsum((points + np.uint64(1)) * powers[:size], out=sums[1:])
        ends = np.flatnonzero(points == _END)  # of lines
        parts: list[tuple[np.ndarray, np.ndarray]] = []  # the hashes of one kind in order, and how many each line has
        if self.word_ngrams:
            parts += _word_ngrams(
                points, sums, inverses, ends, np.array([len(line) for line in words]), self.word_ngrams
            )
        for n in range(max(self.minimum, 1), self.maximum + 1):
            parts.append(self._characters(points, sums, inverses, ends, n))
        return self._laid_out(parts, len(lines))

    def _characters(
        self, points: np.ndarray, sums: np.ndarray, inverses: np.ndarray, ends: np.ndarray, n: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The hashes of all n-grams of `n` characters, and how many each line has."""
        places = len(points) - n + 1
        if places <= 0:
            return np.empty(0, np.uint64), np.zeros(len(ends), np.int64)
        # An n-gram is one of these if no line ends in it and, unless it may reach across, no space is inside it.
        border = points == _END
        inside = border if self.across else border | (points == _SPACE)
        total = np.concatenate([[0], np.cumsum(border)])
        good = total[n:] == total[:places]
        if n > 2:
            within = np.concatenate([[0], np.cumsum(inside)])
            good &= within[n - 1 : n - 1 + places] == within[1 : 1 + places]
        elif n == 1:
            good &= points[:places] != _SPACE
        else:
            good &= (points[:places] != _SPACE) | (points[1:] != _SPACE)
        at = np.flatnonzero(good)
        hashes = (sums[at + n] - sums[at]) * inverses[at] + np.uint64(n * int(_SALT) % (1 << 64))
        return hashes, np.diff(np.searchsorted(at, ends), prepend=0)

    def _laid_out(self, parts: Sequence[tuple[np.ndarray, np.ndarray]], lines: int) -> tuple[np.ndarray, np.ndarray]:
        """The buckets line by line, from hashes kind by kind."""
        per_line = np.sum([counts for _, counts in parts], axis=0) if parts else np.zeros(lines, np.int64)
        begins = np.cumsum(per_line) - per_line  # where the next kind of each line goes
        buckets = np.empty(int(per_line.sum()), np.int64)
        for hashes, counts in parts:
            first = np.cumsum(counts) - counts
            buckets[np.arange(len(hashes)) + np.repeat(begins - first, counts)] = self._bucket(hashes)
            begins = begins + counts
        return buckets, per_line

    def _bucket(self, hashes: np.ndarray) -> np.ndarray:
        mixed = (hashes ^ (hashes >> np.uint64(32))) * _SALT
        mixed = mixed ^ (mixed >> np.uint64(29))
        scaled = ((mixed >> np.uint64(32)) * np.uint64(self.buckets)) >> np.uint64(32)
        return scaled.astype(np.int64)

    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        """A line's features by name, in the order of its ids; those without a row are left out."""
        named = list(self._names(self.words_of([line])[0]))
        buckets, _ = self.buckets_of([line])
        found, at = [], 0
        for name, bucket in zip(named, buckets.tolist(), strict=True):
            if self._row is None or self._row[bucket] >= 0:
                found.append((name, at, at + 1))
                at += 1
        return found

    def _names(self, words: Sequence[str]) -> Iterator[str]:
        for n in range(1, self.word_ngrams + 1):
            for at in range(len(words) - n + 1):
                yield " ".join(words[at : at + n])
        text = f" {' '.join(words)} " if words else ""
        for n in range(max(self.minimum, 1), self.maximum + 1):
            for at in range(len(text) - n + 1):
                gram = text[at : at + n]
                if gram.strip(" ") and (self.across or " " not in gram[1:-1]):
                    yield gram

    def vocabulary(self) -> tuple[list[str], np.ndarray]:
        return [], np.empty(0, np.int64)

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "hash": HASH, "normalizer": self.normalizer.spec(), "word_ngrams": self.word_ngrams,
            "min": self.minimum, "max": self.maximum, "across": self.across, "digits": self.digits,
            "buckets": self.buckets, "kept": None if self.kept is None else BUCKETS_FILE,
        }  # fmt: skip

    def files(self) -> dict[str, bytes]:
        return {} if self.kept is None else {BUCKETS_FILE: gaps(self.kept)}


def from_spec(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> Hashed:
    """The rule that a manifest describes. Raises KeyError, TypeError or ValueError if the description is wrong."""
    if spec["hash"] != HASH:
        raise ValueError(f"unknown hash {quoted(spec['hash'])}")
    for key in set(spec["normalizer"]) - {field.name for field in fields(Normalizer)}:
        raise ValueError(f"a normalizer has no {quoted(key)}")
    if spec["max"] and spec["min"] > spec["max"]:
        raise ValueError(f"n-grams of {spec['min']} to {spec['max']} characters")
    kept = from_gaps(read(spec["kept"]), spec["buckets"]) if spec["kept"] else None
    return Hashed(
        Normalizer(**spec["normalizer"]), spec["word_ngrams"], spec["min"], spec["max"], spec["buckets"], kept,
        spec["across"], spec["digits"],
    )  # fmt: skip


def gaps(kept: np.ndarray) -> bytes:
    """Ascending numbers as the gaps between them, a byte each; a byte of 255 adds 255 and the next byte goes on."""
    steps = np.diff(kept, prepend=-1) - 1
    more = steps // _GAP
    data = np.full(len(kept) + int(more.sum()), _GAP, np.uint8)
    data[np.cumsum(more + 1) - 1] = steps % _GAP
    return data.tobytes()


def from_gaps(data: bytes, buckets: int) -> np.ndarray:
    """The inverse of `gaps`. Raises ValueError if a number is not below `buckets`."""
    steps = np.frombuffer(data, np.uint8).astype(np.int64)
    last = steps != _GAP
    found = (np.cumsum(steps + last) - 1)[last]
    if not len(found) or not last[-1] or found[-1] >= buckets:
        raise ValueError(f"{BUCKETS_FILE}: not ascending numbers below {buckets}")
    return found


_tables: tuple[np.ndarray, np.ndarray] = (np.empty(0, np.uint64), np.empty(0, np.uint64))


def _powers(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The first powers of _MULTIPLIER and of its inverse, modulo 2^64."""
    global _tables
    tables = _tables  # another thread may put longer ones there
    if len(tables[0]) < size:
        tables = _tables = _power_table(_MULTIPLIER, size), _power_table(_INVERSE, size)
    return tables


def _power_table(base: int, size: int) -> np.ndarray:
    factors = np.full(max(size, _AT_ONCE), base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors)


def _word_ngrams(
    points: np.ndarray, sums: np.ndarray, inverses: np.ndarray, ends: np.ndarray, counts: np.ndarray, longest: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The hashes of words and of n-grams of words, and how many each line has."""
    gap = (points == _SPACE) | (points == _END)
    starts = np.flatnonzero(~gap[1:] & gap[:-1]) + 1
    stops = np.flatnonzero(gap[1:] & ~gap[:-1]) + 1
    words = (sums[stops] - sums[starts]) * inverses[starts]
    words = (words ^ (words >> np.uint64(31))) * np.uint64(_MULTIPLIER)
    left = np.repeat(np.cumsum(counts), counts) - np.arange(len(words))  # words from here to the end of the line
    parts = [(words, counts)]
    hashes = words
    for n in range(2, longest + 1):
        whole = left >= n
        hashes = hashes[: len(words) - n + 1] * _SALT + words[n - 1 :]
        parts.append((hashes[whole[: len(hashes)]], np.maximum(counts - n + 1, 0)))
    return parts


def _portions(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    """The lines in portions of about _AT_ONCE characters, so that the arrays stay small."""
    begin = size = 0
    for at, line in enumerate(lines):
        size += len(line)
        if size >= _AT_ONCE:
            yield lines[begin : at + 1]
            begin, size = at + 1, 0
    if begin < len(lines):
        yield lines[begin:]
