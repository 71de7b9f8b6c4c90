"""What `textkit evaluate` measures of models of the task `translate`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import click

from textkit.cli.input_report import count_of_lines
from textkit.cli.setting_options import declared
from textkit.evaluation.measuring import Evaluation, Figures, Question
from textkit.searching.settings import SEARCH


def _searching(name: str, *short: str) -> click.Option:
    names, more = declared(name, SEARCH[name], *short, model="en-de", before="Translations.")
    return click.Option(names, **more)


OPTIONS = (
    click.Option(
        ["--tokenize"],
        metavar="NAME",
        help="BLEU: sacrebleu's name of a tokenizer (13a, none, char, ...). Default: 13a.",
    ),
    click.Option(["--lowercase"], is_flag=True, help="Translations: ignore upper and lower case."),
    _searching("beam_size", "-b"),
    _searching("length_penalty"),
    _searching("no_repeat_ngram_size"),
    click.Option(
        ["--batch-tokens"],
        type=click.IntRange(min=1),
        metavar="N",
        help="Translations: the largest batch, in source tokens. Default: 2048.",
    ),
)


def measure(question: Question) -> Iterator[Figures]:
    from textkit.tasks.translate.calibration import measured
    from textkit.tasks.translate.evaluation import METRICS, Scorer, read_tests
    from textkit.tasks.translate.serving.translator import Translator

    search = dict(question.options)
    tokenize, lowercase, batch_tokens = (search.pop(name) for name in ("tokenize", "lowercase", "batch_tokens"))
    # First, because sacrebleu may be missing, and translating takes a while.
    metrics = tuple(question.metrics) or METRICS[:1]
    scorer = Scorer([name for name in metrics if name in METRICS], tokenize, lowercase)
    tests = list(read_tests(question.data))
    translator = Translator(question.model, question.device, question.threads, batch_tokens=batch_tokens, **search)
    question.note(f"{question.model.folder} on {translator.steps.where}")
    for test in tests:
        began = time.monotonic()
        found = [some[0] for some in translator.translate(test.sources)]
        translations = [one.text for one in found]
        question.note(f"{test.name}: {len(translations):,} lines in {time.monotonic() - began:.1f} s")
        for figure in scorer(translations, test.references):
            row = (figure.metric, f"{figure.value:.2f}", figure.lines, figure.references, figure.signature, test.name)
            yield Figures({"data": test.name} | figure.record(), [row])
        if "confidence" in metrics:
            figure = measured(translator.confidence, test, found)
            row = (figure.metric, f"{figure.value:.4f}", figure.lines, figure.references, figure.signature, test.name)
            yield Figures({"data": test.name} | figure.record(), [row])
    if translator.long_lines:
        question.warn(
            f"{count_of_lines(translator.long_lines)} held a sentence longer than the model takes; it was split"
        )
    if translator.incomplete:
        question.warn(f"{translator.incomplete:,} translations were cut at the limit of their length")


def claims(paths: Sequence[str]) -> int:
    from textkit.tasks.translate.evaluation import claims

    return claims(paths)


EVALUATION = Evaluation(measure, OPTIONS, several=True, claims=claims)
