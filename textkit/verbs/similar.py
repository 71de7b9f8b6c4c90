"""`textkit similar`: lines without near-duplicates. Parses options and writes; textkit.retrieval.duplicates finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from textkit import process
from textkit.cli.filter_options import column_option, delimiter_option, files_argument, format_option
from textkit.cli.filtering import Filter, opened
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
from textkit.errors import TextkitError, UsageError
from textkit.kinds import Real
from textkit.task import Setting

if TYPE_CHECKING:
    import numpy as np

    from textkit.retrieval.duplicates.records import Records

INPUTS = ("lines", "tsv", "csv", "jsonl", "paragraphs")
KEEPS = ("first", "longest")
MODEL = "en-words"
THRESHOLD = 0.9
KEPT = ("file", "line", "duplicates")  # the JSON fields of a record that is kept
DROPPED = ("file", "line", "similarity", "of")  # and of one that is dropped
_AT_ONCE = 4096  # records of a chunk of output


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit similar lines.txt > fewer.txt",
        "textkit similar --duplicates lines.txt     # what is dropped, and for what",
        "textkit similar --threshold 0.8 --report lines.txt > report.jsonl",
        "textkit similar --from report.jsonl --threshold 0.95",
    ),
)
@files_argument
@model_option
@click.option(
    "--threshold",
    type=Number(Setting(Real(0, 1, above=True))),
    metavar="S",
    help=f"How alike a near-duplicate is at least: a cosine above 0, at most 1. Default: {THRESHOLD}.",
)
@click.option("--duplicates", is_flag=True, help="Write what is dropped, with what each is a duplicate of.")
@click.option(
    "--keep",
    type=click.Choice(KEEPS),
    default=KEEPS[0],
    show_default=True,
    help="Which of several near-duplicates is kept.",
)
@click.option("--report", is_flag=True, help="Write every record with those before it that are near to it, as jsonl.")
@click.option(
    "--from", "origin", metavar="REPORT", help="Read a report instead of FILEs, for another --threshold or --keep."
)
@format_option(("text", "jsonl"))
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    callback=promised(),
    help="Write to this file, whole or not at all, instead of stdout (also named -).",
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
def similar(messages: Messages, **options: Any) -> None:
    """Leave out near-duplicates: of records of the FILEs (or of stdin, also named -) that are much alike, one is written.

    Records come out as they came, in their order. One is dropped if it is at least as alike to a record that is kept as the
    threshold says, by the cosine of their vectors. Records are looked at in order, or the longest first (--keep longest); equal
    texts are alike, and blank records all stay. No pair is missed, and nothing depends on the number of threads.

    \b
    text   the records that are kept. With --duplicates those that are dropped: similarity, file:line and text, and file:line
           and text of the record that is kept instead, separated by tabs
    jsonl  the record's own fields, "file", "line" and "duplicates", how many were dropped for it. With --duplicates "file",
           "line", "similarity", and "of", an object with file, line and text

    A report has the similarity of all pairs above its threshold. From it (--from) any higher threshold, and the other --keep,
    are found without the FILEs and without a model. Its first line says how it was made; the others have "record", "file",
    "line", "text", and "near", a list of [record, similarity], or "equal", the record with the same text.

    Without -m the model is en-words, which is fast and looks at words without their order: it finds lines that were copied and
    changed a little. -m en-sentences is slower, and finds what says the same in other words. A FILE may be a folder, and it may
    be compressed (gzip, zstandard).
    """
    run(_Options(**options), messages)


@dataclass(kw_only=True)
class _Options(Filter):
    """The options, checked as far as argv alone shows them."""

    threshold: float | None
    duplicates: bool
    keep: Any
    report: bool
    origin: str | None
    field: str | None = None
    line_buffered: bool = False

    def __post_init__(self) -> None:
        if self.kind == "paragraphs" and (self.column or self.delimiter):
            raise UsageError("--input paragraphs: has no columns")
        super().__post_init__()
        if self.report and (self.duplicates or self.origin or self.form == "text"):
            other = "--duplicates" if self.duplicates else f"--from {self.origin}" if self.origin else "--format text"
            raise UsageError(f"--report: is jsonl that has all records; not with {other}")
        if self.origin is not None and self.files:
            raise UsageError(f"--from {self.origin}: it has the records; no FILE is read")
        if self.origin is not None and (self.model or self.column or self.kind != "lines"):
            raise UsageError(
                f"--from {self.origin}: it says what the records are; no model, --input or --column is used"
            )
        self.format = self.format_of({".jsonl": "jsonl", ".ndjson": "jsonl"}, "jsonl" if self.report else "text")


def run(request: _Options, messages: Messages) -> None:
    """Reads everything, finds what is alike and writes."""
    process.take_short_turns()
    process.own_threads_alone()
    if request.origin is not None:
        check_files([], [request.origin])
        _from_report(request, request.origin, messages)
        return
    from textkit.retrieval.duplicates import finding
    from textkit.retrieval.duplicates.report import written
    from textkit.retrieval.duplicates.vectors import Reading, read

    threshold = THRESHOLD if request.threshold is None else request.threshold
    reading = Reading(
        request.files or ("-",), request.kind, request.column, request.delimiter, request.on_error == "skip",
        every=request.report or request.duplicates, carried=_carried(request),
    )  # fmt: skip
    with opened(request, messages) as (out, show):
        found = read(reading, request.model, MODEL, request.device, request.threads, messages.note, show)
        found.say(messages.note, messages.warn, "alike to equal lines alone")
        if request.report:
            pairs = finding.pairs(found.vectors, threshold, found.threads, lambda done: None)
            for _, data in written(found.records, pairs, threshold, found.model):
                out.write(data)
            return
        order = finding.order_of(found.records.texts, request.keep)
        of, similarity = finding.kept(found.vectors, order, threshold, found.threads, lambda done: None)
        _write(request, found.records, of, similarity, out, messages)


def _carried(request: _Options) -> Any:
    """Names the records' own fields for jsonl; None where records are written as they came."""
    from textkit.streams.fields import Carried

    if request.format != "jsonl" or request.report:
        return None
    return Carried(DROPPED if request.duplicates else KEPT)


