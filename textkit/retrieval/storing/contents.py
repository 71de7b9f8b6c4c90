"""What an index holds, for reading: its rows and where each is from. Knows no model and no query.

A row is a passage that is not blank: its vector, its text, its line and, where records have them, its fields. An extent is a
run of rows of one file; a file that grew, or whose indexing was interrupted, has several. Rows of a file that has changed stay
where they are until they are most of the index; their extents are named as dead.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from textkit.errors import TextkitError
from textkit.retrieval.exact import Ranges
from textkit.retrieval.storing import manifest as manifests
from textkit.retrieval.storing.appended import NumbersFile, TextsFile
from textkit.retrieval.storing.sums import Checked

WORDS = "words"  # tantivy's folder among the rows


@dataclass(frozen=True)
class Extent:
    """Rows `start` to `stop` - 1 are passages of the file `path` ('-': stdin) when it had this size and SHA-256.

    `seen`: how many passages of the file, blank ones too, were read up to its end; `done`: whether that is all of them.
    """

    path: str
    size: int
    sha256: str
    start: int
    stop: int
    seen: int
    done: bool

    def to_json(self) -> str:
        return json.dumps(self.__dict__, ensure_ascii=True)

    @staticmethod
    def from_json(text: str, path: Path) -> Extent:
        try:
            found = Extent(**json.loads(text))
            whole = (found.size, found.start, found.stop, found.seen)
            if not isinstance(found.path, str) or not all(type(number) is int for number in whole):
                raise ValueError
        except (TypeError, ValueError, RecursionError):
            raise TextkitError(f"{path}: damaged: an extent is no record of one") from None
        return found


class Contents:
    """The rows of an index as they are in one manifest. A writer that goes on changes nothing of them."""

    def __init__(self, folder: Path) -> None:
        """Raises TextkitError for what is no index, for a damaged one, and for one of a newer textkit."""
        self.folder = folder
        for last in (False, False, True):
            self.manifest = manifests.read(folder)
            try:
                self._open()
                return
            except TextkitError:
                # A writer may have moved the rows between the two reads. Then the manifest names another folder.
                if last or manifests.read(folder).data == self.manifest.data:
                    raise

    def _open(self) -> None:
        rows, data = self.manifest.rows, self.data
        self.vectors = NumbersFile(data / "vectors", "i1", self.manifest.model.dim, rows)
        sums = self.manifest.sums
        self.inverse = Checked(NumbersFile(data / "inverse", "<f4", 1, rows), sums)
        self._lines = Checked(NumbersFile(data / "lines", "<u8", 1, rows), sums)
        self._texts = TextsFile(data / "texts", rows)
        self._fields = TextsFile(data / "fields", rows) if self.manifest.fields else None
        self._starts = NumbersFile(data / "starts", "<u8", 1, self.manifest.extents)
        self._extents = TextsFile(data / "extents", self.manifest.extents)

    @property
    def data(self) -> Path:
        return self.folder / self.manifest.data

    def __len__(self) -> int:
        """The rows that count: dead ones do not."""
        return self.manifest.rows - sum(stop - start for start, stop in self.dead)

    @cached_property
    def starts(self) -> list[int]:
        """The first row of each extent, and behind them the number of rows."""
        found: list[int] = [*self._starts.read(0, self.manifest.extents)[:, 0].tolist(), self.manifest.rows]
        if found != sorted(found) or found[0] != 0:
            raise TextkitError(f"{self._starts.path}: damaged: the extents do not lie one behind the other")
        return found

    @cached_property
    def dead(self) -> Ranges:
        """The ranges of rows that are out of date, in order, neighbours joined."""
        ranges: list[tuple[int, int]] = []
        for extent in sorted(self.manifest.dead):
            start, stop = self.starts[extent], self.starts[extent + 1]
            if start < stop:
                if ranges and ranges[-1][1] == start:
                    start = ranges.pop()[0]
                ranges.append((start, stop))
        return ranges

    def living(self, rows: Sequence[int]) -> list[bool]:
        """Whether each of `rows` counts: there in this manifest, and not dead."""
        if not self.dead:
            return [row < self.manifest.rows for row in rows]
        begins = [start for start, _ in self.dead]
        found = []
        for row in rows:
            at = bisect_right(begins, row) - 1
            found.append(row < self.manifest.rows and (at < 0 or row >= self.dead[at][1]))
        return found

    def read_vectors(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """i8[row, dim] and f32[row], 1 / length; the first is overwritten by the next call."""
        buffer = self._buffer[: stop - start] if stop - start <= len(self._buffer) else None
        if buffer is None:
            self._buffer = buffer = np.empty((stop - start, self.manifest.model.dim), np.int8)
        self.vectors.read_into(start, buffer)
        return buffer, self.inverse.read(start, stop)[:, 0]

    @cached_property
    def _buffer(self) -> np.ndarray:
        return np.empty((4096, self.manifest.model.dim), np.int8)

    def extent_of(self, row: int) -> int:
        """The number of the extent that a row belongs to."""
        return bisect_right(self.starts, row, hi=self.manifest.extents) - 1

    def extent(self, number: int) -> Extent:
        return Extent.from_json(self._extents[number], self._extents.path)

    def extents(self) -> list[Extent]:
        """All extents, the dead ones too."""
        texts = self._extents.read(0, self.manifest.extents)
        return [Extent.from_json(text, self._extents.path) for text in texts]

    def extents_of(self, path: str) -> list[int]:
        """The numbers of a file's living extents, in order."""
        return self._by_path.get(path, [])

    @cached_property
    def _by_path(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        dead = set(self.manifest.dead)
        for number, extent in enumerate(self.extents()):
            if number not in dead:
                found.setdefault(extent.path, []).append(number)
        return found

    def line(self, row: int) -> int:
        return int(self._lines.read(row, row + 1)[0, 0])

    def lines(self, start: int, stop: int) -> list[int]:
        found: list[int] = self._lines.read(start, stop)[:, 0].tolist()
        return found

    def text(self, row: int) -> str:
        return self._texts[row]

    def texts(self, start: int, stop: int) -> list[str]:
        return self._texts.read(start, stop)

    def field_texts(self, start: int, stop: int) -> list[str] | None:
        return None if self._fields is None else self._fields.read(start, stop)

    def fields(self, row: int) -> Any:
        """The record's own fields; None where records have none."""
        source = self._fields[row] if self._fields is not None else ""
        if not source:
            return None
        try:
            return json.loads(source)
        except (ValueError, RecursionError):
            raise TextkitError(f"{self.folder}: damaged: the fields of a record are no JSON") from None

    def look_over(self) -> None:
        """Reads what has a sum, an order or a form. Raises TextkitError where it is not what was written."""
        rows = self.manifest.rows
        self.inverse.read(0, rows)
        self._lines.read(0, rows)
        if self.starts != [*(extent.start for extent in self.extents()), rows]:
            raise TextkitError(f"{self._starts.path}: damaged: the extents are others than the files of rows")

    def close(self) -> None:
        for file in (self.vectors, self.inverse, self._lines, self._texts, self._fields, self._starts, self._extents):
            if file is not None:
                file.close()
