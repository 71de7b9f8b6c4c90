"""What a translator makes of text that is not as its training data: other cases, no marks, numbers, lines of other kinds.

    python benchmarks/robust.py DATA [en-de|de-en] [--model NAME] [--lines N] [--threads N] [--no-report]

DATA holds tatoeba/, english/, german/ and bible/. Five tables:

- BLEU and chrF of the dev set and of three copies of it: in small letters, in capitals, and without punctuation. All are scored
  without regard to case, and those without marks against references without them.
- BLEU and chrF of tests/data/domains.en-de.tsv: news, letters, instructions, prose. These pairs and those that the translators
  learn from (recipes/written/) have one writer, so other text is harder.
- How many numbers of 500 lines of encyclopaedias and speeches (German: of dev) come through, by what they are worth in the two
  languages. Whole numbers below 13 are left out, because they may be spelled.
- The doubts about LINES lines (10,000) of all files of english/ (german/) alike, and how many repeat themselves.
- How well the confidence in each line agrees with its chrF, on dev and on verses of the Bible.

10,000 lines take some minutes on two cores; `--lines 1000` gives an idea in one.
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from measuring import report

from textkit.tasks.translate.calibration import measured
from textkit.tasks.translate.evaluation import Scorer, Test
from textkit.tasks.translate.serving.doubts import loops, lost_numbers
from textkit.tasks.translate.serving.translator import Translator
from textkit.text.preserved.numerals import Number, numbers

DIRECTIONS = ("en-de", "de-en")
FOLDERS = {"en": "english", "de": "german"}
NUMBERED = {"en": ("factbook", "us_presidents", "wiki_"), "de": ("",)}  # how the names of files with numbers begin
WRITTEN = Path(__file__).resolve().parent.parent / "tests" / "data" / "domains.en-de.tsv"
SPELLED = 13  # a smaller whole number may be a word
_SHORTEST, _LONGEST = 4, 60  # words


def unpunctuated(text: str) -> str:
    """`text` without its marks; apostrophes and hyphens inside of words stay, as people who type no marks leave them."""
    kept = [
        character
        if not unicodedata.category(character).startswith("P")
        or (character in "'’-" and 0 < at < len(text) - 1 and text[at - 1].isalnum() and text[at + 1].isalnum())
        else " "
        for at, character in enumerate(text)
    ]
    return " ".join("".join(kept).split())


# What is done to the source, and to what is scored.
COPIES: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "dev": (str, str),
    "small letters": (str.lower, str),
    "capitals": (str.upper, str),
    "no punctuation": (unpunctuated, unpunctuated),
    "dev, scored without punctuation": (str, unpunctuated),
}


def counted(text: str, language: str) -> list[Number]:
    """The numbers of `text` that cannot be spelled as one short word."""
    return [
        number
        for number in numbers(text, language)
        if not (number.value.isdecimal() and len(number.value) < 3 and int(number.value) < SPELLED)
    ]


def lines_of(folder: Path, begins: Sequence[str] = ("",)) -> Iterator[list[str]]:
    """The different lines of each file, of an ordinary length."""
    for file in sorted(folder.glob("*.txt.gz")):
        if file.name.startswith(tuple(begins)):
            with gzip.open(file, "rt", encoding="utf-8") as stream:
                found = dict.fromkeys(line.strip() for line in stream)
            yield [line for line in found if _SHORTEST <= len(line.split()) <= _LONGEST]


def drawn(files: Sequence[list[str]], most: int, seed: int = 1) -> list[str]:
    """`most` lines, from all files alike as far as they have so many."""
    chance = random.Random(seed)
    orders = [chance.sample(lines, len(lines)) for lines in files]
    found: list[str] = []
    while len(found) < most and any(orders):
        for order in orders:
            if order and len(found) < most:
                found.append(order.pop())
    return found


def pairs(file: Path, direction: str, most: int | None = None) -> Test:
    """The pairs of a file, English and German, in one direction; a source has all its references."""
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", encoding="utf-8") as stream:
        rows = [line.rstrip("\n").split("\t")[:2] for line in stream]
    if most is not None:
        rows = random.Random(1).sample(rows, min(most, len(rows)))
    grouped: dict[str, list[str]] = {}
    for english, german in rows:
        source, target = (english, german) if direction == "en-de" else (german, english)
        grouped.setdefault(source, []).append(target)
    return Test(f"{file.parent.name}/{file.name}", list(grouped), list(grouped.values()))


def copies(translator: Translator, dev: Test) -> str:
    scorer = Scorer(("bleu", "chrf"), lowercase=True)
    rows = []
    known: dict[Callable[[str], str], list[str]] = {}
    for name, (change, view) in COPIES.items():
        if change not in known:
            known[change] = translator([change(line) for line in dev.sources])
        bleu, chrf = scorer([view(text) for text in known[change]], [[*map(view, some)] for some in dev.references])
        rows.append([name, f"{bleu.value:.2f}", f"{chrf.value:.2f}"])
    return report.table([f"{len(dev.sources):,} lines", "BLEU", "chrF"], rows)


def domains(translator: Translator, test: Test) -> str:
    bleu, chrf = Scorer(("bleu", "chrf"))(translator(test.sources), test.references)
    return report.table(
        ["lines of other domains", "BLEU", "chrF"],
        [[f"{len(test.sources):,}", f"{bleu.value:.2f}", f"{chrf.value:.2f}"]],
    )


def numbers_kept(translator: Translator, lines: Sequence[str], source: str, target: str) -> str:
    total = lost = whole = 0
    for line, text in zip(lines, translator(lines), strict=True):
        there = counted(line, source)
        values = Counter(number.value for number in there)
        gone = Counter(number.value for number in lost_numbers(text, line, target, source))
        total += len(there)
        lost += sum((values & gone).values())
        whole += not values & gone
    rows = [[f"{len(lines):,}", f"{total:,}", f"{1 - lost / max(1, total):.1%}", f"{whole / max(1, len(lines)):.1%}"]]
    return report.table(["lines with numbers", "numbers", "kept", "lines that keep all"], rows)


def doubts(translator: Translator, lines: Sequence[str]) -> str:
    found = [some[0] for some in translator.translate(lines)]
    looping = sum(loops(one.text, line) for one, line in zip(found, lines, strict=True))
    counts = Counter(doubt for one in found for doubt in one.doubts)
    doubtful = sum(bool(one.doubts) for one in found)
    rows = [["repeats itself", looping], ["any doubt", doubtful], *counts.most_common()]
    share = [[name, f"{count:,}", f"{count / max(1, len(found)):.2%}"] for name, count in rows]
    return report.table([f"of {len(found):,} lines", "lines", "share"], share)


def confidence(translator: Translator, tests: Sequence[Test]) -> str:
    rows = []
    for test in tests:
        figure = measured(translator.confidence, test, [some[0] for some in translator.translate(test.sources)])
        detail = figure.detail
        means = f"{detail['mean_confidence']:.3f}", f"{detail['mean_chrf']:.3f}"
        rows.append(
            [
                test.name,
                f"{figure.value:.3f}",
                f"{detail['spearman']:.3f}",
                *means,
                f"{detail['calibration_error']:.3f}",
            ]
        )
    head = ["", "Pearson's r", "Spearman's rho", "mean confidence", "mean chrF", "calibration error"]
    return report.table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the data sets")
    parser.add_argument("direction", nargs="?", choices=DIRECTIONS, default=DIRECTIONS[0])
    parser.add_argument("--model", help="by default the shipped one of that direction")
    parser.add_argument("--lines", type=int, default=10_000, metavar="N", help="lines that are looked at for doubts")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("--no-report", action="store_true", help="print, and leave docs/benchmarks.md alone")
    options = parser.parse_args()
    source, target = options.direction.split("-")
    folder, data = options.data / FOLDERS[source], options.data
    translator = Translator(options.model or options.direction, threads=options.threads)
    begun = time.perf_counter()

    def told(what: str) -> None:
        print(f"{what}, {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)

    dev = pairs(data / "tatoeba/dev.en-de.tsv", options.direction)
    parts = [
        f"## Translations of other text: {options.direction}",
        "Scored without regard to case. Numbers count by what they are worth; whole ones below 13 are left out. The lines for"
        f" doubts are drawn from the files of {folder.name}/ alike. Confidence was learnt on lines of Tatoeba kept from"
        " training.",
        copies(translator, dev),
        domains(translator, pairs(WRITTEN, options.direction)),
    ]
    told("copies")
    some = [[line for line in file if counted(line, source)] for file in lines_of(folder, NUMBERED[source])]
    if not any(some):  # lines that people read aloud have no digits
        some = [[line for line in dev.sources if counted(line, source)]]
    parts.append(numbers_kept(translator, drawn(some, 500), source, target))
    told("numbers")
    parts.append(doubts(translator, drawn([*lines_of(folder)], options.lines)))
    told("doubts")
    if translator.confidence is not None:
        parts.append(confidence(translator, [dev, pairs(data / "bible/en-de.tsv.gz", options.direction, 400)]))
        told("confidence")
    model = f" --model {Path(options.model).name}" if options.model else ""
    more = f"{model} --lines {options.lines}" if options.lines != parser.get_default("lines") else model
    parts.append(f"{report.machine()}. `python benchmarks/robust.py DATA {options.direction}{more}`")
    text = "\n\n".join(parts)
    print(text)
    if not options.no_report:
        report.section(f"robust-{options.direction}", text)


if __name__ == "__main__":
    main()