def _from_report(request: _Options, path: str, messages: Messages) -> None:
    from textkit.retrieval.duplicates import finding
    from textkit.retrieval.duplicates.report import read

    with opened(request, messages, reads=path == "-") as (out, _):
        report = read(path)
        threshold = report.threshold if request.threshold is None else request.threshold
        if threshold < report.threshold:
            raise TextkitError(
                f"{path}: has the pairs from {report.threshold:g} on; --threshold {threshold:g} needs another --report"
            )
        order = finding.order_of(report.records.texts, request.keep)
        of, similarity = finding.kept_of_pairs(report.found, order, threshold)
        _write(request, report.records, of, similarity, out, messages)


def _write(
    request: _Options, records: Records, of: np.ndarray, similarity: np.ndarray, out: BinaryIO, messages: Messages
) -> None:
    """Writes the records that are kept, or those that are dropped."""
    from textkit.retrieval.duplicates.writing import Writer

    writer = Writer(records, of, similarity)
    messages.note(writer.summary())
    forms: dict[tuple[bool, str], Callable[[int, int], bytes]] = {
        (False, "text"): writer.kept_text,
        (False, "jsonl"): writer.kept_jsonl,
        (True, "text"): writer.dropped_text,
        (True, "jsonl"): writer.dropped_jsonl,
    }
    form = forms[request.duplicates, request.format]
    if not request.duplicates and request.format == "text" and records.header is not None:
        out.write(records.header.encode("utf-8", "replace") + b"\n")
    for start, stop in _chunks(len(records)):
        out.write(form(start, stop))


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, _AT_ONCE):
        yield start, min(start + _AT_ONCE, count)
