"""Trains the default model, exported_models/en-lm: an English language model from WikiText-2 and Tatoeba.

    python recipes/en_lm.py DATA exported_models/en-lm [RUN]

DATA holds wikitext2/ and tatoeba/. A line is a sentence of Tatoeba, or consecutive sentences of WikiText-2. The lines are in
random order, because users ask the model about single lines. WikiText-2's valid and one sentence of Tatoeba in a hundred (by
its hash) choose the best weights. The scores in the manifest are those of WikiText-2's test, detokenised, and of
tatoeba/dev.en-de.tsv; both texts lie beside RUN afterwards. RUN is the folder of the training, which is resumed if it was
interrupted; without RUN the folder is temporary. Takes about 40 minutes on two cores.
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
    """Writes the files to train on, to choose the weights by, and to score at the end."""
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
    """Writes the lines to a file, in a random order that is the same every time."""
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
