"""Writes answers as Parquet or as an Arrow stream: the input's own columns with their types, and those of the answers.

What a column of answers is made of is said by types that JSON could have: a name of Arrow's, [type] for a list, {name: type}
for a struct. Needs pyarrow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from textkit.errors import TextkitError, one_line
from textkit.streams.arrow import pyarrow, table_of
from textkit.streams.columns import Block

_GROUP = 1 << 16  # rows of a row group
_BATCH = 1 << 12  # rows of a batch of Arrow
_ROUNDS = 4  # times that a schema may change on its way through a file


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
                names[name]: pa.array([_shaped(row.get(name), kind) for row in rows], arrow_type(kind))
                for name, kind in types.items()
            }
        except pa.ArrowException as error:
            raise TextkitError(f"an answer has no place in its column: {one_line(error)}") from error
        return table_of(block, found)

    return formed


def arrow_type(kind: Any) -> Any:
    """The type of pyarrow's that a name, [type] or {name: type} stands for."""
    pa = pyarrow()
    if isinstance(kind, list):
        return pa.list_(pa.field("element", arrow_type(kind[0])))
    if isinstance(kind, dict):
        return pa.struct([(name, arrow_type(one)) for name, one in kind.items()])
    return pa.type_for_alias(kind)


def _shaped(value: Any, kind: Any) -> Any:
    """A value as its type has it: JSON Lines have [name, number] for what is a struct here."""
    if isinstance(kind, list) and isinstance(value, list):
        return [_shaped(one, kind[0]) for one in value]
    if isinstance(kind, dict) and isinstance(value, list):
        return dict(zip(kind, value, strict=True))
    return value


class ArrowOut:
    """Writes tables to `out`, so that the bytes depend on the rows alone, not on the tables that they come in.

    A row group of Parquet has _GROUP rows and a batch of Arrow _BATCH, except for the last one. `at_once`: a batch of Arrow is
    what comes, because somebody waits for it at the other end of a pipe. Raises TextkitError for a table that does not fit the
    first one, or that the format cannot hold.
    """

    def __init__(self, out: Any, form: str, at_once: bool = False) -> None:
        self._out, self._form = _Counting(out), form
        self._at_once = at_once and form == "arrow"
        self._most = _GROUP if form == "parquet" else _BATCH
        self._writer: Any = None  # made with the schema of the first table
        self._schema: Any = None
        self._held: list[Any] = []
        self._rows = 0

    def __enter__(self) -> ArrowOut:
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        """Finishes the file with what was done, also after an error, if it can still be written."""
        if kind is None:
            with self._said():
                self._finish()
            return
        if self._writer is None:
            return
        with suppress(Exception):  # the first error is the one to report
            self._finish()
        self._out.full = True
        with suppress(Exception):  # otherwise pyarrow tries once more when it throws the writer away
            self._writer.close()

    def flush(self) -> None:
        """What a pause of the input asks for; rows are held back only where nobody waits for them."""
        self._out.flush()

    def write(self, table: Any) -> None:
        with self._said():
            if self._writer is None:
                self._begin(table.schema)
            if table.schema != self._schema:
                table = self._cast(table)
            self._held.append(table)
            self._rows += table.num_rows
            while self._rows >= (1 if self._at_once else self._most):
                whole = pyarrow().concat_tables(self._held)
                self._give(whole.slice(0, self._most))
                self._held = [whole.slice(self._most)]
                self._rows -= min(self._most, self._rows)

    def _finish(self) -> None:
        if self._writer is None:
            self._begin(pyarrow().schema([]))
        if self._rows:
            self._give(pyarrow().concat_tables(self._held))
        self._held, self._rows = [], 0
        self._writer.close()

    def _give(self, table: Any) -> None:
        pa = pyarrow()
        columns = [_anew(column) for column in table.columns]
        if self._form == "parquet":
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema), row_group_size=_GROUP)
        else:
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def _begin(self, schema: Any) -> None:
        from pyarrow import ipc, parquet

        self._schema = _settled(schema, self._form)
        if self._form == "parquet":
            self._writer = parquet.ParquetWriter(self._out, self._schema)
        else:
            self._writer = ipc.new_stream(self._out, self._schema)

    def _cast(self, table: Any) -> Any:
        try:
            return table.cast(self._schema)
        except (pyarrow().ArrowException, ValueError) as error:
            raise TextkitError(f"a later file has other columns than the first: {one_line(error)[:120]}") from error

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except pyarrow().ArrowException as error:
            raise TextkitError(f"cannot be written as {self._form}: {one_line(error)[:160]}") from error


def _settled(schema: Any, form: str) -> Any:
    """`schema` as the format gives it back: of Parquet, items of lists are named "element", and seconds are milliseconds.

    Written as it is, a file would differ from one that is made of its rows, in the schema that it states.
    """
    for _ in range(_ROUNDS):
        found = _read_back(schema, form)
        found = pyarrow().schema([field.remove_metadata() for field in found])
        if found == schema and str(found) == str(schema):  # names inside of lists make no difference to ==
            break
        schema = found
    return schema


def _read_back(schema: Any, form: str) -> Any:
    from pyarrow import ipc, parquet

    pa = pyarrow()
    sink = pa.BufferOutputStream()
    if form == "parquet":
        parquet.write_table(schema.empty_table(), sink)
        return parquet.read_schema(pa.BufferReader(sink.getvalue()))
    ipc.new_stream(sink, schema).close()
    return ipc.open_stream(sink.getvalue()).schema


def _anew(column: Any) -> Any:
    """A chunked column as one array with buffers of its own, and a dictionary of the values that it has, in their order.

    What is cut out of a larger table would otherwise bring along what lies around it.
    """
    pa = pyarrow()
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = [chunk.dictionary_decode() for chunk in column.chunks]
        found = pa.concat_arrays([*values, pa.array([], kind.value_type)]).dictionary_encode()
        return pa.DictionaryArray.from_arrays(
            found.indices.cast(kind.index_type), found.dictionary, ordered=kind.ordered
        )
    bare = _without_dictionaries(kind)
    if bare != kind:  # inside of lists, structs or maps
        chunks = [chunk.cast(bare) for chunk in column.chunks]
        return pa.concat_arrays([*chunks, pa.nulls(0, bare)]).cast(kind)
    return pa.concat_arrays([*column.chunks, pa.nulls(0, kind)])


def _without_dictionaries(kind: Any) -> Any:
    """The type `kind` with the values of dictionaries in place of them, at any depth."""
    pa = pyarrow()
    is_of = pa.types

    def bare(field: Any) -> Any:
        return field.with_type(_without_dictionaries(field.type))

    if is_of.is_dictionary(kind):
        return kind.value_type
    if is_of.is_struct(kind):
        return pa.struct([bare(field) for field in kind])
    if is_of.is_map(kind):
        return pa.map_(bare(kind.key_field), bare(kind.item_field), kind.keys_sorted)
    if is_of.is_fixed_size_list(kind):
        return pa.list_(bare(kind.value_field), kind.list_size)
    if is_of.is_large_list(kind):
        return pa.large_list(bare(kind.value_field))
    return pa.list_(bare(kind.value_field)) if is_of.is_list(kind) else kind


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
        if not self.full:
            self._out.flush()

    def close(self) -> None:
        pass

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False
