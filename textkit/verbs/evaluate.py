"""`textkit evaluate`: figures of a model on test data. Parses and writes; the evaluation of the model's task measures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import click

from textkit.cli.options import (
    Messages,
    answer_format_option,
    device_option,
    encoding_option,
    message_options,
    model_option,
    threads_option,
)
from textkit.cli.stdout import protected_stdout
from textkit.cli.typed import say_if_typed
from textkit.cli.verb import Verb, examples
from textkit.evaluation.measuring import Evaluation, Question
from textkit.streams.escaping import escaped
from textkit.task import load
from textkit.task_registry import tasks

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

_FIRST = "embed"  # the task whose default model is measured if nothing says which


@cache
def _evaluations() -> dict[str, Evaluation]:
    """task -> how its models are measured. A broken third-party evaluation is left out; `textkit doctor` reports it."""
    from textkit.errors import TextkitError
    from textkit.strangers import contained

    found: dict[str, Evaluation] = {}
    for task in tasks.sound() if tasks.strangers_at_hand() else tasks.own():
        try:
            with contained(f"the evaluation of the task {task.name!r} is broken"):
                if task.evaluation:
                    found[task.name] = load(task.evaluation)
        except TextkitError:
            continue
    return found


@cache
def _metrics() -> dict[str, list[str]]:
    """metric -> the tasks whose models it measures; two tasks may both have an accuracy."""
    found: dict[str, list[str]] = {}
    for task in _evaluations():
        for metric in tasks.get(task).metrics:
            found.setdefault(metric, []).append(task)
    return found


class Metrics(click.ParamType):
    """One metric, or several of one task with commas between them."""

    name = "metric"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        from textkit.errors import nearest

        metrics = tuple(name.strip() for name in value.split(","))
        known = _metrics()
        for metric in metrics:
            if metric not in known:
                self.fail(f"{metric!r}: unknown{nearest(metric, known)}", param, ctx)
        together = [
            [metric for metric in tasks.get(task).metrics if metric in found.together(tasks.get(task).metrics)]
            for task, found in _evaluations().items()
        ]
        if len(metrics) > 1 and not any(set(metrics) <= set(some) for some in together):
            several = [",".join(some) for some in together if some]
            self.fail(f"{value!r}: several at a time are {' or '.join(several)}", param, ctx)
        return metrics

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(metric) for metric in _metrics() if metric.startswith(incomplete)]


class Evaluate(Verb):
    """A verb with the options, and the list of metrics, of every task that is measured."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params = super().get_params(ctx)
        at = 1 + max(place for place, param in enumerate(params) if param.name in ("data", "model", "metrics", "form"))
        taken = {param.name for param in params}
        for evaluation in _evaluations().values():
            for option in evaluation.options:
                if option.name not in taken:
                    taken.add(option.name)
                    params.insert(at, option)
                    at += 1
        return params

    def help_text(self) -> str:
        listed = [f"{metric}  {about}" for task in _evaluations() for metric, about in tasks.get(task).metrics.items()]
        return super().help_text().replace("METRICS", "\n".join(listed))


@click.command(
    cls=Evaluate,
    epilog=examples(
        "textkit evaluate -m mine wordsim353.tsv",
        "textkit evaluate -m mine questions-words.txt --format jsonl",
        "textkit evaluate -m mine corpus.tsv queries.tsv qrels.tsv",
        "textkit evaluate -m en-de test.en test.de --metric bleu,chrf",
        "textkit evaluate -m en-lm test.txt",
        "textkit evaluate -m my-intents dev.tsv --confusion --picture confusions.png",
    ),
)
@click.argument("data", metavar="DATA...", nargs=-1, required=True)
@model_option
@click.option(
    "--metric",
    "metrics",
    type=Metrics(),
    metavar="NAME[,NAME]",
    help="What to measure, of the metrics above. Default: what DATA's lines suggest, or the first of the model's task.",
)
@answer_format_option
@encoding_option
@device_option
@threads_option
@message_options
@click.pass_context
def evaluate(
    ctx: click.Context, data: tuple[str, ...], model: str | None, metrics: tuple[str, ...] | None, form: str,
    device: str, threads: int | None, messages: Messages, **options: Any,
) -> None:  # fmt: skip
    """Score a model on files of test data; '-' reads stdin.

    \b
    METRICS

    Writes these, separated by tabs: metric, value, how many items were used, how many there are, how many hold a word that is
    not in the vocabulary, and the file. For analogies, one line for each section follows. A word is looked up as the model
    normalises it, then without regard to case; for analogies, as in gensim, without regard to case among the first
    --restrict-vocab words. Translations give metric, value, lines, references, sacrebleu's signature, and the files. Perplexity
    is per word, and the end of a line counts as a word: items are words and ends of lines. --format jsonl writes one object for
    each file and metric, with all its figures.

    Labelled lines of all files are measured together. Figures are of the lines whose labels the model knows: how many these
    are, how many there are, and how many have none that it knows. Those are taken for lines out of scope, and a figure says
    how well the model's confidence finds them (AUROC); outlier-auroc says how well `classify --outliers` does. ece is the
    expected calibration error, ece-uncalibrated without the model's temperature. Then come `label`, its name, precision,
    recall, F1 and lines; and with --confusion `confusion`, the label, what was answered, and lines.

    Judged retrieval is read from three files: corpus and queries (id<tab>text, or BEIR's JSON lines) and qrels
    (query<tab>document<tab>grade, or TREC's). All of the corpus is searched, and figures are as trec_eval -c counts them: the
    queries that were judged, the queries there are, and how many of the judged ones found nothing. A pairs file
    (query<tab>document), such as a model of two sides learnt from, is measured by the same metrics; each query's own documents
    are relevant. --words and --hybrid measure the other ways in which textkit search ranks.

    Without -m and --metric, the data decides which default model is measured: pairs with scores, analogies and judged retrieval
    are for embed, two files or columns for translate, labelled lines for classify, and running text for the language model.
    """
    from textkit.bundle import bundle as bundles
    from textkit.errors import TextkitError
    from textkit.streams.lines import check_readable

    check_readable(path for path in data if path != "-")
    wanted = _metrics()[metrics[0]][0] if metrics else _FIRST if model is not None else _wanted(ctx, data)
    found = bundles.read(bundles.find(model, wanted, any_task=metrics is None))  # another task is told of by name below
    evaluation = _evaluation(ctx, found, metrics)
    own = {option.name: options[option.name] for option in evaluation.options if option.name}
    question = Question(found, data, metrics or (), device, threads, own, messages.note, messages.warn)
    with protected_stdout() as out:
        say_if_typed(messages, data)
        try:
            for figures in evaluation.measure(question):
                out.write(_written(figures.record, figures.rows, form == "jsonl").encode("utf-8", "replace"))
                out.flush()
        except TextkitError as error:
            raise type(error)(f"{error}{'' if metrics else _others(data, found.manifest.task)}") from error


