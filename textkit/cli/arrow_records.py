"""Filters of tables: records of Parquet and Arrow in, tables of any records out. Imports pyarrow only for one of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from textkit.cli.filter_options import ARROW
from textkit.cli.input_report import InputReport
from textkit.errors import TextkitError

if TYPE_CHECKING:
    from textkit.cli.filtering import Filter
    from textkit.streams.columns import Block
    from textkit.streams.lines import Reader


def table_records(request: Filter, report: InputReport) -> Iterator[Block]:
    """The records of all files, or of stdin where there are none."""
    from textkit.streams import arrow

    for piece in request.files or ("-",) if request.spans is None else request.spans:
        source: Any = arrow.Source("stdin" if piece == "-" else piece if isinstance(piece, str) else piece.name)
        request.source.opens(source)
        names = request.carried.names
        for block in arrow.blocks(source, piece, request.kind, request.column, names, request.also, request.table):
            request.source.records += len(block)
            yield block
        report.renamed = request.carried.renamed


def all_files(files: tuple[str, ...]) -> tuple[str, ...]:
    """`files`, each folder as the files in it."""
    from textkit.parts.sources import sources

    return tuple(source.path for source in sources(file for file in files if file != "-")) or files


def settle_columns(request: Filter) -> None:
    """Finds out which columns the tables of a run have, before anything is answered. TextkitError for a wrong --column."""
    if request.format not in ARROW or request.kind == "lines" or not request.files or "-" in request.files:
        return
    from textkit.streams.table_columns import columns_of, fields_of

    names = request.carried.names
    request.table = (
        columns_of(request.files, request.kind, request.column, names)
        if request.kind in ARROW
        else fields_of(request.files, request.kind, request.column, request.delimiter, request.carried)
    )


def with_columns(request: Filter, reader: Reader, blocks: Iterable[Block]) -> Iterator[Block]:
    """The records of TSV, CSV or JSON lines, their fields as columns. Raises TextkitError as `records` does."""
    from textkit.streams.columns import Block
    from textkit.streams.table_columns import Fields

    for block in blocks:
        if not len(block):
            yield block
            continue
        if request.table is None:
            request.table = Fields(request.kind, block.fields or (), request.carried.names)
        rows, wrong = request.table.rows(block)
        problems = {at: f"{reader.name}:{block.numbers[at]}: {why}" for at, why in wrong.items()}
        texts = ["" if at in problems else text for at, text in enumerate(block.texts)] if problems else block.texts
        made = Block(texts, rows, block.problems | problems, block.numbers)
        if problems and request.on_error != "skip":
            yield made.part(0, min(problems))
            yield Block([])
            raise TextkitError(problems[min(problems)])
        yield made


def or_nothing(request: Filter, blocks: Iterable[Block]) -> Iterator[Block]:
    """The `blocks`; where they hold no record, one that is blank and has no row: a table of no rows has columns, too."""
    from textkit.streams.columns import Block

    empty = True
    for block in blocks:
        empty = empty and not len(block)
        yield block
    if empty:
        request.rowless = True
        yield Block([""], request.table and request.table.nothing(), {0: ""})


@contextmanager
def tables_to(request: Filter, out: BinaryIO) -> Iterator[Any]:
    """What the results of a filter's forms are written to: `out`, or a writer of tables, if the format is one of ARROW."""
    if request.format not in ARROW:
        yield out
        return
    from textkit.streams.arrow_output import ArrowOut

    with ArrowOut(out, request.format, at_once=not _is_file(out)) as tables:
        yield tables


def _is_file(out: BinaryIO) -> bool:
    """Whether nobody reads `out` while it is written."""
    try:
        return stat.S_ISREG(os.fstat(out.fileno()).st_mode)
    except (OSError, AttributeError):  # no descriptor
        return True
