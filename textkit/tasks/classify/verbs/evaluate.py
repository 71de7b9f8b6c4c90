"""What `textkit evaluate` measures of models of the task `classify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from textkit.cli.input_report import count_of_lines
from textkit.cli.options import Text, promised
from textkit.evaluation.measuring import Evaluation, Figures, Question

if TYPE_CHECKING:
    from textkit.tasks.classify.evaluation.evaluating import Report

_METRICS = ("accuracy", "macro-f1")

OPTIONS = (
    click.Option(
        ["--head"], metavar="NAME", help="Labels: which question to measure, of a model that answers several."
    ),
    click.Option(["--fine"], is_flag=True, help="Labels: finer ones, such as dialects, are told apart."),
    click.Option(["--confusion"], is_flag=True, help="Labels: add a line for each of the 40 pairs confused most."),
    click.Option(
        ["--picture"],
        metavar="FILE",
        callback=promised(),
        help="Labels: draw who is taken for whom to this file: .png, .svg or .pdf. Needs matplotlib.",
    ),
    click.Option(
        ["--out-of-scope"],
        type=Text(),
        metavar="LABEL",
        help="Labels: the label of lines that none of the model's is for. Default: those that the model does not know.",
    ),
    click.Option(
        ["--label-column"], metavar="N|NAME", help="Labels: the column that holds them. Default: found by its name."
    ),
    click.Option(["--text-column"], metavar="N|NAME", help="Labels: the column of the text."),
)
OF_METRICS = dict.fromkeys(
    ("head", "fine", "confusion", "picture", "out_of_scope", "label_column", "text_column"), _METRICS
)


def measure(question: Question) -> Iterator[Figures]:
    """All files together, because lines out of scope often have a file of their own."""
    from textkit.drawing import picture
    from textkit.errors import TextkitError, UsageError
    from textkit.tasks.classify.corpus import LabelOptions, labelled_lines
    from textkit.tasks.classify.evaluation import tables
    from textkit.tasks.classify.evaluation.evaluating import evaluated
    from textkit.tasks.classify.serving.classifier import Classifier

    asked = question.options
    path, scope = asked["picture"], asked["out_of_scope"]
    if path is not None:
        picture.refuse(path, "--picture")
    classifier = Classifier(question.model, question.device, question.threads, head=asked["head"], fine=asked["fine"])
    several = classifier.head.several
    if several and (path is not None or asked["confusion"]):
        name = "--confusion" if path is None else f"--picture {path}"
        raise UsageError(f"{name}: is for a model that gives each line one label")
    question.note(f"{classifier.bundle.folder} on {classifier.session.where}")
    options = LabelOptions(
        several=several, label_column=asked["label_column"] or "", text_column=asked["text_column"] or ""
    )
    report = evaluated(classifier, labelled_lines(question.data, options), scope)
    data = " ".join(question.data)
    if scope is not None and not report.outside:
        raise TextkitError(f"{data}: no line has the label {scope!r} that --out-of-scope names")
    metric = question.metrics[0] if question.metrics else _METRICS[several]
    yield tables.figures(report, metric, data, asked["confusion"])
    if path is not None:
        _draw(path, report, question)
    if report.unknown:
        lines = count_of_lines(report.unknown)
        has, taken = ("has", "is") if report.unknown == 1 else ("have", "are")
        scoped = "taken for out of scope and " if scope is None else ""
        question.warn(f"{lines} {has} no label that the model knows, and {taken} {scoped}left out of the other figures")
    if classifier.long_lines:
        question.warn(f"{count_of_lines(classifier.long_lines)} had more than {classifier.limit:,} tokens: cut")


def _draw(path: str, report: Report, question: Question) -> None:
    from textkit.streams.output import output_file
    from textkit.tasks.classify.evaluation import tables

    with output_file(path) as stream:
        missing, left = tables.draw(stream, path, report)
    if missing:
        question.warn(f"no font on this machine has {missing}: drawn as boxes")
    if left:
        question.warn(f"{path}: shows the {tables.MOST_DRAWN} labels that are confused the most; {left:,} are left out")


def claims(paths: Sequence[str]) -> int:
    from textkit.tasks.classify.claiming import claims

    return claims(paths)


EVALUATION = Evaluation(measure, OPTIONS, OF_METRICS, claims=claims)
