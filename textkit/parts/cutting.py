"""Cuts files into parts of about one size, and counts what precedes each of them where that matters. Knows no output."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from textkit.errors import TextkitError
from textkit.parts.borders import borders, row_groups_of
from textkit.parts.sources import Source
from textkit.streams.csv_rows import csv_rows
from textkit.streams.lines import GZIP, ZSTANDARD, Reader
from textkit.streams.span import Span


@dataclass(frozen=True)
class Reading:
    """How the files are read, as far as it matters where they can be cut."""

    kind: str = "lines"  # or tsv, csv, jsonl, parquet, arrow
    delimiter: str = ","
    header: bool = False  # whether the first record of each file names the columns
    encoding: str | None = None  # None: UTF-8


def cut(sources: Sequence[Source], size: int, reading: Reading) -> list[list[Span]]:
    """The files as parts of about `size` bytes, in order; each part is pieces of files. There is at least one.

    What lies between two cuts is one part, and the cuts are the multiples of `size`, each moved to where the file can be cut.
    """
    parts: list[list[Span]] = [[]]
    base = 0
    for source in sources:
        first = base // size + 1
        targets = [at * size - base for at in range(first, (base + source.size - 1) // size + 1)]
        places = borders(source.path, source.size, targets, reading.kind, reading.delimiter, reading.encoding)
        packed = bool(places) and _packed(source.path)
        groups = row_groups_of(source.path, reading.kind) if places else []
        start = 0
        for place in [*dict.fromkeys(places), source.size]:
            if place > start or (place == source.size == 0):
                whole = start == 0 and place == source.size
                span = Span(source.path, start, place, whole, packed and not whole, None if start else 0)
                parts[-1].append(_with_groups(span, groups) if groups and not whole else span)
                start = place
            if place < source.size or source.size in places:
                parts.append([])
        base += source.size
        if source.size and base % size == 0:
            parts.append([])
    return [part for part in parts if part] or [[]]


def _with_groups(span: Span, groups: Sequence[tuple[int, int]]) -> Span:
    first, behind = (sum(end <= place for end, _ in groups) for place in (span.start, span.stop))
    return replace(span, groups=(first, behind), lines=sum(rows for _, rows in groups[:first]))


def _packed(path: str) -> bool:
    with suppress(OSError), open(path, "rb") as file:
        return file.read(4).startswith((GZIP, ZSTANDARD))
    return False


def counted(
    parts: Sequence[Sequence[Span]], reading: Reading, strict: bool = False
) -> tuple[list[tuple[list[Span], int]], int]:
    """Each part, its spans knowing how many lines of their files precede them, with the number of records before the part;
    and the number of all records.

    Reads all files. Where one is damaged, what follows is counted without the rest of it, or TextkitError is raised (`strict`).
    """
    found: list[tuple[list[Span], int]] = []
    records = lines = 0
    file = ""
    for part in parts:
        first, spans = records, []
        for span in part:
            lines = lines if span.path == file and span.start else 0
            file = span.path
            spans.append(replace(span, lines=lines))
            more, new = _counts(span, reading, strict)
            lines, records = lines + more, records + new
        found.append((spans, first))
    return found, records


def _counts(span: Span, reading: Reading, strict: bool) -> tuple[int, int]:
    """How many lines and records a span has."""
    lines = records = 0
    if reading.kind in ("parquet", "arrow"):
        groups = row_groups_of(span.path, reading.kind)
        count = sum(rows for _, rows in (groups[slice(*span.groups)] if span.groups else groups))
        return count, count
    with nullcontext() if strict else suppress(TextkitError), Reader.of(replace(span, lines=0)) as reader:
        if reading.kind == "csv":
            for rows, _ in csv_rows(reader, reading.delimiter):
                records += len(rows)
            lines = reader.lines
        else:
            for block in reader:
                lines += len(block)
            records = lines
    return lines, records - (1 if reading.header and records and not span.start else 0)
