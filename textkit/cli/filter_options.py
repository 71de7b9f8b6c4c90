"""The options that filters share: what is read, what is written, and in which format. Knows no verb; light to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import click

from textkit.cli.options import model_option, promised
from textkit.cli.verb import Verb
from textkit.errors import UsageError

INPUTS = ("lines", "tsv", "csv", "jsonl")  # what a record of the input may be

files_argument = click.argument("files", metavar="[FILE]...", nargs=-1)
output_option = click.option(
    "-o",
    "--output",
    metavar="OUT",
    callback=promised("with '>' instead of -o what is done is kept"),
    help="Write to this file, whole or not at all, instead of stdout (also named -).",
)


def _input_of(kinds: Sequence[str]) -> Callable[[Any], Any]:
    return click.option(
        "--input", "kind", type=click.Choice(kinds), default="lines", show_default=True, help="What a record is."
    )


input_option = _input_of(INPUTS)
column_option = click.option(
    "--column", metavar="N|NAME", help="The text's column, by number (without a header) or by name."
)
delimiter_option = click.option(
    "--delimiter", metavar="TEXT", help="What separates the columns of csv (one character) and tsv; \\t is a tab."
)
field_option = click.option(
    "--field", metavar="NAME", help="The result's name in jsonl, for records that use the usual name already."
)


def split_option(said: str) -> Callable[[Any], Any]:
    return click.option("--split-long/--cut-long", "split", default=True, show_default=True, help=said)


TEXT = ".txt"  # OUT's suffix for any format that a person can read
ARROW = ("parquet", "arrow")  # formats of tables, in and out; they need pyarrow
ARROW_SUFFIXES = {".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow"}
BINARY = ("npy", "f32", *ARROW)
PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")
JSONL = {".jsonl": "jsonl", ".ndjson": "jsonl"}  # the format that OUT's suffix stands for


def format_option(formats: Sequence[str]) -> Callable[[Any], Any]:
    return click.option(
        "--format",
        "form",
        type=click.Choice(formats),
        help="Format of the output. Default: by OUT's suffix, otherwise text.",
    )


def format_of(output: str | None, form: str | None, suffixes: Mapping[str, str], default: str) -> str:
    """The output's format: `form` (--format), otherwise the one `suffixes` has for OUT's suffix, otherwise `default`;
    "" for a verb that has none.

    Raises UsageError for a suffix that stands for no format, and for one that contradicts --format.
    """
    suffix = PurePath(output or "").suffix.lower()
    said = suffixes.get(suffix)
    if form is not None:
        if said not in (None, form) or (suffix == TEXT and form in BINARY):
            raise UsageError(f"-o {output}: {suffix} is not --format {form}; say one or the other")
        return form
    if said is None and suffix not in ("", TEXT):
        # A verb without a default writes no lines of text.
        known = ", ".join((TEXT, *suffixes) if default else suffixes)
        way = "compress it by a pipe: | gzip > OUT" if suffix in PACKED else "--format takes any name"
        raise UsageError(f"-o {output}: {suffix} is no format that this writes; it knows {known}; {way}")
    return said or default


def filter_options(formats: Sequence[str]) -> Callable[[Any], Any]:
    """The first options of a filter: its FILEs, -m, --format (one of `formats`) and -o."""

    def decorated(function: Any) -> Any:
        for option in (output_option, format_option(formats), model_option, files_argument):
            function = option(function)
        return function

    return decorated


def reading_options(function: Any) -> Any:
    """The options that say what a record of the input is: --input, --column, --delimiter and --field."""
    for option in (field_option, delimiter_option, column_option, _input_of((*INPUTS, *ARROW))):
        function = option(function)
    return function


class FilterVerb(Verb):
    """A verb that is a filter: its help ends with what the options of `reading_options` read."""

    def help_text(self) -> str:
        return f"{super().help_text()}\n\n{_READS}"


_READS = (
    "--input tsv and csv: the text is column 1 without --column; a name makes the first record the header. jsonl: it is "
    'the field "text" without --column; a.b and a.0.b reach into objects and lists. A field that has the name of one of '
    "the result's is carried along as source_NAME. Files may be compressed (gzip, zstandard). parquet and arrow (a stream or a "
    'file): the text is the column "text" or the only column of strings; a null stays null.'
)
