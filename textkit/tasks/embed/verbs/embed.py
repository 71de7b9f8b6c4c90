"""`textkit embed`: lines in, vectors out. Parses options and writes results; textkit.serving does the work."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from textkit import process
from textkit.cli.arrow_records import tables_to
from textkit.cli.filter_options import ARROW, ARROW_SUFFIXES, JSONL, FilterVerb, filter_options, reading_options
from textkit.cli.filtering import Answering, Filter, answer, pump, records
from textkit.cli.input_report import InputReport, count_of_lines
from textkit.cli.options import Messages, answering_options
from textkit.cli.parts_options import parts_options
from textkit.cli.setting_options import options_of
from textkit.cli.verb import examples
from textkit.errors import UsageError
from textkit.serving import BATCH_TOKENS, LONG_DONE
from textkit.tasks.embed.task import EMBEDDED, QUERY, SIDES, TASK, TOKENS, Side

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder

FORMATS = ("text", "jsonl", "npy", "f32", *ARROW)
SUFFIXES = JSONL | ARROW_SUFFIXES | {".npy": "npy", ".f32": "f32"}  # the format that the suffix of -o FILE implies

_option = options_of(TASK, {})


@click.command(
    cls=FilterVerb,
    epilog=examples(
        "echo 'The cat sat on the mat.' | textkit embed",
        "textkit embed lines.txt -o vectors.npy                 # for numpy.load",
        "textkit embed --input csv --column title books.csv -o books.jsonl",
        "tail -f chat.log | textkit embed --normalize",
    ),
)
@filter_options(FORMATS)
@_option("pooling")
@click.option("--tokens", is_flag=True, help="Write the vector of each token instead of one per line.")
@_option("normalize", negated=True)
@click.option(
    "--side",
    type=click.Choice(SIDES),
    default=SIDES[0],
    show_default=True,
    help="What the lines are, for a model that embeds queries and the documents that answer them differently.",
)
@reading_options
@parts_options
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"The largest batch, in tokens, including padding. Default: {BATCH_TOKENS}; on a GPU it is found by trying.",
)
@click.option(
    "--split-long/--cut-long",
    "split",
    default=None,
    help="For a line too long for the model: average its parts, or use only its beginning. Default: as the model says; "
    "if it says nothing, its parts are averaged.",
)
@answering_options
def embed(messages: Messages, **options: Any) -> None:
    """Turn each line of the FILEs (or of stdin, also named -) into a vector: one record out for each line in, in order.

    \b
    text   numbers separated by spaces, one line per record (%.5g, as fastText prints them)
    jsonl  the record's own fields and "embedding"; nine digits, enough to restore each f32 exactly
    npy    what numpy.load reads
    parquet, arrow  the input's columns and "embedding", a list of fixed size
    f32    raw little-endian numbers

    A line's vector is the mean of its words' vectors, their maximum, their mean weighted by rarity (sif), or what fastText's
    print-sentence-vectors gives; with --pooling model it is what the model itself makes of them, if it was made so. A blank
    line gives the zero vector. With --on-error skip, a record that cannot be read
    gives one too (in jsonl null), so that lines stay aligned. With --tokens, each line of text has `token number number
    ...` for each token, with tabs between tokens; jsonl has "tokens", a list of {"token", "embedding"}.
    """
    process.take_short_turns()
    answer(_Options(**options), messages, opens)


@dataclass(kw_only=True)
class _Options(Filter):
    """The options, checked as far as argv alone allows."""

    pooling: str | None
    tokens: bool
    normalize: bool | None
    side: Side
    batch_tokens: int | None
    split: bool | None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.format = self.format_of(SUFFIXES)
        self.name_fields(TOKENS if self.tokens else EMBEDDED)
        if self.tokens and self.pooling is not None:
            raise UsageError(f"--pooling {self.pooling}: has no effect with --tokens, which pools nothing")
        if self.tokens and self.format in ("npy", "f32"):
            raise UsageError(
                f"--tokens: lines differ in their number of tokens, which --format {self.format} cannot say"
            )

    def embedder(self) -> Embedder:
        from textkit.tasks.embed.serving.embedder import Embedder

        return Embedder(
            self.model,
            self.device,
            self.threads,
            self.pooling,
            self.normalize,
            self.batch_tokens,
            None if self.split is None else "split" if self.split else "cut",
            self.side,
        )


def _say(embedder: Embedder, messages: Messages) -> None:
    if embedder.long_lines:
        lines = count_of_lines(embedder.long_lines)
        messages.warn(f"{lines} had more than the model's {embedder.limit:,} tokens: {LONG_DONE[embedder.long]}")
    if embedder.unknown_lines:
        zero = "is the zero vector" if embedder.unknown_lines == 1 else "are zero vectors"
        messages.warn(f"{count_of_lines(embedder.unknown_lines)} held no word that the model knows, and {zero}")


def opens(request: _Options, messages: Messages) -> Answering:
    """Loads the model, so that a damaged one is reported before anything is read."""
    embedder = request.embedder()
    device = embedder.session.where
    side = f", the side of a {embedder.side}" if embedder.two_sided else ""
    messages.note(f"{embedder.bundle.folder}: {embedder.dim} dimensions, pooling {embedder.pooling}{side}, on {device}")
    if embedder.side == QUERY and not embedder.two_sided:
        messages.note(f"--side {QUERY}: {embedder.bundle.manifest.name} embeds queries as it embeds documents")
    return Answering(
        functools.partial(_pump, embedder),
        embedder.bundle.folder,
        lambda: embedder.session.device,
        lambda: _say(embedder, messages),
        lambda: {"long": embedder.long_lines, "unknown": embedder.unknown_lines},
    )


def _pump(
    embedder: Embedder, request: _Options, report: InputReport, out: BinaryIO, show: Callable[[int], None]
) -> None:
    """Put every record through the model and write the result."""
    from textkit.serving.stream import staged
    from textkit.tasks.embed.serving.writers import Npy

    with (
        tables_to(request, out) as put,
        Npy(out, embedder.dim) if request.format == "npy" else nullcontext(put) as target,
    ):
        # With line buffering, handing single lines from thread to thread costs more than it saves.
        results = staged(*_work(request, embedder, report), threads=1 if request.line_buffered else embedder.threads)
        pump(results, request, report, put, target.write, show)


def _work(
    request: _Options, embedder: Embedder, report: InputReport
) -> tuple[Iterator[Any], list[Callable[[Any], Any]]]:
    """The windows to work on (None where the input pauses), and the stages that turn each into (records, bytes)."""
    from textkit.serving.stream import WINDOW_CHARACTERS, WINDOW_LINES, windows
    from textkit.tasks.embed.serving.writers import FORMATTERS, TOKEN_FORMATTERS, table_of

    blocks = records(request, report)
    lines = 1 if request.line_buffered else WINDOW_LINES
    if request.tokens:  # a line then takes as many vectors as it has tokens, hence smaller windows
        write = (
            _token_tables(request) if request.format in ARROW else request.with_key(TOKEN_FORMATTERS[request.format])
        )
        cut = windows(blocks, lines, WINDOW_CHARACTERS // 64)
        return cut, [lambda block: (len(block), write(block, embedder.tokens(block.texts)))]
    form = request.with_key(table_of if request.format in ARROW else FORMATTERS[request.format])
    cut = windows(blocks, lines, WINDOW_CHARACTERS)
    return (block and (block, embedder.encode(block.texts)) for block in cut), [
        lambda item: (item[0], embedder.vectors(item[1])),
        lambda item: (len(item[0]), form(*item)),
    ]


def _token_tables(request: _Options) -> Callable[..., Any]:
    from textkit.streams.arrow_output import from_json
    from textkit.tasks.embed.serving.writers import TOKEN_FORMATTERS

    return from_json(
        TOKEN_FORMATTERS["jsonl"], {"tokens": [{"token": "string", "embedding": ["float"]}]}, request.field
    )
