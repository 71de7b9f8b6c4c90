"""Records in: which part of each line is the text. Plain lines, TSV, CSV and JSON lines. Knows no model and no output.

A record is one line, except in CSV, whose quoted fields may hold newlines. Every record stays in its place: one that
cannot be used is either an error that names file and line, or an empty text with the problem beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from textkit.errors import TextkitError, nearest
from textkit.streams.fields import Carried, Number, found, parsed
from textkit.streams.lines import Lines, Reader

LONGEST_FIELD = 1 << 28  # characters in one CSV field; an unclosed quote ends here, before it fills the memory
_SHORT_RECORD = 1000  # lines
# The csv module ends a line at a carriage return. It sees these instead, which no text holds: for one, and before \n.
_RETURN, _RETURN_AT_END = "\udc0d", "\udc0a"
TEXT_FIELD = "text"  # the field of a JSON line that has the text, unless --column names another


@dataclass(frozen=True)
class Block:
    """Some records: the text of each, its own fields where the input has any, and the problems by position.

    `fields`: for JSON lines the object's source and the object, for TSV and CSV a dict of column -> cell. `numbers`: the line
    of the file on which each record begins, from 1; blocks that are made of others have none.
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
        for block in blocks:
            problems |= {at + len(texts): why for at, why in block.problems.items()}
            texts += block.texts
            fields += block.fields or ()
        return Block(texts, fields if fields else None, problems)


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
        return None, f"malformed JSON: {error.msg} at character {error.pos + 1}"
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
    names: dict[int, list[str]] = {}  # number of cells in a record -> their names
    if index is not None and index < 0:
        raise TextkitError("--column counts from 1")
    end = 0  # the line on which the record before ends
    for rows, numbers in csv_rows(reader, delimiter) if kind == "csv" else _tsv_rows(reader, delimiter):
        begins = [line + 1 for line in (end, *numbers[:-1])] if rows else []
        end = numbers[-1] if rows else end
        if index is None and rows:
            header, rows, numbers = list(map(_spaced, rows[0])) if kind == "csv" else rows[0], rows[1:], numbers[1:]
            del begins[0]
            if column not in header:
                raise TextkitError(f"{reader.name}: no column {column!r}{nearest(column or '', header)}")
            index = header.index(column)
        texts: list[str] = []
        problems: dict[int, str] = {}
        fields: list[dict[str, str]] = []
        for at, row in enumerate(rows):
            if len(row) > (index or 0):
                text = row[index or 0]
                texts.append(_spaced(text) if kind == "csv" else text)
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


def _tsv_rows(reader: Reader, delimiter: str) -> Iterator[tuple[list[list[str]], Sequence[int]]]:
    for lines in reader:
        yield [line.split(delimiter) for line in lines], range(reader.lines - len(lines) + 1, reader.lines + 1)


class _MoreLines(Exception):
    """The CSV parser has come to the end of the lines at hand, not of the file."""


def csv_rows(reader: Lines, delimiter: str) -> Iterator[tuple[list[list[str]], Sequence[int]]]:
    """Rows, and the line on which each ends. A record whose closing quote is still to come waits for more lines.

    Only the csv module knows whether a record is complete, and it has no way to say so. It is therefore given the lines
    at hand, and an exception where they end. A record begun by then is parsed again with the lines that follow.
    """
    import csv  # not for --help

    csv.field_size_limit(LONGEST_FIELD)
    reader.keeps_returns = True
    held: list[str] = []  # the lines of a record that is not complete
    tried = 0  # how many of them were there when it was last found incomplete
    done = 0  # lines of the file in complete records
    for lines in reader:
        held += lines
        # A long record is tried again when twice as long, because otherwise it would cost the square of its length.
        # A short one is tried at once when the input pauses.
        if len(held) >= 2 * tried or (not lines and tried < len(held) < _SHORT_RECORD):
            rows, numbers = _parsed(_lines_then_exception(held), reader.name, done, delimiter)
            rows = _with_returns(rows, numbers, held, done)
            taken = numbers[-1] - done if numbers else 0
            held, done = held[taken:], done + taken
            tried = len(held)
            if rows:
                yield rows, numbers
        if not lines:
            yield [], ()
    if held:
        rows, numbers = _parsed(_lines_then_exception(held), reader.name, done, delimiter)
        rows = _with_returns(rows, numbers, held, done)
        if rows:
            yield rows, numbers
        last = numbers[-1] if numbers else done
        if last < done + len(held):  # or one stray quote would silently take all lines after it into one record
            raise TextkitError(f"{reader.name}:{last + 1}: malformed CSV: the quote of this record is never closed")


def whole_csv(lines: Sequence[tuple[int, str]], name: str, delimiter: str = ",") -> list[tuple[int, list[str]]]:
    """The records of numbered lines, each with the number of its last line. TextkitError for a quote that is never closed."""
    import csv  # not for --help

    csv.field_size_limit(LONGEST_FIELD)
    rows, ends = _parsed(_lines_then_exception([line for _, line in lines]), name, 0, delimiter)
    last = ends[-1] if ends else 0
    if last < len(lines):
        raise TextkitError(f"{name}:{lines[last][0]}: malformed CSV: the quote of this record is never closed")
    if any("\r" in line for _, line in lines):
        rows = [[cell.replace(_RETURN, " ").replace(_RETURN_AT_END, " ") for cell in row] for row in rows]
    return [(lines[end - 1][0], row) for row, end in zip(rows, ends, strict=True)]


def _csv_line(line: str) -> str:
    if "\r" not in line:
        return line + "\n"
    whole = line.removesuffix("\r")
    return whole.replace("\r", _RETURN) + (_RETURN_AT_END if len(whole) < len(line) else "") + "\n"


def _with_returns(rows: list[list[str]], numbers: Sequence[int], lines: Sequence[str], before: int) -> list[list[str]]:
    """`rows` with their carriage returns restored; one at the end of a record belongs to its line end."""
    if not any("\r" in line for line in lines):
        return rows
    found = []
    for row, number in zip(rows, numbers, strict=True):
        if lines[number - before - 1] == "\r":  # a blank line: it cannot close a quote
            row = []
        elif row:
            row = [*row[:-1], row[-1].removesuffix(_RETURN_AT_END)]
            row = [cell.replace(_RETURN, "\r").replace(_RETURN_AT_END, "\r") for cell in row]
        found.append(row)
    return found


def _spaced(cell: str) -> str:
    """A cell as a text: `\\r\\n` becomes `\\n`, any other carriage return a space."""
    return cell.replace("\r\n", "\n").replace("\r", " ") if "\r" in cell else cell


def _lines_then_exception(lines: list[str]) -> Iterator[str]:
    yield from map(_csv_line, lines)
    raise _MoreLines


def _parsed(lines: Iterable[str], name: str, before: int, delimiter: str) -> tuple[list[list[str]], list[int]]:
    import csv  # not for --help

    parser = csv.reader(lines, delimiter=delimiter)
    rows: list[list[str]] = []
    numbers: list[int] = []
    try:
        for row in parser:
            rows.append(row)
            numbers.append(before + parser.line_num)
    except _MoreLines:
        pass
    except csv.Error as error:
        raise TextkitError(f"{name}:{before + parser.line_num}: malformed CSV: {error}") from error
    return rows, numbers
