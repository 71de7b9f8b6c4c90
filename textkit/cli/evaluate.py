"""`textkit evaluate`: figures of a model on test data. Parses and writes; textkit.evaluation works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from textkit.cli.options import Talk, device_option, model_option, protected_stdout, talk_options, threads_option

if TYPE_CHECKING:
    from textkit.evaluation.result import Result


@click.command()
@click.argument("data", metavar="DATA...", nargs=-1, required=True)
@model_option
@click.option(
    "--metric",
    type=click.Choice(["similarity", "analogies", "sts"]),
    help="What DATA is. Default: what its lines look like.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a file, with the figures of its sections.")
@click.option(
    "--restrict-vocab",
    type=click.IntRange(min=1),
    default=300_000,
    show_default=True,
    metavar="N",
    help="Analogies: only the first N words of the vocabulary are known.",
)
@click.option(
    "--known-only", is_flag=True, help="Word pairs: leave out words that only subwords give a vector, as gensim does."
)
@click.option("--pooling", type=click.Choice(["mean", "max", "sif"]), help="Sentence pairs. Default: the model's own.")
@device_option
@threads_option
@talk_options
def evaluate(
    data: tuple[str, ...],
    model: str | None,
    metric: str | None,
    as_json: bool,
    restrict_vocab: int,
    known_only: bool,
    pooling: str | None,
    device: str,
    threads: int | None,
    talk: Talk,
) -> None:
    """Score a model on files of test data; '-' reads stdin.

    \b
    similarity  word pairs with scores: Spearman's correlation with the cosines
    analogies   four words a line, ": name" begins a section: accuracy of 3CosAdd
    sts         sentence pairs with scores, separated by tabs: Spearman's correlation

    Writes metric, value, how many items were used, how many there are, how many hold a word that is not in the vocabulary,
    and the file, separated by tabs; for analogies a line for each section follows. A word is looked for as the model
    normalises it, then without regard to case.
    """
    from textkit.evaluation.embeddings import Evaluator
    from textkit.lines import check_readable
    from textkit.serving.embedder import Embedder

    check_readable(path for path in data if path != "-")
    with protected_stdout() as out:
        embedder = Embedder(model, device, threads, pooling)
        talk.note(f"{embedder.bundle.folder} on {embedder.session.device}")
        evaluator = Evaluator(embedder)
        for path in data:
            result = evaluator(path, metric, restrict_vocab, known_only)
            out.write(_record(result, path, as_json).encode("utf-8", "replace"))
            out.flush()


def _record(result: Result, path: str, as_json: bool) -> str:
    if as_json:
        return json.dumps({"data": path} | result.record(), ensure_ascii=False) + "\n"
    rows = [
        (part.metric, "" if part.value is None else f"{part.value:.4f}", part.used, part.total, part.outside, path)
        for part in (result, *result.parts)
    ]
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)
