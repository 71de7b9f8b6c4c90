"""`textkit compare`: how alike two texts are, or the texts of each pair. Parses options; textkit.retrieval.comparing
compares."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from textkit import process
from textkit.cli.filter_options import JSONL, delimiter_option, field_option, format_option, output_option
from textkit.cli.filtering import Filter, opened, pump
from textkit.cli.input_report import InputReport, count_of_lines
from textkit.cli.options import Messages, Text, answering_options, model_option
from textkit.cli.typed import check_files, say_if_file
from textkit.cli.verb import Verb, examples
from textkit.errors import UsageError, quoted
from textkit.serving import LONG_DONE

if TYPE_CHECKING:
    from textkit.retrieval.comparing import Comparer
    from textkit.retrieval.pairs import Pairs

INPUTS = ("tsv", "csv", "jsonl")
SIMILARITY = "similarity"
_LINES = 4096  # the most pairs that are compared at once


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit compare 'a cat sat on the mat' 'a kitten was sitting on a rug'",
        "paste one.txt other.txt | textkit compare > similarities.txt",
        "textkit compare --input csv --columns q1,q2 pairs.csv --format jsonl",
    ),
)
@click.argument("texts", metavar="[A B | FILE...]", nargs=-1, type=Text())
@model_option
@format_option(("text", "jsonl"))
@output_option
@click.option(
    "--input",
    "kind",
    type=click.Choice(INPUTS),
    help="What a pair is: two columns of a table, or two fields of JSON lines. Default: tsv.",
)
@click.option(
    "--columns",
    metavar="A,B",
    help="The columns of the two texts, by number (without a header) or by name. Default: 1,2; in jsonl a known pair.",
)
@delimiter_option
@field_option
@answering_options
def compare(messages: Messages, **options: Any) -> None:
    """Say how alike two texts are in meaning: the texts A and B, or those of each pair of the FILEs or of stdin.

    \b
    text   the similarity, one number per pair
    jsonl  the record's own fields and "similarity"

    The similarity is the cosine of the two vectors: 1 for equal texts, about 0 for texts that have nothing to do with each
    other, seldom less. Two arguments are texts. One is a file of pairs, and with --input or --columns all are files; without
    arguments stdin (also named -) is read. A pair is a line with a tab between its texts. A blank line leaves its record blank
    (in jsonl null), and so does one that cannot be read, with --on-error skip. A blank text has no meaning: its similarity is
    0.

    A model that embeds queries and documents by a network each takes A for the query and B for the document. jsonl knows pairs
    by names such as a and b, text1 and text2, sentence1 and sentence2; --columns takes any. Files may be compressed (gzip,
    zstandard).
    """
    run(_Options(**options), messages)


@dataclass(kw_only=True)
class _Options(Filter):
    """The options, checked as far as argv alone shows them."""

    texts: tuple[str, ...]
    columns: str | None
    files: tuple[str, ...] = ()
    column: str | None = None
    pair: tuple[str, str] | None = dataclasses.field(init=False, default=None)  # the texts, where they are arguments
    names: tuple[str, str] | None = dataclasses.field(init=False, default=None)  # the two columns that --columns names

    def __post_init__(self) -> None:
        said = self.kind is not None or self.columns is not None or self.delimiter is not None
        if len(self.texts) == 2 and not said:
            self.pair = self.texts[0], self.texts[1]
        elif len(self.texts) > 2 and not said:
            raise UsageError(
                f"{len(self.texts)} arguments: two are texts, which the shell must see in quotes; files need --input"
            )
        elif len(self.texts) == 1 and self.texts[0] != "-" and not said and not os.path.exists(self.texts[0]):
            raise UsageError(f"{quoted(self.texts[0])}: no such file; one argument is a file of pairs, two are texts")
        else:
            self.files = self.texts
        self.kind = self.kind or "tsv"
        super().__post_init__()
        self.format = self.format_of(JSONL)
        self.name_fields((SIMILARITY,))
        if self.columns is not None:
            self.names = self._two(self.columns)

    def _two(self, columns: str) -> tuple[str, str]:
        names = [name.strip() for name in columns.split(",")]
        if len(names) != 2 or not all(names):
            raise UsageError(f"--columns {columns}: two are needed, those of the two texts")
        if self.kind != "jsonl" and any(name.isdecimal() and not int(name) for name in names):
            raise UsageError(f"--columns {columns}: columns count from 1")
        return names[0], names[1]


def run(request: _Options, messages: Messages) -> None:
    """Reads pairs, compares and writes; reports at the end what was unusual."""
    from textkit.retrieval.comparing import Comparer
    from textkit.serving.stream import staged

    process.take_short_turns()
    if request.pair:
        say_if_file(messages, request.pair, "a text", way="--input tsv")
    check_files(request.files)
    comparer = Comparer(request.model, request.device, request.threads)
    messages.note(f"{comparer.embedder.bundle.folder} on {comparer.load()}")
    report = InputReport()
    blocks = _given(request.pair) if request.pair else _read(request, report)
    stages = [lambda item: (item[0], comparer.cosines(item[1])), lambda item: (len(item[0]), _form(request, *item))]
    work = (found and (found, comparer.encode(found.block.texts, found.others)) for found in blocks)
    try:
        with opened(request, messages, reads=not request.pair) as (out, show):
            # With line buffering, handing single lines from thread to thread costs more than it saves.
            threads = 1 if request.line_buffered or request.pair else comparer.embedder.threads
            pump(staged(work, stages, threads), request, report, out, out.write, show)
            out.flush()
    finally:
        report.say(messages)
        _say(comparer, messages)


def _say(comparer: Comparer, messages: Messages) -> None:
    long, unknown = comparer.counts
    if long:
        limit, done = comparer.embedder.limit, LONG_DONE[comparer.embedder.long]
        messages.warn(f"{_texts(long)} had more than the model's {limit:,} tokens: {done}")
    if unknown:
        messages.warn(f"{_texts(unknown)} held no word that the model knows: the similarity is 0")


def _texts(count: int) -> str:
    return count_of_lines(count).replace("line", "text")


def _given(pair: tuple[str, str]) -> Iterator[Pairs]:
    from textkit.retrieval.pairs import Pairs
    from textkit.streams.columns import Block

    yield Pairs(Block([pair[0]], [{"a": pair[0], "b": pair[1]}]), [pair[1]])


def _read(request: _Options, report: InputReport) -> Iterator[Pairs | None]:
    """The pairs of all files, or of stdin where there are none; None where the input pauses."""
    from textkit.retrieval.pairs import pairs
    from textkit.streams.lines import Reader

    most = 1 if request.line_buffered else _LINES
    skip = request.on_error == "skip"
    for file in request.files or ("-",):
        with Reader(None if file == "-" else file) as reader:
            request.source.opens(reader)
            try:
                for found in pairs(reader, request.kind, request.names, skip, request.delimiter, request.carried):
                    report.skipped += len(found.block.problems)
                    if found.block.problems and not report.first_problem:
                        report.first_problem = found.block.problems[min(found.block.problems)]
                    request.source.records += len(found)
                    for start in range(0, len(found), most):
                        yield found.part(start, min(start + most, len(found)))
                    if not len(found):
                        yield None
            finally:
                report.read(reader, reader.path)
                if request.format == "jsonl":
                    report.renamed = request.carried.renamed


def _form(request: _Options, found: Pairs, cosines: Any) -> bytes:
    """One line per pair."""
    from textkit.streams.records import number, opened

    block = found.block
    blank = [
        at in block.problems or not (one.strip() or other.strip())
        for at, (one, other) in enumerate(zip(block.texts, found.others, strict=True))
    ]
    if request.format == "text":
        shown = ("" if empty else number(value) for empty, value in zip(blank, cosines.tolist(), strict=True))
        return "".join(f"{value}\n" for value in shown).encode()
    key = request.field or SIMILARITY
    return b"".join(
        b"%b%b}\n" % (opened(block, at, key), b"null" if empty else number(value).encode())
        for at, (empty, value) in enumerate(zip(blank, cosines.tolist(), strict=True))
    )
