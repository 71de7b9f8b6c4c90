"""What filter verbs share: they read records from files or stdin, write bytes in the same order and report what was unusual.

A filter of a new task needs three groups of options, a Filter, and `answer_lines`. Knows no model and no verb; light to import.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from textkit.cli.arrow_records import all_files, or_nothing, settle_columns, table_records, with_columns
from textkit.cli.filter_options import ARROW, BINARY, format_of
from textkit.cli.input_report import InputReport, count_of_lines
from textkit.cli.options import Messages
from textkit.cli.parts_options import check_engine, check_parts
from textkit.cli.progress import Input, shown
from textkit.cli.stdout import STDOUT, protected_stdout
from textkit.cli.typed import check_files, say_if_typed
from textkit.errors import UsageError
from textkit.reference import load

if TYPE_CHECKING:
    from textkit.serving.line_model import LineModel
    from textkit.streams.columns import Block
    from textkit.streams.fields import Carried
    from textkit.streams.span import Span


@dataclass(kw_only=True)
class Filter:
    """The options of any filter, checked as far as argv alone shows them."""

    files: tuple[str, ...]
    model: str | None
    form: str | None
    output: str | None
    kind: str
    column: str | None
    delimiter: str | None
    field: str | None
    on_error: str
    device: str
    threads: int | None
    line_buffered: bool
    # Many machines: see parts_options. Given any of them, `output` is a folder.
    parts: int | None = None
    part_size: int | None = None
    shard: tuple[int, int] | None = None
    resume: bool = False
    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    # The pieces of files that are one part, and how many records precede it; None: all of `files`.
    spans: Sequence[Span] | None = dataclasses.field(init=False, default=None)
    first: int = dataclasses.field(init=False, default=0)
    also: Callable[[bytes], object] | None = dataclasses.field(init=False, default=None)  # is given all bytes read
    source: Input = dataclasses.field(init=False, default_factory=Input)  # how much has been read, and of how much
    table: Any = dataclasses.field(init=False, default=None)  # the columns of all tables, as soon as they are known
    rowless: bool = dataclasses.field(init=False, default=False)  # whether what is answered is no record: or_nothing
    format: str = dataclasses.field(init=False)  # of the output; each verb sets it, with `format_of`
    carried: Carried = dataclasses.field(init=False)  # names the records' own fields; set by `name_fields`

    def __post_init__(self) -> None:
        if self.output in STDOUT:
            self.output = None
        if self.kind == "lines" and self.column is not None:
            raise UsageError(f"--column {self.column}: lines have no columns; say --input tsv, csv or jsonl")
        if self.kind in ("tsv", "csv") and self.column is not None and self.column.isdecimal() and not int(self.column):
            raise UsageError("--column 0: columns count from 1")
        if self.delimiter is not None:
            self.delimiter = self.delimiter.replace("\\t", "\t")
            if self.kind not in ("tsv", "csv"):
                raise UsageError(f"--delimiter: {self.kind} have no columns; say --input csv or tsv")
            if not self.delimiter or "\n" in self.delimiter:
                raise UsageError("--delimiter: is empty or a line end")
            if self.kind == "csv" and (len(self.delimiter) > 1 or self.delimiter in '"\r'):
                raise UsageError(f"--delimiter {self.delimiter}: of csv it is one character, and no quote")
        check_engine(self, self.own_workers)
        if self.in_parts:
            check_parts(self)

    own_workers = False  # whether --workers means something without --engine, too

    @property
    def in_parts(self) -> bool:
        """Whether the output is a folder of parts."""
        return bool(self.parts or self.part_size or self.shard or self.resume or self.engine != "local")

    @property
    def numbered(self) -> bool:
        """Whether what is written depends on how many records precede a record. They are then counted beforehand."""
        # "error": "FILE:LINE: ..."
        names_lines = self.kind != "lines" and self.on_error == "skip" and self.format == "jsonl"
        return names_lines or self.in_step

    @property
    def in_step(self) -> bool:
        """Whether answers depend on how many records of all files precede theirs, so that none may be missing."""
        return False

    def check_records(self, count: int) -> None:
        """Raises TextkitError where the input cannot have `count` records. Asked only where they are `numbered`."""

    @property
    def files_read(self) -> Mapping[str, str]:
        """Files besides the input whose content the output depends on, by their option."""
        return {}

    def name_fields(self, keys: Sequence[str]) -> None:
        """Sets `carried`. `keys`: the names of the verb's own fields, the first of which --field changes."""
        from textkit.streams.fields import Carried

        if self.field is not None and self.format != "jsonl" and self.format not in ARROW:
            raise UsageError(f"--field {self.field}: only --format jsonl has fields")
        if self.format in BINARY and self.output is None and sys.stdout is not None and sys.stdout.isatty():
            raise UsageError(f"--format {self.format} is not for a terminal: -o FILE or a pipe takes it")
        if self.field in ("", *keys[1:]):
            raise UsageError(f"--field {self.field}: another field has that name")
        self.carried = Carried((self.field or keys[0], *keys[1:]))

    def with_key(self, form: Callable[..., Any]) -> Callable[..., Any]:
        """`form`, made to write the result under the name that --field gives."""
        return form if self.field is None else functools.partial(form, key=self.field)

    def format_of(self, suffixes: Mapping[str, str], default: str = "text") -> str:
        """The output's format, as filter_options.format_of finds it. Raises UsageError."""
        return format_of(self.output, self.form, suffixes, default)


