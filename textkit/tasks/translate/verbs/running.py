"""Runs `textkit translate`: reads, translates, writes, and says what was out of the ordinary."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from textkit.cli.arrow_records import tables_to
from textkit.cli.filter_options import ARROW
from textkit.cli.filtering import Answering, answer, pump, records
from textkit.cli.input_report import InputReport, count_of_lines
from textkit.cli.options import Messages
from textkit.cli.typed import seen
from textkit.cli.windowing import FEWEST, AdaptiveWindow
from textkit.streams.lines import check_readable
from textkit.tasks.translate.verbs.prefixes import Prefixes

if TYPE_CHECKING:
    from textkit.streams.columns import Block
    from textkit.tasks.translate.serving.directions import Direction
    from textkit.tasks.translate.serving.translator import Translator
    from textkit.tasks.translate.verbs.translate import Request


def run(request: Request, messages: Messages) -> None:
    """Read, translate and write; at the end, report what was out of the ordinary."""
    check_readable(filter(None, (request.prefix, request.abbreviations, request.glossary)))
    answer(request, messages, opens)


def opens(request: Request, messages: Messages) -> Answering:
    """Loads the model, so that a damaged one is reported before anything is read, unless what is read decides which it is."""
    job = _Job(messages, request.fitting())
    if len(job.fitting) < 2:
        job.load(request, job.fitting[0] if job.fitting else None)
    elif request.in_parts:  # all parts have the model that the first lines of all ask for
        blocks = _blocks(copy.copy(request), InputReport(), AdaptiveWindow(None))
        job.decide(request, next((block for block in blocks if block is not None), None))
    translator = job.translator
    return Answering(
        job.write,
        translator.bundle.folder if translator else None,
        lambda: job.loaded.steps.device,
        job.say,
        job.counts,
    )


class _Job:
    """A translator that is loaded now or, where the first lines choose between models, when they are read."""

    def __init__(self, messages: Messages, fitting: list[Direction]) -> None:
        self.messages, self.fitting = messages, fitting
        self.translator: Translator | None = None
        self._prefixes: Prefixes | None = None

    def load(self, request: Request, chosen: Direction | None) -> None:
        self.translator = _loaded(request, self.messages, chosen)

    def decide(self, request: Request, first: Block | None) -> None:
        from textkit.tasks.translate.serving.directions import guessed

        self.load(request, guessed(self.fitting, first.texts if first else [], request.to))

    @property
    def loaded(self) -> Translator:
        assert self.translator is not None
        return self.translator

    def write(self, request: Request, report: InputReport, out: BinaryIO, show: Callable[[int], None]) -> None:
        window = AdaptiveWindow(1 if request.line_buffered else None)
        blocks = _blocks(request, report, window)
        if self.translator is None:
            first = next((block for block in blocks if block is not None), None)
            self.decide(request, first)
            blocks = chain([first] if first else [], blocks)
        prefixes = self._prefixes_of(request)
        results = _results(request, self.loaded, blocks, window, prefixes)
        with tables_to(request, out) as put:
            pump(results, request, report, put, put.write, show)

    def _prefixes_of(self, request: Request) -> Prefixes | None:
        """The lines of --prefix, from that of the first record on."""
        if request.prefix is None:
            return None
        self._prefixes = self._prefixes or Prefixes(request.prefix)
        self._prefixes.begin(request.first)
        return self._prefixes

    def say(self) -> None:
        if self._prefixes is not None:
            self._prefixes.say(self.messages)
            self._prefixes.close()
        if self.translator is not None:
            _say(self.messages, self.translator)

    def counts(self) -> dict[str, int]:
        one = self.translator
        return {"long": one.long_lines, "incomplete": one.incomplete, "doubtful": one.doubtful} if one else {}


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
    messages.note(f"{translator.bundle.folder}: {how}, on {translator.steps.where}")
    if messages.verbose and any(shares_scales(translator.bundle.graph(name)) for name in ("encode", "step")):
        messages.note(
            "an int8 model of an earlier version: what shares a batch with a line may change its translation a little"
        )
    if request.model is None and seen(request.files):
        from textkit.tasks.translate.serving.directions import hint

        messages.hint(hint(translator.bundle, request.to is not None))
    return translator


def _say(messages: Messages, translator: Translator) -> None:
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
    request: Request, translator: Translator, blocks: Iterable[Block | None], window: AdaptiveWindow, prefixes: Prefixes | None
) -> Iterator[tuple[int, bytes] | None]:  # fmt: skip
    """Yield (records, bytes) for each window of lines, and None where the input pauses.

    Beside a GPU the next window is cut into tokens, and the last one written, while one is searched.
    """
    from textkit.serving.stream import staged
    from textkit.tasks.translate.serving.writers import FORMATTERS

    form = _tables(request) if request.format in ARROW else request.with_key(FORMATTERS[request.format])
    number = request.first

    def numbered() -> Iterator[tuple[Block, int, list[str] | None] | None]:
        nonlocal number
        for block in blocks:
            if block is None:
                yield None
                continue
            yield block, number, prefixes.take(len(block)) if prefixes and not request.rowless else None
            number += len(block)

    def translated(item: tuple[Block, int, list[str] | None]) -> tuple[int, bytes]:
        block, first, begins = item
        begun = time.perf_counter()
        found = translator.translate(block.texts, first, begins)
        window.took(len(block), time.perf_counter() - begun)
        return len(block), form(block, found, first, translator.options.n_best > 1, request.check)

    on_gpu = translator.steps.device != "cpu"
    yield from staged(numbered(), [translated], 2 if on_gpu else 1, 2)
    if prefixes and request.spans is None:  # of parts the lines were counted beforehand
        prefixes.finish(number)


def _tables(request: Request) -> Callable[..., Any]:
    from textkit.streams.arrow_output import from_json
    from textkit.tasks.translate.serving.writers import FORMATTERS

    one: dict[str, Any] = {"translation": "string", "score": "double", "logprob": "double", "confidence": "double"}
    if request.alignment:
        one |= {"source_tokens": ["string"], "tokens": ["string"], "alignment": [["int64"]]}
    if request.word_scores:
        one |= {"tokens": ["string"], "word_scores": ["double"]}
    many = {"nbest": [one]} if request.settings.get("n_best", 1) > 1 else {}
    return from_json(FORMATTERS["jsonl"], one | {"doubts": ["string"]} | many, request.field)
