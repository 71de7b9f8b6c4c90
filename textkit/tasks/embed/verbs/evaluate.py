"""What `textkit evaluate` measures of models of the task `embed`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from textkit.cli.verb import own
from textkit.errors import UsageError
from textkit.evaluation.measuring import Evaluation, Figures, Question
from textkit.tasks.embed.task import POOLINGS, RETRIEVAL

MODES = ("meaning", "words", "hybrid")  # options, and how retrieval is measured
_FILES = 3  # of a judged set: corpus, queries, qrels
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
        help=f"Sentence pairs, retrieval: {', '.join(POOLINGS)}. " + own("en-sentences", "--pooling"),
    ),
    click.Option(
        ["--columns"],
        metavar="A,B,SCORE",
        help="Pairs: the columns of the two texts and the score, by the header's names or by number. For ndcg, recall and mrr: "
        "A,B, those of the query and its document.",
    ),
    click.Option(
        ["--delimiter"],
        metavar="TEXT",
        help="Pairs: what separates the columns; \\t is a tab. Default: by DATA's name and content.",
    ),
    click.Option(["--meaning"], is_flag=True, help="Retrieval: measure search by meaning (the default)."),
    click.Option(["--words"], is_flag=True, help="Retrieval: measure search by words, BM25."),
    click.Option(
        ["--hybrid"],
        is_flag=True,
        help="Retrieval: measure both together, as textkit search ranks. With several of these, each is measured.",
    ),
)
OF_METRICS = {
    "restrict_vocab": ("analogies",),
    "known_only": ("similarity",),
    "pooling": ("sts", *RETRIEVAL),
    "columns": ("similarity", "sts", *RETRIEVAL),
    "delimiter": ("similarity", "sts"),
    **dict.fromkeys(MODES, RETRIEVAL),
}


def measure(question: Question) -> Iterator[Figures]:
    from textkit.tasks.embed.evaluation.measures import Evaluator
    from textkit.tasks.embed.serving.embedder import Embedder

    asked = question.options
    embedder = Embedder(question.model, question.device, question.threads, asked["pooling"])
    question.note(f"{embedder.bundle.folder} on {embedder.session.where}")
    evaluator = Evaluator(embedder)
    columns, delimiter = asked["columns"], asked["delimiter"]
    named = [column.strip() for column in columns.split(",")] if columns is not None else None
    modes = [mode for mode in MODES if asked[mode]]
    if _is_retrieval(question):
        whole = len(question.data) == _FILES
        if named is not None and (whole or len(named) != 2 or not all(named)):
            raise UsageError(f"--columns {columns}: of pairs, two are needed, those of the query and its document")
        for files in [question.data] if whole else [[path] for path in question.data]:
            for found in evaluator.retrieval(files, question.metrics, named, modes or MODES[:1]):
                yield found.figures(" ".join(files))
        return
    if modes:
        raise UsageError(
            f"--{modes[0]}: is for judged retrieval: corpus, queries and qrels, or pairs with --metric mrr"
        )
    if named is not None and (len(named) != 3 or not all(named)):
        raise UsageError(f"--columns {columns}: three are needed, the two texts and the score")
    parts = delimiter.replace("\\t", "\t") if delimiter is not None else None
    if parts == "":
        raise UsageError("--delimiter: is empty")
    metric = question.metrics[0] if question.metrics else None
    for path in question.data:
        found = evaluator(path, metric, asked["restrict_vocab"], asked["known_only"], named, parts)
        yield found.figures(path)


def _is_retrieval(question: Question) -> bool:
    """Whether retrieval is measured: as the metrics say; without any if the data is a judged set, or pairs and the model learnt
    from such."""
    from textkit.tasks.embed.evaluation.judged import are_judged, are_pairs
    from textkit.tasks.embed.evaluation.retrieval import learnt_pairs

    if question.metrics:
        return question.metrics[0] in RETRIEVAL
    if any(question.options[option] is not None for option in ("columns", "delimiter")):
        return False
    return are_judged(question.data) or (learnt_pairs(question.model.manifest) and all(map(are_pairs, question.data)))


def claims(paths: Sequence[str]) -> int:
    from textkit.tasks.embed.evaluation.data import claims

    return claims(paths)


EVALUATION = Evaluation(measure, OPTIONS, OF_METRICS, several=RETRIEVAL, claims=claims)
