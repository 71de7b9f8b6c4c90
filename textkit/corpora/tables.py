"""Rows of the files that training reads as tables: a few columns of TSV, CSV or JSON lines. Knows no task and no model.

A file's kind: JSON lines where its name ends in .jsonl or .ndjson or its first line is an object; TSV where it ends in .tsv;
otherwise what its first line is a header of, with tabs or with commas. A file without a header is CSV where its name ends in
.csv, unless all lines have tabs, and otherwise TSV. In TSV quotes are plain characters; in CSV a cell may hold newlines.
textkit.corpora.headers says which columns are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

from textkit.errors import TextkitError, nearest
from textkit.streams.columns import field_of, field_text, json_object
from textkit.streams.csv_rows import LONGEST_FIELD, csv_rows
from textkit.streams.lines import Reader, text_blocks

TAB = "\t"
LOOKED_AT = 1000  # first lines, which say what a file is
_KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_PACKED = (".gz", ".zst")
_BREAKS = "\t\n\r\0"  # what a record of one line cannot hold: NUL would make the split's files binary

Row = tuple[int, list[str]]  # the number of its line (of its last, in CSV), its cells


@dataclass(frozen=True)
class Role:
    """What a column is for.

    `what`: its name in messages; `option`: the option that says which column it is, and `given`, the option's value; `names`:
    what headers call it (see textkit.evaluation.layouts.folded). `needed`: a table must have it. `text`: in JSON lines it is a
    string.
    """

    what: str
    option: str
    names: frozenset[str] = frozenset()
    given: str = ""
    needed: bool = True
    text: bool = True


@dataclass(frozen=True)
class Table:
    """How a file is read: `kind` is tsv, csv or jsonl; `places` are the columns (from 0) or fields of its `roles`.

    `header`: whether the first row names the columns. `width`: the number of columns, of which some rows may have more if
    `longer`; 0 for JSON lines.
    """

    kind: str
    roles: tuple[Role, ...]
    places: tuple[int | str, ...]
    header: bool
    width: int
    longer: bool = False


class Source:
    """A file whose first lines are seen before it is read, which happens once, so that it may be stdin.

    `head`: the first lines that are not blank, with their numbers.
    """

    def __init__(self, reader: Reader) -> None:
        self.name = reader.name
        self.keeps_returns = True
        self.head: list[tuple[int, str]] = []
        self._reader = reader
        self._held: list[list[str]] = []
        reader.keeps_returns = True  # for CSV, where they may be text
        self._blocks = text_blocks(reader)
        first = 1
        for block in self._blocks:
            self._held.append(block)
            for number, line in enumerate(block, first):
                if line and not line.isspace() and len(self.head) < LOOKED_AT:
                    self.head.append((number, line.removesuffix("\r")))
            if len(self.head) == LOOKED_AT:
                break
            first += len(block)

    def __iter__(self) -> Iterator[list[str]]:
        """Blocks of lines, each with the carriage return at its end."""
        while self._held:
            yield self._held.pop(0)
        yield from self._blocks

    def lines(self) -> Iterator[tuple[int, list[str]]]:
        """Blocks of lines without it, each with the number of its first line."""
        self._reader.keeps_returns = False
        first = 1
        for block in self:
            yield first, [line.removesuffix("\r") for line in block]
            first += len(block)

    def error(self, number: int, problem: str) -> TextkitError:
        return TextkitError(f"{self.name}, line {number}: {problem}")


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Source]:
    """A file, plain, gzip or zstandard; "-" for stdin. Errors are those of textkit.streams.lines.read_blocks."""
    with Reader(None if os.fspath(path) == "-" else path) as reader:
        yield Source(reader)


def kind_of(source: Source, heads: Callable[[Sequence[str]], bool], numbered: bool = False) -> str:
    """What the file is: tsv, csv or jsonl. It has a first line.

    `heads`: whether cells are a header; `numbered`: whether columns are given by their numbers, so that it needs none.
    """
    base = source.name.lower()
    for packed in _PACKED:
        base = base.removesuffix(packed)
    named = _KINDS.get(os.path.splitext(base)[1], "")
    first = source.head[0][1]
    if named == "jsonl" or (first.lstrip().startswith("{") and (TAB not in first or json_object(first)[0] is not None)):
        return "jsonl"
    if named == "tsv" or heads(first.split(TAB)):
        return "tsv"
    rows = _csv_head(source.head[:1])
    if rows and heads(rows[0][1]):
        return "csv"
    if all(TAB in line for _, line in source.head):
        return "tsv"
    return "csv" if named == "csv" or (numbered and TAB not in first and "," in first) else "tsv"


def head_rows(source: Source, kind: str) -> list[Row]:
    """The first rows that are not blank; before those of JSON lines the names of all fields that they have."""
    if kind == "tsv":
        return [(number, line.split(TAB)) for number, line in source.head]
    if kind == "csv":
        return _csv_head(source.head) or [(number, [line]) for number, line in source.head]
    objects = [(number, _object(source, number, line)) for number, line in source.head]
    names = list(dict.fromkeys(chain.from_iterable(value for _, value in objects)))
    cells = [(number, [_cell(value.get(name, "")) for name in names]) for number, value in objects]
    return [(source.head[0][0], names), *cells]


def rows(source: Source, table: Table) -> Iterator[tuple[Sequence[int], list[tuple[Any, ...]]]]:
    """Blocks of rows: the numbers of their lines, and the cells of the table's roles, in their order.

    What is no text in JSON lines is a value. Rows without any text may be left out. TextkitError names the line that has
    another number of columns, or lacks a field.
    """
    if table.kind == "jsonl":
        yield from _object_rows(source, table)
        return
    pick, header, width, longer = itemgetter(*table.places), table.header, table.width, table.longer
    for numbers, block in _csv_rows(source) if table.kind == "csv" else _tsv_rows(source):
        if not header and set(map(len, block)) == {width}:
            yield numbers, list(map(pick, block))
            continue
        kept: list[int] = []
        found: list[tuple[Any, ...]] = []
        for number, cells in zip(numbers, block, strict=True):
            if not any(cell and not cell.isspace() for cell in cells):
                continue
            if len(cells) != width and not (longer and len(cells) > width):
                raise source.error(number, _ragged(cells, table))
            if header:
                header = False
                continue
            kept.append(number)
            found.append(pick(cells))
        yield kept, found


def in_one_line(text: str) -> str:
    """`text` with spaces for tabs, line ends and NULs, as a record of a corpus can hold it."""
    if not text.isprintable():
        for mark in _BREAKS:
            text = text.replace(mark, " ")
    return text


def _ragged(cells: Sequence[str], table: Table) -> str:
    if table.kind == "tsv" and len(cells) == 1:
        whats = "<tab>".join(role.what for role in table.roles)
        return (
            f"has no tab: a line is {whats}" if not table.header else f"has no tab, and {table.width} columns are named"
        )
    known = "the header" if table.header else "the first line"
    return f"has {_columns(len(cells))}, {known} has {table.width}"


def _columns(number: int) -> str:
    return f"{number} column{'s' if number != 1 else ''}"


def _tsv_rows(source: Source) -> Iterator[tuple[Sequence[int], list[list[str]]]]:
    for first, lines in source.lines():
        yield range(first, first + len(lines)), [line.split(TAB) for line in lines]


def _csv_rows(source: Source) -> Iterator[tuple[Sequence[int], list[list[str]]]]:
    for cells, numbers in csv_rows(source, ","):
        yield numbers, cells


def _object_rows(source: Source, table: Table) -> Iterator[tuple[Sequence[int], list[tuple[Any, ...]]]]:
    fields = [(str(place), role) for place, role in zip(table.places, table.roles, strict=True)]
    for first, lines in source.lines():
        kept: list[int] = []
        found: list[tuple[Any, ...]] = []
        for number, line in enumerate(lines, first):
            if line and not line.isspace():
                value = _object(source, number, line)
                kept.append(number)
                found.append(tuple(_field(source, number, value, name, role) for name, role in fields))
        yield kept, found


def _object(source: Source, number: int, line: str) -> dict[str, Any]:
    value, problem = json_object(line)
    if value is None:
        raise source.error(number, problem)
    return value


def _field(source: Source, number: int, value: dict[str, Any], name: str, role: Role) -> Any:
    there, held = field_of(value, name)
    if not role.needed and (not there or held is None):
        return ""
    if not there:
        raise source.error(number, f"no field {name!r}{nearest(name, value)}")
    if not role.text:
        return held
    text, problem = field_text(value, name)
    if problem:
        raise source.error(number, problem)
    return text


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value)


def _csv_head(lines: Sequence[tuple[int, str]]) -> list[Row]:
    """The rows of the first lines, as far as they are CSV; the last may be cut."""
    import csv  # not for --help

    csv.field_size_limit(LONGEST_FIELD)
    parser = csv.reader(f"{line}\n" for _, line in lines)
    found: list[Row] = []
    try:
        for cells in parser:
            found.append((lines[parser.line_num - 1][0], cells))
    except csv.Error:
        pass
    return found
