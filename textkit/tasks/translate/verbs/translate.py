"""`textkit translate`: lines in, translations out. Parses options; running.py does the work."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from textkit.cli.filter_options import (
    ARROW,
    ARROW_SUFFIXES,
    JSONL,
    FilterVerb,
    filter_options,
    reading_options,
    split_option,
)
from textkit.cli.filtering import Filter
from textkit.cli.options import Messages, Text, answering_options
from textkit.cli.parts_options import parts_options_but_workers
from textkit.cli.setting_options import options_of, taken
from textkit.cli.verb import examples
from textkit.errors import UsageError
from textkit.searching.settings import SEARCH
from textkit.tasks.translate.task import TASK, TRANSLATED
from textkit.tasks.translate.verbs.prefixes import check_lines

if TYPE_CHECKING:
    from textkit.tasks.translate.serving.directions import Direction
    from textkit.tasks.translate.serving.translator import Translator

FORMATS = ("text", "jsonl", "nbest", *ARROW)
SUFFIXES = JSONL | ARROW_SUFFIXES | {".nbest": "nbest"}  # the format that the suffix of -o FILE implies

_POSITIVE = click.IntRange(min=1)
_option = options_of(TASK, SEARCH)


def _codes(of: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes the code of a language that models translate from (`of`: "source") or into ("target")."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
        from textkit.tasks.translate.serving.directions import languages

        return [code for code in languages(of) if code.startswith(begun)]

    return complete


@click.command(
    cls=FilterVerb,
    epilog=examples(
        "echo 'I am going home.' | textkit translate",
        "textkit translate english.txt -o german.txt",
        "textkit translate --n-best 3 --format nbest < english.txt",
        "textkit translate --input csv --column title books.csv -o books.jsonl",
    ),
)
@filter_options(FORMATS)
@click.option(
    "--to",
    metavar="LANG",
    shell_complete=_codes("target"),
    help="The language to translate into, such as de: instead of -m, it chooses a model of yours or of textkit's.",
)
@click.option(
    "--from",
    "source_language",
    metavar="LANG",
    shell_complete=_codes("source"),
    help="The language of the input. Default: where models for --to differ in it, guessed from the first lines.",
)
@_option("beam_size", "-b")
@_option("n_best", "-n")
@_option("length_penalty")
@_option("min_length")
@_option("max_length")
@_option("max_length_factor")
@_option("no_repeat_ngram_size")
@click.option(
    "--prefix",
    metavar="FILE",
    help="One line per input line: how its translation begins; --max-length does not cut it.",
)
@_option("guard", negated=True)
@_option("truecase")
@_option("shortlist", negated=True)
@click.option("--check", is_flag=True, help="Add what is doubtful about a translation: see above.")
@click.option(
    "--keep",
    "keeps",
    type=Text(),
    multiple=True,
    metavar="REGEX",
    help="What a translation keeps as it is, besides URLs, tags, emoji and the like. May be repeated.",
)
@click.option("--glossary", metavar="FILE", help="Lines term<tab>translation: how these terms are translated.")
@_option("allow_unk")
@click.option("--replace-unk", is_flag=True, help="Replace an unknown word with its source word, by the attention.")
@click.option("--alignment", is_flag=True, help="Add the source token that each token comes from, by the attention.")
@click.option("--word-scores", is_flag=True, help="Add the log-probability of each token, including sentence ends.")
@_option("sample")
@_option("temperature")
@_option("top_k")
@_option("top_p")
@_option("seed")
@reading_options
@parts_options_but_workers
@_option("sentences", negated=True)
@_option("clauses")
@click.option("--abbreviations", metavar="FILE", help="Your own abbreviations, one per line; no sentence ends at one.")
@split_option("What to do with a sentence that is too long for the model.")
@click.option(
    "--batch-tokens",
    type=_POSITIVE,
    metavar="N",
    help="The largest batch, in source tokens. Default: 2048; on a GPU it is found by trying.",
)
@click.option("--batch-lines", type=_POSITIVE, metavar="N", help="The largest batch, in lines; applies as well.")
@click.option(
    "--workers",
    type=_POSITIVE,
    metavar="N",
    help="Batches to translate at a time (by default as many as --threads, 4 at most; on a GPU 3). They share --threads. "
    "With --engine ray its workers.",
)
@answering_options
def translate(messages: Messages, **options: Any) -> None:
    """Translate each line of the FILEs (or of stdin, also named -): one line out for each line in, in order.

    \b
    text   the translation, one line per record; after ||| what --alignment (i-j) and --word-scores ask for
    jsonl  the record's own fields, "translation", "score"; with --n-best also "nbest", a list of these
    nbest  `id ||| translation ||| F0= logprob ||| score` as in Moses; ids count from 0

    A blank line stays blank, and white space around a line is left out. If a line has several sentences, each is translated
    by itself, and the translations are joined with the same spaces. A sentence that is too long is split where a clause or
    a word ends. Lines that occur twice are translated once. With --on-error skip, a record that cannot be read leaves an
    empty line (in jsonl null) in its place, so that lines stay aligned.

    URLs, e-mail addresses, file names, code, tags, placeholders, telephone numbers, hashtags, emoji and the like come through
    as they are, if the model has learnt that (`--set sentinels=16 --set augment=keep` in training). The marks of lists and
    headings (-, #, >), tabs, and | between cells stay in their places. A translation that repeats itself or lacks a number is
    searched again in another way, unless --no-guard is given. What stays doubtful is counted on stderr at the end; --check adds
    it to each line, behind ||| as "Doubts= ", and jsonl has "doubts". A model that has learnt it (textkit calibrate) also gives
    "Confidence= " or "confidence": the chrF, from 0 to 1, that is expected of the translation.

    \b
    numbers  a number of the line is not in its translation, or there too often
    loop     the translation repeats itself
    short    the translation is much shorter than the line
    copied   the translation is the line itself
    language  the line seems to be in the language to translate into
    low-confidence  a sentence is likely to be translated badly: chrF below 0.35 is expected
    kept     something to be kept had to be put back by force
    """
    from textkit.tasks.translate.verbs.running import run

    run(Request(settings=taken(options, SEARCH, TASK.settings), **options), messages)


@dataclass(kw_only=True)
class Request(Filter):
    """The options, checked as far as argv alone allows. `settings`: the given settings of the search and the model."""

    settings: dict[str, Any]
    prefix: str | None
    replace_unk: bool
    alignment: bool
    word_scores: bool
    abbreviations: str | None
    split: bool
    batch_tokens: int | None
    batch_lines: int | None
    check: bool
    keeps: tuple[str, ...]
    glossary: str | None
    to: str | None
    source_language: str | None

    own_workers = True

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.settings
        n_best = given.get("n_best", 1)
        default = "nbest" if n_best > 1 else "text"
        self.format = self.format_of(SUFFIXES if self.form else SUFFIXES | _language(self.output, default), default)
        self.name_fields(TRANSLATED)
        if n_best > 1 and self.format == "text":
            raise UsageError(f"--n-best {n_best}: text is one translation a line; say --format nbest or jsonl")
        if "sample" in given and "beam_size" in given:
            raise UsageError(f"--beam-size {given['beam_size']}: --sample searches nothing")
        if self.abbreviations is not None and given.get("sentences") is False:
            raise UsageError("--abbreviations: has no effect with --no-sentences, which cuts no line")
        if self.abbreviations == "-":
            raise UsageError("--abbreviations -: must be a file, not stdin")
        if self.glossary == "-":
            raise UsageError("--glossary -: must be a file, not stdin")
        if self.prefix == "-" and "-" in (self.files or ("-",)):
            raise UsageError("--prefix -: stdin is the input already")
        if self.prefix == "-" and self.in_parts:
            raise UsageError("--prefix -: must be a file, not stdin, for an input in parts")
        for name in ("temperature", "top_k", "top_p", "seed"):
            if name in given and "sample" not in given:
                raise UsageError(f"--{name.replace('_', '-')} {given[name]:g}: is for --sample")

    @property
    def in_step(self) -> bool:
        """Samples depend on the seed and a line's number, nbest states it, and prefixes go along with lines."""
        return "sample" in self.settings or self.format == "nbest" or self.prefix is not None

    def check_records(self, count: int) -> None:
        if self.prefix is not None:
            check_lines(self.prefix, count)

    @property
    def files_read(self) -> dict[str, str]:
        return {name: file for name in ("abbreviations", "glossary", "prefix") if (file := getattr(self, name))}

    def fitting(self) -> list[Direction]:
        """The models that --to and --from leave, between which the text decides; none where neither is to choose one."""
        if self.to is None and self.source_language is None:
            return []
        from textkit.tasks.translate.serving import directions

        for option, code in (("--to", self.to), ("--from", self.source_language)):
            directions.checked(option, code)
        return [] if self.model is not None else directions.fitting(self.to, self.source_language)

    def translator(self, chosen: Direction | None) -> Translator:
        """The translator. Its graphs load while Python still reads the modules that it is made of."""
        from textkit.bundle.bundle import located
        from textkit.tasks.translate.serving.ahead import StepsAhead

        model = located(str(chosen.folder) if chosen else self.model, TASK.name)
        attention, sample = self.alignment or self.replace_unk, "sample" in self.settings
        short = {**TASK.defaults, **model.manifest.defaults, **self.settings}["shortlist"] and not sample
        ahead = StepsAhead(model, self.device, self.threads, self.workers, attention, short, sample)

        from textkit.tasks.translate.serving.keeping import glossary_of, patterns_of
        from textkit.tasks.translate.serving.translator import Translator

        names = (
            "device", "threads", "replace_unk", "alignment", "word_scores", "batch_tokens", "batch_lines", "workers", "to",
        )  # fmt: skip
        options = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        known = _lines_of(self.abbreviations) if self.abbreviations else ()
        glossary = glossary_of(_lines_of(self.glossary), f"--glossary {self.glossary}") if self.glossary else None
        return Translator(
            model, **options, ahead=ahead, **self.settings, source=self.source_language,
            abbreviations=known, long="split" if self.split else "cut", keep=patterns_of(self.keeps), glossary=glossary,
        )  # fmt: skip


def _language(output: str | None, form: str) -> dict[str, str]:
    """The suffix of OUT with the format `form`, if it may be a language code, as in news.de; otherwise nothing."""
    suffix = PurePath(output or "").suffix.lower()
    return {suffix: form} if re.fullmatch(r"\.[a-z]{2}", suffix) and suffix not in (".gz", ".xz") else {}


def _lines_of(file: str) -> list[str]:
    from textkit.streams.lines import Reader

    with Reader(file) as reader:
        return [line for lines in reader for line in lines]
