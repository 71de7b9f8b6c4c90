"""Runs `textkit translate`: reads, translates, writes, and says what was out of the ordinary."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import chain
from typing import TYPE_CHECKING

from textkit.cli.filtering import FEWEST, AdaptiveWindow, InputReport, count_of_lines, opened, pump, records
from textkit.cli.options import Messages
from textkit.cli.typed import check_files, seen
from textkit.tasks.translate.verbs.prefixes import Prefixes

if TYPE_CHECKING:
    from textkit.streams.columns import Block
    from textkit.tasks.translate.serving.directions import Direction
    from textkit.tasks.translate.serving.translator import Translator
    from textkit.tasks.translate.verbs.translate import Request


def run(request: Request, messages: Messages) -> None:
    """Read, translate and write; at the end, report what was out of the ordinary."""
    check_files(request.files, list(filter(None, (request.prefix, request.abbreviations, request.glossary))))
    fitting = request.fitting()
    one = fitting[0] if fitting else None
    # A damaged model is reported before anything is read, unless what is read decides which model it is.
    translator = _loaded(request, messages, one) if len(fitting) < 2 else None
    report = InputReport()
    window = AdaptiveWindow(1 if request.line_buffered else None)
    try:
        with opened(request, messages) as (out, show):
            blocks = _blocks(request, report, window)
            if translator is None:
                from textkit.tasks.translate.serving.directions import guessed

                first = next((block for block in blocks if block is not None), None)
                chosen = guessed(fitting, first.texts if first else [], request.to)
                translator = _loaded(request, messages, chosen)
                blocks = chain([first] if first else [], blocks)
            results = _results(request, translator, blocks, window, report)
            pump(results, request, report, out, out.write, show)
    finally:
        _say(report, messages, translator)


def _loaded(request: Request, messages: Messages, chosen: Direction | None) -> Translator:
    """The translator, ready; says how it translates."""
    from textkit.bundle.onnxfile import shares_scales

    translator = request.translator(chosen)
    translator.load()
    search = translator.options
    how = (
        f"{search.n_best} samples"
        if search.sample
        else f"beam {search.beam_size}, length penalty {search.length_penalty:g}"
    )
    messages.note(f"{translator.bundle.folder}: {how}, on {translator.steps.device}")
    if messages.verbose and any(shares_scales(translator.bundle.graph(name)) for name in ("encode", "step")):
        messages.note(
            "an int8 model of an earlier version: what shares a batch with a line may change its translation a little"
        )
    if request.model is None and seen(request.files):
        from textkit.tasks.translate.serving.directions import hint

        messages.hint(hint(translator.bundle, request.to is not None))
    return translator


def _say(report: InputReport, messages: Messages, translator: Translator | None) -> None:
    report.say(messages)
    if translator is None:
        return
    if translator.long_lines:
        done = "split, and the translations of the parts joined" if translator.long == "split" else "cut"
        lines = count_of_lines(translator.long_lines)
        messages.warn(f"{lines} held a sentence of more than the model's {translator.limit:,} tokens: {done}")
    if translator.incomplete:
        lines = count_of_lines(translator.incomplete)
        messages.warn(
            f"the translation of {lines} reached its longest length (--max-length, --max-length-factor) and was cut"
        )
    if translator.doubtful:
        of, is_are = ("translation", "is") if translator.doubtful == 1 else ("translations", "are")
        lines = count_of_lines(translator.doubtful)
        messages.warn(f"the {of} of {lines} {is_are} doubtful; --check says which and why")


def _blocks(request: Request, report: InputReport, window: AdaptiveWindow) -> Iterator[Block | None]:
    """The records in windows of lines, and None where the input pauses."""
    from textkit.serving.stream import WINDOW_CHARACTERS, windows

    return window.joined(windows(records(request, report), min(window.lines, FEWEST), WINDOW_CHARACTERS // 16))


def _results(
    request: Request, translator: Translator, blocks: Iterable[Block | None], window: AdaptiveWindow, report: InputReport
) -> Iterator[tuple[int, bytes] | None]:  # fmt: skip
    """Yield (records, bytes) for each window of lines, and None where the input pauses."""
    from textkit.tasks.translate.serving.writers import FORMATTERS

    form = request.with_key(FORMATTERS[request.format])
    number = 0
    with Prefixes(request.prefix, report) if request.prefix else nullcontext() as prefixes:
        for block in blocks:
            if block is None:
                yield None
                continue
            begun = time.perf_counter()
            found = translator.translate(block.texts, number, prefixes.take(len(block)) if prefixes else None)
            yield len(block), form(block, found, number, translator.options.n_best > 1, request.check)
            number += len(block)
            window.took(len(block), time.perf_counter() - begun)
        if prefixes:
            prefixes.finish(number)
