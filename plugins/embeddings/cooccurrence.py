"""How often words stand near each other, counted in bounded memory, on disk as a sparse matrix. Knows no model; no torch.

The text is cut into shards. Each is counted in memory and written as a sparse matrix by rows. The shards are then added up,
one block of rows at a time. The memory used stays under `memory_mb` for a text of any length, except that one row of every
shard must fit. The text itself is mapped, and the system drops its pages when it needs the memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Weighting = Literal["uniform", "dynamic", "harmonic"]

_ENTRY = 8  # bytes per pair: column i32, value f32
_MB = 1 << 20


def weights(window: int, weighting: Weighting) -> np.ndarray:
    """The weight of a neighbour at distance 1..window, f64[window].

    uniform: 1. dynamic: (window + 1 - d) / window, the mean of word2vec's windows of random width (Levy et al. 2015,
    section 3.1). harmonic: 1 / d (Pennington et al. 2014, section 4.2).
    """
    distance = np.arange(1, window + 1, dtype=np.float64)
    if weighting == "uniform":
        return np.ones(window)
    if weighting == "dynamic":
        return (window + 1 - distance) / window
    if weighting == "harmonic":
        return 1 / distance
    raise ValueError(f"unknown weighting {weighting!r}")


@dataclass(frozen=True)
class Counts:
    """A symmetric sparse matrix by rows: starts i64[word + 1] in memory, its pairs in two files, columns i32, values f32.

    Row i holds the words that stood near word i. The order of a row's columns is arbitrary but reproducible. The files are
    read, not mapped, because the pages of a mapped file count as this process's memory until the system reclaims them.
    """

    starts: np.ndarray
    column_file: Path
    value_file: Path

    @property
    def pairs(self) -> int:
        return int(self.starts[-1])

    def blocks(self, pairs: int) -> Iterator[tuple[int, int]]:
        """Ranges of rows (first, last + 1) with at most `pairs` pairs each, or a single row."""
        return row_blocks(self.starts, pairs)

    def block(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of rows first..last-1: columns i32[pair], values f32[pair]."""
        start, end = self.starts[first], self.starts[last]
        return (
            np.fromfile(self.column_file, np.int32, end - start, offset=4 * start),
            np.fromfile(self.value_file, np.float32, end - start, offset=4 * start),
        )

    def rows(self, first: int, last: int) -> np.ndarray:
        """The row of each pair of rows first..last-1, i32[pair]."""
        return np.repeat(np.arange(first, last, dtype=np.int32), np.diff(self.starts[first : last + 1]))


def count(ids: np.ndarray, size: int, weight: np.ndarray, folder: Path, memory_mb: int) -> Counts:
    """Counts the pairs of a text `ids` i32[total] of words 0..size-1, negative at line ends; the counts are symmetric.

    `weight` f64[window] is the weight of a neighbour at each distance. `folder` is emptied and filled. The result reads from
    it, so the folder must stay as long as the counts are used.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # A token needs its position (i64) and at most 2 * window pairs.
    tokens = max(1, memory_mb * _MB // (8 + _ENTRY * 2 * len(weight)))
    text = np.asarray(ids)[:]
    text.flags.writeable = False  # numba would compile another version for writeable arrays
    shards = [
        _count_shard(text, first, min(first + tokens, len(text)), size, weight, folder / f"shard{number}")
        for number, first in enumerate(range(0, len(text), tokens))
    ]
    return shards[0] if len(shards) == 1 else _add(shards, size, folder, memory_mb * _MB // (3 * _ENTRY))


def row_blocks(starts: np.ndarray, pairs: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows (first, last + 1) with at most `pairs` pairs each, or a single row. `starts` i64[row + 1]."""
    first = 0
    while first < len(starts) - 1:
        last = int(np.searchsorted(starts, starts[first] + pairs, side="right")) - 1
        last = max(last, first + 1)
        yield first, last
        first = last


def _count_shard(text: np.ndarray, first: int, last: int, size: int, weight: np.ndarray, stem: Path) -> Counts:
    """Counts the neighbours of the tokens first..last-1. Neighbours outside that range count too, so no pair is lost."""
    from textkit_plugins.embeddings.count_kernels import count_rows, order_by_word

    starts = np.zeros(size + 1, np.int64)
    positions = np.empty(last - first, np.int64)
    order_by_word(text, first, last, starts, positions)
    # An upper bound: the system provides memory only for the pages that are written to.
    most = int(np.minimum(2 * len(weight) * np.diff(starts), size).sum())
    columns, values = np.empty(most, np.int32), np.empty(most, np.float32)
    row_starts = np.zeros(size + 1, np.int64)
    pairs = count_rows(text, starts, positions, weight, row_starts, columns, values)
    with _Writer(stem) as writer:
        writer.write(columns[:pairs], values[:pairs])
    return writer.counts(row_starts)


def _add(shards: Sequence[Counts], size: int, folder: Path, entries: int) -> Counts:
    """The sum of the shards, whose files are removed. `entries`: how many pairs of the shards are in memory at once."""
    from textkit_plugins.embeddings.count_kernels import add_rows

    starts = np.zeros(size + 1, np.int64)
    with _Writer(folder / "sum") as writer:
        for first, last in row_blocks(sum((shard.starts for shard in shards), np.zeros_like(starts)), entries):
            own = np.stack([shard.starts[first : last + 1] for shard in shards])  # [shard, row + 1]
            held = own - own[:, :1]
            held += np.concatenate([[0], np.cumsum(held[:-1, -1])])[:, None]
            columns, values = map(np.concatenate, zip(*(shard.block(first, last) for shard in shards), strict=True))
            row_starts = np.zeros(last - first + 1, np.int64)
            summed = np.empty(len(columns), np.int32), np.empty(len(columns), np.float32)
            pairs = add_rows(held, columns, values, size, row_starts, *summed)
            writer.write(summed[0][:pairs], summed[1][:pairs])
            starts[first + 1 : last + 1] = starts[first] + row_starts[1:]
    for path in folder.glob("shard*"):
        path.unlink()
    return writer.counts(starts)


class _Writer:
    """Writes a matrix's pairs, part by part, to the two files STEM.columns and STEM.values."""

    def __init__(self, stem: Path) -> None:
        self.paths = (stem.with_name(f"{stem.name}.columns"), stem.with_name(f"{stem.name}.values"))

    def __enter__(self) -> _Writer:
        self._files = [path.open("wb") for path in self.paths]
        return self

    def write(self, columns: np.ndarray, values: np.ndarray) -> None:
        for file, array in zip(self._files, (columns, values), strict=True):
            file.write(array.data)

    def __exit__(self, *problem: object) -> None:
        for file in self._files:
            file.close()

    def counts(self, starts: np.ndarray) -> Counts:
        return Counts(starts, *self.paths)
