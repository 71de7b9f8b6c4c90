"""Records in from Parquet files and Arrow streams: one column is the text, all go along with their types. Needs pyarrow.

A null is no text: it stands among a block's problems with an empty message, so that its answer is null.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError, bounded, listed, nearest, one_line, pip_install
from textkit.streams.columns import TEXT_FIELD, Block, without_surrogates
from textkit.streams.lines import GZIP, ZSTANDARD, standard_input
from textkit.streams.span import Span

if TYPE_CHECKING:
    from textkit.streams.table_columns import Columns

ROWS = 4096  # of a block
_FILE = b"ARROW1"  # what an Arrow file, other than a stream, begins with


def pyarrow() -> Any:
    """The package. Raises TextkitError where it is not installed."""
    try:
        import pyarrow as found
    except ImportError:
        raise TextkitError(f"Parquet and Arrow need pyarrow, which is not installed: {pip_install('arrow')}") from None
    return found


class Rows(Sequence[Any]):
    """The fields of some records: a pyarrow Table. One record is a dict of what JSON can say."""

    def __init__(self, table: Any, names: Sequence[str]) -> None:
        self.table, self.names = table, names

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            start, stop, _ = at.indices(len(self))
            return Rows(self.table.slice(start, max(0, stop - start)), self.names)
        return {name: _value(column[at]) for name, column in zip(self.names, self.table.columns, strict=True)}

    def joined(self, all_rows: Sequence[Rows]) -> Rows:
        return Rows(pyarrow().concat_tables([rows.table for rows in all_rows]), self.names)


class Source:
    """A file or stdin as the display of progress sees it."""

    def __init__(self, name: str) -> None:
        self.path = self.name = name
        self.taken = self.waiting = self.invalid = 0
        self.encoding = ""


def blocks(
    source: Source, piece: str | Span, kind: str, column: str | None, names_of: Callable[[Sequence[str], int], list[str]],
    also: Callable[[bytes], object] | None = None, columns: Columns | None = None,
) -> Iterator[Block]:  # fmt: skip
    """The records of a Parquet file, of a piece of one, or of an Arrow stream ("-": stdin), ROWS at most in a block.

    `column`: the text's; None: "text", or the only column of strings. `names_of`: gives the columns the names they go along by.
    `also` is given the bytes of the piece; `columns` are those that the table must have. An empty block follows each batch that
    comes through a pipe. Raises TextkitError that names file and column for a column that is missing or of another type, and
    for a file that is damaged.
    """
    pa = pyarrow()
    name = source.name
    if also is not None and piece != "-":
        _tell(piece, also)
    try:
        with ExitStack() as stack:
            tables = _parquet(stack, piece, source) if kind == "parquet" else _arrow(stack, piece)
            place = -1
            names: Sequence[str] = ()
            for batch, pause in tables:
                table = pa.Table.from_batches([batch])
                if columns is not None:
                    table, place, names = columns.fitted(table, name), columns.place, columns.names
                elif place < 0:
                    place = place_of(table.schema, column, name)
                    names = names_of(table.schema.names, len(table.schema.names))
                for start in range(0, table.num_rows, ROWS):
                    part = table.slice(start, ROWS)
                    texts = part.column(place).to_pylist()
                    problems = {at: "" for at, text in enumerate(texts) if text is None}
                    yield Block([without_surrogates(text or "") for text in texts], Rows(part, names), problems)
                if pause:
                    yield Block([])
            yield Block([])  # another file's columns may differ
    except (pa.ArrowException, OSError, ValueError) as error:
        yield Block([])  # what came before is to be answered
        if isinstance(error, OSError) and error.strerror:
            raise TextkitError(f"{name}: cannot be read: {error.strerror}") from error
        if piece != "-" and _packed(piece):
            raise TextkitError(
                f"{name}: is compressed as a whole, which {kind} cannot be read from; unpack it"
            ) from error
        raise TextkitError(
            f"{name}: is no {kind} data that can be read: {one_line(error)[:120].rstrip('.')}"
        ) from error


def _packed(piece: str | Span) -> bool:
    with suppress(OSError), open(piece.path if isinstance(piece, Span) else piece, "rb") as file:
        return file.read(4).startswith((GZIP, ZSTANDARD))
    return False


def _tell(piece: str | Span, also: Callable[[bytes], object]) -> None:
    start, stop = (piece.start, piece.stop) if isinstance(piece, Span) and not piece.whole else (0, sys.maxsize)
    with open(piece.path if isinstance(piece, Span) else piece, "rb") as file:
        file.seek(start)
        while start < stop and (data := file.read(min(1 << 20, stop - start))):
            also(data)
            start += len(data)


def _parquet(stack: ExitStack, piece: str | Span, source: Source) -> Iterator[tuple[Any, bool]]:
    from pyarrow import parquet

    if piece == "-":
        raise TextkitError("stdin: Parquet is read from its end, which a pipe does not have; name the file")
    path = piece.path if isinstance(piece, Span) else piece
    file = stack.enter_context(parquet.ParquetFile(path, memory_map=False))
    groups = range(file.num_row_groups)
    if isinstance(piece, Span) and piece.groups is not None:
        groups = range(*piece.groups)
        if groups.stop > file.num_row_groups:
            raise TextkitError(f"{path}: has fewer row groups than when it was cut into parts")
    whole = os.path.getsize(path)
    for done, group in enumerate(groups, 1):
        for batch in file.iter_batches(batch_size=ROWS, row_groups=[group]):
            yield batch, False
        source.taken = whole * done // max(1, file.num_row_groups)


def _arrow(stack: ExitStack, piece: str | Span) -> Iterator[tuple[Any, bool]]:
    pa = pyarrow()
    path = piece.path if isinstance(piece, Span) else piece
    if path == "-":
        given = standard_input()
        file: Any = stack.enter_context(os.fdopen(os.dup(given), "rb"))
    else:
        given = -1
        file = stack.enter_context(pa.OSFile(path))
        if file.size() > len(_FILE) and file.read(len(_FILE)) == _FILE:
            found = pa.ipc.open_file(file)
            yield from ((found.get_batch(at), False) for at in range(found.num_record_batches))
            return
        file.seek(0)
    for batch in pa.ipc.open_stream(file):
        yield batch, given >= 0 and not stat.S_ISREG(os.fstat(given).st_mode)


def is_text(kind: Any) -> bool:
    """Whether a column of the type `kind` holds strings."""
    types = pyarrow().types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def vectors(rows: np.ndarray, null: Sequence[int]) -> Any:
    """A column of vectors f32[row, dim]: lists of fixed size; the rows `null` are null."""
    pa = pyarrow()
    mask = np.zeros(len(rows), bool)
    mask[list(null)] = True
    values = pa.array(np.ascontiguousarray(rows, np.float32).reshape(-1))
    kind = pa.list_(pa.field("element", pa.float32()), rows.shape[1])  # the name that a list's field has in Parquet
    return pa.FixedSizeListArray.from_arrays(values, type=kind, mask=pa.array(mask) if len(null) else None)


def place_of(schema: Any, column: str | None, name: str) -> int:
    """The number of the column with the texts: strings, or nulls alone, as pandas writes them."""
    texts = [at for at, field in enumerate(schema) if is_text(field.type)]
    if column is None and TEXT_FIELD not in schema.names:
        if len(texts) == 1:
            return texts[0]
        there = f"--column names one; there is {listed(schema.names)}" if schema.names else "it has no columns"
        raise TextkitError(f"{name}: no column {TEXT_FIELD!r}: {there}")
    wanted = column or TEXT_FIELD
    places = schema.get_all_field_indices(wanted)
    if not places and wanted.isdecimal() and 0 < int(wanted) <= len(schema):
        places = [int(wanted) - 1]
    if not places:
        raise TextkitError(f"{name}: no column {wanted!r}{nearest(wanted, schema.names)}")
    if places[0] not in texts and not pyarrow().types.is_null(schema.field(places[0]).type):
        kind = bounded(str(schema.field(places[0]).type))
        raise TextkitError(f"{name}: column {wanted!r} is of type {kind}, not string")
    return int(places[0])


def _value(scalar: Any) -> Any:
    pa = pyarrow()
    try:
        return _plain(scalar.as_py())
    except (ValueError, OverflowError):  # nanoseconds and years that Python's times do not have
        if isinstance(scalar, pa.ListScalar | pa.FixedSizeListScalar | pa.LargeListScalar):
            return [_value(one) for one in scalar.values]
        if isinstance(scalar, pa.StructScalar):
            return {name: _value(one) for name, one in scalar.items()}
    said = str(scalar.cast(pa.string()).as_py())
    return said.replace(" ", "T") if pa.types.is_timestamp(scalar.type) and said[:1] != "<" else said


def _plain(value: Any) -> Any:
    """A value as JSON can say it: times as ISO 8601, bytes, decimals and all else as text."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)  # Decimal, timedelta, UUID


