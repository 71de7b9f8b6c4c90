"""Filters of tables: records of Parquet and Arrow in, tables out. Imports pyarrow only where a filter is asked for them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from textkit.cli.filter_options import ARROW
from textkit.cli.input_report import InputReport

if TYPE_CHECKING:
    from textkit.cli.filtering import Filter
    from textkit.streams.columns import Block


def table_records(request: Filter, report: InputReport) -> Iterator[Block]:
    """The records of all files, or of stdin where there are none."""
    from textkit.streams import arrow

    for piece in request.files or ("-",) if request.spans is None else request.spans:
        source: Any = arrow.Source("stdin" if piece == "-" else piece if isinstance(piece, str) else piece.name)
        request.source.opens(source)
        names = request.carried.names
        for block in arrow.blocks(source, piece, request.kind, request.column, names, request.also):
            request.source.records += len(block)
            yield block
        report.renamed = request.carried.renamed


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
