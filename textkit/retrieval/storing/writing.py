"""Writes an index: rows are appended, and a commit makes them count. One writer at a time; readers need no lock.

A commit puts everything on the disk first, then what tantivy has, and renames the manifest last. A process killed at any
moment leaves what was committed; what lies behind it is cut off by the next writer.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from textkit import temporary
from textkit.durable import replace_file
from textkit.errors import TextkitError
from textkit.retrieval.exact import Ranges
from textkit.retrieval.storing import manifest as manifests
from textkit.retrieval.storing.appended import NumbersAppended, TextsAppended
from textkit.retrieval.storing.contents import WORDS, Contents, Extent
from textkit.retrieval.storing.manifest import Manifest
from textkit.retrieval.storing.sums import SumsAppended
from textkit.retrieval.words import WordsWriter

_FIRST = "rows-1"
_OURS = re.compile(r"lock|manifest\.json(\.part)?|rows-\d+|graph-\d+")
_COPIED = 4096  # rows that are copied at a time
_AHEAD = 2  # batches of texts that wait for tantivy


@contextmanager
def locked(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the lock of the one writer; makes the folder if nothing is there. `waiting` is called if another process has it.

    Raises TextkitError where the place is taken by something else.
    """
    _make(folder)
    try:
        import fcntl
    except ImportError:  # without locks, who writes is the user's concern
        yield
        return
    lock = os.open(folder / manifests.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise TextkitError(f"{folder}: is a file; an index is a folder") from None
    except OSError as error:
        raise TextkitError(f"{folder}: cannot be made: {error.strerror or error}") from error
    if not manifests.is_index(folder) and not all(map(_OURS.fullmatch, os.listdir(folder))):
        raise TextkitError(f"{folder}: holds other files; an index is a folder of its own")


def begin(folder: Path, manifest: Manifest) -> None:
    """Makes an empty index in a folder that is locked."""
    with _naming(folder):
        data = folder / manifest.data
        temporary.remove(data)
        data.mkdir()
        _Files(data, manifest).close()
        replace_file(folder / manifests.NAME, manifest.to_json())


def empty(model: manifests.ModelFacts, reading: Any, fields: bool) -> Manifest:
    """The manifest of an index that holds nothing yet."""
    return Manifest(model, reading, _FIRST, fields=fields)


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Turns an OSError, such as that of a full disk, into a TextkitError that names the index."""
    try:
        yield
    except OSError as error:
        raise TextkitError(
            f"{folder}: cannot be written: {error.strerror or error}; what was committed is there"
        ) from error


class _Files:
    """The files of the rows, to append to."""

    def __init__(self, data: Path, manifest: Manifest) -> None:
        rows = manifest.rows
        self.vectors = NumbersAppended(data / "vectors", "i1", manifest.model.dim, rows)
        self.inverse = NumbersAppended(data / "inverse", "<f4", 1, rows)
        self.lines = NumbersAppended(data / "lines", "<u8", 1, rows)
        self.texts = TextsAppended(data / "texts", rows)
        self.fields = TextsAppended(data / "fields", rows) if manifest.fields else None
        self.starts = NumbersAppended(data / "starts", "<u8", 1, manifest.extents)
        self.extents = TextsAppended(data / "extents", manifest.extents)
        self.sums = SumsAppended(data, rows, known=bool(manifest.sums))

    def all(self) -> list[Any]:
        files = [self.vectors, self.inverse, self.lines, self.texts, self.fields, self.starts, self.extents]
        return [file for file in files if file is not None]

    def close(self) -> None:
        self.sums.close()
        for file in self.all():
            with suppress(OSError):  # what was written and not committed does not count
                file.close()


class Writer:
    """Appends rows to an index whose lock the caller holds. `rows`: those appended so far; `manifest`: of the last commit."""

    def __init__(self, folder: Path, manifest: Manifest | None = None) -> None:
        self.folder = folder
        self.manifest = manifests.read(folder) if manifest is None else manifest
        self.rows = self.covered = self.manifest.rows
        self.dead: set[int] = set(self.manifest.dead)
        self._dead_ranges: list[tuple[int, int]] = []
        self._files: _Files | None = None
        self._words: WordsWriter | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._adding: list[Future[None]] = []

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self) -> _Files:
        if self._files is None:
            with _naming(self.folder):
                self._sweep()
                data = self.folder / self.manifest.data
                self._files = _Files(data, self.manifest)
                self._words = WordsWriter(data / WORDS, begun=self.manifest.rows > 0)
                # What a process left that was killed: rows that no manifest counts, and those that one names as dead.
                self._words.remove(self.manifest.rows, 1 << 62)
                for start, stop in self._dead_before():
                    self._words.remove(start, stop)
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="textkit-words")
        return self._files

    def _dead_before(self) -> Ranges:
        """The ranges of rows that the last commit names as dead."""
        contents = Contents(self.folder) if self.manifest.dead else None
        if contents is None:
            return []
        try:
            return contents.dead
        finally:
            contents.close()

    def _sweep(self) -> None:
        """Removes what killed writers left beside the rows that count."""
        used = {self.manifest.data, *(part["file"] for part in self.manifest.parts)}
        for name in os.listdir(self.folder):
            if re.fullmatch(r"rows-\d+|graph-\d+", name) and name not in used:
                temporary.remove(self.folder / name)

    def append(
        self, vectors: np.ndarray, inverse: np.ndarray, lines: Sequence[int], texts: Sequence[str], fields: Sequence[str] | None
    ) -> None:  # fmt: skip
        """Adds rows: i8[row, dim], f32[row], and of each row its line, its text and, where records have any, its fields."""
        files = self._open()
        with _naming(self.folder):
            files.vectors.append(vectors)
            files.inverse.append(inverse[:, None])
            files.lines.append(np.array(lines, np.uint64)[:, None])
            files.texts.append(texts)
            if files.fields is not None:
                files.fields.append(["" for _ in texts] if fields is None else fields)
        assert self._words is not None
        assert self._pool is not None
        self._adding.append(self._pool.submit(self._words.add, self.rows, texts))
        while len(self._adding) > _AHEAD:
            self._adding.pop(0).result()
        self.rows += len(texts)

    def extent(self, extent: Extent) -> None:
        """Says what file the rows are of that no extent covers yet, up to extent.stop."""
        files = self._open()
        extent = dataclasses.replace(extent, start=self.covered)
        with _naming(self.folder):
            files.starts.append(np.array([[extent.start]], np.uint64))
            files.extents.append([extent.to_json()])
        self.covered = extent.stop

    def bury(self, number: int, start: int, stop: int) -> None:
        """Takes out an extent, rows `start` to `stop` - 1."""
        self.dead.add(number)
        self._dead_ranges.append((start, stop))

    @property
    def living(self) -> int:
        """The rows of the last commit that count."""
        contents = Contents(self.folder)
        try:
            return len(contents)
        finally:
            contents.close()

    @property
    def extents(self) -> int:
        """How many extents there are, those not committed too."""
        return self.manifest.extents if self._files is None else self._files.starts.count

    def commit(self, **changes: Any) -> None:
        """Makes all rows that extents cover count, if anything changed. `changes`: of the manifest's other fields."""
        new = dataclasses.replace(
            self.manifest, rows=self.covered, extents=self.extents, dead=tuple(sorted(self.dead)), **changes
        )
        if new == self.manifest:
            return
        if self._dead_ranges:
            self._open()
        with _naming(self.folder):
            if self._files is not None and self._words is not None:
                while self._adding:
                    self._adding.pop(0).result()
                for file in self._files.all():
                    file.sync()
                new = dataclasses.replace(new, sums=self._files.sums.upto(new.rows))
                self._words.commit()
        replace_file(self.folder / manifests.NAME, new.to_json())
        self.manifest = new
        if self._dead_ranges and self._words is not None:  # not before the manifest names them
            for start, stop in self._dead_ranges:
                self._words.remove(start, stop)
            self._words.commit()
            self._dead_ranges = []

    def close(self) -> None:
        """Lets go of the files. What was not committed does not count."""
        with suppress(TextkitError):
            while self._adding:
                self._adding.pop(0).result()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._files is not None:
            self._files.close()
        if self._words is not None:
            with suppress(TextkitError):  # only the merging of segments: the commit is done
                self._words.close()
        self._files = self._words = self._pool = None

    def compact(self) -> None:
        """Writes the rows that count, and no others, into a new folder, and puts it in the place of the old one."""
        number = int(self.manifest.data.partition("-")[2]) + 1
        old = Contents(self.folder)
        self.close()
        new = dataclasses.replace(
            self.manifest, data=f"rows-{number}", rows=0, extents=0, dead=(), parts=(), sums={},
        )  # fmt: skip
        with _naming(self.folder):
            temporary.remove(self.folder / new.data)
            (self.folder / new.data).mkdir()
        with Writer(self.folder, new) as writer:
            for at, extent in enumerate(old.extents()):
                if at in self.dead:
                    continue
                for start in range(extent.start, extent.stop, _COPIED):
                    stop = min(extent.stop, start + _COPIED)
                    vectors, inverse = old.read_vectors(start, stop)
                    writer.append(
                        vectors, inverse, old.lines(start, stop), old.texts(start, stop), old.field_texts(start, stop)
                    )
                writer.extent(dataclasses.replace(extent, stop=writer.rows))
            writer._files or writer._open()
            writer.commit(extra=dict(self.manifest.extra))
            self.manifest = writer.manifest
        old.close()
        temporary.remove(self.folder / old.manifest.data)
        self.rows = self.covered = self.manifest.rows
        self.dead = set()
