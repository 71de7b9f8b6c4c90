"""`textkit evaluate`: figures of a model on test data. Parses and writes; textkit.evaluation works."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from textkit.cli.filtering import count_of_lines
from textkit.cli.options import (
    Talk,
    answer_format_option,
    device_option,
    encoding_option,
    model_option,
    talk_options,
    threads_option,
)
from textkit.cli.stdout import protected_stdout
from textkit.cli.typed import say_if_typed
from textkit.cli.verb import Verb, examples, own
from textkit.streams.escaping import escaped
from textkit.task import POOLINGS

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle
    from textkit.evaluation.result import Result

# metric -> the task of the models that it is for
METRICS = (
    dict.fromkeys(("similarity", "analogies", "sts"), "embed")
    | dict.fromkeys(("bleu", "chrf"), "translate")
    | {"perplexity": "language"}
)
# Options that only models of one task obey.
OPTIONS = {
    "embed": ("restrict_vocab", "known_only", "pooling", "columns", "delimiter"),
    "language": (),
    "translate": ("tokenize", "lowercase", "beam_size", "length_penalty", "no_repeat_ngram_size", "batch_tokens"),
}
# Of those for embed, the metrics that each is for.
OF_METRICS = {
    "restrict_vocab": ("analogies",),
    "known_only": ("similarity",),
    "pooling": ("sts",),
    "columns": ("similarity", "sts"),
    "delimiter": ("similarity", "sts"),
}


class Metrics(click.ParamType):
    """One metric, or several of one task with commas between them."""

    name = "metric"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        from textkit.errors import nearest

        metrics = tuple(name.strip() for name in value.split(","))
        for metric in metrics:
            if metric not in METRICS:
                self.fail(f"{metric!r}: unknown{nearest(metric, METRICS)}", param, ctx)
        if len(metrics) > 1 and {METRICS[metric] for metric in metrics} != {"translate"}:
            self.fail(f"{value!r}: several at a time are bleu,chrf", param, ctx)
        return metrics

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(metric) for metric in METRICS if metric.startswith(incomplete)]


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit evaluate -m mine wordsim353.tsv",
        "textkit evaluate -m mine questions-words.txt --format jsonl",
        "textkit evaluate -m en-de test.en test.de --metric bleu,chrf",
        "textkit evaluate -m en-lm test.txt",
    ),
)
@click.argument("data", metavar="DATA...", nargs=-1, required=True)
@model_option
@click.option(
    "--metric",
    "metrics",
    type=Metrics(),
    metavar="NAME[,NAME]",
    help="similarity, analogies or sts: what DATA is. Default: what its lines look like. For translations bleu, chrf or both."
    " Default: bleu. For language models perplexity.",
)
@answer_format_option
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
@click.option("--pooling", type=click.Choice(POOLINGS), help="Sentence pairs. " + own("en-words", "--pooling"))
@click.option(
    "--columns",
    metavar="A,B,SCORE",
    help="Pairs: the columns of the two texts and of the score, by the header's names or by number.",
)
@click.option(
    "--delimiter", metavar="TEXT", help="Pairs: what parts the columns; \\t is a tab. Default: by DATA's name and look."
)
@click.option(
    "--tokenize", metavar="NAME", help="BLEU: sacrebleu's name of a tokenizer (13a, none, char, ...). Default: 13a."
)
@click.option("--lowercase", is_flag=True, help="Translations: upper and lower case are the same.")
@click.option(
    "-b", "--beam-size", type=click.IntRange(min=1), metavar="N", help="Translations. " + own("en-de", "--beam-size")
)
@click.option("--length-penalty", type=float, metavar="A", help="Translations. " + own("en-de", "--length-penalty"))
@click.option(
    "--no-repeat-ngram-size",
    type=click.IntRange(min=0),
    metavar="N",
    help="Translations. " + own("en-de", "--no-repeat-ngram-size"),
)
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Translations: the largest batch, in source tokens. Default: 2048.",
)
@encoding_option
@device_option
@threads_option
@talk_options
@click.pass_context
def evaluate(
    ctx: click.Context, data: tuple[str, ...], model: str | None, metrics: tuple[str, ...] | None, form: str,
    talk: Talk, **options: Any,
) -> None:  # fmt: skip
    """Score a model on files of test data; '-' reads stdin.

    \b
    similarity  word pairs with scores: Spearman's correlation with the cosines
    analogies   four words a line, ": name" begins a section: accuracy of 3CosAdd
    sts         sentence pairs with scores, separated by tabs: Spearman's correlation.
                Pairs come as TSV, CSV, JSON lines or with spaces between, under a header that names the columns (sentence1,
                sentence2, score and the like), as two texts and a score, or as STS benchmark has them; else --columns says it
    bleu, chrf  lines and their translations: a file of lines and files of references that belong to it line by line, or
                TSV files (source, reference; lines with the same source are several references of one)
    perplexity  lines of text, read one after the other with all that is before in mind

    Writes metric, value, how many items were used, how many there are, how many hold a word that is not in the vocabulary,
    and the file, separated by tabs; for analogies a line for each section follows. A word is looked for as the model
    normalises it, then without regard to case; for analogies, as gensim has it, without regard to case among the first
    --restrict-vocab words. Of translations: metric, value, lines, references, sacrebleu's signature, and the files. The
    perplexity is per word, the end of a line being one: items are words and ends of lines. --format jsonl writes an object a
    file and metric, with all its figures.

    Without -m and --metric the data says which default model is measured: pairs and analogies embed, two files or columns
    translate, running text is read by the language model.
    """
    from textkit.bundle import bundle as bundles
    from textkit.streams.lines import check_readable

    check_readable(path for path in data if path != "-")
    wanted = METRICS[metrics[0]] if metrics else _wanted(data, options) if model is None else "embed"
    found = bundles.read(bundles.find(model, wanted, any_task=metrics is None))
    task = _task(ctx, found, metrics)
    given = {name: options[name] for name in ("device", "threads", *OPTIONS[task])}
    with protected_stdout() as out:
        say_if_typed(talk, data)
        measure = {"embed": _vectors, "language": _texts, "translate": _translations}[task]
        for record in measure(talk, found, data, metrics, form == "jsonl", **given):
            out.write(record.encode("utf-8", "replace"))
            out.flush()


def _wanted(data: tuple[str, ...], options: dict[str, Any]) -> str:
    """The task that the data is for, where neither model nor metric says it."""
    from textkit.tasks.embed.evaluation.data import task_of

    return "embed" if options["columns"] or options["delimiter"] else task_of(data) or "embed"


def _task(ctx: click.Context, model: Bundle, metrics: tuple[str, ...] | None) -> str:
    """The model's task; UsageError for a metric or an option that is not for it."""
    from textkit.bundle.places import names_for
    from textkit.errors import UsageError

    task = model.manifest.task
    if task not in OPTIONS:
        raise UsageError(f"{model.folder}: there is no test data for a model for {task!r}")
    if metrics and METRICS[metrics[0]] != task:
        known = ", ".join(metric for metric, kind in METRICS.items() if kind == task)
        wanted = METRICS[metrics[0]]
        names = ", ".join(names_for(wanted))
        there = f"; models for {wanted!r}: {names}" if names else ""
        raise UsageError(
            f"--metric {','.join(metrics)}: {model.folder} is a model for {task!r}, which has {known}{there}"
        )
    for other in OPTIONS:
        for name in OPTIONS[other] if other != task else ():
            if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise UsageError(f"--{name.replace('_', '-')}: has no effect on {model.folder}, a model for {task!r}")
    for name in OF_METRICS if metrics else ():
        if (
            metrics[0] not in OF_METRICS[name]
            and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        ):
            raise UsageError(f"--{name.replace('_', '-')}: has no effect on {metrics[0]}")
    return task