def batches(path: str) -> Iterator[Any]:
    """The tables that a Parquet file or an Arrow stream consists of; the first one has its columns, and no row."""
    pa = pyarrow()
    kind = "parquet" if path.endswith(".parquet") else "arrow"
    yield schema_of(path, kind).empty_table()
    with ExitStack() as stack:
        found = _parquet(stack, path, Source(path)) if kind == "parquet" else _arrow(stack, path)
        yield from (pa.Table.from_batches([batch]) for batch, _ in found)


def table_of(block: Block, answers: Mapping[str, Any]) -> Any:
    """A pyarrow Table: the records' own columns (of lines: the text), and then `answers`, arrays by name."""
    pa = pyarrow()
    if isinstance(block.fields, Rows):
        columns = dict(zip(block.fields.names, block.fields.table.columns, strict=True))
    else:
        columns = {"source_text" if "text" in answers else "text": pa.array(block.texts, pa.string())}
    return pa.table({**columns, **answers})


def schema_of(path: str, kind: str) -> Any:
    """The schema of a Parquet file, or of an Arrow file or stream."""
    from pyarrow import parquet

    if kind == "parquet":
        return parquet.read_schema(path)
    pa = pyarrow()
    with pa.OSFile(path) as file:
        whole = file.size() > len(_FILE) and file.read(len(_FILE)) == _FILE
        file.seek(0)
        return (pa.ipc.open_file if whole else pa.ipc.open_stream)(file).schema


def row_groups(path: str) -> list[tuple[int, int]]:
    """For each row group of a Parquet file the byte at which it ends, and its rows."""
    from pyarrow import parquet

    pyarrow()
    with parquet.ParquetFile(path) as file:
        found = []
        for at in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(at)
            columns = [group.column(one) for one in range(group.num_columns)]
            ends = [
                min(filter(None, (one.dictionary_page_offset, one.data_page_offset)), default=0)
                + one.total_compressed_size
                for one in columns
            ]
            found.append((max(ends, default=0), group.num_rows))
    return found
