"""Records in: which part of each line is the text. Plain lines, TSV, CSV and JSON lines. Knows no model and no output.

A record is one line, except in CSV, whose quoted fields may hold newlines. Every record stays in its place: one that
cannot be used is either an error that names file and line, or an empty text with the problem beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from textkit.errors import TextkitError, nearest
from textkit.streams.csv_rows import csv_rows, spaced
from textkit.streams.fields import Carried, Number, found, parsed
from textkit.streams.lines import Reader

TEXT_FIELD = "text"  # the field of a JSON line that has the text, unless --column names another


@dataclass(frozen=True)
class Block:
    """Some records: the text of each, its own fields where the input has any, and the problems by position.

    A record whose text is null, as Parquet has it, has the problem "". `fields`: for JSON lines the object's source and the
    object, for TSV and CSV a dict of column -> cell, for Parquet and Arrow streams/arrow.py's Rows. `numbers`: the line of the
    file on which each record begins, from 1; blocks that are made of others have none.
    """

    texts: list[str]
    fields: Sequence[Any] | None = None
    problems: dict[int, str] = field(default_factory=dict)
    numbers: Sequence[int] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, start: int, stop: int) -> Block:
        """The records start..stop-1."""
        fields = None if self.fields is None else self.fields[start:stop]
        problems = {at - start: why for at, why in self.problems.items() if start <= at < stop}
        return Block(self.texts[start:stop], fields, problems, self.numbers[start:stop])

    @staticmethod
    def joined(blocks: Sequence[Block]) -> Block:
        """The records of all `blocks`, in order; all blocks come from one kind of input."""
        if len(blocks) == 1:
            return blocks[0]
        texts: list[str] = []
        fields: list[Any] = []
        problems: dict[int, str] = {}
        together = getattr(blocks[0].fields, "joined", None)  # streams/arrow.py keeps columns
        for block in blocks:
            problems |= {at + len(texts): why for at, why in block.problems.items()}
            texts += block.texts
            fields += () if together else block.fields or ()
        return Block(texts, together([block.fields for block in blocks]) if together else fields or None, problems)


def records(
    reader: Reader,
    kind: str = "lines",
    column: str | None = None,
    skip: bool = False,
    delimiter: str | None = None,
    carried: Carried | None = None,
) -> Iterator[Block]:
    """The records of one file as blocks; an empty block says that the input pauses (see Reader).

    `column`: for TSV and CSV a number (from 1; then every line is a record) or a name (then the first record is the
    header); without it column 1. For JSON lines the name of the field, or the way to one inside others (`a.b`, `a.0.b`).
    `delimiter`: what separates the cells of TSV (any text) and CSV (one character). `carried`: names the fields that go
    along. `skip`: whether a record that cannot be used becomes an empty text with its problem; otherwise it raises a
    TextkitError that names file and line, after all records before it have been given.
    """
    if kind == "lines":
        for lines in reader:
            yield Block(lines, numbers=range(reader.lines - len(lines) + 1, reader.lines + 1))
        return
    carried = carried or Carried()
    if kind == "jsonl":
        parse = _json_lines(reader, column or TEXT_FIELD, carried)
    else:
        parse = _table(reader, kind, column, delimiter or {"tsv": "\t", "csv": ","}[kind], carried)
    for block, numbers in parse:
        problems = {at: f"{reader.name}:{numbers[at]}: {why}" for at, why in block.problems.items()}
        if problems and not skip:
            first = min(problems)
            yield block.part(0, first)
            yield Block([])
            raise TextkitError(problems[first])
        yield Block(block.texts, block.fields, problems, block.numbers)


def _json_lines(reader: Reader, name: str, carried: Carried) -> Iterator[tuple[Block, Sequence[int]]]:
    for lines in reader:
        texts: list[str] = []
        fields: list[Any] = []
        problems: dict[int, str] = {}
        for at, line in enumerate(lines):
            value, text, problem = _json_line(line, name)
            if problem:
                problems[at] = problem
            texts.append(text)
            fields.append((line if value is None else carried.object(line, value), value))
        numbers = range(reader.lines - len(lines) + 1, reader.lines + 1)
        yield Block(texts, fields, problems, numbers), numbers


def _json_line(line: str, name: str) -> tuple[dict[str, Any] | None, str, str]:
    """The line's object (None if it is not one), its text, and what is wrong with it."""
    if not line or line.isspace():
        return None, "", ""
    value, problem = json_object(line)
    return value, *(("", problem) if value is None else field_text(value, name))