def _vectors(
    talk: Talk, model: Bundle, data: tuple[str, ...], metrics: tuple[str, ...] | None, as_json: bool, device: str,
    threads: int | None, restrict_vocab: int, known_only: bool, pooling: str | None, columns: str | None,
    delimiter: str | None,
) -> Iterator[str]:  # fmt: skip
    from textkit.errors import TextkitError, UsageError
    from textkit.tasks.embed.evaluation.measures import Evaluator
    from textkit.tasks.embed.serving.embedder import Embedder

    embedder = Embedder(model, device, threads, pooling)
    talk.note(f"{embedder.bundle.folder} on {embedder.session.device}")
    evaluator = Evaluator(embedder)
    named = [column.strip() for column in columns.split(",")] if columns is not None else None
    if named is not None and (len(named) != 3 or not all(named)):
        raise UsageError(f"--columns {columns}: three are needed, the two texts and the score")
    parts = delimiter.replace("\\t", "\t") if delimiter is not None else None
    if parts == "":
        raise UsageError("--delimiter: is empty")
    for path in data:
        try:
            figure = evaluator(path, metrics and metrics[0], restrict_vocab, known_only, named, parts)
        except TextkitError as error:
            raise TextkitError(f"{error}{_others(path) if metrics is None else ''}") from error
        yield _record(figure, path, as_json)


