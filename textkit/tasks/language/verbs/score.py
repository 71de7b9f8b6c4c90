"""`textkit score`: how likely each line is. Parses options and writes; serving/scorer.py computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from textkit.cli.arrow_records import tables_to
from textkit.cli.filter_options import ARROW, ARROW_SUFFIXES, JSONL, FilterVerb, filter_options, reading_options
from textkit.cli.filtering import Answering, Filter, answer, pump, records
from textkit.cli.input_report import InputReport
from textkit.cli.options import Messages, answering_options
from textkit.cli.parts_options import parts_options
from textkit.cli.verb import examples
from textkit.errors import UsageError
from textkit.tasks.language.task import SCORED

if TYPE_CHECKING:
    from textkit.tasks.language.serving.scorer import LanguageModel

FORMATS = ("text", "jsonl", *ARROW)


@click.command(
    cls=FilterVerb,
    epilog=examples(
        "echo 'I am going home.' | textkit score",
        "textkit score --per-word < lines.txt",
        "textkit score app.log | paste - app.log | sort -gr -k3 | head   # the oddest",
    ),
)
@filter_options(FORMATS)
@click.option("--per-token", is_flag=True, help="Add each token's log-probability.")
@click.option("--per-word", is_flag=True, help="Add each word's log-probability, the sum over its tokens.")
@reading_options
@parts_options
@answering_options
def score(messages: Messages, **options: Any) -> None:
    """Say how likely each line of the FILEs (or of stdin, also named -) is: one record for each line, in order.

    \b
    text   log-probability, tokens and perplexity per token, separated by tabs; then, if asked for, a column
           `token log-probability` for each token or word
    jsonl  the record's own fields, "logprob", "tokens", "perplexity", "unknown" (words that the model does not know);
           if asked for, "per_token" or "per_word", a list of [token, log-probability]

    Log-probabilities are natural logarithms. Each line is scored by itself. Its end is one of its tokens, <eos>, and the only
    one of a blank line. The perplexity is per token, exp(-log-probability / tokens). With --on-error skip, a record that cannot
    be read becomes nan (null in jsonl), so that lines stay aligned.
    """
    answer(_Options(**options), messages, opens)


@dataclass(kw_only=True)
class _Options(Filter):
    """The options, checked as far as argv alone shows them."""

    per_token: bool
    per_word: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self.format = self.format_of(JSONL | ARROW_SUFFIXES | {".tsv": "text"})
        self.name_fields(SCORED)
        if self.per_token and self.per_word:
            raise UsageError("--per-token, --per-word: one of them at a time")

    @property
    def details(self) -> str | None:
        return "per_token" if self.per_token else "per_word" if self.per_word else None


def opens(request: _Options, messages: Messages) -> Answering:
    """Loads the model, so that a damaged one is reported before anything is read."""
    from textkit.tasks.language.serving.scorer import LanguageModel

    model = LanguageModel(request.model, request.device, request.threads)
    messages.note(f"{model.bundle.folder} on {model.session.where}")
    unknown = _Unknown()

    def write(request: _Options, report: InputReport, out: BinaryIO, show: Callable[[int], None]) -> None:
        with tables_to(request, out) as put:
            pump(_results(request, model, report, unknown), request, report, put, put.write, show)

    def say() -> None:
        if unknown.count:
            messages.note(f"{unknown.count:,} of {unknown.tokens:,} tokens are words that the model does not know")

    return Answering(
        write, model.bundle.folder, lambda: model.session.device, say, lambda: {"unknown tokens": unknown.count}
    )


@dataclass
class _Unknown:
    """How many tokens there were, and how many of them stand for words that the model does not know."""

    count: int = 0
    tokens: int = 0


def _results(
    request: _Options, model: LanguageModel, report: InputReport, unknown: _Unknown
) -> Iterator[tuple[int, bytes] | None]:
    """(records, bytes) of each window of lines, None where the input pauses."""
    from textkit.serving.stream import WINDOW_CHARACTERS, WINDOW_LINES, staged, windows
    from textkit.tasks.language.serving.writers import SCORES

    form = _tables(request) if request.format in ARROW else request.with_key(SCORES[request.format])
    blocks = windows(records(request, report), 1 if request.line_buffered else WINDOW_LINES, WINDOW_CHARACTERS)

    def written(item: Any) -> tuple[int, bytes]:
        block, found = item
        unknown.count += sum(one.unknown for one in found)
        unknown.tokens += sum(one.tokens for one in found)
        return len(block), form(block, found, model.rule, request.details)

    yield from staged(
        (block and (block, model.encode(block.texts)) for block in blocks),
        [lambda item: (item[0], model.score(item[1])), written],
        threads=1 if model.session.device == "cpu" else 2,
    )


def _tables(request: _Options) -> Callable[..., Any]:
    from textkit.streams.arrow_output import from_json
    from textkit.tasks.language.serving.writers import SCORES

    types: dict[str, Any] = {"logprob": "double", "tokens": "int64", "perplexity": "double", "unknown": "int64"}
    if request.details is not None:
        types[request.details] = [{"token": "string", "logprob": "double"}]
    return from_json(SCORES["jsonl"], types, request.field)
