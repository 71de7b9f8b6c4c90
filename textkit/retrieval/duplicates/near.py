"""Which rows of a matrix are near-duplicates of which: exact cosines of at least a threshold, most of which are never computed.

Each pair is looked at, but most only through a bound. Rows are turned so that their first numbers say the most about them
(principal components); of the other numbers a row keeps the lengths of a few parts. By Cauchy and Schwarz the product of two
such short rows is at least the cosine of the long ones. So a pair whose short rows stay below the threshold is settled, and
only the few others are multiplied in full, in f64. What is found depends neither on blocks nor on threads nor on the turn.

An approximate index misses pairs and is no faster here: semhash takes 3.4 times as long for 120,000 lines (docs/benchmarks.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from textkit.errors import TextkitError

MOST_PAIRS = 20_000_000  # of a report, which then has about 400 MB
DIGITS = 6  # of a similarity: it is compared with a threshold as it is written
_SLACK = 1e-4  # far more than f32 loses in a product of unit rows
_WIDTHS = (16, 24, 32, 48, 64, 96, 128)  # numbers of a short row; an eighth of them are lengths of parts
_SAMPLE = 20_000  # rows whose principal components are taken
_TRIED = 1024, 4096  # rows, and rows that they are compared with, to choose the width
_NANOSECONDS = (
    0.7,
    0.02,
    400.0,
)  # what a pair takes at least, for each number of a short row, and multiplied in full
_BLOCK = 1024  # rows that are looked up together
_TILE = 512, 2048  # rows multiplied at once: 4 MB of products stay near the processor
_DENSE = 0.02  # the share of a tile's pairs over the bound from which on the whole tile is multiplied in full
_AT_ONCE = 1 << 14  # pairs whose rows are gathered at once

Found = tuple[
    np.ndarray, np.ndarray, np.ndarray
]  # rows i64[pair], the rows they are near to i64[pair], similarities f64[pair]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Each row scaled to length 1, f32[row, dim]; a zero row stays zero."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None]
    scaled = np.empty(vectors.shape, np.float32)
    for at in range(0, len(vectors), _AT_ONCE):  # the quotients are f64; those of all rows would be most of the memory
        cut = slice(at, at + _AT_ONCE)
        scaled[cut] = vectors[cut] / np.where(lengths[cut] > 0, lengths[cut], 1.0)
    return scaled


@dataclass
class Near:
    """Rows in the order in which they are kept, and how alike they must be. `rows`: f32[row, dim] of length 1, or zero."""

    rows: np.ndarray
    threshold: float
    threads: int = 1
    progress: Callable[[int], None] = lambda done: None  # is told how many rows are settled

    def __post_init__(self) -> None:
        self._squares = np.einsum("ij,ij->i", self.rows, self.rows, dtype=np.float64)
        self._least = self.threshold - _SLACK
        self._short = self._shortened()
        self._own = threading.local()
        self._left: int | None = None

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        """Keeps each row that is near to no row kept before it. The row that each is kept or dropped for, i64[row] (a kept row
        is its own), and how alike the two are, f64[row]. A dropped row is a duplicate of the kept row nearest to it; of several
        that are as near, the first."""
        count = len(self.rows)
        of, similarity = np.arange(count), np.ones(count)
        places = np.empty(count, np.int64)  # of the rows that are kept, in order
        short = np.empty_like(self._short)  # the short rows of those, as they lie in memory
        kept = 0
        with ThreadPoolExecutor(self.threads, thread_name_prefix="textkit-near") as pool:
            for start in range(0, count, _BLOCK):
                block = np.arange(start, min(start + _BLOCK, count))
                found = self._over(pool, block, places[:kept], short[:kept], best=True)
                _take_nearest(of, similarity, *found)
                left, dropped = block[of[block] == block], block[of[block] != block]
                self._settle(pool, left, of, similarity)
                left = left[of[left] == left]
                # What is dropped for a row before the block may be nearer to one that the block keeps.
                found = self._over(pool, dropped, left, self._short[left], best=False)
                nearer = np.flatnonzero((found[1] < found[0]) & (found[2] > similarity[found[0]]))
                _take_nearest(of, similarity, *(part[nearer] for part in found))
                stop = kept + len(left)
                places[kept:stop], short[kept:stop] = left, self._short[left]
                kept = stop
                self.progress(int(block[-1]) + 1)
        return of, similarity

    def pairs(self) -> Iterator[Found]:
        """All pairs, a later and an earlier row, block by block of the later rows. Raises TextkitError for more than
        MOST_PAIRS."""
        self._left = MOST_PAIRS
        places = np.arange(len(self.rows))
        with ThreadPoolExecutor(self.threads, thread_name_prefix="textkit-near") as pool:
            for start in range(0, len(self.rows), _BLOCK):
                block = np.arange(start, min(start + _BLOCK, len(self.rows)))
                stop = int(block[-1]) + 1
                one, other, similarity = self._over(pool, block, places[:stop], self._short[:stop], best=False)
                earlier = other < one
                one, other, similarity = one[earlier], other[earlier], similarity[earlier]
                order = np.lexsort((other, one))
                yield one[order], other[order], similarity[order]
                self.progress(stop)

    def _settle(self, pool: ThreadPoolExecutor, left: np.ndarray, of: np.ndarray, similarity: np.ndarray) -> None:
        """Drops those rows of `left` that are near to a kept row among them."""
        one, other, near = self._over(pool, left, left, self._short[left], best=False)
        earlier = np.flatnonzero(other < one)
        earlier = earlier[np.argsort(one[earlier], kind="stable")]
        for at, row, before in zip(earlier.tolist(), one[earlier].tolist(), other[earlier].tolist(), strict=True):
            if of[before] != before:  # is dropped itself
                continue
            if of[row] == row or near[at] > similarity[row] or (near[at] == similarity[row] and before < of[row]):
                of[row], similarity[row] = before, near[at]

    def _over(
        self, pool: ThreadPoolExecutor, block: np.ndarray, places: np.ndarray, short: np.ndarray, best: bool
    ) -> Found:
        """The pairs of rows in `block` with rows at `places` that are alike enough. `best`: for each row of the block the
        nearest ones of a tile are enough. `short`: the short rows at `places`."""
        high, wide = _TILE
        tiles = [
            (slice(top, top + high), slice(left, left + wide))
            for top in range(0, len(block), high)
            for left in range(0, len(places), wide)
        ]

        def tile(cut: tuple[slice, slice]) -> Found:
            mine, theirs = block[cut[0]], cut[1]
            product, over = self._room(len(mine), len(short[theirs]))
            np.matmul(self._short[mine], short[theirs].T, out=product)
            at = np.flatnonzero(np.greater_equal(product, self._least, out=over))
            if len(at) > _DENSE * product.size:
                product = self.rows[mine] @ self.rows[places[theirs]].T
                at = np.flatnonzero(product >= self._least)
                about = product.ravel()[at]
                row, column = np.divmod(at, product.shape[1])
            else:
                row, column = np.divmod(at, product.shape[1])
                about = self._products(mine[row], places[theirs][column])
            if best and len(row):
                highest = np.full(len(mine), -2.0, np.float32)
                np.maximum.at(highest, row, about)
                chosen = np.flatnonzero(about >= np.maximum(highest[row] - _SLACK, self._least))
            else:
                chosen = np.flatnonzero(about >= self._least)
            one, other = mine[row[chosen]], places[theirs][column[chosen]]
            similarity = self._similarities(one, other)
            enough = similarity >= self.threshold
            self._count(int(np.count_nonzero(enough)))
            return one[enough], other[enough], similarity[enough]

        found = list(pool.map(tile, tiles) if self.threads > 1 else map(tile, tiles))
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        one, other, similarity = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return one, other, similarity

    def _count(self, pairs: int) -> None:
        """Ends the search where all pairs are asked for and there are too many; otherwise thousands of lines that are alike
        would fill the memory."""
        if self._left is not None:
            self._left -= pairs
            if self._left < 0:
                raise TextkitError(
                    f"more than {MOST_PAIRS:,} pairs are at least {self.threshold:g} alike; a higher --threshold has fewer"
                )

    def _room(self, high: int, wide: int) -> tuple[np.ndarray, np.ndarray]:
        """Where a thread puts the products of a tile, and which of them are high enough: the same memory for each tile."""
        if not hasattr(self._own, "room"):
            self._own.room = np.empty(_TILE[0] * _TILE[1], np.float32), np.empty(_TILE[0] * _TILE[1], bool)
        products, over = self._own.room
        return products[: high * wide].reshape(high, wide), over[: high * wide].reshape(high, wide)

    def _products(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The products of pairs of rows, f32[pair]."""
        found = np.empty(len(one), np.float32)
        for at in range(0, len(one), _AT_ONCE):
            cut = slice(at, at + _AT_ONCE)
            np.einsum("ij,ij->i", self.rows[one[cut]], self.rows[other[cut]], out=found[cut])
        return found

    def _similarities(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The cosines of pairs of rows, f64[pair], as they are written."""
        found = np.empty(len(one))
        for at in range(0, len(one), _AT_ONCE):
            cut = slice(at, at + _AT_ONCE)
            dots = (self.rows[one[cut]].astype(np.float64) * self.rows[other[cut]]).sum(axis=1)
            lengths = np.sqrt(self._squares[one[cut]] * self._squares[other[cut]])
            found[cut] = dots / np.where(lengths > 0, lengths, 1.0)
        return np.round(np.clip(found, -1.0, 1.0), DIGITS)

    def _shortened(self) -> np.ndarray:
        """The short row of each row, f32[row, width], of the width that should take the least time."""
        count, dim = self.rows.shape
        widths = [width for width in _WIDTHS if width < dim]
        if count < _TRIED[0] or not widths:
            return self.rows
        sample = self.rows[np.random.default_rng(1).permutation(count)[:_SAMPLE]]
        turn = np.linalg.eigh(sample.T @ sample)[1][:, ::-1].astype(
            np.float32
        )  # [dim, dim], the largest component first
        one, other = sample[: _TRIED[0]] @ turn, sample[-_TRIED[1] :] @ turn
        best, least = 0, np.inf
        for width in (*widths, dim):
            product = one @ other.T if width == dim else _short(one, width) @ _short(other, width).T
            base, by_number, in_full = _NANOSECONDS
            expected = base + by_number * width + in_full * float(np.mean(product >= self._least))
            if expected < least:
                best, least = width, expected
        if best == dim:
            return self.rows
        short = np.empty((count, best), np.float32)
        for at in range(0, count, _AT_ONCE):
            short[at : at + _AT_ONCE] = _short(self.rows[at : at + _AT_ONCE] @ turn, best)
        return short


def _short(turned: np.ndarray, width: int) -> np.ndarray:
    """The first numbers of each row, and the lengths of the parts that the rest is cut into: f32[row, width]."""
    parts = width // 8
    first = width - parts
    edges = np.linspace(first, turned.shape[1], parts + 1).astype(int)
    squares = np.add.reduceat(np.square(turned, dtype=np.float32), edges[:-1], axis=1)
    return np.concatenate([turned[:, :first], np.sqrt(squares)], axis=1)


def _take_nearest(of: np.ndarray, similarity: np.ndarray, one: np.ndarray, other: np.ndarray, near: np.ndarray) -> None:
    """Writes the nearest row of each of `one`: the most alike, and of several the first."""
    order = np.lexsort((other, -near, one))
    first = order[np.flatnonzero(np.diff(one[order], prepend=-1))]
    of[one[first]], similarity[one[first]] = other[first], near[first]
