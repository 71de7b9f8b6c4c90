"""Trains the default model of `textkit classify`, exported_models/languages: the language of a line.

    python recipes/languages.py DATA exported_models/languages [RUN]

DATA holds lid/. Sentences differ in length by source, and users ask for whole paragraphs as well as for two words. So training
lines are made from the sentences: whole, cut to a few words, in other cases, several joined; languages with few sentences are
drawn more often. The first thing that people type is a greeting, which the sentences hardly have, so everyday.tsv beside this
file has some in 56 languages. One sentence in twenty (by its hash) is kept from all that to choose the best weights.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from shipping import measured, ship, train

from textkit.bundle import writing

LICENCE = "CC BY-SA 4.0"
NOTE = (
    "sentences of Tatoeba by way of LASER (CC BY 2.0 FR: please name Tatoeba and its contributors) and of Common Voice"
    " (CC0), of 2018-2026; NLLB-Seed (CC BY-SA 4.0)"
)
FILES = ("train.tsv.gz", "train_nllbseed.tsv.gz")
LINES = 6000  # of a language with 1,000 sentences; more sentences give more lines, though not in proportion
# What people write most is likelier where a few letters leave it open; constructed and dead languages are less likely.
OFTEN = {"en": 3.0} | dict.fromkeys(("de", "es", "fr", "it", "ja", "nl", "pl", "pt", "ru", "tr", "zh"), 2.0)
SELDOM = dict.fromkeys(
    ("ang", "cbk", "dtp", "ia", "ie", "io", "kzj", "la", "lfn", "max", "nov", "orv", "tzl", "vot"), 0.4
)
EVERYDAY = Path(__file__).with_name("everyday.tsv")  # language<tab>phrase | phrase | ..., written for this recipe
PHRASES = 600  # lines of such phrases, in a language that has some
LONGEST = 300  # characters of a training line
SEED = 1


def sentences(data: Path) -> Iterator[tuple[str, str]]:
    """(language, sentence) of all files."""
    for name in FILES:
        with gzip.open(data / "lid" / name, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                language, _, text = line.rstrip("\n").partition("\t")
                if text.strip():
                    yield language, " ".join(text.split())


def held_out(text: str) -> bool:
    return int(hashlib.sha1(f"dev:{text}".encode()).hexdigest()[:8], 16) % 20 == 0


def part(text: str, drawn: random.Random, least: int, most: int) -> str:
    """A part of `least` to `most` words, or of three times as many characters where a script has no spaces."""
    words = text.split()
    if len(words) > 1 and len(text) < 25 * len(words):
        length = min(len(words), drawn.randint(least, most))
        begin = drawn.randint(0, len(words) - length)
        return " ".join(words[begin : begin + length])
    length = min(len(text), 3 * drawn.randint(least, most))
    begin = drawn.randint(0, len(text) - length)
    return text[begin : begin + length]


def joined(texts: list[str], drawn: random.Random) -> str:
    """Two to four sentences, as long as they fit."""
    text = drawn.choice(texts)
    for _ in range(drawn.randint(1, 3)):
        more = drawn.choice(texts)
        if len(text) + len(more) >= LONGEST:
            break
        text += " " + more
    return text


EMOJI = "\U0001f600\U0001f602\U0001f44d\u2764\ufe0f\U0001f64f\U0001f525\U0001f389\U0001f622\U0001f914\u2728\u2705\u26a0"
SITES = ("example", "news", "shop", "blog", "wiki", "mail", "data", "photo", "cdn", "api", "docs", "static", "video")
ENDS = ("com", "org", "net", "info", "io", "eu", "co", "tv", "me", "app")


PRICES = (
    "${0}.{1:02d}",
    "£{0}",
    "€{0}",
    "{0} €",
    "{0},{1:02d} €",
    "{0}.{1:02d} EUR",
    "{0} USD",
    "¥{0}",
    "₹{0}",
    "{0} ₽",
)


def other(drawn: random.Random) -> str:
    """What is in no language: numbers, addresses, marks, emoji."""
    number = drawn.choice(
        ("{0}", "{0}.{1}", "{0},{1:02d}", "{0}:{1:02d}", "{0}/{1}/{2}", "+{0} {1} {2}", "{0}%", "#{0}", *PRICES)
    )
    site = f"{drawn.choice(SITES)}{drawn.choice(('', '-', '.'))}{drawn.choice(SITES)}.{drawn.choice(ENDS)}"
    letters = "".join(drawn.choices("bcdfghjklmnpqrstvwxz0123456789", k=drawn.randint(3, 12)))
    return drawn.choice(
        (
            number.format(*(drawn.randint(0, 10 ** drawn.randint(1, 6)) for _ in range(3))),
            f"http{drawn.choice(('', 's'))}://{drawn.choice(('www.', ''))}{site}/{letters}",
            f"www.{site}",
            f"{letters}@{site}",
            "".join(drawn.choices(EMOJI, k=drawn.randint(1, 5))),
            "".join(drawn.choices("!?.,;:-_*=+~^|<>()[]{}/\\@#$%&", k=drawn.randint(1, 8))),
            f"{letters}.{drawn.choice(('pdf', 'jpg', 'png', 'txt', 'zip', 'mp3', 'html', 'py'))}",
        )
    )


def variant(texts: list[str], drawn: random.Random) -> str:
    """A training line of one language."""
    share = drawn.random()
    text = drawn.choice(texts)
    if drawn.random() < 0.05:  # lines of the web have other things in them, which say nothing of the language
        text = f"{other(drawn)} {text}" if drawn.random() < 0.5 else f"{text} {other(drawn)}"
    if share < 0.30:
        return text[:LONGEST]
    if share < 0.55:
        return part(text, drawn, 1, 3)
    if share < 0.75:
        return part(text, drawn, 3, 8)
    if share < 0.85:
        return drawn.choice((str.upper, str.title, str.lower))(text[:LONGEST])
    return joined(texts, drawn)


def everyday() -> dict[str, list[str]]:
    """The phrases of each language."""
    rows = (line.split("\t") for line in EVERYDAY.read_text(encoding="utf-8").splitlines())
    return {language: phrases.split(" | ") for language, phrases in rows}


def said(phrases: list[str], drawn: random.Random) -> str:
    """A training line of a phrase or two."""
    text = " ".join(
        drawn.choice(phrases) + drawn.choice(("", "", "!", ".", "?", ",")) for _ in range(drawn.choice((1, 1, 1, 2)))
    )
    return drawn.choice((str, str, str, str.capitalize, str.capitalize, str.upper, str.title))(text)


def prepare(data: Path, folder: Path) -> tuple[Path, Path]:
    """Writes train.tsv and dev.tsv: label<tab>text."""
    learnt, kept = defaultdict(list), defaultdict(list)
    for language, text in sentences(data):
        (kept if held_out(text) else learnt)[language].append(text)
    drawn = random.Random(SEED)
    lines = [
        f"{language}\t{variant(texts, drawn)}\n"
        for language, texts in learnt.items()
        for _ in range(int(LINES * (OFTEN | SELDOM).get(language, 1) * min(1, (len(texts) / 1000) ** 0.35)))
    ]
    lines += [
        f"{language}\t{said(phrases, drawn)}\n" for language, phrases in everyday().items() for _ in range(PHRASES)
    ]
    lines += [f"und\t{' '.join(other(drawn) for _ in range(drawn.randint(1, 3)))}\n" for _ in range(LINES)]
    drawn.shuffle(lines)
    train, dev = folder / "train.tsv", folder / "dev.tsv"
    train.write_text("".join(lines), encoding="utf-8")
    with dev.open("w", encoding="utf-8", newline="\n") as out:
        for language, texts in kept.items():
            for text in texts[:60]:
                out.write(f"{language}\t{text}\n{language}\t{part(text, drawn, 2, 2)}\n")
            out.writelines(f"{language}\t{joined(texts, drawn)}\n" for _ in range(20))
        out.writelines(f"und\t{other(drawn)}\n" for _ in range(100))
    return train, dev


def main(data: Path, folder: Path, run: Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = run or Path(scratch, "run")
        run.parent.mkdir(parents=True, exist_ok=True)
        learnt, dev = prepare(data, run.parent)
        train(run, "classifier", learnt, "--dev", dev, "--config", Path(__file__).with_suffix(".toml"))
        ship(run, folder, LICENCE, NOTE)
    scores = [
        score for name in ("test", "test_nllbseed") for score in measured(folder, data / f"lid/{name}.tsv.gz", digits=4)
    ]
    writing.amend(folder, scores=scores)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
