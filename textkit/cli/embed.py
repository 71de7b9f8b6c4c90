"""`textkit embed`: lines in, vectors out. Parses and writes; textkit.serving works."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from textkit.cli.options import (
    STDOUT,
    Talk,
    device_option,
    line_buffered_option,
    model_option,
    on_error_option,
    protected_stdout,
    talk_options,
    threads_option,
)
from textkit.columns import INPUTS
from textkit.errors import TextkitError, UsageError
from textkit.serving import BATCH_TOKENS

if TYPE_CHECKING:
    from textkit.columns import Block
    from textkit.serving.embedder import Embedder

FORMATS = ("text", "jsonl", "npy", "f32")
SUFFIXES = {".npy": "npy", ".f32": "f32", ".jsonl": "jsonl", ".ndjson": "jsonl"}  # what -o FILE says of the format


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1)
@model_option
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="Of the output. Default: by OUT's suffix, else text."
)
@click.option(
    "-o", "--output", metavar="OUT", help="Write to this file, whole or not at all, instead of stdout (also named -)."
)
@click.option(
    "--pooling", type=click.Choice(["mean", "max", "sif"]), help="How words make a line. Default: the model's."
)
@click.option("--tokens", is_flag=True, help="The vector of each token of a line instead of the line's.")
@click.option("--normalize/--no-normalize", default=None, help="Bring vectors to length 1. Default: the model's.")
@click.option(
    "--input", "kind", type=click.Choice(INPUTS), default="lines", show_default=True, help="What a record is."
)
@click.option("--column", metavar="N|NAME", help="The text's column, by number (then there is no header) or by name.")
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    default=BATCH_TOKENS,
    show_default=True,
    metavar="N",
    help="The largest batch, in tokens, padding and all.",
)
@click.option(
    "--split-long/--cut-long",
    "split",
    default=True,
    show_default=True,
    help="What becomes of a line too long for the model: the mean of its parts, or its beginning.",
)
@device_option
@threads_option
@on_error_option
@line_buffered_option
@talk_options
def embed(talk: Talk, **options: Any) -> None:
    """Turn each line of the FILEs (or of stdin, also named -) into a vector: a line in is a record out, in order.

    \b
    text   numbers with a space between, one line a record (%.5g, as fastText prints them)
    jsonl  the record's own fields and "embedding"; nine digits, which give each f32 back
    npy    what numpy.load reads
    f32    raw little-endian numbers

    A blank line is the zero vector. With --on-error skip a record that cannot be read is one too (in jsonl null), so
    that lines stay aligned. With --tokens, text has on each line `token number number ...` for each token, tabs between
    tokens; jsonl has "tokens", a list of {"token", "embedding"}.

    --input tsv and csv: column 1 without --column; a name reads the first record as the header. jsonl: the field named
    "text" without --column. Files may be compressed (gzip, zstandard).
    """
    run(_Job(**options), talk)


@dataclass
class _Job:
    """The options, checked as far as argv alone shows them."""

    files: tuple[str, ...]
    model: str | None
    form: str | None
    output: str | None
    pooling: str | None
    tokens: bool
    normalize: bool | None
    kind: str
    column: str | None
    batch_tokens: int
    split: bool
    device: str
    threads: int | None
    on_error: str
    line_buffered: bool
    format: str = field(init=False)

    def __post_init__(self) -> None:
        if self.output in STDOUT:
            self.output = None
        suffix = PurePath(self.output or "").suffix.lower()
        self.format = self.form or ("text" if self.tokens else SUFFIXES.get(suffix, "text"))
        if self.tokens and self.format not in ("text", "jsonl"):
            raise UsageError(
                f"--tokens: lines differ in their number of tokens, which --format {self.format} cannot say"
            )
        if self.kind == "lines" and self.column is not None:
            raise UsageError(f"--column {self.column}: lines have no columns; say --input tsv, csv or jsonl")
        if self.kind in ("tsv", "csv") and self.column is not None and self.column.isdecimal() and not int(self.column):
            raise UsageError("--column 0: columns count from 1")
        if self.format in ("npy", "f32") and self.output is None and sys.stdout is not None and sys.stdout.isatty():
            raise UsageError(f"--format {self.format} is not for a terminal: -o FILE or a pipe takes it")

    def embedder(self) -> Embedder:
        from textkit.serving.embedder import Embedder

        return Embedder(
            self.model,
            self.device,
            self.threads,
            self.pooling,
            self.normalize,
            self.batch_tokens,
            "split" if self.split else "cut",
        )


@dataclass
class _Tally:
    """What is said on stderr at the end."""

    records: int = 0
    skipped: int = 0
    first_problem: str = ""
    invalid: dict[str, int] = field(default_factory=dict)  # file -> lines with bytes that are no UTF-8

    def say(self, talk: Talk, embedder: Embedder) -> None:
        for name, count in self.invalid.items():
            talk.warn(f"{name}: {_lines(count)} held bytes that are no UTF-8; they became U+FFFD")
        if self.skipped:
            what = "record was" if self.skipped == 1 else "records were"
            talk.warn(
                f"{self.skipped:,} {what} skipped, a null record in the place of each; the first: {self.first_problem}"
            )
        if embedder.long_lines:
            done = "split, and the parts averaged by length" if embedder.long == "split" else "cut"
            talk.warn(f"{_lines(embedder.long_lines)} had more than the model's {embedder.limit:,} tokens: {done}")


def run(job: _Job, talk: Talk) -> None:
    """Reads, embeds and writes; says at the end what was out of the ordinary."""
    from textkit.lines import check_readable

    # The thread that reads and the one that computes wait for each other's lock; 5 ms at a time would cost a tenth.
    sys.setswitchinterval(0.0005)
    check_readable(file for file in job.files if file != "-")
    embedder = job.embedder()
    device = embedder.session.device  # loads the graph: a damaged model is told of before anything is read
    talk.note(f"{embedder.bundle.folder}: {embedder.dim} dimensions, pooling {embedder.pooling}, on {device}")
    tally = _Tally()
    try:
        with ExitStack() as stack:
            show = stack.enter_context(_progress(talk))  # first: it looks where stdout leads
            stdout = stack.enter_context(protected_stdout())
            out = stack.enter_context(_destination(job.output, stdout))
            _pump(job, embedder, tally, out, show)
    finally:
        tally.say(talk, embedder)


def _destination(output: str | None, stdout: BinaryIO) -> AbstractContextManager[BinaryIO]:
    from textkit.serving.writers import output_file

    return nullcontext(stdout) if output is None else output_file(output)


def _pump(job: _Job, embedder: Embedder, tally: _Tally, out: BinaryIO, show: Callable[[int], None]) -> None:
    """Every record through the model and out."""
    from textkit.serving.stream import staged
    from textkit.serving.writers import Npy

    with Npy(out, embedder.dim) if job.format == "npy" else nullcontext(out) as target:
        # Handing single lines from thread to thread costs more than it saves.
        for result in staged(*_work(job, embedder, tally), threads=1 if job.line_buffered else embedder.threads):
            if result is None:
                out.flush()
                continue
            count, data = result
            target.write(data)
            if job.line_buffered:
                out.flush()
            tally.records += count
            show(tally.records)
        if isinstance(target, Npy):
            target.finish()
    out.flush()


def _work(job: _Job, embedder: Embedder, tally: _Tally) -> tuple[Iterator[Any], list[Callable[[Any], Any]]]:
    """The windows to work on, None where the input pauses, and the stages that make each into (records, bytes)."""
    from textkit.serving.stream import WINDOW_CHARACTERS, WINDOW_LINES, windows
    from textkit.serving.writers import FORMATTERS, TOKEN_FORMATTERS

    blocks = _records(job, tally)
    lines = 1 if job.line_buffered else WINDOW_LINES
    if job.tokens:  # their vectors take as many times more room as a line has tokens
        write = TOKEN_FORMATTERS[job.format]
        cut = windows(blocks, lines, WINDOW_CHARACTERS // 64)
        return cut, [lambda block: (len(block), write(block, embedder.tokens(block.texts)))]
    form = FORMATTERS[job.format]
    cut = windows(blocks, lines, WINDOW_CHARACTERS)
    return (block and (block, embedder.encode(block.texts)) for block in cut), [
        lambda item: (item[0], embedder.vectors(item[1])),
        lambda item: (len(item[0]), form(*item)),
    ]


def _records(job: _Job, tally: _Tally) -> Iterator[Block]:
    """The records of all files, stdin where there are none."""
    from textkit.columns import records
    from textkit.lines import Reader

    for file in job.files or ("-",):
        if file == "-" and sys.stdin is None:
            raise TextkitError("stdin is closed")
        with Reader(None if file == "-" else file) as reader:
            try:
                for block in records(reader, job.kind, job.column, job.on_error == "skip"):
                    if block.problems:
                        tally.first_problem = tally.first_problem or block.problems[min(block.problems)]
                        tally.skipped += len(block.problems)
                    yield block
            finally:
                if reader.invalid:
                    tally.invalid[reader.name] = tally.invalid.get(reader.name, 0) + reader.invalid


@contextmanager
def _progress(talk: Talk) -> Iterator[Callable[[int], None]]:
    """Shows lines and lines/s on stderr from the second second on, where a person sees it and nothing else happens."""
    if not talk.interactive or _conversation():
        yield lambda count: None
        return
    begun = time.monotonic()
    display: Any = None

    def show(count: int) -> None:
        nonlocal display
        seconds = time.monotonic() - begun
        if seconds < 1:
            return
        if display is None:
            from rich.console import Console
            from rich.status import Status

            display = Status("", console=Console(stderr=True))
            display.start()
        display.update(f"{count:,} lines, {count / seconds:,.0f} lines/s")

    try:
        yield show
    finally:
        if display is not None:
            display.stop()


def _conversation() -> bool:
    """Whether lines are typed at a terminal or written to one."""
    return any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _lines(count: int) -> str:
    return f"{count:,} line" if count == 1 else f"{count:,} lines"
