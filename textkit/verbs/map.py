"""`textkit map`: texts in two dimensions, to look at. Parses options and writes; textkit.retrieval.mapping makes the map."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from textkit import process
from textkit.cli.filter_options import column_option, delimiter_option, files_argument
from textkit.cli.filtering import Filter, opened
from textkit.cli.input_report import count_of_lines
from textkit.cli.options import (
    Messages,
    device_option,
    encoding_option,
    message_options,
    model_option,
    on_error_option,
    promised,
    threads_option,
)
from textkit.cli.setting_options import Number
from textkit.cli.typed import check_files
from textkit.cli.verb import Verb, examples
from textkit.defaults import SEED
from textkit.errors import UsageError
from textkit.searching.settings import SEARCH

if TYPE_CHECKING:
    from textkit.retrieval.mapping.making import Made

INPUTS = ("lines", "tsv", "csv", "jsonl", "paragraphs")
FORMATS = ("html", "png", "svg", "pdf", "parquet")
SUFFIXES = {f".{form}": form for form in FORMATS} | {".htm": "html"}
MODEL = "en-sentences"
MANY = 200_000  # texts from which on a page is slow to open


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit map lines.txt -o map.html",
        "textkit map --input csv --column title books.csv --color genre -o m.html",
        "textkit map lines.txt --labels -o map.png",
        "textkit map lines.txt -o map.parquet      # for embedding-atlas",
    ),
)
@files_argument
@model_option
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    callback=promised(),
    help="The file to write: .html, .png, .svg, .pdf or .parquet.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    metavar="FORMAT",
    help=f"Format of the output: {', '.join(FORMATS)}. Default: by OUT's suffix.",
)
@click.option("--color", metavar="COLUMN", help="Colour by this column or field, or by file. Default: by cluster.")
@click.option("--labels", is_flag=True, help="Show the names of clusters on the map.")
@click.option("--title", metavar="TEXT", help="What stands above the map. Default: the FILEs' names.")
@click.option(
    "--seed", type=Number(SEARCH["seed"]), metavar="N", help=f"The same seed draws the same map. Default: {SEED}."
)
@click.option(
    "--input",
    "kind",
    type=click.Choice(INPUTS),
    default="lines",
    show_default=True,
    metavar="KIND",
    help=f"What a record is: {', '.join(INPUTS)}.",
)
@column_option
@delimiter_option
@device_option
@threads_option
@on_error_option
@encoding_option
@message_options
def map_(messages: Messages, **options: Any) -> None:
    """Draw a map of texts: each record of the FILEs (or of stdin, also named -) is a point, and what is alike in meaning lies
    close.

    \b
    html     a page that needs nothing else: hover shows a text, wheel and drag move, a search finds words
    png      a picture; svg and pdf too
    parquet  x, y, text, cluster, label, file, line and the record's own fields, for embedding-atlas and other tools

    Places are made by t-SNE of the texts' vectors, clusters by HDBSCAN of the places. A cluster is named by the words that set
    it apart (class-based TF-IDF); what lies between clusters is unclustered. Distances say little: what lies close is alike,
    but what lies far apart may be alike too. Equal texts share a place. Blank records are left out, and so are texts of which
    the model knows no word.

    Without -m the model is en-sentences. --color takes a column of a table or a field of jsonl: numbers become a scale, all
    else kinds. A FILE may be a folder, and it may be compressed (gzip, zstandard). Needs the extra `map`, and `plot` for
    pictures.
    """
    run(_Options(**options), messages)


@dataclass(kw_only=True)
class _Options(Filter):
    """The options, checked as far as argv alone shows them."""

    color: str | None
    labels: bool
    title: str | None
    seed: int | None
    field: str | None = None
    line_buffered: bool = False

    def __post_init__(self) -> None:
        if self.kind == "paragraphs" and (self.column or self.delimiter):
            raise UsageError("--input paragraphs: has no columns")
        super().__post_init__()
        if self.output is None and self.form is None:
            raise UsageError("missing option '-o': the file to write, as in: -o map.html")
        self.format = self.format_of(SUFFIXES, self.form or "")
        if not self.format:
            raise UsageError(f"-o {self.output}: ends with none of {', '.join(SUFFIXES)}; --format takes any name")
        if self.color is not None and self.color not in ("cluster", "file") and self.kind in ("lines", "paragraphs"):
            raise UsageError(f"--color {self.color}: {self.kind} have no columns; say --input tsv, csv or jsonl")

    @property
    def heading(self) -> str:
        names = [os.path.basename(file.rstrip("/")) or file for file in self.files if file != "-"]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return self.title or ", ".join(names[:3]) + more or "Map"


def run(request: _Options, messages: Messages) -> None:
    """Reads, makes the map and writes it."""
    from textkit.retrieval.duplicates.vectors import Reading, read
    from textkit.retrieval.mapping import placing, table
    from textkit.retrieval.mapping.making import made
    from textkit.streams.fields import Carried

    placing.refuse()
    if request.format == "parquet":
        table.refuse()
    if request.format in ("png", "svg", "pdf"):
        from textkit.drawing import picture

        picture.refuse(f"map.{request.format}")
    process.take_short_turns()
    check_files([file for file in request.files if not os.path.isdir(file)])
    reading = Reading(
        request.files or ("-",), request.kind, request.column, request.delimiter, request.on_error == "skip", every=True,
        carried=Carried(tuple(name for name in table.OURS if name != "text")),
    )  # fmt: skip
    with opened(request, messages) as (out, show):
        found = read(reading, request.model, MODEL, request.device, request.threads, messages.note, show)
        found.say(messages.note, messages.warn)
        result = made(found, request.color, SEED if request.seed is None else request.seed, messages.note)
        if result.left_out:
            has = "has" if result.left_out == 1 else "have"
            messages.warn(f"{count_of_lines(result.left_out)} held no word that the model knows, and {has} no place")
        _write(request, result, out, messages)


def _write(request: _Options, made: Made, out: BinaryIO, messages: Messages) -> None:
    found = made.map
    color = len(found.columns) - 1 if request.color not in (None, "cluster") else 0
    messages.note(f"{len(found):,} points, {len(found.names):,} clusters")
    if request.format == "parquet":
        from textkit.retrieval.mapping import table

        table.write(out, found, made.files, made.lines, made.fields)
    elif request.format == "html":
        from textkit.retrieval.mapping.page import page

        if len(found) > MANY:
            messages.warn(
                f"a page of {len(found):,} texts is slow to open; embedding-atlas opens -o map.parquet at once"
            )
        out.write(page(found, request.heading, color, request.labels))
    else:
        from textkit.retrieval.mapping import picture

        missing = picture.write(
            out, f"map.{request.format}", found, request.heading, found.columns[color], request.labels
        )
        if missing:
            messages.warn(f"no font on this machine has {missing[:20]}: boxes are drawn instead")
