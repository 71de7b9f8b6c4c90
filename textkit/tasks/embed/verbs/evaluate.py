"""What `textkit evaluate` measures of models of the task `embed`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from textkit.cli.verb import own
from textkit.evaluation.measuring import Evaluation, Figures, Question
from textkit.tasks.embed.task import POOLINGS

OPTIONS = (
    click.Option(
        ["--restrict-vocab"],
        type=click.IntRange(min=1),
        default=300_000,
        show_default=True,
        metavar="N",
        help="Analogies: only the first N words of the vocabulary are known.",
    ),
    click.Option(
        ["--known-only"],
        is_flag=True,
        help="Word pairs: leave out words that get a vector from subwords alone, as gensim does.",
    ),
    click.Option(
        ["--pooling"],
        type=click.Choice(POOLINGS),
        metavar="HOW",
        help=f"Sentence pairs: {', '.join(POOLINGS)}. " + own("en-sentences", "--pooling"),
    ),
    click.Option(
        ["--columns"],
        metavar="A,B,SCORE",
        help="Pairs: the columns of the two texts and the score, by the header's names or by number.",
    ),
    click.Option(
        ["--delimiter"],
        metavar="TEXT",
        help="Pairs: what separates the columns; \\t is a tab. Default: by DATA's name and content.",
    ),
)
OF_METRICS = {
    "restrict_vocab": ("analogies",),
    "known_only": ("similarity",),
    "pooling": ("sts",),
    "columns": ("similarity", "sts"),
    "delimiter": ("similarity", "sts"),
}


def measure(question: Question) -> Iterator[Figures]:
    from textkit.errors import UsageError
    from textkit.tasks.embed.evaluation.measures import Evaluator
    from textkit.tasks.embed.serving.embedder import Embedder

    asked = question.options
    embedder = Embedder(question.model, question.device, question.threads, asked["pooling"])
    question.note(f"{embedder.bundle.folder} on {embedder.session.device}")
    evaluator = Evaluator(embedder)
    columns, delimiter = asked["columns"], asked["delimiter"]
    named = [column.strip() for column in columns.split(",")] if columns is not None else None
    if named is not None and (len(named) != 3 or not all(named)):
        raise UsageError(f"--columns {columns}: three are needed, the two texts and the score")
    parts = delimiter.replace("\\t", "\t") if delimiter is not None else None
    if parts == "":
        raise UsageError("--delimiter: is empty")
    metric = question.metrics[0] if question.metrics else None
    for path in question.data:
        found = evaluator(path, metric, asked["restrict_vocab"], asked["known_only"], named, parts)
        yield found.figures(path)


def claims(paths: Sequence[str]) -> int:
    from textkit.tasks.embed.evaluation.data import claims

    return claims(paths)


EVALUATION = Evaluation(measure, OPTIONS, OF_METRICS, claims=claims)
