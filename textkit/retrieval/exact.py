"""Exact search by meaning: int8 rows of a file against queries, block by block. Knows no text and no model.

A row is a vector scaled so that its largest number is 127 or -127, and rounded. A cosine does not depend on the scale, so that
none is kept; the length of the rounded row is, so that a matrix product gives cosines. Blocks are read into one buffer: memory
stays small however many rows there are, and no page of the file is mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

MOST = 127
_BLOCK = 4096  # rows that are read at once
# Numbers that are multiplied at once by a single query. They stay in the processor's cache, and are too few for the matrix
# library to wake threads for, which would take ten times the time where other processes need the processors.
_LIGHT = 512 * 384
_FIRST = 256  # rows of the first block, all of which may be candidates; each block is twice as large as the one before
_QUERIES = 256  # at a time
_SPARE = 16  # candidates beyond k, among which rounding in f32 may have changed the order

Read = Callable[[int, int], tuple[np.ndarray, np.ndarray]]  # start, stop -> i8[row, dim], and f32[row], 1 / length
Ranges = Sequence[tuple[int, int]]
Found = tuple[np.ndarray, np.ndarray]  # i64[hit] rows and f64[hit] scores, the best first


def quantised(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f32[row, dim] -> i8[row, dim], and f32[row], 1 / length of each rounded row; a row of zeros has 0."""
    largest = np.abs(vectors).max(axis=1, initial=0)
    scale = np.divide(MOST, largest, out=np.zeros_like(largest), where=(largest > 0) & np.isfinite(largest))
    whole = vectors * scale[:, None]
    np.rint(whole, out=whole)
    rows = np.nan_to_num(whole, copy=False).astype(np.int8)
    return rows, inverse_lengths(rows)


def inverse_lengths(rows: np.ndarray) -> np.ndarray:
    """f32[row], 1 / length of each row of i8[row, dim]; 0 for a row of zeros."""
    whole = rows.astype(np.float32)
    length = np.sqrt(np.einsum("rd,rd->r", whole, whole))
    return np.divide(1, length, out=np.zeros_like(length), where=length > 0)


def units(vectors: np.ndarray) -> np.ndarray:
    """f64[row, dim]: each row scaled to length 1, and a row of zeros as it is."""
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)