@dataclass
class Answering:
    """A model that is ready to answer records, as a verb uses it.

    `write(request, report, out, show)` reads the records of `request` (`records`), writes the answers to `out`, and tells
    `show` how many there are. It may be called many times, once for each part. `folder` and `device`: the model's; the folder
    is None if the input is still to decide which model it is. `say` reports at the end what was unusual; `counts` gives the
    numbers of which it does so, by name.
    """

    write: Callable[[Any, InputReport, BinaryIO, Callable[[int], None]], None]
    folder: Path | None
    device: Callable[[], str]
    say: Callable[[], None] = lambda: None
    counts: Callable[[], Mapping[str, int]] = dict


def answer(request: Filter, messages: Messages, opens: Callable[[Any, Messages], Answering]) -> None:
    """Runs a filter: reads, answers and writes, all at once or in parts, and reports what was unusual.

    `opens(request, messages)` loads the model, so that a damaged one is reported before anything is read.
    """
    if request.in_parts:
        load("textkit.cli.parted:answer_parts")(request, messages, opens)  # by name: it stands on this module
        return
    request.files = all_files(request.files) if request.kind in ARROW else request.files  # a folder is a table, too
    check_files(request.files)
    settle_columns(request)
    answering = opens(request, messages)
    report = InputReport()
    try:
        with opened(request, messages) as (out, show):
            answering.write(request, report, out, show)
            out.flush()
    finally:
        report.say(messages)
        answering.say()


@contextmanager
def opened(request: Filter, messages: Messages, reads: bool = True) -> Iterator[tuple[BinaryIO, Callable[[int], None]]]:
    """Opens the output, and gives it with the function that shows the progress.

    stdout is kept for data; a file is written whole or not at all. `reads`: whether input is read; otherwise an argument is
    answered.
    """
    from textkit.streams.output import output_file

    with ExitStack() as stack:
        show = stack.enter_context(_progress(request, messages))  # first, because it checks where stdout leads
        stdout = stack.enter_context(protected_stdout())
        if reads:
            say_if_typed(messages, request.files)
        yield stdout if request.output is None else stack.enter_context(output_file(request.output)), show


@contextmanager
def surrounded(request: Filter, messages: Messages) -> Iterator[Callable[[int], None]]:
    """The same for a filter whose output is a folder: gives the function that shows the progress alone."""
    with _progress(request, messages) as show, protected_stdout():
        yield show


