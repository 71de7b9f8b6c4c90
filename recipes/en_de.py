"""Trains the default model, exported_models/en-de: English to German from the sentence pairs of Tatoeba.

    python recipes/en_de.py DATA exported_models/en-de [RUN]

DATA holds tatoeba/. Everyday phrases that these lack (everyday.en-de.tsv) are added, REPEATED times. One English sentence
in a hundred (by its hash) is kept from training to choose the best weights;
tatoeba/dev.en-de.tsv is scored once, at the end. RUN is the folder of the training, which is resumed if it was interrupted;
without RUN the folder is temporary. Takes about an hour and a half on two quiet cores.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from pathlib import Path

from english import held_out
from shipping import measured, ship, train

from textkit.bundle import writing

EVERYDAY = Path(__file__).with_name("everyday.en-de.tsv")
REPEATED = 8

LICENCE = "CC BY 2.0 FR"
NOTE = (
    "Tatoeba en-de sentence pairs of 2018-05-13 (tatoeba.org and manythings.org/anki, CC BY 2.0 FR: please name Tatoeba and"
    " its contributors), and phrases written for textkit"
)


def prepare(data: Path, folder: Path) -> tuple[Path, Path]:
    """Writes train.tsv and held.tsv. All translations of an English sentence are in the same file."""
    train, held = folder / "train.tsv", folder / "held.tsv"
    with (
        gzip.open(data / "tatoeba/train.en-de.tsv.gz", "rt", encoding="utf-8", newline="\n") as lines,
        train.open("w", encoding="utf-8", newline="\n") as learnt,
        held.open("w", encoding="utf-8", newline="\n") as kept,
    ):
        for line in lines:
            (kept if held_out(line.split("\t")[0]) else learnt).write(line)
        learnt.write(EVERYDAY.read_text(encoding="utf-8") * REPEATED)
    return train, held


def main(data: Path, folder: Path, run: Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = run or Path(scratch, "run")
        run.parent.mkdir(parents=True, exist_ok=True)
        learnt, held = prepare(data, run.parent)
        train(run, "transformer", learnt, "--dev", held, "--config", Path(__file__).with_suffix(".toml"))
        ship(run, folder, LICENCE, NOTE)
    writing.amend(folder, scores=measured(folder, data / "tatoeba/dev.en-de.tsv", "--metric", "bleu,chrf"))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
