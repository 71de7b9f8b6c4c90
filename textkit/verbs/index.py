"""`textkit index`: makes an index of files for `textkit search`, or brings one up to date; textkit.retrieval does it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textkit import process
from textkit.cli.filter_options import column_option, delimiter_option
from textkit.cli.options import (
    Messages,
    device_option,
    encoding_option,
    message_options,
    model_option,
    threads_option,
)
from textkit.cli.progress import Input, shown
from textkit.cli.stdout import protected_stdout
from textkit.cli.typed import say_if_typed
from textkit.cli.verb import Verb, examples
from textkit.errors import TextkitError, UsageError

if TYPE_CHECKING:
    from textkit.retrieval.indexing import Report
    from textkit.retrieval.updating import Update

INPUTS = ("lines", "tsv", "csv", "jsonl", "paragraphs")  # what a passage of a file may be
WATCH = 1.0  # seconds between two looks at the files
_TRIES = 3  # looks in a row that fail, after which the following ends

passage_option = click.option(
    "--input",
    "kind",
    type=click.Choice(INPUTS),
    metavar="KIND",
    help="What a passage is: lines (the default), tsv, csv, jsonl or paragraphs.",
)


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit index notes/ -o notes.idx          # and again when notes have changed",
        "textkit index --input paragraphs book.txt -o book.idx",
        "textkit index --input jsonl --column body *.jsonl.gz -o mails.idx",
        "textkit index --follow-files /var/log/app.log -o log.idx",
    ),
)
@click.argument("files", metavar="[FILE|FOLDER|-]...", nargs=-1)
@click.option(
    "-o", "--output", "folder", metavar="INDEX", required=True, help="The index, a folder; files are added to it."
)
@model_option
@passage_option
@column_option
@delimiter_option
@click.option("--exact", is_flag=True, help="Make no graphs: search every passage, however many there are.")
@click.option(
    "--follow-files", is_flag=True, help="Go on until Ctrl-C: look at the files every second, as tail -F does."
)
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="What to do about a record that cannot be read.",
)
@device_option
@threads_option
@encoding_option
@message_options
def index(
    files: tuple[str, ...],
    folder: str,
    follow_files: bool,
    on_error: str,
    messages: Messages,
    **options: Any,
) -> None:
    """Make an index of FILEs, which `textkit search` searches by meaning and by words, or bring one up to date.

    A FOLDER stands for the files in it and in its folders. Hidden files, links and binaries are left out. '-' is stdin, whose
    lines are added each time. Files may be compressed (gzip, zstandard). Without a FILE, the files that INDEX has been given
    before are read again.

    What changed is found by the hash of each file. A file that has not changed is not read into the index again, one that
    grew is read on from where it ended, and any other change replaces what INDEX had of it. What is gone from a FOLDER is
    taken out. INDEX holds the texts, so that a search agrees with itself while files change.

    What is done is committed every few seconds. After Ctrl-C or a crash the same command does the rest. One process writes;
    a second one waits. A search may go on meanwhile, and sees the last commit.

    --input paragraphs takes what stands between blank lines as one passage. A long one is cut at the ends of sentences, into
    passages that overlap. Lines of more than 4,000 characters are cut so as well. tsv, csv and jsonl keep the other fields
    of a record, and search --format jsonl gives them back.

    Beyond a million passages, graphs (HNSW, by usearch) are made at the end, half a million passages at a time; until then,
    and with --exact, each search looks at all of them. They need the package usearch (pip install 'textkit-onnx[search]').
    """
    from textkit.retrieval.passages import check_columns
    from textkit.retrieval.updating import Update, Wanted

    if follow_files and "-" in files:
        raise UsageError("--follow-files: stdin cannot be followed; without the option it is read until it ends")
    delimiter = options["delimiter"] and options["delimiter"].replace("\\t", "\t")
    check_columns(options["kind"], options["column"], delimiter)
    process.take_short_turns()
    say_if_typed(messages, files or ("",))
    wanted = Wanted(
        options["model"], options["kind"], options["column"], delimiter,
        on_error == "skip", options["device"], options["threads"], exact=options["exact"],
    )  # fmt: skip
    update = Update(
        Path(folder), wanted, messages.note,
        lambda: messages.hint(f"{folder}: another process writes to it; waiting until it ends"),
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(protected_stdout())
        if messages.interactive:
            update.show = stack.enter_context(shown(Input()))
        try:
            _refresh(update, files or None, messages)
            if follow_files:
                _follow(update, messages)
        except (KeyboardInterrupt, SystemExit) as error:
            if not follow_files:
                error.add_note(f"{folder} holds what was done; the same command does the rest")
            raise


def _refresh(update: Update, names: tuple[str, ...] | None, messages: Messages, told: bool = True) -> None:
    from textkit.streams.lines import check_readable

    if names:
        check_readable(name for name in names if name != "-" and not Path(name).is_dir())
    report, rows = update.run(names)
    say(report, messages)
    if told or report.added or report.gone:
        messages.note(
            f"{update.folder}: {rows:,} passages; {report.passages:,} of them new, of {report.added:,} files "
            f"({report.changed:,} had changed); {report.same:,} files as they were, {report.gone:,} gone"
        )


def say(report: Report, messages: Messages) -> None:
    """Says what was unusual about the files."""
    for line in report.survey.notes():
        messages.note(line)
    for line in report.survey.warnings():
        messages.warn(line)
    for name in report.torn:
        messages.warn(f"{name}: changed while it was read; the same command reads it again")
    for name in report.missing:
        messages.warn(f"{name}: is no longer there; what the index had of it is taken out")


def _follow(update: Update, messages: Messages) -> None:
    """Brings the index up to date whenever a file changes, until a signal comes."""
    from textkit.retrieval.following import state

    before = None  # a change that came while the first reading went on was not seen yet
    failed = 0
    while True:
        time.sleep(WATCH)
        try:
            now = state(update.folder)  # before the files are read, so that a later change is another one
            if now != before:
                _refresh(update, None, messages, told=False)
            before, failed = now, 0
        except TextkitError:  # a file that went away while it was read; what lasts is no accident
            before, failed = None, failed + 1
            if failed == _TRIES:
                raise
