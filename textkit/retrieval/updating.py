"""Makes an index of files or brings one up to date, under the lock of its one writer. Knows no command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textkit.durable import naming
from textkit.errors import TextkitError, UsageError, nearest, no_such_file, pip_install
from textkit.retrieval.indexing import Indexer, Report
from textkit.retrieval.models import Embedding, found_again
from textkit.retrieval.passages import KINDS, RECORDS, Reading, check_columns
from textkit.retrieval.sources import STDIN
from textkit.retrieval.storing import manifest as manifests
from textkit.retrieval.storing.contents import Contents
from textkit.retrieval.storing.manifest import Manifest, ModelFacts
from textkit.retrieval.storing.writing import Writer, begin, empty, locked
from textkit.streams.encoding import chosen, read_as

NO_MODEL = ModelFacts("", "", "", 1)  # of an index that is searched by words alone


@dataclass(frozen=True)
class Wanted:
    """What a user asks of an index; None: what the index has, or for a new one the default.

    `model`: a name, a folder, a Bundle or an open Embedding; `words_only`: none is needed. `exact`: no graphs are made.
    """

    model: Any = None
    kind: str | None = None
    column: str | None = None
    delimiter: str | None = None
    skip: bool = False
    device: str = "auto"
    threads: int | None = None
    words_only: bool = False
    exact: bool = False


def nothing(*_: Any) -> None:
    """Takes anything and does nothing."""


@dataclass
class Update:
    """An index that is kept up to date. `note` and `waiting` are told what goes on; `show` the passages so far."""

    folder: Path
    wanted: Wanted
    note: Callable[[str], None] = nothing
    waiting: Callable[[], None] = nothing
    show: Callable[[int], None] = nothing
    most: int | None = None
    embedding: Embedding | None = None
    told: bool = False  # what the model is

    def run(self, names: Sequence[str] | None) -> tuple[Report, int]:
        """Reads the files that changed among those that `names` mean, None: those that the index was given before.

        Returns what was done, and how many passages there are.

        Raises UsageError where other options are asked for than the index was made with, and TextkitError for another model, a
        damaged index or one of a newer textkit, a file that cannot be read, and a disk that is full.
        """
        if not os.path.lexists(self.folder / manifests.NAME):
            if not names:
                raise UsageError(f"{self.folder}: there is no index; say which files it is to hold")
            self._check_new(names)  # before there is a folder
        with locked(self.folder, self.waiting):
            manifest = manifests.read(self.folder) if os.path.lexists(self.folder / manifests.NAME) else self._new()
            reading = self._reading(manifest)
            self._open_model(manifest)
            if self.embedding is not None and not self.told:
                self.told = True
                self.note(
                    f"{self.embedding.bundle.folder}: {manifest.model.dim} dimensions, on {self.embedding.device}"
                )
            with Writer(self.folder, manifest) as writer:
                indexer = Indexer(writer, self.embedding, reading, self.show, self.most)
                report = indexer.refresh(names)
                if not self.wanted.exact and manifest.model != NO_MODEL:
                    self._add_graphs(writer)
                return report, writer.living

    def _add_graphs(self, writer: Writer) -> None:
        """Makes the graphs that an index of more than a million rows is searched with."""
        from textkit.retrieval import graphs

        ranges = graphs.missing(writer.manifest.rows, writer.manifest.parts)
        if not ranges:
            return
        if graphs.engine() is None:
            self.note(f"searched exactly, because usearch is not installed: {pip_install('search')}")
            return
        from textkit.serving.machine import cpus

        self.note(f"making {len(ranges)} graphs of {graphs.ROWS:,} passages each, for a quick search")
        contents = Contents(self.folder)
        try:
            for start, stop in ranges:
                number = len(writer.manifest.parts) + 1
                path = self.folder / f"graph-{number}"
                with naming(path):
                    size = graphs.build(contents, start, stop, self.wanted.threads or cpus(), path, self.show)
                part = {"file": path.name, "start": start, "stop": stop, "bytes": size}
                writer.commit(parts=(*writer.manifest.parts, part))
        finally:
            contents.close()

    def _check_new(self, names: Sequence[str]) -> None:
        """Raises UsageError for what no new index can be made with, and TextkitError for a file that is not there."""
        wanted, kind = self.wanted, self.wanted.kind or "lines"
        if kind not in KINDS:
            raise UsageError(f"--input {kind}: is unknown{nearest(kind, KINDS)}")
        check_columns(kind, wanted.column, wanted.delimiter)
        for name in names:
            if name != STDIN and not os.path.exists(name):
                raise TextkitError(no_such_file(name))
        if not wanted.words_only:
            self._load(wanted.model)

    def _new(self) -> Manifest:
        kind = self.wanted.kind or "lines"
        reading = {
            "kind": kind, "column": self.wanted.column, "delimiter": self.wanted.delimiter, "encoding": chosen(),
        }  # fmt: skip
        if not self.wanted.words_only:
            self._load(self.wanted.model)
        facts = self.embedding.facts if self.embedding else NO_MODEL
        made = empty(facts, reading, fields=kind in RECORDS)
        begin(self.folder, made)
        return made

    def _load(self, model: Any) -> Embedding:
        if self.embedding is None:
            given = isinstance(model, Embedding)
            self.embedding = model if given else Embedding(model, self.wanted.device, self.wanted.threads)
        return self.embedding

    def _open_model(self, manifest: Manifest) -> None:
        if manifest.model == NO_MODEL:
            return
        if self.wanted.model is None:
            self._load(found_again(manifest.model, self.folder))
            return
        found = self._load(self.wanted.model).facts
        if found.digest != manifest.model.digest:
            raise TextkitError(
                f"{self.folder}: was made with the model {manifest.model.name!r} ({manifest.model.digest[:12]}), not with "
                f"{found.name!r} ({found.digest[:12]}); another model needs another index"
            )

    def _reading(self, manifest: Manifest) -> Reading:
        own = manifest.reading
        for option, asked, has in (
            ("--input", self.wanted.kind, own["kind"]),
            ("--column", self.wanted.column, own.get("column")),
            ("--delimiter", self.wanted.delimiter, own.get("delimiter")),
            ("--encoding", chosen(), own.get("encoding")),
        ):
            if asked is not None and asked != has:
                said = f"with {option} {has}" if has is not None else f"without {option}"
                raise UsageError(f"{option} {asked}: {self.folder} was made {said}")
        if own["kind"] not in KINDS:
            raise TextkitError(f"{self.folder}: damaged: it was made of an unknown kind of input")
        if own.get("encoding"):
            read_as(str(own["encoding"]))
        return Reading(own["kind"], own.get("column"), own.get("delimiter"), cut=True, skip=self.wanted.skip)
