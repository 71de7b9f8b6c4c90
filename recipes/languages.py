"""Trains the default model of `textkit classify`, exported_models/languages: the language of a line.

    python recipes/languages.py DATA exported_models/languages [RUN]

DATA holds lid/. Sentences differ in length by source, and users ask for whole paragraphs as well as for two words. So training
lines are made from the sentences: whole, cut to a few words, in other cases, several joined; languages with few sentences are
drawn more often. One sentence in twenty (by its hash) is kept from all that to choose the best weights.
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
    "sentences of Tatoeba by way of LASER (CC BY 2.0 FR: please name Tatoeba and its contributors) and of Common Voice (CC0), of"
    " 2018-2026; NLLB-Seed (CC BY-SA 4.0)"
)
FILES = ("train.tsv.gz", "train_nllbseed.tsv.gz")
LINES = 6000  # of a language with 1,000 sentences; more sentences give more lines, though not in proportion
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


def variant(texts: list[str], drawn: random.Random) -> str:
    """A training line of one language."""
    share = drawn.random()
    text = drawn.choice(texts)
    if share < 0.30:
        return text[:LONGEST]
    if share < 0.55:
        return part(text, drawn, 1, 3)
    if share < 0.75:
        return part(text, drawn, 3, 8)
    if share < 0.85:
        return drawn.choice((str.upper, str.title, str.lower))(text[:LONGEST])
    return joined(texts, drawn)


def prepare(data: Path, folder: Path) -> tuple[Path, Path]:
    """Writes train.tsv and dev.tsv: label<tab>text."""
    learnt, kept = defaultdict(list), defaultdict(list)
    for language, text in sentences(data):
        (kept if held_out(text) else learnt)[language].append(text)
    drawn = random.Random(SEED)
    lines = [
        f"{language}\t{variant(texts, drawn)}\n"
        for language, texts in learnt.items()
        for _ in range(int(min(LINES, LINES * (len(texts) / 1000) ** 0.35)))
    ]
    drawn.shuffle(lines)
    train, dev = folder / "train.tsv", folder / "dev.tsv"
    train.write_text("".join(lines), encoding="utf-8")
    with dev.open("w", encoding="utf-8", newline="\n") as out:
        for language, texts in kept.items():
            for text in texts[:60]:
                out.write(f"{language}\t{text}\n{language}\t{part(text, drawn, 2, 2)}\n")
            out.writelines(f"{language}\t{joined(texts, drawn)}\n" for _ in range(20))
    return train, dev


def main(data: Path, folder: Path, run: Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = run or Path(scratch, "run")
        run.parent.mkdir(parents=True, exist_ok=True)
        learnt, dev = prepare(data, run.parent)
        train(run, "classifier", learnt, "--dev", dev, "--config", Path(__file__).with_suffix(".toml"))
        ship(run, folder, LICENCE, NOTE)
    scores = [score for name in ("test", "test_nllbseed") for score in measured(folder, data / f"lid/{name}.tsv.gz", digits=4)]
    writing.amend(folder, scores=scores)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
