"""`textkit calibrate`: a translator learns from pairs how much its translations can be trusted."""

from __future__ import annotations

from pathlib import Path

import click

from textkit.cli.input_report import count_of_lines
from textkit.cli.options import Messages, device_option, encoding_option, message_options, model_option, threads_option
from textkit.cli.typed import say_if_typed
from textkit.cli.verb import Verb, examples


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit calibrate -m my-translator dev.tsv",
        "textkit evaluate -m my-translator test.tsv --metric confidence",
    ),
)
@click.argument("data", metavar="DATA...", nargs=-1, required=True)
@model_option
@encoding_option
@device_option
@threads_option
@message_options
def calibrate(
    data: tuple[str, ...], model: str | None, device: str, threads: int | None, messages: Messages
) -> None:  # fmt: skip
    """Learn the confidence of a translator from pairs: lines and their translations.

    DATA is a file of lines and files of references that match it line by line, or TSV files (source, reference), as for
    `textkit evaluate`: a hundred lines at least, which the model did not learn. Each line is translated, and what the search
    knows of it is held against its chrF. What was learnt is written into the model's manifest; nothing else changes.

    From then on, `textkit translate` gives each line a confidence in jsonl and with --check: the chrF, from 0 to 1, that is
    expected of its translation. Less than 0.35 is a doubt.
    """
    from textkit.bundle import bundle as bundles
    from textkit.bundle import writing
    from textkit.errors import UsageError
    from textkit.streams.lines import check_readable
    from textkit.tasks.translate.calibration import learnt
    from textkit.tasks.translate.evaluation import Scorer, read_tests
    from textkit.tasks.translate.serving.translator import Translator

    if model is None:
        raise UsageError("-m is missing: calibrate changes the manifest of a model, and takes no default")
    check_readable(path for path in data if path != "-")
    found = bundles.located(model, "translate")
    Scorer(("chrf",))  # first, because sacrebleu may be missing, and translating takes a while
    say_if_typed(messages, data)
    tests = list(read_tests(data))
    translator = Translator(found, device, threads)
    translator.load()
    messages.note(f"{found.folder} on {translator.steps.where}")
    best = [[some[0] for some in translator.translate(test.sources)] for test in tests]
    confidence, pearson = learnt(tests, best)
    lines = sum(map(len, best))
    names = " ".join(Path(name).name for name in data)
    made = {"confidence": {"command": f"textkit calibrate -m {found.manifest.name} {names}", "lines": lines}}
    facts = {"confidence": confidence.record()}
    writing.amend(found.folder, facts={**found.manifest.facts, **facts}, made={**found.manifest.made, **made})
    messages.hint(
        f"{found.folder}: learnt from {count_of_lines(lines)}; Pearson's correlation with chrF is {pearson:.2f}"
    )