def json_object(line: str) -> tuple[dict[str, Any] | None, str]:
    """The JSON object that a line is, or None and what is wrong with the line."""
    try:
        value = parsed(line)
    except RecursionError:
        return None, "malformed JSON: nested too deep"
    except json.JSONDecodeError as error:
        return None, f"malformed JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}"
    return (value, "") if isinstance(value, dict) else (None, f"not a JSON object but {_kind(value)}")


def field_of(value: dict[str, Any], name: str) -> tuple[bool, Any]:
    """Whether an object has the field `name` (or something at the way `a.b`, `a.0.b`), and what."""
    return (True, value[name]) if name in value else found(value, name.split("."))


def field_text(value: dict[str, Any], name: str) -> tuple[str, str]:
    """The text of a field, and what is wrong with it."""
    there, text = field_of(value, name)
    if not there:
        return "", f"no field {name!r}{nearest(name, value)}"
    if not isinstance(text, str) or isinstance(text, Number):
        return "", f"field {name!r} is {_kind(text)}, not a string"
    return without_surrogates(text), ""


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def without_surrogates(text: str) -> str:
    """Half a surrogate pair, which JSON can spell (\\ud800) and UTF-8 cannot, becomes U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _table(
    reader: Reader, kind: str, column: str | None, delimiter: str, carried: Carried
) -> Iterator[tuple[Block, Sequence[int]]]:
    """TSV (quotes are plain characters) and CSV, with a header where `column` is a name."""
    index = int(column or 1) - 1 if (column or "1").isdecimal() else None
    header: list[str] | None = None
    if index is None and not reader.begins:
        header = first_record(reader.path, kind, delimiter)
        index = _place(reader, column or "", header)
    names: dict[int, list[str]] = {}  # number of cells in a record -> their names
    if index is not None and index < 0:
        raise TextkitError("--column counts from 1")
    end = reader.lines  # the line on which the record before ends
    for rows, numbers in csv_rows(reader, delimiter, end) if kind == "csv" else _tsv_rows(reader, delimiter):
        begins = [line + 1 for line in (end, *numbers[:-1])] if rows else []
        end = numbers[-1] if rows else end
        if index is None and rows:
            header, rows, numbers = list(map(spaced, rows[0])) if kind == "csv" else rows[0], rows[1:], numbers[1:]
            del begins[0]
            index = _place(reader, column or "", header)
        texts: list[str] = []
        problems: dict[int, str] = {}
        fields: list[dict[str, str]] = []
        for at, row in enumerate(rows):
            if len(row) > (index or 0):
                text = row[index or 0]
                texts.append(spaced(text) if kind == "csv" else text)
            else:
                texts.append("")
                if any(cell.strip() for cell in row):  # a blank line is blank in every column
                    problems[at] = f"no column {(index or 0) + 1}: the record has {len(row)}"
            if len(row) not in names:
                names[len(row)] = carried.names(header or (), max(len(row), len(header or ())))
            fields.append(dict(zip(names[len(row)], row, strict=False)))
        yield Block(texts, fields, problems, begins), numbers
    if index is None:
        raise TextkitError(f"{reader.name}: no column {column!r}: the file is empty")


def _place(reader: Reader, column: str, header: Sequence[str]) -> int:
    if column not in header:
        raise TextkitError(f"{reader.name}: no column {column!r}{nearest(column, header)}")
    return header.index(column)


def first_record(path: str, kind: str, delimiter: str) -> list[str]:
    """The first record of a file, TSV or CSV: the names of its columns. Empty for an empty file."""
    with Reader(path) as reader:
        for rows, _ in csv_rows(reader, delimiter) if kind == "csv" else _tsv_rows(reader, delimiter):
            if rows:
                return list(map(spaced, rows[0])) if kind == "csv" else rows[0]
    return []


def _tsv_rows(reader: Reader, delimiter: str) -> Iterator[tuple[list[list[str]], Sequence[int]]]:
    for lines in reader:
        yield [line.split(delimiter) for line in lines], range(reader.lines - len(lines) + 1, reader.lines + 1)