def cosines(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """f64[row] of i8[row, dim] and a unit query f64[dim]; they do not depend on which rows are computed together."""
    wide = rows.astype(np.float64)
    length = np.sqrt((wide * wide).sum(axis=1))
    return np.divide((wide * query).sum(axis=1), length, out=np.zeros(len(rows)), where=length > 0)


def candidates(
    read: Read, start: int, stop: int, queries: np.ndarray, most: int | None, least: float, dead: Ranges = ()
) -> Iterator[np.ndarray]:
    """For each query f64[query, dim] (of length 1), rows i64 among which its best are, in no order.

    `most`: how many of the best are wanted, None: all. `least`: the least cosine. `dead`: ranges of rows to leave out.
    """
    for first in range(0, len(queries), _QUERIES):
        yield from _of_some(read, start, stop, queries[first : first + _QUERIES], most, least, dead)


def _of_some(
    read: Read, start: int, stop: int, queries: np.ndarray, most: int | None, least: float, dead: Ranges
) -> list[np.ndarray]:
    matrix = np.ascontiguousarray(queries.T, dtype=np.float32)  # [dim, query]
    wanted = None if most is None else most + _SPARE
    if len(queries) == 1:
        return [_of_one(read, start, stop, matrix, wanted, least, dead)]
    bar = np.full(len(queries), least - 1e-5, np.float32)  # what a row must exceed to be among the best so far
    pool = _Pool(len(queries), wanted)
    times = _Times(matrix)
    size = min(_BLOCK, max(_FIRST, wanted or 0))
    at = start
    while at < stop:
        rows, inverse = read(at, min(stop, at + size))
        scores = times(rows)
        scores *= inverse[:, None]
        _leave_out(dead, scores, at)
        better, which = np.nonzero(scores > bar)
        if len(better):
            pool.add(better + at, which, scores[better, which], bar)
        at += len(rows)
        size = min(_BLOCK, 2 * size)
    return pool.taken()


def _of_one(
    read: Read, start: int, stop: int, matrix: np.ndarray, wanted: int | None, least: float, dead: Ranges
) -> np.ndarray:
    """The same for a single query: 4 bytes for each row are less work than a pool."""
    scores = np.empty((stop - start, 1), np.float32)
    times = _Times(matrix)
    for at in range(start, stop, _BLOCK):
        rows, inverse = read(at, min(stop, at + _BLOCK))
        some = scores[at - start : at - start + len(rows)]
        np.multiply(times(rows), inverse[:, None], out=some)
    _leave_out(dead, scores, start)
    flat = scores[:, 0]
    bar = least - 1e-5
    if wanted is not None and wanted < len(flat):
        bar = max(bar, float(np.partition(flat, len(flat) - wanted)[len(flat) - wanted]))
    rows = np.flatnonzero(flat >= max(bar, -2))
    if wanted is not None and len(rows) > wanted:  # equal scores: the earlier rows
        rows = rows[np.argsort(-flat[rows], kind="stable")[:wanted]]
    return rows + start


def _leave_out(dead: Ranges, scores: np.ndarray, first: int) -> None:
    """Makes the scores f32[row, query] of dead rows such that none is found; `first`: the number of the first row."""
    for begin, end in dead:
        if begin < first + len(scores) and end > first:
            scores[max(0, begin - first) : end - first] = -np.inf


class _Times:
    """Multiplies rows of int8 by queries f32[dim, query]."""

    def __init__(self, matrix: np.ndarray) -> None:
        self._matrix = matrix
        self._step = _BLOCK if matrix.shape[1] > 1 else max(1, _LIGHT // len(matrix))
        self._wide = np.empty((min(_BLOCK, self._step), len(matrix)), np.float32)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """f32[row, query] of i8[row, dim]."""
        scores = np.empty((len(rows), self._matrix.shape[1]), np.float32)
        for start in range(0, len(rows), len(self._wide)):
            some = rows[start : start + len(self._wide)]
            block = self._wide[: len(some)]
            np.copyto(block, some)
            np.dot(block, self._matrix, out=scores[start : start + len(some)])
        return scores


class _Pool:
    """The best rows so far of some queries."""

    def __init__(self, queries: int, wanted: int | None) -> None:
        self._queries, self._wanted = queries, wanted
        self._rows, self._which = np.empty(0, np.int64), np.empty(0, np.int64)
        self._scores = np.empty(0, np.float32)
        self._all: list[tuple[np.ndarray, np.ndarray]] = []  # where all are wanted

    def add(self, rows: np.ndarray, which: np.ndarray, scores: np.ndarray, bar: np.ndarray) -> None:
        """Takes rows with the query and the score of each, and raises `bar` f32[query] to what is left to exceed."""
        if self._wanted is None:
            self._all.append((rows, which))
            return
        rows, which = np.append(self._rows, rows), np.append(self._which, which)
        scores = np.append(self._scores, scores)
        order = np.lexsort((rows, -scores, which))
        counts = np.bincount(which, minlength=self._queries)
        ends = np.cumsum(counts)
        rank = np.arange(len(order)) - np.repeat(ends - counts, counts)
        kept = order[rank < self._wanted]
        self._rows, self._which, self._scores = rows[kept], which[kept], scores[kept]
        full = counts >= self._wanted
        last = np.cumsum(np.minimum(counts, self._wanted)) - 1
        bar[full] = np.nextafter(
            self._scores[last[full]], np.float32(-2)
        )  # an equal score of a later row may still count

    def taken(self) -> list[np.ndarray]:
        if self._wanted is None:
            rows = np.concatenate([rows for rows, _ in self._all] or [np.empty(0, np.int64)])
            which = np.concatenate([which for _, which in self._all] or [np.empty(0, np.int64)])
        else:
            rows, which = self._rows, self._which
        order = np.argsort(which, kind="stable")
        edges = np.searchsorted(which[order], np.arange(self._queries + 1))
        return [rows[order[a:b]] for a, b in zip(edges[:-1], edges[1:], strict=True)]


def ranked(rows: np.ndarray, scores: np.ndarray, most: int | None, least: float) -> Found:
    """The best `most` of some rows with a score of at least `least`, the best first; of equal ones the earlier row first."""
    order = np.lexsort((rows, -scores))
    order = order[scores[order] >= least][:most]
    return rows[order], scores[order]
