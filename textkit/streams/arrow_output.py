"""Writes answers as Parquet or as an Arrow stream: the input's own columns with their types, and those of the answers.

What a column of answers is made of is said by types that JSON could have: a name of Arrow's, [type] for a list, {name: type}
for a struct. Needs pyarrow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from textkit.errors import TextkitError, one_line
from textkit.streams.arrow import pyarrow, table_of
from textkit.streams.columns import Block

_GROUP = 1 << 16  # rows of a row group


def from_json(
    form: Callable[..., bytes], types: Mapping[str, Any], key: str | None = None
) -> Callable[..., Any]:  # fmt: skip
    """A form for Arrow out of one for JSON Lines, which writes `types`' fields. `key`: what --field calls the first of them."""
    pa = pyarrow()
    first = next(iter(types))
    names = {name: key if key and name == first else name for name in types}

    def formed(block: Block, *answers: Any, **options: Any) -> Any:
        bare = Block(block.texts, [{}] * len(block), dict.fromkeys(block.problems, ""))
        rows = [json.loads(line) for line in form(bare, *answers, **options).split(b"\n") if line]
        try:
            found = {
                names[name]: pa.array([_shaped(row.get(name), kind) for row in rows], _type(kind))
                for name, kind in types.items()
            }
        except pa.ArrowException as error:
            raise TextkitError(f"an answer has no place in its column: {one_line(error)}") from error
        return table_of(block, found)

    return formed


def _type(kind: Any) -> Any:
    pa = pyarrow()
    if isinstance(kind, list):
        return pa.list_(pa.field("element", _type(kind[0])))
    if isinstance(kind, dict):
        return pa.struct([(name, _type(one)) for name, one in kind.items()])
    return pa.type_for_alias(kind)


def _shaped(value: Any, kind: Any) -> Any:
    """A value as its type has it: JSON Lines have [name, number] for what is a struct here."""
    if isinstance(kind, list) and isinstance(value, list):
        return [_shaped(one, kind[0]) for one in value]
    if isinstance(kind, dict) and isinstance(value, list):
        return dict(zip(kind, value, strict=True))
    return value


class ArrowOut:
    """Writes tables to `out`. A row group of Parquet has _GROUP rows, however they come; a batch of a stream goes at once."""

    def __init__(self, out: Any, form: str) -> None:
        self._out, self._form = _Counting(out), form
        self._writer: Any = None  # made with the schema of the first table
        self._held: list[Any] = []
        self._rows = 0

    def __enter__(self) -> ArrowOut:
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        """Finishes the file with what was done, also after an error, if it can still be written."""
        if kind is None:
            self._finish()
            return
        with suppress(Exception):  # the first error is the one to report
            self._finish()
        self._out.full = True
        with suppress(Exception):  # otherwise pyarrow tries once more when it throws the writer away
            self._writer.close()

    def _finish(self) -> None:
        if self._writer is None:
            self._begin(pyarrow().schema([]))
        if self._held:
            self._give(pyarrow().concat_tables(self._held))
            self._held = []
        self._writer.close()

    def write(self, table: Any) -> None:
        if self._writer is None:
            self._begin(table.schema)
        if table.schema != self._writer.schema:
            table = self._cast(table)
        if self._form == "arrow":
            self._writer.write_table(table)
            return
        self._held.append(table)
        self._rows += table.num_rows
        while self._rows >= _GROUP:
            whole = pyarrow().concat_tables(self._held)
            self._give(whole.slice(0, _GROUP))
            self._held = [whole.slice(_GROUP)]
            self._rows -= _GROUP

    def _give(self, table: Any) -> None:
        if table.num_rows:
            self._writer.write_table(table.combine_chunks(), row_group_size=_GROUP)

    def _begin(self, schema: Any) -> None:
        from pyarrow import ipc, parquet

        schema = schema.remove_metadata()
        if self._form == "parquet":
            self._writer = parquet.ParquetWriter(self._out, schema)
        else:
            self._writer = ipc.new_stream(self._out, schema)
            self._writer.schema = schema

    def _cast(self, table: Any) -> Any:
        try:
            return table.cast(self._writer.schema)
        except (pyarrow().ArrowException, ValueError) as error:
            raise TextkitError(f"a later file has other columns than the first: {one_line(error)[:120]}") from error


class _Counting:
    """What pyarrow writes to: it asks for the position, which a pipe does not have."""

    closed = False
    full = False  # whether all that is still written is thrown away

    def __init__(self, out: Any) -> None:
        self._out, self._at = out, 0

    def write(self, data: Any) -> int:
        data = memoryview(data)
        if not self.full:
            self._out.write(data)
        self._at += data.nbytes
        return data.nbytes

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False
