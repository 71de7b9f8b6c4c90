"""`textkit attention`: what each word of a translation, or a classifier, looks at. Parses options; what the record of the
model's task names computes, textkit/drawing draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import click

from textkit.cli.options import Messages, Text, answer_format_option, answering_options, model_option, promised
from textkit.cli.stdout import protected_stdout
from textkit.cli.typed import say_if_file, typed_lines
from textkit.cli.verb import Verb, examples
from textkit.errors import TextkitError, UsageError

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle
    from textkit.drawing.heatmap import Screen
    from textkit.drawing.weights import Weights

    class Attention(Protocol):
        """What the record of a task names as `attention`: a line -> Weights."""

        bundle: Bundle

        @property
        def device(self) -> str: ...
        def load(self) -> None: ...
        def __call__(self, line: str, target: str | None = None) -> Weights: ...


_POSITIVE = click.IntRange(min=1)
_FIRST = "translate"  # the task whose default model is shown


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit attention 'A man rides a bike.'",
        "textkit attention 'A man rides a bike.' -o picture.png",
        "textkit attention -m my-classifier 'A man rides a bike.'",
    ),
)
@click.argument("sentence", type=Text(), metavar="[SENTENCE]", required=False)
@model_option
@click.option(
    "-o",
    "--output",
    metavar="PICTURE",
    callback=promised(),
    help="Draw to this file: .png, .svg or .pdf. Needs matplotlib.",
)
@click.option("--target", type=Text(), metavar="TEXT", help="Show this translation instead of the model's own.")
@click.option(
    "--kind",
    type=click.Choice(["cross", "encoder", "decoder"]),
    default="cross",
    show_default=True,
    help="Target words look at source words, source words at each other, or target words at those before them.",
)
@click.option("--layer", type=_POSITIVE, metavar="N", help="The layer, from 1. Default: the last.")
@click.option("--head", type=_POSITIVE, metavar="N", help="The head, from 1. Default: the mean of all.")
@click.option("--all", "every", is_flag=True, help="Every head of every layer, with -o or --format jsonl.")
@click.option("--pieces", is_flag=True, help="Show the model's pieces of words rather than words.")
@answer_format_option
@click.option(
    "--style",
    type=click.Choice(["color", "shades", "numbers"]),
    help="How weights are shown. Default: color on a terminal with colours, shades on any other, numbers elsewhere.",
)
@answering_options
def attention(messages: Messages, **options: Any) -> None:
    """Show what each word of a translation, or a classifier, looks at: a heat map of SENTENCE, or of each line of stdin.

    Target words go down, source words across. A row is where the model looked when it wrote that word, and its weights sum to
    one. A classifier that attends has one row, its label, with the share of each word in what it makes of the line. For words
    of several pieces, weights are summed over the pieces looked at and averaged over the pieces that look. Only translators
    made with `--explain` (`textkit export-onnx`, `textkit import`) show kinds, layers and heads.

    --format jsonl writes {"source": [...], "target": [...], "weights": [[...]]}, one row of weights per target word. With
    --all, "weights" is a list of layers, each a list of heads, each a list of such rows. A blank line separates heat maps. A
    blank line of input gives a record without words, and so does a sentence that is too long, with --on-error skip.
    """
    request = _Options(**options)
    say_if_file(messages, [request.sentence or ""], "the sentence")
    run(request, messages)


@dataclass(frozen=True, kw_only=True)
class _Options:
    """The options, checked as far as argv alone shows them."""

    sentence: str | None
    model: str | None
    output: str | None
    target: str | None
    kind: str
    layer: int | None
    head: int | None
    every: bool
    pieces: bool
    form: str
    style: str | None
    device: str
    threads: int | None
    on_error: str
    line_buffered: bool

    def __post_init__(self) -> None:
        if self.sentence is not None and not self.sentence.strip():
            raise UsageError("the sentence is blank")
        if self.target is not None and self.sentence is None:
            raise UsageError("--target: is for a SENTENCE that is given with it")
        if self.target is not None and not self.target.strip():
            raise UsageError("--target: the translation is blank")
        if self.output is not None and (self.as_json or self.style):
            raise UsageError(
                f"-o {self.output}: is a picture; {'--format jsonl' if self.as_json else '--style'} is for stdout"
            )
        if self.every and self.output is None and not self.as_json:
            raise UsageError("--all: is too much for a terminal; say -o PICTURE or --format jsonl")
        if self.every and (self.layer or self.head):
            raise UsageError(f"--{'layer' if self.layer else 'head'}: is one of those that --all shows")

    @property
    def as_json(self) -> bool:
        return self.form == "jsonl"

    def attention(self) -> Attention:
        from textkit.bundle import bundle as bundles
        from textkit.task import load
        from textkit.task_registry import tasks

        found = bundles.located(self.model, _FIRST, any_task=True)
        place = found.manifest.record.attention
        if not place:
            able = " or ".join(repr(task.name) for task in tasks.sound() if task.attention)
            raise TextkitError(f"{found.folder}: a model for {found.manifest.task!r}, not for {able}")
        made: Attention = load(place)(
            found, self.device, self.threads, self.kind, self.layer, self.head, self.every, self.pieces
        )
        return made


def run(request: _Options, messages: Messages) -> None:
    """Reads, computes, and draws or writes."""
    from textkit.drawing import picture
    from textkit.drawing.heatmap import Screen

    if request.output is not None:
        picture.refuse(request.output)
    screen = Screen.of_stdout(request.style)  # before stdout is replaced
    with protected_stdout() as out:
        attention = request.attention()
        attention.load()
        messages.note(f"{attention.bundle.folder}: on {attention.device}")
        if request.output is not None:
            _draw(request, attention, request.output, messages)
        elif request.sentence is not None:
            out.write(_record(attention(request.sentence, request.target), request.as_json, screen))
        else:
            _filter(request, attention, out, screen, messages)


def _filter(request: _Options, attention: Attention, out: BinaryIO, screen: Screen, messages: Messages) -> None:
    """Writes a record for each line of stdin, in order, and flushes when the input pauses."""
    from textkit.drawing.weights import BLANK

    skipped, first = 0, True
    for lines in typed_lines(messages):
        for line, where in lines:
            try:
                found = attention(line)
            except TextkitError as error:
                if request.on_error == "fail":
                    raise TextkitError(f"{where}: {error}") from error
                found, skipped = BLANK, skipped + 1
            out.write((b"" if first or request.as_json else b"\n") + _record(found, request.as_json, screen))
            first = False
            if request.line_buffered:
                out.flush()
        if not lines:
            out.flush()
    if skipped:
        messages.warn(f"{skipped} sentences could not be shown; each left a record without words")


def _draw(request: _Options, attention: Attention, path: str, messages: Messages) -> None:
    from textkit.drawing import picture
    from textkit.streams.output import output_file

    sentence = request.sentence
    if sentence is None:
        lines = [line for block in typed_lines(messages) for line, _ in block]
        if len(lines) != 1:
            raise TextkitError(f"-o {path}: a picture shows one sentence, stdin has {len(lines):,} lines")
        sentence = lines[0]
    found = attention(sentence, request.target)
    if found.blank:
        raise TextkitError("the sentence is blank")
    with output_file(path) as stream:
        missing = picture.write(stream, path, found.source, found.target, found.weights, found.title)
    if missing:
        messages.warn(f"no font on this machine has {missing}: drawn as boxes")


def _record(found: Weights, as_json: bool, screen: Screen) -> bytes:
    from textkit.drawing.heatmap import draw
    from textkit.streams.records import json_bytes

    if not as_json:
        return draw(found.source, found.target, found.weights, screen, found.title).encode("utf-8", "replace")
    weights = found.weights.astype(float).round(6).tolist()
    return json_bytes({"source": found.source, "target": found.target, "weights": weights}) + b"\n"
