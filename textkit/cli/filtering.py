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
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from textkit.cli.filter_options import BINARY, PACKED, TEXT
from textkit.cli.options import Messages
from textkit.cli.progress import Input, shown
from textkit.cli.stdout import STDOUT, protected_stdout
from textkit.cli.typed import check_files, say_if_typed
from textkit.errors import UsageError

if TYPE_CHECKING:
    from textkit.serving.line_model import LineModel
    from textkit.streams.columns import Block
    from textkit.streams.fields import Carried
    from textkit.streams.lines import Reader

SECONDS = 2.0  # the time a window of lines should take: output is written that often, and Ctrl-C loses no more
FEWEST, MOST = 64, 4096  # lines of a window
_NAMED = 10  # the most renamed fields to show


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
    source: Input = dataclasses.field(init=False, default_factory=Input)  # how much has been read, and of how much
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

    def name_fields(self, keys: Sequence[str]) -> None:
        """Sets `carried`. `keys`: the names of the verb's own fields, the first of which --field changes."""
        from textkit.streams.fields import Carried

        if self.field is not None and self.format != "jsonl":
            raise UsageError(f"--field {self.field}: only --format jsonl has fields")
        if self.field in ("", *keys[1:]):
            raise UsageError(f"--field {self.field}: another field has that name")
        self.carried = Carried((self.field or keys[0], *keys[1:]))

    def with_key(self, form: Callable[..., Any]) -> Callable[..., Any]:
        """`form`, made to write the result under the name that --field gives."""
        return form if self.field is None else functools.partial(form, key=self.field)

    def format_of(self, suffixes: Mapping[str, str], default: str = "text") -> str:
        """The output's format: that of --format, otherwise the one `suffixes` has for OUT's suffix, otherwise `default`.

        Raises UsageError for a suffix that stands for no format, and for one that contradicts --format.
        """
        suffix = PurePath(self.output or "").suffix.lower()
        said = suffixes.get(suffix)
        if self.form is not None:
            if said not in (None, self.form) or (suffix == TEXT and self.form in BINARY):
                raise UsageError(f"-o {self.output}: {suffix} is not --format {self.form}; say one or the other")
            return self.form
        if said is None and suffix not in ("", TEXT):
            known = ", ".join((TEXT, *suffixes))
            way = "compress it by a pipe: | gzip > OUT" if suffix in PACKED else "--format takes any name"
            raise UsageError(f"-o {self.output}: {suffix} is no format that this writes; it knows {known}; {way}")
        return said or default


@dataclass
class InputReport:
    """What was unusual about the input, which is reported on stderr at the end."""

    records: int = 0
    skipped: int = 0
    first_problem: str = ""
    renamed: dict[str, str] = dataclasses.field(default_factory=dict)  # input field -> its new name
    # file -> the number of lines with bytes that are invalid in its encoding, and the encoding
    invalid: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)

    def read(self, reader: Reader) -> None:
        """Takes note of a file when its reading ends, at its end or before."""
        if reader.invalid:
            before = self.invalid.get(reader.name, (0, ""))[0]
            self.invalid[reader.name] = before + reader.invalid, reader.encoding

    def say(self, messages: Messages) -> None:
        if self.renamed:
            names = ", ".join(f"{old!r} is {new!r}" for old, new in list(self.renamed.items())[:_NAMED])
            ours = any(new.startswith("source_") for new in self.renamed.values())
            hint = "; --field NAME names the result instead" if ours else ""
            messages.warn(f"fields of the input whose name is taken are renamed: {names}{hint}")
        for name, (count, encoding) in self.invalid.items():
            _say_invalid(messages, name, count, encoding)
        if self.skipped:
            what = "record was" if self.skipped == 1 else "records were"
            messages.warn(
                f"{self.skipped:,} {what} skipped, a null record in the place of each; the first: {self.first_problem}"
            )


@contextmanager
def opened(request: Filter, messages: Messages, reads: bool = True) -> Iterator[tuple[BinaryIO, Callable[[int], None]]]:
    """Opens the output, and gives it with the function that shows the progress.

    stdout is kept for data; a file is written whole or not at all. `reads`: whether input is read; otherwise an argument is
    answered.
    """
    with ExitStack() as stack:
        show = stack.enter_context(_progress(request, messages))  # first, because it checks where stdout leads
        stdout = stack.enter_context(protected_stdout())
        if reads:
            say_if_typed(messages, request.files)
        yield stack.enter_context(_destination(request.output, stdout)), show