def _written(record: Mapping[str, Any], rows: Sequence[Sequence[object]], as_json: bool) -> str:
    if as_json:
        return json.dumps(record, ensure_ascii=False) + "\n"
    # Cells are escaped because the name of a section or of a file may hold a tab.
    return "".join("\t".join(escaped(str(cell), tabs=True) for cell in row) + "\n" for row in rows)


def _claimant(data: Sequence[str]) -> str | None:
    """The task that the data is most likely for; None if there is none, or for stdin, which can be read only once."""
    if "-" in data:
        return None
    claims = {task: evaluation.claims(data) for task, evaluation in _evaluations().items()}
    best = max(claims, key=lambda task: claims[task])
    return best if claims[best] else None


def _wanted(ctx: click.Context, data: Sequence[str]) -> str:
    """The task to measure if neither model nor metric says it: the one whose options are given, or else the data's own."""
    given = {name for name in ctx.params if _is_given(ctx, name)}
    for task, evaluation in _evaluations().items():
        if any(option.name in given and option.name in evaluation.of_metrics for option in evaluation.options):
            return task
    return _claimant(data) or _FIRST


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _evaluation(ctx: click.Context, model: Bundle, metrics: tuple[str, ...] | None) -> Evaluation:
    """How the model is measured; UsageError for a metric or an option that does not apply to it."""
    from textkit.bundle.places import names_for
    from textkit.errors import UsageError

    task = model.manifest.task
    if task not in _evaluations():
        raise UsageError(f"{model.folder}: there is no test data for a model for {task!r}")
    evaluation = _evaluations()[task]
    if metrics and task not in _metrics()[metrics[0]]:
        wanted = _metrics()[metrics[0]][0]
        known, names = ", ".join(tasks.get(task).metrics), ", ".join(names_for(wanted))
        there = f"; models for {wanted!r}: {names}" if names else ""
        raise UsageError(
            f"--metric {','.join(metrics)}: {model.folder} is a model for {task!r}, which has {known}{there}"
        )
    own = {option.name for option in evaluation.options}
    for name in _options_of_tasks():
        if name not in own and _is_given(ctx, name):
            raise UsageError(f"--{name.replace('_', '-')}: has no effect on {model.folder}, a model for {task!r}")
    for name, of in evaluation.of_metrics.items() if metrics else ():
        if metrics and metrics[0] not in of and _is_given(ctx, name):
            raise UsageError(f"--{name.replace('_', '-')}: has no effect on {metrics[0]}")
    return evaluation


def _options_of_tasks() -> Iterator[str]:
    for evaluation in _evaluations().values():
        for option in evaluation.options:
            if option.name:
                yield option.name


def _others(data: Sequence[str], task: str) -> str:
    """The end of a message: the models of another task, if the data is for that task; otherwise ''."""
    from textkit.bundle.places import names_for
    from textkit.errors import TextkitError

    try:
        wanted = _claimant(data)
    except TextkitError:
        return ""
    names = names_for(wanted) if wanted not in (None, task) else []
    return f": models for {wanted!r} would do: {', '.join(names)}" if names else ""