def pump(
    results: Iterable[tuple[int, Any] | None], request: Filter, report: InputReport, out: BinaryIO, write: Callable[[Any], Any],
    show: Callable[[int], None],
) -> None:  # fmt: skip
    """Writes each result, (number of records, bytes). None stands for a pause of the input and flushes `out`."""
    for result in results:
        if result is None:
            out.flush()
            continue
        count, data = (0, result[1].slice(0, 0)) if request.rowless else result
        write(data)
        if request.line_buffered:
            out.flush()
        report.records += count
        show(report.records)


def answer_lines(
    request: Filter,
    messages: Messages,
    opens: Callable[[], LineModel],
    forms: Mapping[str, Callable[[Block, Any], bytes]],
) -> None:
    """Runs a filter whose model answers line by line: reads, answers, writes, and reports what was unusual.

    `opens` loads the model, before anything is read. `forms`: format -> a function that turns a block of records and the
    answers to its texts into bytes, one line per record.
    """
    from textkit.serving.stream import WINDOW_CHARACTERS, WINDOW_LINES, staged, windows

    def loaded(request: Filter, messages: Messages) -> Answering:
        model = opens()
        messages.note(f"{model.bundle.folder} on {model.session.where}")

        def write(request: Filter, report: InputReport, out: BinaryIO, show: Callable[[int], None]) -> None:
            form = request.with_key(forms[request.format])
            cut = windows(records(request, report), 1 if request.line_buffered else WINDOW_LINES, WINDOW_CHARACTERS)
            stages = [lambda block: (block, model(block.texts)), lambda item: (len(item[0]), form(*item))]
            pump(staged(cut, stages, threads=1), request, report, out, out.write, show)

        def say() -> None:
            if model.long_lines:
                messages.warn(
                    f"{count_of_lines(model.long_lines)} had more than the model's {model.limit:,} tokens: cut"
                )

        return Answering(
            write, model.bundle.folder, lambda: model.session.device, say, lambda: {"long": model.long_lines}
        )

    answer(request, messages, loaded)


def records(request: Filter, report: InputReport) -> Iterator[Block]:
    """The records of all files, or of stdin where there are none."""
    found = table_records(request, report) if request.kind in ARROW else _records(request, report)
    return or_nothing(request, found) if request.format in ARROW else found


def _records(request: Filter, report: InputReport) -> Iterator[Block]:
    from textkit.streams.columns import records
    from textkit.streams.lines import Reader
    from textkit.streams.span import Span

    typed = request.format in ARROW and request.kind != "lines"
    pieces = request.files or ("-",) if request.spans is None else request.spans
    for piece in pieces:
        with Reader.of(piece) if isinstance(piece, Span) else Reader(None if piece == "-" else piece) as reader:
            reader.also = request.also
            request.source.opens(reader)
            try:
                skip = request.on_error == "skip"
                found = records(reader, request.kind, request.column, skip, request.delimiter, request.carried)
                for block in with_columns(request, reader, found) if typed else found:
                    if block.problems:
                        report.first_problem = report.first_problem or block.problems[min(block.problems)]
                        report.skipped += len(block.problems)
                    request.source.records += len(block)
                    yield block
            finally:
                report.read(reader, reader.path)
                if request.format == "jsonl" or typed:
                    report.renamed = request.carried.renamed


def _progress(request: Filter, messages: Messages) -> AbstractContextManager[Callable[[int], None]]:
    """Shows the progress on stderr, where a person sees it and nothing else is shown."""
    if not messages.interactive or _conversation(request):
        return nullcontext(lambda count: None)
    if not request.in_parts:
        request.source.measure(request.files or ("-",))
    return shown(request.source)


def _conversation(request: Filter) -> bool:
    """Whether lines are typed at a terminal or written to one. With files and -o a terminal shows nothing but the progress."""
    used = (sys.stdin if "-" in (request.files or ("-",)) else None, sys.stdout if request.output is None else None)
    return any(stream is not None and stream.isatty() for stream in used)