def _destination(output: str | None, stdout: BinaryIO) -> AbstractContextManager[BinaryIO]:
    from textkit.streams.output import output_file

    return nullcontext(stdout) if output is None else output_file(output)


def pump(
    results: Iterable[tuple[int, Any] | None], request: Filter, report: InputReport, out: BinaryIO, write: Callable[[Any], Any],
    show: Callable[[int], None],
) -> None:  # fmt: skip
    """Writes each result, (number of records, bytes). None stands for a pause of the input and flushes `out`."""
    for result in results:
        if result is None:
            out.flush()
            continue
        count, data = result
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

    check_files(request.files)
    model = opens()
    messages.note(f"{model.bundle.folder} on {model.session.device}")
    report, form = InputReport(), request.with_key(forms[request.format])
    try:
        with opened(request, messages) as (out, show):
            cut = windows(records(request, report), 1 if request.line_buffered else WINDOW_LINES, WINDOW_CHARACTERS)
            stages = [lambda block: (block, model(block.texts)), lambda item: (len(item[0]), form(*item))]
            pump(staged(cut, stages, threads=1), request, report, out, out.write, show)
            out.flush()
    finally:
        report.say(messages)
        if model.long_lines:
            messages.warn(f"{count_of_lines(model.long_lines)} had more than the model's {model.limit:,} tokens: cut")


class AdaptiveWindow:
    """The number of lines to read ahead: as many as take about SECONDS. More make better batches but delay the output."""

    def __init__(self, lines: int | None) -> None:
        self.fixed = lines is not None
        self.lines = lines or FEWEST

    def took(self, lines: int, seconds: float) -> None:
        if not self.fixed and lines >= self.lines // 2:
            aim = int(SECONDS * lines / max(seconds, 1e-6))
            self.lines = max(FEWEST, min(MOST, aim, 4 * self.lines))

    def joined(self, small: Iterable[Block | None]) -> Iterator[Block | None]:
        """Joins the windows `small` into larger ones; a pause, None, ends one."""
        from textkit.streams.columns import Block

        held: list[Block] = []
        for block in small:
            if block is not None:
                held.append(block)
            if held and (block is None or sum(map(len, held)) >= self.lines):
                yield Block.joined(held)
                held = []
            if block is None:
                yield None
        if held:
            yield Block.joined(held)


def records(request: Filter, report: InputReport) -> Iterator[Block]:
    """The records of all files, or of stdin where there are none."""
    from textkit.streams.columns import records
    from textkit.streams.lines import Reader

    for file in request.files or ("-",):
        with Reader(None if file == "-" else file) as reader:
            request.source.opens(reader)
            try:
                skip = request.on_error == "skip"
                for block in records(reader, request.kind, request.column, skip, request.delimiter, request.carried):
                    if block.problems:
                        report.first_problem = report.first_problem or block.problems[min(block.problems)]
                        report.skipped += len(block.problems)
                    request.source.records += len(block)
                    yield block
            finally:
                report.read(reader)
                if request.format == "jsonl":
                    report.renamed = request.carried.renamed


def typed_lines(messages: Messages) -> Iterator[list[tuple[str, str]]]:
    """The lines of stdin as (line, its place), a list at a time; the list is empty where the input pauses."""
    from textkit.streams.lines import Reader

    say_if_typed(messages)
    with Reader(None) as reader:
        for lines in reader:
            first = reader.lines - len(lines) + 1
            yield [(line, f"line {number}") for number, line in enumerate(lines, first)]
        if reader.invalid:
            _say_invalid(messages, reader.name, reader.invalid, reader.encoding)


def _say_invalid(messages: Messages, name: str, count: int, encoding: str) -> None:
    messages.warn(f"{name}: {count_of_lines(count)} held bytes that are no {encoding}; they became U+FFFD")


def _progress(request: Filter, messages: Messages) -> AbstractContextManager[Callable[[int], None]]:
    """Shows the progress on stderr, where a person sees it and nothing else is shown."""
    if not messages.interactive or _conversation(request):
        return nullcontext(lambda count: None)
    request.source.measure(request.files or ("-",))
    return shown(request.source)


def _conversation(request: Filter) -> bool:
    """Whether lines are typed at a terminal or written to one. With files and -o a terminal shows nothing but the progress."""
    used = (sys.stdin if "-" in (request.files or ("-",)) else None, sys.stdout if request.output is None else None)
    return any(stream is not None and stream.isatty() for stream in used)


def count_of_lines(count: int) -> str:
    return f"{count:,} line" if count == 1 else f"{count:,} lines"
