"""`textkit generate`: prompts in, continuations out. Parses options and writes results; textkit.serving does the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from textkit.cli.arrow_records import tables_to
from textkit.cli.filter_options import ARROW, ARROW_SUFFIXES, JSONL, format_option, output_option, reading_options
from textkit.cli.filtering import Answering, Filter, answer, opened, pump, records
from textkit.cli.input_report import InputReport
from textkit.cli.options import Messages, Text, answering_options, model_option
from textkit.cli.parts_options import parts_options
from textkit.cli.setting_options import Number, options_of, taken
from textkit.cli.typed import say_if_file
from textkit.cli.verb import Verb, examples
from textkit.cli.windowing import FEWEST, AdaptiveWindow
from textkit.errors import UsageError
from textkit.searching.settings import SEARCH
from textkit.tasks.language.task import GENERATED, TASK

if TYPE_CHECKING:
    from textkit.tasks.language.serving.generator import Generated, Generator

FORMATS = ("text", "jsonl", *ARROW)

_option = options_of(TASK, SEARCH)


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit generate 'Once upon a'",
        "textkit generate 'Once upon a' -n 3 --temperature 0.8 --top-p 0.9",
        "textkit generate --stop . < beginnings.txt",
    ),
)
@click.argument("prompt", type=Text(), metavar="[PROMPT]", required=False)
@model_option
@format_option(FORMATS)
@output_option
@_option("max_tokens")
@_option("temperature")
@_option("top_k")
@_option("top_p")
@_option("seed")
@click.option(
    "-n",
    "--number",
    "samples",
    type=Number(SEARCH["n_best"]),
    default=1,
    show_default=True,
    metavar="N",
    help="The number of texts for each prompt.",
)
@click.option(
    "--stop",
    type=Text(),
    multiple=True,
    metavar="S",
    help="End a text where S would begin, without S. May be given several times.",
)
@_option("allow_unk")
@click.option("--without-prompt", is_flag=True, help="Write only the continuation.")
@click.option(
    "--file", "files", multiple=True, metavar="FILE", help="Read prompts, one per line, from FILE instead of stdin."
)
@reading_options
@parts_options
@answering_options
def generate(messages: Messages, prompt: str | None, **options: Any) -> None:
    """Continue PROMPT and print the text as it is drawn; without PROMPT, write one record for each line of stdin, in order.

    \b
    text   the prompt and what follows it, one line per sample
    jsonl  the record's own fields, "continuation", "logprob", "tokens", "ended" (false if the text was cut at
           --max-tokens); with -n a list "samples" of these

    If PROMPT ends inside a word, the text completes that word; if it ends in a space, the next word follows. In text, a
    line feed inside a record is written \\n, a carriage return \\r, and a backslash \\\\. A text ends where the model ends
    the line, at --stop or after --max-tokens. With the same --seed, the same model gives the same texts on the same
    machine, whatever else is in the batch. A blank line stays blank; PROMPT "" lets the model begin a line freely. If a
    prompt is longer than the model remembers, only its end counts.
    """
    request = _Options(settings=taken(options, SEARCH, TASK.settings), **options)
    if prompt is None:
        answer(request, messages, opens)
        return
    if request.files or request.kind != "lines" or request.in_parts or request.format in ARROW:
        raise UsageError("PROMPT: --file, --input, parts and tables are for prompts that are read")
    say_if_file(messages, [prompt], "the prompt", "--file")
    answer_one(prompt, request, messages)


@dataclass(kw_only=True)
class _Options(Filter):
    """The options, checked as far as argv alone allows. `settings`: the given settings of the search and the model."""

    settings: dict[str, Any]
    samples: int
    stop: tuple[str, ...]
    without_prompt: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self.format = self.format_of(JSONL | ARROW_SUFFIXES)
        self.name_fields(GENERATED)
        if "" in self.stop:
            raise UsageError("--stop '': an empty string is everywhere")

    @property
    def in_step(self) -> bool:
        """What is drawn depends on the seed and the number of the prompt."""
        return True

    def generator(self) -> Generator:
        from textkit.tasks.language.serving.generator import Generator

        return Generator(self.model, self.device, self.threads, samples=self.samples, stop=self.stop, **self.settings)


def answer_one(prompt: str, request: _Options, messages: Messages) -> None:
    """Answer one prompt: write its text as it is drawn, or all samples when they are done."""
    from textkit.streams.columns import Block
    from textkit.tasks.language.serving.writers import TEXTS

    generator = _loaded(request, messages)
    try:
        with opened(request, messages, reads=False) as (out, _):
            if request.samples == 1 and request.format == "text":
                _stream(generator, prompt, out, not request.without_prompt)
            else:
                out.write(
                    request.with_key(TEXTS[request.format])(
                        Block([prompt]), generator([prompt]), not request.without_prompt
                    )
                )
            out.flush()
    finally:
        _say(generator, messages)


def _stream(generator: Generator, prompt: str, out: BinaryIO, whole: bool) -> None:
    """Write each part of the text as it becomes certain."""
    from textkit.streams.escaping import Escaping

    begun, line = whole, Escaping()

    def tell(text: str) -> None:
        nonlocal begun
        text = text if begun else text.lstrip()
        begun = begun or bool(text)
        out.write(line(text).encode("utf-8", "replace"))
        out.flush()

    if whole:
        tell(prompt)
    generator.stream(prompt, tell)
    out.write(line("", last=True).encode("utf-8", "replace") + b"\n")


def opens(request: _Options, messages: Messages) -> Answering:
    generator = _loaded(request, messages)

    def write(request: _Options, report: InputReport, out: BinaryIO, show: Callable[[int], None]) -> None:
        with tables_to(request, out) as put:
            pump(_results(request, generator, report), request, report, put, put.write, show)

    return Answering(
        write,
        generator.bundle.folder,
        lambda: generator.steps.device,
        lambda: _say(generator, messages),
        lambda: {"cut prompts": generator.cut_prompts},
    )


def _loaded(request: _Options, messages: Messages) -> Generator:
    """The model with its graphs loaded, so that a damaged one is reported before anything is read."""
    generator = request.generator()
    messages.note(f"{generator.bundle.folder} on {generator.steps.where}")
    return generator


def _say(generator: Generator, messages: Messages) -> None:
    if generator.cut_prompts:
        prompts = "1 prompt was" if generator.cut_prompts == 1 else f"{generator.cut_prompts:,} prompts were"
        messages.warn(
            f"{prompts} longer than the {generator.context:,} tokens that the model remembers, --max-tokens among them: the "
            "beginning was left out"
        )


def _results(request: _Options, generator: Generator, report: InputReport) -> Iterator[tuple[int, bytes] | None]:
    """Yield (records, bytes) for each window of prompts, and None where the input pauses."""
    from textkit.serving.stream import WINDOW_CHARACTERS, windows
    from textkit.tasks.language.serving.generator import Generated
    from textkit.tasks.language.serving.writers import TEXTS

    form = _tables(request) if request.format in ARROW else request.with_key(TEXTS[request.format])
    window = AdaptiveWindow(1 if request.line_buffered else None)
    number = request.first
    for block in window.joined(windows(records(request, report), min(window.lines, FEWEST), WINDOW_CHARACTERS // 16)):
        if block is None:
            yield None
            continue
        begun = time.perf_counter()
        found: list[list[Generated]] = [[Generated("", text, 0.0, 0, True)] * request.samples for text in block.texts]
        real = [at for at, text in enumerate(block.texts) if text and not text.isspace()]
        made = generator.generate([block.texts[at] for at in real], [number + at for at in real])
        for at, texts in zip(real, made, strict=True):
            found[at] = texts
        yield len(block), form(block, found, not request.without_prompt)
        number += len(block)
        window.took(len(block), time.perf_counter() - begun)


def _tables(request: _Options) -> Callable[..., Any]:
    from textkit.streams.arrow_output import from_json
    from textkit.tasks.language.serving.writers import TEXTS

    types: dict[str, Any] = {"continuation": "string", "logprob": "double", "tokens": "int64", "ended": "bool"}
    return from_json(TEXTS["jsonl"], types | ({"samples": [types]} if request.samples > 1 else {}), request.field)
