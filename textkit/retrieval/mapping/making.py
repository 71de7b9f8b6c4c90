"""Makes a map of the records of files: vectors, places, clusters, names, columns. Knows no output."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textkit.errors import TextkitError, UsageError, nearest
from textkit.retrieval.duplicates.records import BLANK, Records
from textkit.retrieval.duplicates.vectors import Read
from textkit.retrieval.mapping import maps, naming, placing
from textkit.streams.columns import field_of

CLUSTER, FILE = "cluster", "file"  # columns that every map can be coloured by


@dataclass(frozen=True)
class Made:
    """A map, and of each of its points the file, the line and the record's own fields."""

    map: maps.Map
    files: Sequence[str]
    lines: Sequence[int]
    fields: Sequence[Mapping[str, Any]]
    left_out: int  # texts without a vector


def made(read: Read, color: str | None, seed: int, note: Callable[[str], None]) -> Made:
    """The map of what was read. `color`: a column of the records to colour by, besides the clusters.

    Blank records and texts of which the model knows nothing have no place, and are left out; equal texts share one. Raises
    TextkitError where nothing is left, UsageError for a column that no record has.
    """
    records = read.records
    told = np.asarray(read.vectors.any(axis=1), bool)
    rows = np.cumsum(told) - 1  # of each text among those that have a vector
    distinct = np.asarray(records.distinct, np.int64)
    chosen = np.flatnonzero((distinct != BLANK) & told[distinct]) if len(told) else np.empty(0, np.int64)
    if not len(chosen):
        raise TextkitError("there is no text to map")
    fields = [_fields(records, int(record)) for record in chosen]
    extra = None if color in (None, CLUSTER, FILE) else _asked(str(color), fields)
    note(f"placing {int(told.sum()):,} texts")
    places = maps.scaled(placing.placed(read.vectors[told], seed))
    note("looking for clusters")
    clusters = placing.clustered(places)
    texts = [text for text, there in zip(records.texts, told.tolist(), strict=True) if there]
    names = naming.names(texts, clusters.tolist(), int(clusters.max()) + 1)
    points = rows[distinct[chosen]]
    files = [records.file(int(record)) for record in chosen]
    lines = [records.lines[int(record)] for record in chosen]
    several = len(set(files)) > 1
    columns = [maps.of_clusters(clusters[points], names)]
    if several or color == FILE:
        columns.append(maps.of_values(FILE, files))
    if extra is not None:
        columns.append(maps.of_values(str(color), extra))
    shown = [
        f"{Path(file).name}:{line}" if several else f"line {line}" for file, line in zip(files, lines, strict=True)
    ]
    found = maps.Map(
        places[points], [records.text(int(record)) for record in chosen], shown, clusters[points], names, columns
    )
    return Made(found, files, lines, fields, int((~told).sum()))


def _fields(records: Records, record: int) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(b"{%b}" % records.fields(record))
    return value


def _asked(color: str, fields: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The value of the column `color` of each record, None where it has none."""
    found = [field_of(dict(each), color) for each in fields]
    if not any(there for there, _ in found):
        known = dict.fromkeys(name for each in fields[:100] for name in each)
        raise UsageError(f"--color {color}: no record has such a column{nearest(color, known)}")
    return [
        value if isinstance(value, (str, int, float, type(None))) else json.dumps(value, ensure_ascii=False)
        for _, value in found
    ]
