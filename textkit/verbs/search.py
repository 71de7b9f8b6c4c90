"""`textkit search`: finds lines by meaning and by words, in an index or in plain files; textkit.retrieval does it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

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
from textkit.cli.setting_options import Number
from textkit.cli.stdout import protected_stdout
from textkit.cli.typed import say_if_typed
from textkit.cli.verb import Verb, examples
from textkit.errors import TextkitError, UsageError, one_line
from textkit.kinds import Real
from textkit.task import Setting
from textkit.verbs.index import passage_option, say

if TYPE_CHECKING:
    from textkit.retrieval.hits import Hit, Mode
    from textkit.retrieval.index import Index

K = 10  # hits, where only the best are asked for
_AT_ONCE = 1024  # queries
_FORMATS = ("text", "tsv", "jsonl")


class Trouble(TextkitError):
    """Something went wrong: 2, as grep has it, because 1 says that nothing was found."""

    exit_code = 2


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit search 'money back' notes/*.txt",
        "textkit search 'how are models kept small' book.idx",
        "textkit search -q 'the disk is full' app.log && echo full",
        "textkit search --queries questions.txt --format jsonl book.idx > answers.jsonl",
        "textkit search --hybrid --explain 'error E1042' log.idx",
    ),
)
@click.argument("words", metavar="QUERY [INDEX|FILE|FOLDER|-]...", nargs=-1)
@click.option("--queries", metavar="FILE", help="Search for each line of FILE ('-': stdin) instead of QUERY.")
@click.option(
    "-k", type=click.IntRange(min=1), metavar="N", help=f"At most N hits. Default: {K}; no bound with a threshold."
)
@click.option("--hybrid", "mode", flag_value="hybrid", default=True, help="By meaning and by words (the default).")
@click.option("--meaning", "mode", flag_value="meaning", help="By meaning alone: the cosine of the vectors.")
@click.option("--words", "mode", flag_value="words", help="By words alone: BM25. Needs no model.")
@click.option(
    "--threshold",
    type=Number(Setting(Real(-1, 1e6))),
    metavar="S",
    help="Only hits with a cosine of at least S, or with every word of QUERY; with --words, a score of at least S. "
    "Default for -q, -l and -c: 0.5.",
)
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True, help="Format of the output."
)
@click.option(
    "-A", "--after-context", "after", type=click.IntRange(min=0), metavar="N", help="Show N lines after each hit."
)
@click.option(
    "-B", "--before-context", "before", type=click.IntRange(min=0), metavar="N", help="Show N lines before each hit."
)
@click.option(
    "-C", "--context", "both", type=click.IntRange(min=0), metavar="N", help="Show N lines before and after each hit."
)
@click.option("-l", "--files-with-matches", "names_only", is_flag=True, help="Print only the names of files with hits.")
@click.option("-c", "--count", "count", is_flag=True, help="Print only how many lines of each file are hits.")
@click.option("--explain", is_flag=True, help="Say which words matched, and what meaning and words gave each hit.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Whether to colour as grep does. auto: on a terminal, unless NO_COLOR is set.",
)
@click.option("--no-cache", is_flag=True, help="Do not keep the vectors of plain FILEs in your cache folder.")
@model_option
@passage_option
@column_option
@delimiter_option
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
@partial(message_options, quiet="Print nothing; the exit code says whether there is a hit.")
def search(words: tuple[str, ...], messages: Messages, **options: Any) -> None:
    """Find the lines that QUERY means, in an INDEX (see textkit index) or in plain FILEs, and print file:line:text.

    Plain FILEs, up to 100,000 lines of them, are indexed when they are first searched. What that gave is kept in your cache
    folder, found again by hash, and never out of date; --no-cache keeps nothing. Without a FILE, stdin is read. A FOLDER
    stands for the files in it.

    Lines are ranked by meaning (cosines of vectors) and by words (BM25), and the two are fused, so that names, numbers
    and codes are found as well as what is said in other words. The K best are printed, the best first. Where only hits count
    (--threshold, -q, -l, -c), a hit has a cosine of at least S or every word of QUERY.

    \b
    text   file:line:text, with --queries after the query and a tab; --explain adds a line
    tsv    query, file, line, score, text; --explain adds cosine, BM25 and words
    jsonl  an object per query: {"query": ..., "hits": [{"file", "line", "score", "text", "fields"}, ...]}

    The exit code is that of grep: 0 for a hit, 1 for none, 2 for trouble. A blank query has no hits.
    """
    request = _Request(words=words, silent=messages.quiet, **options)
    if request.queries is None:
        # numpy's second thread would wait, busily, for products that are too small to be shared, on the processor that loads
        # the graph.
        process.own_threads_alone()
    try:
        with _searched(request, messages) as index, protected_stdout() as out:
            found = _run(request, index, out, messages)
    except BrokenPipeError:
        raise
    except UsageError:
        raise
    except (TextkitError, OSError, MemoryError) as error:
        said = "out of memory" if isinstance(error, MemoryError) else _of_system(error)
        raise Trouble(said) from error
    except Exception as error:  # a fault of textkit's own does not say that nothing was found
        error.exit_code = Trouble.exit_code  # type: ignore[attr-defined]
        raise
    if not found:
        raise click.exceptions.Exit(1)


def _of_system(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return one_line(error)


@dataclass(kw_only=True)
class _Request:
    """The options, checked as far as the command line alone shows them."""

    words: tuple[str, ...]
    queries: str | None
    k: int | None
    mode: Mode
    threshold: float | None
    form: str
    after: int | None
    before: int | None
    both: int | None
    names_only: bool
    count: bool
    explain: bool
    color: str
    no_cache: bool
    model: str | None
    kind: str | None
    column: str | None
    delimiter: str | None
    silent: bool
    on_error: str
    device: str
    threads: int | None

    def __post_init__(self) -> None:
        if self.queries is None and not self.words:
            raise UsageError("QUERY is missing, as in: textkit search 'money back' notes/*.txt")
        self.query = self.words[0] if self.queries is None else ""
        if any("\udc80" <= letter <= "\udcff" for letter in self.query):  # files may have such names
            raise UsageError("QUERY holds bytes that are no UTF-8")
        self.places = self.words[1:] if self.queries is None else self.words
        if self.queries == "-" and (not self.places or "-" in self.places):
            raise UsageError("--queries -: stdin holds the queries; say which INDEX or FILE to search")
        self.places = self.places or ("-",)
        if self.names_only and self.count:
            raise UsageError("-l and -c: say one or the other")
        if (self.names_only or self.count) and self.form == "tsv":
            raise UsageError("--format tsv: -l and -c print one column or two, as text or jsonl")
        self.delimiter = self.delimiter and self.delimiter.replace("\\t", "\t")
        if (self.kind, self.column, self.delimiter) != (None, None, None):
            from textkit.retrieval.passages import check_columns

            check_columns(self.kind, self.column, self.delimiter)
        self.lines_before = self.both or 0 if self.before is None else self.before
        self.lines_after = self.both or 0 if self.after is None else self.after
        selects = self.silent or self.names_only or self.count
        self.most = self.k if self.k is not None else None if selects or self.threshold is not None else K
        self.least = 0.5 if self.threshold is None and selects and self.mode != "words" else self.threshold


@contextmanager
def _searched(request: _Request, messages: Messages) -> Iterator[Index]:
    """The index that is searched: the one named, or one of plain files."""
    from textkit.retrieval.storing.manifest import holds_index
    from textkit.streams.lines import check_readable

    check_readable(place for place in request.places if place != "-" and not os.path.isdir(place))
    indexes = [place for place in request.places if holds_index(place)]
    if indexes:
        if len(request.places) > 1:
            raise UsageError(f"{indexes[0]}: is an index, and is searched alone")
        yield _index(indexes[0], request)
        return
    from textkit.retrieval.cached import index_of_files
    from textkit.retrieval.updating import Wanted

    say_if_typed(messages, request.places)
    wanted = Wanted(
        request.model, request.kind, request.column, request.delimiter, request.on_error == "skip", request.device,
        request.threads, request.mode == "words",
    )  # fmt: skip
    with ExitStack() as stack:
        with shown(Input()) if messages.interactive else nullcontext(lambda rows: None) as show:
            index = stack.enter_context(
                index_of_files(
                    request.places, wanted, not request.no_cache,
                    lambda: messages.hint("another process reads the same files; waiting until it has done so"),
                    lambda report: say(report, messages), show,
                )
            )  # fmt: skip
        yield index


def _index(place: str, request: _Request) -> Index:
    from textkit.retrieval.index import Index

    for option, value in (("--input", request.kind), ("--column", request.column), ("--delimiter", request.delimiter)):
        if value is not None:
            raise UsageError(f"{option} {value}: {place} is an index, which was read when it was made")
    return Index(place, request.device, request.threads, request.model)


def _run(request: _Request, index: Index, out: BinaryIO, messages: Messages) -> bool:
    """Answers all queries, and returns whether there was a hit."""
    from textkit.retrieval.writers import Form

    terminal = sys.stdout is not None and os.isatty(out.fileno())
    colored = request.color == "always" or (request.color == "auto" and terminal and not os.environ.get("NO_COLOR"))
    form = Form(
        request.form, request.queries is not None, request.explain, colored, terminal,
        bool(request.lines_before or request.lines_after),
    )  # fmt: skip
    found: list[Hit] = []
    any_hit = False
    for queries in _queries(request, messages):
        if not queries:
            out.flush()
            continue
        for query, hits in zip(queries, index.search(queries, request.most, request.mode, request.least), strict=True):
            any_hit = any_hit or bool(hits)
            if request.names_only or request.count:
                found += hits
            elif not request.silent:
                out.write(
                    form.record(query, hits, lambda hit: index.around(hit, request.lines_before, request.lines_after))
                )
        if request.silent and any_hit:
            return True
    if not request.silent and (request.names_only or request.count):
        out.write(form.files(index.files, found, request.count))
    return any_hit


def _queries(request: _Request, messages: Messages) -> Iterator[list[str]]:
    """The queries, some at a time; an empty list where their input pauses."""
    if request.queries is None:
        yield [request.query]
        return
    from textkit.streams.lines import Reader

    path = None if request.queries == "-" else request.queries
    if path is None:
        say_if_typed(messages)
    with Reader(path) as reader:
        for lines in reader:
            for start in range(0, len(lines), _AT_ONCE):
                yield lines[start : start + _AT_ONCE]
            if not lines:
                yield []
