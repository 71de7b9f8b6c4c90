"""What columns the tables of an input have: those of its first file, into which all that follows must fit. Needs pyarrow.

With parts, each of them has the same columns, whichever files it is made of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from textkit.errors import TextkitError, bounded, one_line, quoted
from textkit.streams.arrow import Rows, place_of, pyarrow, schema_of
from textkit.streams.arrow_output import arrow_type
from textkit.streams.columns import Block, records, without_surrogates
from textkit.streams.fields import Carried
from textkit.streams.lines import Reader

REST = "other_fields"  # the column of what JSON lines have besides the fields of the first ones
_FIRST = 1000  # records that decide which fields there are, and of which types
_SCALARS: dict[str, tuple[type, ...]] = {"bool": (bool,), "int64": (int,), "double": (int, float), "string": (str,)}
_JSON = "json"  # a field that is an object, or of several types: its column has JSON
_LARGEST = 1 << 63


@dataclass(frozen=True)
class Columns:
    """The columns of Parquet files or Arrow streams. `schema`: a pyarrow Schema; `place`: the number of the texts' column;
    `names`: what the columns go along by; `source`: the file that they are those of."""

    schema: Any
    place: int
    names: Sequence[str]
    source: str

    @property
    def said(self) -> str:
        return ", ".join(f"{name} {field.type}" for name, field in zip(self.names, self.schema, strict=True))

    def fitted(self, table: Any, name: str) -> Any:
        """`table`, a pyarrow Table of the file `name`, with these columns, in this order. Raises TextkitError for others."""
        names = self.schema.names
        if table.schema.names != names:
            missing = [one for one in names if one not in table.schema.names]
            new = [one for one in table.schema.names if one not in names]
            if missing or new or len(set(names)) < len(names):
                raise self._other(
                    name,
                    f"no {quoted(missing[0])}" if missing else f"{quoted(new[0])} is new" if new else "their order",
                )
            table = table.select(names)
        columns = []
        for field, column in zip(self.schema, table.columns, strict=True):
            if column.type != field.type:
                why = f"{quoted(field.name)} is {bounded(str(column.type))}, not {bounded(str(field.type))}"
                if not _alike(column.type, field.type):
                    raise self._other(name, why)
                try:
                    column = column.cast(field.type)
                except pyarrow().ArrowException as error:
                    raise self._other(name, f"{why} ({one_line(error)[:120]})") from error
            columns.append(column)
        return pyarrow().Table.from_arrays(columns, names=names)

    def _other(self, name: str, why: str) -> TextkitError:
        return TextkitError(f"{name}: has other columns than {self.source}: {why}")

    def nothing(self) -> Rows:
        """The fields of one record that has none."""
        pa = pyarrow()
        arrays = [pa.nulls(1, field.type) for field in self.schema]
        return Rows(pa.Table.from_arrays(arrays, names=self.schema.names), self.names)


def columns_of(
    files: Sequence[str], kind: str, column: str | None, names_of: Callable[[Sequence[str], int], list[str]]
) -> Columns | None:
    """The columns of the first of `files` that can be read, None where there is none. Raises TextkitError for a missing
    `column`, or one that holds no strings."""
    found = (pyarrow().ArrowException, OSError, ValueError)
    for file in files:
        schema = None
        with suppress(*found):
            schema = schema_of(file, kind)
        if schema is not None:
            return Columns(schema, place_of(schema, column, file), names_of(schema.names, len(schema)), file)
    return None


def _alike(one: Any, other: Any) -> bool:
    """Whether a column of the type `one` may be in a later file where the first one has `other`: no value changes its kind."""
    types = pyarrow().types
    one, other = (kind.value_type if types.is_dictionary(kind) else kind for kind in (one, other))
    if types.is_null(one) or one == other:
        return True
    for alike in (
        types.is_integer,
        types.is_floating,
        types.is_date,
        types.is_time,
        types.is_duration,
        types.is_decimal,
    ):
        if alike(one) and alike(other):
            return True
    if types.is_timestamp(one) and types.is_timestamp(other):
        return bool(one.tz == other.tz)
    texts = (types.is_string, types.is_large_string, types.is_string_view)
    if any(kind(one) for kind in texts) and any(kind(other) for kind in texts):
        return True
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if any(kind(one) for kind in lists) and any(kind(other) for kind in lists):
        return _alike(one.value_type, other.value_type)
    return False


class Fields:
    """Columns for the fields of JSON lines, TSV and CSV. Cells of TSV and CSV are strings; fields of JSON have the types that
    they have in the first records: true and false, whole numbers, numbers, strings, lists of one of these; all else is JSON.
    """

    def __init__(self, kind: str, first: Sequence[Any], names_of: Callable[[Sequence[str], int], list[str]]) -> None:
        self.json = kind == "jsonl"
        if not self.json:
            self.names = list(max(first, key=len, default={}))
            self._keys, self._kinds = self.names, ["string"] * len(self.names)
            return
        objects = [value for _, value in first if value]
        self._keys = list(dict.fromkeys(key for value in objects for key in value))
        self._kinds = [_kind([value.get(key) for value in objects]) for key in self._keys]
        self.names = names_of([*map(without_surrogates, self._keys), REST], len(self._keys) + 1)

    @property
    def said(self) -> str:
        return ", ".join(f"{name} {kind}" for name, kind in zip(self.names, self._kinds, strict=False))

    def rows(self, block: Block) -> tuple[Rows, dict[int, str]]:
        """The fields of `block` as Rows, and what is wrong with records that have a cell without a column."""
        pa = pyarrow()
        values: list[Mapping[str, Any]] = [(one[1] or {}) if self.json else one for one in block.fields or ()]
        rest: list[dict[str, Any]] = [{} for _ in values]
        columns = [self._column(key, kind, values, rest) for key, kind in zip(self._keys, self._kinds, strict=True)]
        known = frozenset(self._keys)
        problems = {}
        for at, value in enumerate(values):
            if not known.issuperset(value):
                new = {key: one for key, one in value.items() if key not in known}
                if self.json:
                    rest[at] |= new
                elif at not in block.problems:
                    problems[at] = f"no place for the column {next(iter(new))!r}, which the first records do not have"
        if self.json:
            columns.append(pa.array([_json(one) if one else None for one in rest], pa.string()))
        return Rows(pa.Table.from_arrays(columns, names=self.names), self.names), problems

    def nothing(self) -> Rows:
        """The fields of one record that has none."""
        return self.rows(Block([""], [("", {})] if self.json else [{}]))[0]

    def _column(self, key: str, kind: str, values: Sequence[Mapping[str, Any]], rest: Sequence[dict[str, Any]]) -> Any:
        """A column of Arrow. A value of another type than the first ones goes to `rest`, and a null stands in its place."""
        given = [value.get(key) for value in values]
        if kind == _JSON:
            return pyarrow().array([None if value is None else _json(value) for value in given], pyarrow().string())
        with suppress(pyarrow().ArrowException, OverflowError, UnicodeEncodeError):
            if all(_fits(value, kind) for value in given):
                return pyarrow().array(given, _type(kind))
        for at, value in enumerate(given):
            if kind == "string" and type(value) is str:
                given[at] = without_surrogates(value)
                continue
            try:
                if _fits(value, kind):
                    pyarrow().array([value], _type(kind))
                    continue
            except (pyarrow().ArrowException, OverflowError, UnicodeEncodeError):
                pass
            rest[at][key], given[at] = value, None
        return pyarrow().array(given, _type(kind))


def fields_of(files: Sequence[str], kind: str, column: str | None, delimiter: str | None, carried: Carried) -> Fields:
    """The columns for the records of `files`, by the first ones of them that can be read."""

    def found() -> Iterator[Any]:
        for file in files:
            with suppress(TextkitError), Reader(file) as reader:
                for block in records(reader, kind, column, True, delimiter, carried):
                    yield from block.fields or ()

    return Fields(kind, list(islice(found(), _FIRST)), carried.names)


def _kind(values: Sequence[Any]) -> str:
    """The kind of a column: one of _SCALARS, "[...]" for lists of one, or _JSON."""
    types = {type(value) for value in values if value is not None}
    if types == {int} and all(value is None or -_LARGEST <= value < _LARGEST for value in values):
        return "int64"
    if types == {list}:
        inner = _kind([one for value in values for one in value or ()])
        return f"[{inner}]" if inner in _SCALARS else _JSON
    if not types:
        return "string"
    return next((name for name, allowed in _SCALARS.items() if name != "int64" and types <= set(allowed)), _JSON)


def _fits(value: Any, kind: str) -> bool:
    if value is None:
        return True
    if kind.startswith("["):
        return type(value) is list and all(_fits(one, kind[1:-1]) for one in value)
    return type(value) in _SCALARS[kind]


def _type(kind: str) -> Any:
    return arrow_type([kind[1:-1]] if kind.startswith("[") else kind)


def _json(value: Any) -> str:
    return without_surrogates(json.dumps(value, ensure_ascii=False))
