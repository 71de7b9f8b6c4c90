"""Trains the default model, exported_models/en-lm: an English language model from WikiText-2 and Tatoeba.

    python recipes/en_lm.py DATA exported_models/en-lm [RUN]

DATA holds wikitext2/ and tatoeba/. A line is a sentence of Tatoeba, or sentences of WikiText-2 that follow each other, and
the lines are in random order: the model is asked about lines of their own. WikiText-2's valid and one sentence of Tatoeba
in a hundred (by a hash of it) choose the best weights; the scores in the manifest are those of WikiText-2's test, written as
people write, and of tatoeba/dev.en-de.tsv, which lie beside RUN afterwards. RUN is the folder of the training, which is gone on
with where it was interrupted; without it a temporary one. About 40 minutes on two cores.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from english import LICENCE, NOTE, held_out, tatoeba, wikitext
from shipping import measured, ship, train

from textkit.bundle import writing


def prepare(data: Path, folder: Path) -> dict[str, Path]:
    """Writes what is learnt from, what chooses, and what is scored at the end."""
    pairs, wiki = list(tatoeba(data / "tatoeba/train.en-de.tsv.gz")), data / "wikitext2"
    parts = {
        "train": [*paragraphs(wiki / "train.txt.gz"), *(line for line in pairs if not held_out(line))],
        "held": [*paragraphs(wiki / "valid.txt"), *filter(held_out, pairs)],
        "wikitext2-test": paragraphs(wiki / "test.txt"),
        "tatoeba-dev": tatoeba(data / "tatoeba/dev.en-de.tsv"),
    }
    return {name: written(folder / f"{name}.txt", lines) for name, lines in parts.items()}


def paragraphs(path: Path) -> list[str]:
    return [" ".join(row) for row in wikitext(path)]


def written(path: Path, lines: Iterable[str]) -> Path:
    """The file with the lines, in an order that is random and the same every time."""
    shuffled = list(lines)
    random.Random(1).shuffle(shuffled)
    path.write_text("".join(f"{line}\n" for line in shuffled), encoding="utf-8")
    return path


def main(data: Path, folder: Path, run: Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = run or Path(scratch, "run")
        run.parent.mkdir(parents=True, exist_ok=True)
        files = prepare(data, run.parent)
        train(run, "rnn-lm", files["train"], "--dev", files["held"], "--config", Path(__file__).with_suffix(".toml"))
        ship(run, folder, LICENCE, NOTE)
        scores = [measured(folder, files[name], name=f"{name}.txt") for name in ("wikitext2-test", "tatoeba-dev")]
    writing.amend(folder, scores=[score for found in scores for score in found])


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
