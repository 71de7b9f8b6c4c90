"""The mean of the rows of a line's features, where most of what a word adds is added up once. Knows no graph and no file.

A bag's vector of a line is the sum of the rows of its words, n-grams of words, and n-grams of characters, over how many there
are. No n-gram of characters reaches across words, so each word has a sum of its own, which is remembered
(text/ngrams/seen_words.py).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from textkit.text.hashed import Hashed
from textkit.text.ngrams import hashing, seen_words
from textkit.text.ngrams.seen_words import SeenWords

_FEW = 64  # rows of a line that are added place by place, many lines at once
_MANY = 1000  # lines
_AT_ONCE = 1 << 14  # rows of a long line
_UNKNOWN = np.full(1, -1)


class Bags:
    """Lines to vectors. Several threads may use one.

    `rule`: no n-gram of characters reaches `across` words; `table` [row, column]; its rows are multiplied by `scale` f32[row],
    if there is one; `limit`: the most features of a line."""

    def __init__(self, rule: Hashed, table: np.ndarray, scale: np.ndarray | None, limit: int) -> None:
        self._rule, self._table, self._scale, self._limit = rule, table, scale, limit
        self._lines = 0  # so far
        self._seen = SeenWords()
        self._sums = np.zeros((seen_words.MOST, table.shape[1]), np.float32)  # of each word's features
        self._counts = np.zeros(seen_words.MOST, np.int64)  # how many each word has
        self._hashes = np.zeros(seen_words.MOST, np.uint64)
        self._lock = threading.Lock()

    def means(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The vector of each line f32[line, column], zeros where it has no feature, and how many features it has i64[line].

        Of a line that has more than `limit` only the first so many count."""
        columns = self._table.shape[1]
        sums, counts = [np.zeros((0, columns), np.float32)], [np.zeros(0, np.int64)]
        with self._lock:
            self._unfold(len(lines))
            for block, kind in self._rule.blocks(lines):
                long = len(block) > seen_words.AT_ONCE
                found = (np.zeros((1, columns), np.float32), _UNKNOWN) if long else self._of_block(block, kind)
                sums.append(found[0])
                counts.append(found[1])
        vectors, features = np.concatenate(sums), np.concatenate(counts)
        for line in np.flatnonzero((features < 0) | (features > self._limit)).tolist():
            rows = self._rule.encode([lines[line]]).ids
            features[line] = len(rows)
            vectors[line] = _sum(rows[: self._limit], self._table, self._scale)
        vectors /= np.clip(features, 1, self._limit)[:, None].astype(np.float32)
        return vectors, features

    def _unfold(self, lines: int) -> None:
        """Makes floats of the whole table where there are many lines, which takes as long as a hundred of them."""
        self._lines += lines
        if self._scale is not None and self._lines > _MANY:
            self._table, self._scale = self._table * self._scale[:, None], None

    def _of_block(self, block: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sum of each line's rows, and how many there are."""
        numbers, counts, new, fresh = self._seen.look(block, kind)
        if len(fresh):
            rows, of_words = self._rule.features(new)
            self._sums[fresh] = _added(rows, of_words, self._table, self._scale)
            self._counts[fresh] = of_words
            if self._rule.word_ngrams > 1:
                self._hashes[fresh] = hashing.word_hashes(new)
        sums = _added(numbers, counts, self._sums)
        before = np.append(0, np.cumsum(self._counts.take(numbers)))
        ends = np.cumsum(counts)
        features = before[ends] - before[ends - counts]
        if self._rule.word_ngrams > 1:
            for rows, of_lines in self._rule.word_ngrams_of(self._hashes.take(numbers), counts):
                sums += _added(rows, of_lines, self._table, self._scale)
                features += of_lines
        return sums, features


def _added(rows: np.ndarray, counts: np.ndarray, table: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """The sum of each line's rows of `table`, f32[line, column]; `counts` i64[line]: how many of `rows` each line has. The
    first row is added first, so that a sum depends on nothing but its line."""
    sums = np.zeros((len(counts), table.shape[1]), np.float32)
    capped = np.minimum(counts, _FEW + 1)
    order = np.argsort(-capped, kind="stable")
    starts = (np.cumsum(counts) - counts).take(order)
    more = (
        len(counts) - np.cumsum(np.bincount(capped, minlength=_FEW + 2))
    ).tolist()  # lines with more rows than each number
    for line, start in zip(order[: more[_FEW]].tolist(), starts.tolist(), strict=False):
        sums[line] = _sum(rows[start : start + int(counts[line])], table, scale)
    starts = starts[more[_FEW] :]
    laid = np.zeros((more[0] - more[_FEW], table.shape[1]), np.float32)
    for place in range(_FEW):
        there = more[place] - more[_FEW]
        if not there:
            break
        laid[:there] += _rows(rows.take(starts[:there] + place), table, scale)
    sums[order[more[_FEW] : more[0]]] = laid
    return sums


def _rows(rows: np.ndarray, table: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
    found = table.take(rows, axis=0)
    return found if scale is None else found * scale.take(rows)[:, None]


def _sum(rows: np.ndarray, table: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
    """The sum of any number of rows, f32[column]."""
    found = np.zeros(table.shape[1], np.float32)
    for begin in range(0, len(rows), _AT_ONCE):
        found += _rows(rows[begin : begin + _AT_ONCE], table, scale).sum(0, dtype=np.float32)
    return found
