"""`textkit embed`: lines in, vectors out. Parses and writes; textkit.serving works."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from textkit.cli.filter_options import JSONL, FilterVerb, filter_options, reading_options, split_option
from textkit.cli.filtering import Filter, InputReport, count_of_lines, opened, pump, records
from textkit.cli.options import Messages, answering_options
from textkit.cli.setting_options import setting_option
from textkit.cli.typed import check_files
from textkit.cli.verb import examples
from textkit.errors import UsageError
from textkit.serving import BATCH_TOKENS
from textkit.tasks.embed.task import EMBEDDED, TASK, TOKENS

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder

FORMATS = ("text", "jsonl", "npy", "f32")
SUFFIXES = JSONL | {".npy": "npy", ".f32": "f32"}  # what -o FILE says of the format


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
@setting_option("pooling", TASK.settings["pooling"], model="en-words")
@click.option("--tokens", is_flag=True, help="The vector of each token of a line instead of the line's.")
@setting_option("normalize", TASK.settings["normalize"], model="en-words", negated=True)
@reading_options
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    default=BATCH_TOKENS,
    show_default=True,
    metavar="N",
    help="The largest batch, in tokens, padding and all.",
)
@split_option("What becomes of a line too long for the model: the mean of its parts, or its beginning.")
@answering_options
def embed(messages: Messages, **options: Any) -> None:
    """Turn each line of the FILEs (or of stdin, also named -) into a vector: a line in is a record out, in order.

    \b
    text   numbers with a space between, one line a record (%.5g, as fastText prints them)
    jsonl  the record's own fields and "embedding"; nine digits, which give each f32 back
    npy    what numpy.load reads
    f32    raw little-endian numbers

    Words make a line as their mean, their maximum, their mean by rarity (sif), or as fastText's print-sentence-vectors has
    it. A blank line is the zero vector. With --on-error skip a record that cannot be read is one too (in jsonl null), so
    that lines stay aligned. With --tokens, text has on each line `token number number ...` for each token, tabs between
    tokens; jsonl has "tokens", a list of {"token", "embedding"}.
    """
    run(_Options(**options), messages)


@dataclass(kw_only=True)
class _Options(Filter):
    """The options, checked as far as argv alone shows them."""

    pooling: str | None
    tokens: bool
    normalize: bool | None
    batch_tokens: int
    split: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self.format = self.format_of(SUFFIXES)
        self.name_fields(TOKENS if self.tokens else EMBEDDED)
        if self.tokens and self.pooling is not None:
            raise UsageError(f"--pooling {self.pooling}: has no effect with --tokens, which pools nothing")
        if self.tokens and self.format not in ("text", "jsonl"):
            raise UsageError(
                f"--tokens: lines differ in their number of tokens, which --format {self.format} cannot say"
            )
        if self.format in ("npy", "f32") and self.output is None and sys.stdout is not None and sys.stdout.isatty():
            raise UsageError(f"--format {self.format} is not for a terminal: -o FILE or a pipe takes it")

    def embedder(self) -> Embedder:
        from textkit.tasks.embed.serving.embedder import Embedder

        return Embedder(
            self.model,
            self.device,
            self.threads,
            self.pooling,
            self.normalize,
            self.batch_tokens,
            "split" if self.split else "cut",
        )


def _say(report: InputReport, messages: Messages, embedder: Embedder) -> None:
    report.say(messages)
    if embedder.long_lines:
        done = "split, and the parts averaged by length" if embedder.long == "split" else "cut"
        messages.warn(
            f"{count_of_lines(embedder.long_lines)} had more than the model's {embedder.limit:,} tokens: {done}"
        )
    if embedder.unknown_lines:
        zero = "is the zero vector" if embedder.unknown_lines == 1 else "are zero vectors"
        messages.warn(f"{count_of_lines(embedder.unknown_lines)} held no word that the model knows, and {zero}")


def run(job: _Options, messages: Messages) -> None:
    """Reads, embeds and writes; says at the end what was out of the ordinary."""

    # The thread that reads and the one that computes wait for each other's lock; 5 ms at a time would cost a tenth.
    sys.setswitchinterval(0.0005)
    check_files(job.files)
    embedder = job.embedder()
    device = embedder.session.device  # loads the graph: a damaged model is told of before anything is read
    messages.note(f"{embedder.bundle.folder}: {embedder.dim} dimensions, pooling {embedder.pooling}, on {device}")
    report = InputReport()
    try:
        with opened(job, messages) as (out, show):
            _pump(job, embedder, report, out, show)
    finally:
        _say(report, messages, embedder)


def _pump(job: _Options, embedder: Embedder, report: InputReport, out: BinaryIO, show: Callable[[int], None]) -> None:
    """Every record through the model and out."""
    from textkit.serving.stream import staged
    from textkit.tasks.embed.serving.writers import Npy

    with Npy(out, embedder.dim) if job.format == "npy" else nullcontext(out) as target:
        # Handing single lines from thread to thread costs more than it saves.
        results = staged(*_work(job, embedder, report), threads=1 if job.line_buffered else embedder.threads)
        pump(results, job, report, out, target.write, show)
    out.flush()


def _work(job: _Options, embedder: Embedder, report: InputReport) -> tuple[Iterator[Any], list[Callable[[Any], Any]]]:
    """The windows to work on, None where the input pauses, and the stages that make each into (records, bytes)."""
    from textkit.serving.stream import WINDOW_CHARACTERS, WINDOW_LINES, windows
    from textkit.tasks.embed.serving.writers import FORMATTERS, TOKEN_FORMATTERS

    blocks = records(job, report)
    lines = 1 if job.line_buffered else WINDOW_LINES
    if job.tokens:  # their vectors take as many times more room as a line has tokens
        write = job.with_key(TOKEN_FORMATTERS[job.format])
        cut = windows(blocks, lines, WINDOW_CHARACTERS // 64)
        return cut, [lambda block: (len(block), write(block, embedder.tokens(block.texts)))]
    form = job.with_key(FORMATTERS[job.format])
    cut = windows(blocks, lines, WINDOW_CHARACTERS)
    return (block and (block, embedder.encode(block.texts)) for block in cut), [
        lambda item: (item[0], embedder.vectors(item[1])),
        lambda item: (len(item[0]), form(*item)),
    ]
