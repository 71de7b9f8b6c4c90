"""Check sums of the numbers of an index: CRC-32 of blocks of rows, looked at when a block is first read.

A damaged text is seen by whoever reads it. A damaged line number or length is not: it would show a wrong place, or hide a row.
The sums of whole blocks lie in a file that grows with the rows, that of the rows behind them in the manifest. An index that was
made before there were sums is read without, and gets them with its next commit.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from textkit.errors import TextkitError
from textkit.retrieval.storing.appended import NumbersAppended, NumbersFile
from textkit.retrieval.storing.manifest import SUMMED

BLOCK = 4096  # rows
_TYPES = dict(
    zip(SUMMED, ("<f4", "<u8"), strict=True)
)  # of the one number of a row; SUMMED is the order of the columns
_FILE = "sums"


class Checked:
    """A NumbersFile whose rows are compared with their sums."""

    def __init__(self, file: NumbersFile, sums: Mapping[str, int]) -> None:
        """`sums`: those of the manifest, by the names of files; empty: nothing is known, and nothing is compared."""
        self._file = file
        name = file.path.name
        self._last = sums.get(name)
        self._column = SUMMED.index(name)
        self._seen: set[int] = set()
        self._whole: NumbersFile | None = None
        if self._last is not None:
            self._whole = NumbersFile(file.path.with_name(_FILE), "<u4", len(SUMMED), file.count // BLOCK)

    def read(self, start: int, stop: int) -> np.ndarray:
        """The rows from `start` to `stop` - 1, [row, width]. Raises TextkitError where they are not what was written."""
        rows = self._file.read(start, stop)
        if self._whole is not None and stop > start:
            for block in range(start // BLOCK, (stop - 1) // BLOCK + 1):
                if block not in self._seen:
                    self._check(block, start, rows)
        return rows

    def _check(self, block: int, start: int, rows: np.ndarray) -> None:
        assert self._whole is not None
        first, behind = block * BLOCK, min((block + 1) * BLOCK, self._file.count)
        inside = start <= first and behind <= start + len(rows)
        data = rows[first - start : behind - start] if inside else self._file.read(first, behind)
        full = block < self._whole.count
        wanted = int(self._whole.read(block, block + 1)[0, self._column]) if full else self._last
        if zlib.crc32(np.ascontiguousarray(data).data) != wanted:
            raise TextkitError(
                f"{self._file.path}: damaged: rows {first + 1:,} to {behind:,} are not what was written; a new index is needed"
            )
        self._seen.add(block)

    def close(self) -> None:
        self._file.close()
        if self._whole is not None:
            self._whole.close()


class SumsAppended:
    """The sums of files that grow, to append to."""

    def __init__(self, data: Path, rows: int, known: bool) -> None:
        """`known`: whether the `rows` have sums."""
        self._data = data
        self._sums = NumbersAppended(data / _FILE, "<u4", len(SUMMED), rows // BLOCK if known else 0)

    def upto(self, rows: int) -> dict[str, int]:
        """Appends the sums of all whole blocks among `rows` that are on the disk; returns those of the rows behind them."""
        first = self._sums.count
        files = [NumbersFile(self._data / name, kind, 1, rows) for name, kind in _TYPES.items()]
        try:
            edges = [*range(first * BLOCK, rows + 1, BLOCK)]
            for start in edges[:-1]:
                self._sums.append(np.array([[_sum(file, start, start + BLOCK) for file in files]], np.uint32))
            self._sums.sync()
            return {file.path.name: _sum(file, edges[-1], rows) for file in files}
        finally:
            for file in files:
                file.close()

    def close(self) -> None:
        with suppress(OSError):
            self._sums.close()


def _sum(file: NumbersFile, start: int, stop: int) -> int:
    return zlib.crc32(file.read(start, stop).data)
