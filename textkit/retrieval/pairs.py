"""Pairs of texts from tables, JSON lines and stdin: two columns of a record. Knows no model and no output.

A pair keeps its record's fields. One that has no second text is an error that names its file and line, or, where records are
skipped, a pair of blank texts with the problem beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from textkit.errors import TextkitError, nearest
from textkit.evaluation.layouts import PAIRS, folded
from textkit.streams.columns import Block, field_text, json_object, records
from textkit.streams.fields import Carried
from textkit.streams.lines import Reader

FIRST_TWO = ("1", "2")


@dataclass(frozen=True)
class Pairs:
    """Some pairs: `block` has the first text of each, its fields and problems; `others` the second texts, in the same order."""

    block: Block
    others: list[str]

    def __len__(self) -> int:
        return len(self.block)

    def part(self, start: int, stop: int) -> Pairs:
        """The pairs start..stop-1."""
        return Pairs(self.block.part(start, stop), self.others[start:stop])


def pairs(
    reader: Reader,
    kind: str = "tsv",
    columns: tuple[str, str] | None = None,
    skip: bool = False,
    delimiter: str | None = None,
    carried: Carried | None = None,
) -> Iterator[Pairs]:
    """The pairs of one file in blocks; an empty block says that the input pauses.

    `columns`: of both texts, by numbers from 1, by names (then the first record of TSV and CSV is the header), or by the way to
    fields of JSON lines. None: the first two; for JSON lines the first known pair of names that the first object has (`a` and
    `b`, `text1` and `text2`, `sentence1` and `sentence2`, ...). `skip`, `delimiter`, `carried`: as `streams.columns.records`
    has them.
    """
    carried = carried or Carried()
    if kind == "jsonl":
        found = _of_objects(reader, columns, carried)
    else:
        found = _of_table(reader, kind, columns or FIRST_TWO, skip, delimiter, carried)
    for both in found:
        problems = both.block.problems
        if problems and not skip:
            first = min(problems)
            yield both.part(0, first)
            yield Pairs(Block([]), [])
            raise TextkitError(problems[first])
        yield both


def _of_table(
    reader: Reader, kind: str, columns: tuple[str, str], skip: bool, delimiter: str | None, carried: Carried
) -> Iterator[Pairs]:
    one, other = columns
    if (
        one.isdecimal() and not other.isdecimal()
    ):  # a name makes the first record the header, so it is the one to ask for
        for found in _of_table(reader, kind, (other, one), skip, delimiter, carried):
            yield Pairs(replace(found.block, texts=found.others), found.block.texts)
        return
    for block in records(reader, kind, one, skip, delimiter, carried):
        cells = [_cell(fields, other, carried) for fields in block.fields or ()]
        problems = dict(block.problems)
        for at, cell in enumerate(cells):
            if cell is None and at not in problems and any(map(str.strip, block.fields[at].values())):  # type: ignore[index]
                problems[at] = f"{reader.name}:{block.numbers[at]}: {_missing(block.fields[at], other)}"  # type: ignore[index]
        texts = ["" if at in problems else text for at, text in enumerate(block.texts)] if problems else block.texts
        others = ["" if cell is None or at in problems else cell for at, cell in enumerate(cells)]
        yield Pairs(replace(block, texts=texts, problems=problems), others)


def _cell(fields: dict[str, str], column: str, carried: Carried) -> str | None:
    """The cell of a row in `column`; None where the row has none."""
    if column.isdecimal():
        at = int(column) - 1
        cell = list(fields.values())[at] if 0 <= at < len(fields) else None
    else:
        cell = fields.get(column)
        if cell is None:
            cell = fields.get(carried.renamed.get(column, column))
    return cell.replace("\r\n", "\n").replace("\r", " ") if cell is not None and "\r" in cell else cell


def _missing(fields: dict[str, str], column: str) -> str:
    if column.isdecimal():
        return f"no column {column}: the record has {len(fields)}"
    return f"no column {column!r}{nearest(column, fields)}"


def _of_objects(reader: Reader, columns: tuple[str, str] | None, carried: Carried) -> Iterator[Pairs]:
    for lines in reader:
        first = reader.lines - len(lines) + 1
        texts: list[str] = []
        others: list[str] = []
        fields: list[Any] = []
        problems: dict[int, str] = {}
        for at, line in enumerate(lines):
            one, other, value, problem = "", "", None, ""
            if line and not line.isspace():
                value, problem = json_object(line)
            if value is not None:
                columns = columns or _names(value, f"{reader.name}:{first + at}")
                (one, problem), (other, wrong) = (field_text(value, column) for column in columns)
                problem = problem or wrong
            if problem:
                one, other, problems[at] = "", "", f"{reader.name}:{first + at}: {problem}"
            texts.append(one)
            others.append(other)
            fields.append((line if value is None else carried.object(line, value), value))
        yield Pairs(Block(texts, fields, problems), others)


def _names(value: dict[str, Any], place: str) -> tuple[str, str]:
    """The fields of an object that are a pair of texts by their names. Raises TextkitError where there is no known pair."""
    names = {folded(name): name for name in reversed(value)}
    for one, other in PAIRS:
        if one in names and other in names:
            return names[one], names[other]
    raise TextkitError(f"{place}: no two fields are known as a pair of texts: name them with --columns A,B")