def _others(path: str) -> str:
    """The models that would do for data that is none for `embed`, as the end of a message."""
    from textkit.bundle.places import names_for
    from textkit.errors import TextkitError
    from textkit.tasks.embed.evaluation.data import task_of

    try:
        task = task_of([path])
    except TextkitError:
        return ""
    names = names_for(task) if task not in (None, "embed") else []
    return f": models for {task!r} would do: {', '.join(names)}" if names else ""


def _texts(
    talk: Talk, model: Bundle, data: tuple[str, ...], metrics: tuple[str, ...] | None, as_json: bool, device: str,
    threads: int | None,
) -> Iterator[str]:  # fmt: skip
    from textkit.tasks.language.evaluation import evaluate as perplexity_of
    from textkit.tasks.language.serving.scorer import LanguageModel

    language = LanguageModel(model, device, threads)
    talk.note(f"{model.folder} on {language.session.device}")
    for path in data:
        yield _record(perplexity_of(language, path), path, as_json)


def _translations(
    talk: Talk, model: Bundle, data: tuple[str, ...], metrics: tuple[str, ...] | None, as_json: bool, device: str,
    threads: int | None, tokenize: str | None, lowercase: bool, batch_tokens: int | None, **search: Any,
) -> Iterator[str]:  # fmt: skip
    from textkit.tasks.translate.evaluation import METRICS as KNOWN
    from textkit.tasks.translate.evaluation import Scorer, read_tests
    from textkit.tasks.translate.serving.translator import BATCH_TOKENS, Translator

    scorer = Scorer(
        metrics or KNOWN[:1], tokenize, lowercase
    )  # first: it may be missing, and translating takes a while
    tests = list(read_tests(data))
    translator = Translator(model, device, threads, batch_tokens=batch_tokens or BATCH_TOKENS, **search)
    talk.note(f"{model.folder} on {translator.steps.device}")
    for test in tests:
        began = time.monotonic()
        translations = translator(test.sources)
        talk.note(f"{test.name}: {len(translations):,} lines in {time.monotonic() - began:.1f} s")
        for figure in scorer(translations, test.references):
            if as_json:
                yield json.dumps({"data": test.name} | figure.record(), ensure_ascii=False) + "\n"
                continue
            row = (figure.metric, f"{figure.value:.2f}", figure.lines, figure.references, figure.signature, test.name)
            yield _row(row)
    if translator.long_lines:
        talk.warn(f"{count_of_lines(translator.long_lines)} held a sentence longer than the model takes; it was split")
    if translator.incomplete:
        talk.warn(f"{translator.incomplete:,} translations were cut at the limit of their length")


def _record(result: Result, path: str, as_json: bool) -> str:
    if as_json:
        return json.dumps({"data": path} | result.record(), ensure_ascii=False) + "\n"
    rows = [
        (_metric(part), _value(part), part.used, part.total, part.outside, path) for part in (result, *result.parts)
    ]
    return "".join(map(_row, rows))


def _row(cells: Iterable[object]) -> str:
    """Tabs between cells: the name of a section or of a file may hold one too."""
    return "\t".join(escaped(str(cell), tabs=True) for cell in cells) + "\n"


def _metric(result: Result) -> str:
    return f"{result.metric} per {result.per}" if result.per else result.metric


def _value(result: Result) -> str:
    """Four decimals of what lies between -1 and 1; six digits of a perplexity."""
    return "" if result.value is None else f"{result.value:.6g}" if result.per else f"{result.value:.4f}"
