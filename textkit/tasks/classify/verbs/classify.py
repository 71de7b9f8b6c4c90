"""`textkit classify`: lines in, labels out. Parses options and writes results; serving/ does the work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from textkit import process
from textkit.cli.arrow_records import tables_to
from textkit.cli.filter_options import ARROW, ARROW_SUFFIXES, JSONL, FilterVerb, filter_options, reading_options
from textkit.cli.filtering import Answering, Filter, answer, pump, records
from textkit.cli.input_report import InputReport, count_of_lines
from textkit.cli.options import Messages, Text, answering_options
from textkit.cli.parts_options import parts_options
from textkit.cli.setting_options import options_of
from textkit.cli.verb import examples
from textkit.cli.windowing import FEWEST
from textkit.errors import UsageError
from textkit.tasks.classify.task import CLASSIFIED, TASK

if TYPE_CHECKING:
    from textkit.drawing.heatmap import Screen
    from textkit.streams.columns import Block
    from textkit.tasks.classify.serving.classifier import Classifier
    from textkit.tasks.classify.serving.explaining import Explained
    from textkit.tasks.classify.serving.writers import Writer

FORMATS = ("text", "tsv", "jsonl", *ARROW)
SUFFIXES = JSONL | ARROW_SUFFIXES | {".tsv": "tsv"}  # the format that the suffix of -o FILE implies

_option = options_of(TASK, {})


@click.command(
    cls=FilterVerb,
    epilog=examples(
        "textkit classify -m my-intents < questions.txt",
        "textkit classify -m my-intents --top 3 questions.txt",
        "textkit classify -m my-intents --input csv --column text in.csv -o out.jsonl",
        "echo 'Where is my card?' | textkit classify --labels 'bank cards,weather'",
        "echo 'A fine film.' | textkit classify -m my-reviews --explain",
    ),
)
@filter_options(FORMATS)
@click.option(
    "--probabilities", is_flag=True, help="Write the probability of each label, too (in jsonl of all labels)."
)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Write the N likeliest labels and probabilities.")
@_option("threshold")
@_option("abstain")
@_option("outliers")
@click.option("--fine", is_flag=True, help="Give finer labels, such as dialects, instead of the label they belong to.")
@click.option("--head", type=Text(), metavar="NAME", help="Which question to answer, of a model that answers several.")
@click.option(
    "--labels",
    type=Text(),
    metavar="A,B,C|FILE",
    help="Choose among labels of your own, by how near their descriptions are; -m is then a model for embed.",
)
@click.option("--explain", is_flag=True, help="Show how much each word does for the likeliest label.")
@reading_options
@parts_options
@answering_options
def classify(messages: Messages, **options: Any) -> None:
    """Label each line of the FILEs (or of stdin, also named -): one record out for each line in, in order.

    \b
    text   the label; with --probabilities a tab and its probability; with --top the N likeliest, each a label, a tab
           and its probability, with tabs between
    tsv    label, probability and the line, separated by tabs; with --top N labels and probabilities, and the line
    jsonl  the record's own fields, "label", "probability"; with --top or --probabilities "labels", a list of {"label",
           "probability"}, the likeliest first

    Where a model may give several labels, commas join those that are at least as likely as their thresholds; a comma in a
    label is written \\, and a backslash \\\\. In jsonl "label" and "probability" are then lists. A blank line has no label. Nor
    has a line of which the model sees nothing, such as one of unknown words, unless the model has a label for that; and a line
    whose likeliest label is less likely than --abstain. --top shows the likeliest labels all the same. With --on-error skip, a
    record that cannot be read has no label either (in jsonl null), so that lines stay aligned.

    A line about something else may have a likely label, because the others are even less likely. --outliers 0.05 leaves out
    lines that look less like any label than 95 % of the dev lines of the training did, and so about 5 % of lines like these.

    --labels takes labels with commas between (\\, is a comma in one), or a FILE of lines `label` or `label<tab>description`. A
    line gets the label whose description has the nearest vector; underscores in a label without description are spaces.
    Probabilities are a softmax over the cosines, divided by 0.05.

    --explain weighs words by the model's attention, if it attends. Otherwise a word's weight is how much the logarithm of the
    label's probability falls when the word is left out; it is below 0 where a word speaks against the label. Only the first 100
    words of a line are then weighed. A terminal shows the line with its words in blue (for the label) or orange (against it).
    text and tsv have each word and its weight at the end of the line, separated by tabs; jsonl has "spans", a list of {"start",
    "end", "weight"}, in characters of the text.
    """
    process.take_short_turns()
    answer(_Options(**options), messages, opens)


@dataclass(kw_only=True)
class _Options(Filter):
    """The options, checked as far as argv alone shows them."""

    probabilities: bool
    top: int | None
    threshold: float | None
    abstain: float | None
    outliers: float | None
    fine: bool
    head: str | None
    labels: str | None
    explain: bool
    screen: Screen | None = field(init=False, default=None)  # what stdout can show, for --explain

    def __post_init__(self) -> None:
        super().__post_init__()
        self.format = self.format_of(SUFFIXES)
        label, probability, labels, spans = CLASSIFIED
        listed = [labels] if self.top or self.probabilities else []
        self.name_fields((label, probability, *listed, *([spans] if self.explain else [])))
        if self.explain and self.top and self.format not in ("jsonl", *ARROW):
            raise UsageError(
                f"--top {self.top}: with --explain it is for --format jsonl; a line of {self.format} has words"
            )
        if self.explain and self.format == "text" and self.output is None:
            from textkit.drawing.heatmap import Screen

            self.screen = Screen.of_stdout()

    @property
    def files_read(self) -> dict[str, str]:
        return {"labels": self.labels} if self.labels and os.path.isfile(self.labels) else {}

    def classifier(self) -> Classifier:
        from textkit.tasks.classify.serving.classifier import Classifier
        from textkit.tasks.classify.verbs.own_labels import read_labels

        labels = None if self.labels is None else read_labels(self.labels)
        return Classifier(
            self.model, self.device, self.threads, self.head, self.abstain, self.threshold, self.fine, labels,
            outliers=self.outliers,
        )  # fmt: skip

    def writer(self, classifier: Classifier) -> Writer:
        from textkit.tasks.classify.serving.writers import Writer

        known = classifier.labels
        every = len(known) if self.probabilities and self.format in ("jsonl", *ARROW) else 0
        return Writer(known, classifier.head.several, self.top or every, self.probabilities)


def opens(request: _Options, messages: Messages) -> Answering:
    """Loads the model, so that a damaged one is reported before anything is read."""
    classifier = request.classifier()
    messages.note(f"{classifier.bundle.folder}: {len(classifier.labels):,} labels, on {classifier.session.where}")
    cut = _Cut()

    def write(request: _Options, report: InputReport, out: BinaryIO, show: Callable[[int], None]) -> None:
        results = (
            _explained(request, classifier, report, cut) if request.explain else _labelled(request, classifier, report)
        )
        with tables_to(request, out) as put:
            pump(results, request, report, put, put.write, show)

    return Answering(
        write,
        classifier.bundle.folder,
        lambda: classifier.session.device,
        lambda: _say(classifier, cut, messages),
        lambda: {"long": classifier.long_lines, "unknown": classifier.unknown_lines, "cut words": cut.lines},
    )


@dataclass
class _Cut:
    """How many lines had more words than were weighed."""

    lines: int = 0


def _say(classifier: Classifier, cut: _Cut, messages: Messages) -> None:
    if classifier.long_lines:
        lines = count_of_lines(classifier.long_lines)
        messages.warn(f"{lines} had more than the model's {classifier.limit:,} tokens: {classifier.source.long}")
    if classifier.unknown_lines and classifier.head.nothing < 0:
        lines = count_of_lines(classifier.unknown_lines)
        has = "has" if classifier.unknown_lines == 1 else "have"
        messages.warn(f"{lines} held nothing that the model knows, and {has} no label")
    if cut.lines:
        from textkit.tasks.classify.serving.explaining import MOST_WORDS

        messages.warn(f"{count_of_lines(cut.lines)} had more than {MOST_WORDS} words: only so many were weighed")


def _labelled(request: _Options, classifier: Classifier, report: InputReport) -> Iterator[tuple[int, bytes] | None]:
    """(records, bytes) of each window of lines, None where the input pauses."""
    from textkit.serving.stream import WINDOW_CHARACTERS, WINDOW_LINES, staged, windows

    writer = request.writer(classifier)
    form = _form(request, writer)
    lines = 1 if request.line_buffered else min(WINDOW_LINES, classifier.lines_at_once)
    cut = windows(records(request, report), lines, WINDOW_CHARACTERS)
    threads = classifier.source.threads
    if request.format not in ARROW and threads > 1 and not request.line_buffered and classifier.source.light:
        from textkit.serving.helping import shared

        yield from shared(cut, _Labelling(classifier, form), threads)
        return
    yield from staged(
        (block and (block, classifier.source.encode(block.texts)) for block in cut),
        [
            lambda item: (item[0], classifier.decide(item[1])),
            lambda item: (len(item[0]), form(*item)),
        ],
        # With line buffering, handing single lines from thread to thread costs more than it saves.
        threads=1 if request.line_buffered else threads,
    )


@dataclass
class _Labelling:
    """A window of records -> (their number, the bytes to be written), in this process or in a helper (`helping.Work`)."""

    classifier: Classifier
    form: Callable[[Block, Any], bytes]

    def __call__(self, block: Block) -> tuple[int, bytes]:
        return len(block), self.form(block, self.classifier(block.texts))

    def load(self) -> None:
        self.classifier.session  # noqa: B018  # loads the graph

    @property
    def counts(self) -> tuple[int, ...]:
        return self.classifier.source.counts

    @counts.setter
    def counts(self, counts: tuple[int, ...]) -> None:
        long, unknown = counts
        self.classifier.source.counts = long, unknown


def _explained(
    request: _Options, classifier: Classifier, report: InputReport, cut: _Cut
) -> Iterator[tuple[int, bytes] | None]:
    """The same with the weights of words. Each word needs a run of its line, so windows are small."""
    from textkit.serving.stream import WINDOW_CHARACTERS, windows

    write = _explained_form(request, request.writer(classifier))
    lines = 1 if request.line_buffered else min(FEWEST, classifier.lines_at_once)
    for block in windows(records(request, report), lines, WINDOW_CHARACTERS // 64):
        if block is None:
            yield None
            continue
        found = classifier.explain(block.texts)
        cut.lines += found.cut
        yield len(block), write(block, found)


def _explained_form(request: _Options, writer: Writer) -> Any:
    screen = request.screen
    if screen is not None and screen.style == "color":
        from textkit.drawing.words import colored

        def colors(block: Block, found: Explained) -> bytes:
            return writer.colors(block, found.answers, found.words, lambda text, words: colored(text, words, screen))

        return colors
    form = _form(request, writer)
    return lambda block, found: form(block, found.answers, found.words)


def _form(request: _Options, writer: Writer) -> Callable[..., Any]:
    if request.format not in ARROW:
        return request.with_key({"text": writer.text, "tsv": writer.tsv, "jsonl": writer.jsonl}[request.format])
    from textkit.streams.arrow_output import from_json

    types: dict[str, Any] = {"label": "string", "probability": "double"}
    if writer.several:
        types = {name: [kind] for name, kind in types.items()}
    if writer.listed:
        types["labels"] = [{"label": "string", "probability": "double"}]
    if request.explain:
        types["spans"] = [{"start": "int64", "end": "int64", "weight": "double"}]
    return from_json(writer.jsonl, types, request.field)
