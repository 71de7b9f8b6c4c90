"""Brings an index up to date with its files: finds what changed by hash, embeds it, and commits every few seconds.

A file whose bytes have the same SHA-256 as before is left alone. One that only grew (a log) is read on from where its rows end;
any other change replaces its rows. A file whose indexing was interrupted goes on behind the last row that was committed. What
stdin gives has no second reading: it is appended each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from textkit.errors import TextkitError
from textkit.retrieval.changes import Print, is_lasting, printed, within
from textkit.retrieval.exact import quantised
from textkit.retrieval.models import Embedding
from textkit.retrieval.passages import Passages, Reading, of_source
from textkit.retrieval.sources import Source, Survey, sources
from textkit.retrieval.storing.contents import Contents, Extent
from textkit.retrieval.storing.writing import Writer
from textkit.serving.stream import WINDOW_CHARACTERS, WINDOW_LINES, staged

SECONDS = 10.0  # between commits: what a killed process loses
_PAUSE = 1.0  # seconds between commits where the input pauses
_APPENDED = ("lines", "jsonl")  # kinds in which a file that grew begins as it did
_WASTE = 10_000  # dead rows that are no reason to write the index anew


@dataclass
class Report:
    """What a refresh did: files by what became of them, and passages."""

    survey: Survey = field(default_factory=Survey)
    added: int = 0  # files that are new or changed
    changed: int = 0  # of those, the ones that were there before
    same: int = 0
    gone: int = 0
    passages: int = 0  # that were added
    torn: list[str] = field(default_factory=list)  # files that changed while they were read
    missing: list[str] = field(default_factory=list)  # named files that are no longer there


@dataclass
class _Chunk:
    """Rows on their way: texts with their places, and what they complete."""

    texts: list[str]
    lines: list[int]
    fields: list[str]
    finished: list[Extent]
    open: Extent | None  # of the file that goes on behind these rows


class Indexer:
    """Brings the index of a Writer up to date. The caller holds the lock."""

    def __init__(
        self, writer: Writer, embedding: Embedding | None, reading: Reading, show: Callable[[int], None] = lambda rows: None,
        most: int | None = None,
    ) -> None:  # fmt: skip
        """`embedding` None: vectors of zeros, for an index of words. `show`: is told the passages so far. `most`: more passages
        than that are an error."""
        self._writer, self._embedding, self._reading, self._show = writer, embedding, reading, show
        self._most = most
        self.report = Report()
        self._rows = writer.rows  # assigned to passages so far, of which some are still on their way

    def refresh(self, names: Sequence[str] | None) -> Report:
        """Reads the files that `names` (files, folders, '-') mean; None: those that the index was given before.

        Whatever ends it, the rows that are done are committed.
        """
        roots = self._writer.manifest.roots
        if names is None:
            self.report.missing = [root for root in roots if not os.path.lexists(root)]
            names = [root for root in roots if root not in self.report.missing]
            gone = self.report.missing
        else:
            gone = []
            named = [os.path.abspath(name) for name in names if is_lasting(name)]
            roots = tuple(dict.fromkeys([*roots, *named]))
        try:
            self._take(self._chunks(names, gone), roots)
        finally:
            self._writer.commit(roots=roots)
        dead = self._writer.manifest.rows - self._writer.living
        if dead > _WASTE and 2 * dead > self._writer.manifest.rows:
            self._writer.compact()
        return self.report

    def _take(self, chunks: Iterator[_Chunk | None], roots: tuple[str, ...]) -> None:
        """Embeds chunks and appends them, in order."""
        committed = time.monotonic()
        encode = (lambda texts: self._embedding.encode(texts)) if self._embedding else len
        items = (None if chunk is None else (chunk, encode(chunk.texts)) for chunk in chunks)
        threads = self._embedding.threads if self._embedding else 1
        ongoing: Extent | None = None
        try:
            for item in staged(items, [self._embedded], threads):
                if item is not None:
                    chunk, vectors, inverse = item
                    self._writer.append(vectors, inverse, chunk.lines, chunk.texts, chunk.fields or None)
                    for extent in chunk.finished:
                        self._writer.extent(extent)
                    ongoing = chunk.open
                    self.report.passages += len(chunk.texts)
                    self._show(self.report.passages)
                waited = time.monotonic() - committed
                if waited > SECONDS or (item is None and waited > _PAUSE):
                    self._cover(ongoing)
                    self._writer.commit(roots=roots)
                    committed = time.monotonic()
        finally:
            self._cover(ongoing)

    def _cover(self, ongoing: Extent | None) -> None:
        """Has an extent say what the last rows are of, where their file goes on."""
        if ongoing is not None and ongoing.stop > self._writer.covered:
            self._writer.extent(ongoing)

    def _embedded(self, item: tuple[_Chunk, Any]) -> tuple[_Chunk, np.ndarray, np.ndarray]:
        chunk, encoded = item
        if self._embedding is None:
            dim = self._writer.manifest.model.dim
            return chunk, np.zeros((len(chunk.texts), dim), np.int8), np.zeros(len(chunk.texts), np.float32)
        return chunk, *quantised(self._embedding.vectors(encoded))

    def _chunks(self, names: Sequence[str], gone: Sequence[str]) -> Iterator[_Chunk | None]:
        known = self._known()
        seen: set[str] = set()
        held = _Held()
        for source in sources(names, self.report.survey):
            if is_lasting(source.name):
                seen.add(os.path.abspath(source.name))
            yield from self._of_source(source, known, held)
        walked = [os.path.abspath(name) for name in names if is_lasting(name)]
        for path, extents in known.items():
            if path not in seen and any(within(path, root) for root in (*walked, *gone)):
                self.report.gone += 1
                self._bury(extents)
        if held.texts or held.finished:
            yield held.taken(None)

    def _known(self) -> dict[str, list[tuple[int, Extent]]]:
        """The living extents of each file, by number."""
        found: dict[str, list[tuple[int, Extent]]] = {}
        if self._writer.manifest.extents:
            contents = Contents(self._writer.folder)
            for number, extent in enumerate(contents.extents()):
                if number not in self._writer.dead and is_lasting(extent.path):
                    found.setdefault(extent.path, []).append((number, extent))
            contents.close()
        return found

    def _bury(self, extents: Sequence[tuple[int, Extent]]) -> None:
        for number, extent in extents:
            self._writer.bury(number, extent.start, extent.stop)

    def _of_source(
        self, source: Source, known: dict[str, list[tuple[int, Extent]]], held: _Held
    ) -> Iterator[_Chunk | None]:
        path = os.path.abspath(source.name) if is_lasting(source.name) else source.name
        before = known.get(path, [])
        last = before[-1][1] if before else None
        skipped = 0
        found = Print(0, "", False)
        if is_lasting(source.name):
            try:
                found = printed(path, last)
            except OSError as error:
                if not source.found:
                    raise TextkitError(f"{source.name}: cannot be opened: {error.strerror or error}") from error
                self.report.survey.unreadable[path] = f"{source.name}: cannot be opened: {error.strerror or error}"
                return
            if last is not None and (last.size, last.sha256) == (found.size, found.sha256):
                if last.done:
                    self.report.same += 1
                    return
                skipped = last.seen
            elif last is not None and last.done and found.grew and self._reading.kind in _APPENDED:
                skipped = last.seen
                self.report.changed += 1
            elif before:
                self._bury(before)
                self.report.changed += 1
        self.report.added += 1
        digest = hashlib.sha256()
        size = 0

        def also(data: bytes) -> None:
            nonlocal size
            digest.update(data)
            size += len(data)

        extent = Extent(path, found.size, found.sha256, 0, self._rows, skipped, False)
        for block in of_source(source, self._reading, self.report.survey, also):
            if not len(block):
                if held.texts:
                    yield held.taken(extent)
                yield None
                continue
            drop = min(skipped, len(block))
            skipped -= drop
            for some in _windows(block, drop):
                self._hold(some, held)
                seen = extent.seen + len(some)
                extent = Extent(path, found.size, found.sha256, 0, self._rows, seen, False)
                if held.full:
                    yield held.taken(extent)
        if is_lasting(source.name) and size and digest.hexdigest() != found.sha256:
            self.report.torn.append(source.name)
            found = Print(size, digest.hexdigest(), False)
        held.finished.append(Extent(path, found.size, found.sha256, 0, self._rows, extent.seen, True))

    def _hold(self, block: Passages, held: _Held) -> None:
        """Adds the passages of a block that are not blank."""
        fields = block.fields
        for at, text in enumerate(block.texts):
            if text and not text.isspace():
                held.texts.append(text)
                held.lines.append(block.lines[at])
                held.size += len(text)
                self._rows += 1
                if fields is not None:
                    held.fields.append(_spelled(fields[at]))
        if self._most is not None and self._rows > self._most:
            raise TooMany


class TooMany(Exception):
    """There are more passages than were allowed."""


class _Held:
    """What waits until there is enough of it for a chunk."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.texts: list[str] = []
        self.lines: list[int] = []
        self.fields: list[str] = []
        self.finished: list[Extent] = []
        self.size = 0  # characters

    @property
    def full(self) -> bool:
        return len(self.texts) >= WINDOW_LINES or self.size >= WINDOW_CHARACTERS

    def taken(self, ongoing: Extent | None) -> _Chunk:
        chunk = _Chunk(self.texts, self.lines, self.fields, self.finished, ongoing)
        self._clear()
        return chunk


def _windows(block: Passages, drop: int) -> Iterator[Passages]:
    """The passages of a block behind the first `drop`, in parts no larger than a chunk should be."""
    for start in range(drop, len(block), WINDOW_LINES):
        stop = min(start + WINDOW_LINES, len(block))
        fields = None if block.fields is None else block.fields[start:stop]
        yield Passages(block.file, block.lines[start:stop], block.texts[start:stop], fields)


def _spelled(fields: Any) -> str:
    """A record's fields as JSON; '' where there are none."""
    if isinstance(fields, tuple):
        source, value = fields
        return source.strip() if isinstance(value, dict) else ""
    return json.dumps(fields, ensure_ascii=False) if fields else ""
