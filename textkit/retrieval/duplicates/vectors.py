"""Reads the records of files and makes the vector of each distinct text. Knows no output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from textkit.bundle.bundle import located
from textkit.errors import TextkitError
from textkit.retrieval import passages
from textkit.retrieval.duplicates.records import Records
from textkit.retrieval.sources import STDIN, Survey
from textkit.serving import LONG_DONE, open_model
from textkit.serving.stream import WINDOW_CHARACTERS, WINDOW_LINES, staged, windows
from textkit.streams.columns import Block
from textkit.streams.fields import Carried

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder


@dataclass(frozen=True)
class Reading:
    """What is read: files, folders or `-`, as `retrieval.passages` reads them; and what is kept of it, as Records say."""

    names: Sequence[str]
    kind: str = "lines"
    column: str | None = None
    delimiter: str | None = None
    skip: bool = False
    every: bool = False
    carried: Carried | None = None


@dataclass(frozen=True)
class Read:
    """What was read. `vectors` f32[text, dim]; `long`, `unknown`: texts that the model could not take, or knows no word of."""

    records: Records
    vectors: np.ndarray
    survey: Survey
    model: str
    threads: int
    long: int
    unknown: int
    limit: int
    how: str

    def say(self, note: Callable[[str], None], warn: Callable[[str], None], unknown: str = "") -> None:
        """Says what was out of the ordinary. `unknown`: what becomes of a text of which the model knows no word; "": not
        said."""
        for line in self.survey.notes():
            note(line)
        for line in self.survey.warnings():
            warn(line)
        if self.long:
            warn(f"{_lines(self.long)} had more than the model's {self.limit:,} tokens: {LONG_DONE[self.how]}")
        if self.unknown and unknown:
            warn(f"{_lines(self.unknown)} held no word that the model knows: {unknown}")


def read(
    reading: Reading, model: Any, default: str, device: str, threads: int | None, note: Callable[[str], None],
    show: Callable[[int], None],
) -> Read:  # fmt: skip
    """Reads all records and embeds each distinct text. `default`: the shipped model where neither `model` nor the user's
    settings name one. Raises TextkitError for what cannot be read, UsageError for an unknown model."""
    bundle = located(None if model is None else str(model), "embed", default=default)
    embedder = cast("Embedder", open_model(bundle, task="embed", device=device, threads=threads))
    note(f"{bundle.folder} on {embedder.session.where}")
    survey = Survey()
    records = Records(reading.kind, reading.delimiter, reading.every, reading.carried)
    named = reading.column is not None and not reading.column.isdecimal()
    blocks: list[np.ndarray] = []

    def new() -> Iterator[Block]:
        """The texts that come for the first time."""
        how = passages.Reading(reading.kind, reading.column, reading.delimiter, skip=reading.skip)
        for found in passages.passages(reading.names, how, survey):
            if texts := records.add(found, named):
                yield Block(texts)

    cut = windows(new(), WINDOW_LINES, WINDOW_CHARACTERS)
    encoded = (block and embedder.encode(block.texts) for block in cut)
    for vectors in staged(encoded, [embedder.vectors], embedder.threads):
        blocks.append(vectors)
        show(len(records))
    for name in survey.binary:
        if name in reading.names:  # in a folder it is one of many, and a warning is enough
            raise TextkitError(f"{'stdin' if name == STDIN else name}: is binary, not text")
    vectors = np.concatenate(blocks) if blocks else np.empty((0, embedder.dim), np.float32)
    return Read(
        records, vectors, survey, bundle.manifest.name, embedder.threads, embedder.long_lines, embedder.unknown_lines,
        embedder.limit, embedder.long,
    )  # fmt: skip


def _lines(count: int) -> str:
    return f"{count:,} line" if count == 1 else f"{count:,} lines"
