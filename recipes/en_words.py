"""Trains the default model, exported_models/en-words: English word vectors from WikiText-2 and Tatoeba.

    python recipes/en_words.py DATA exported_models/en-words

DATA holds wikitext2/, tatoeba/, wordvec/ and sts/. The scores in the manifest are measured here too, on files that neither
trained the model nor chose anything.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from english import LICENCE, NOTE, tatoeba, wikitext
from shipping import measured, ship, train

from textkit.bundle import bundle, writing


def main(data: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        corpus, run = Path(scratch, "english.txt"), Path(scratch, "run")
        rows = wikitext(data / "wikitext2/train.txt.gz")
        with corpus.open("w", encoding="utf-8") as out:
            for sentence in (*(one for row in rows for one in row), *tatoeba(data / "tatoeba/train.en-de.tsv.gz")):
                out.write(sentence + "\n")
        # One thread, so that the same recipe gives the same model.
        train(run, "fasttext", corpus, "--config", Path(__file__).with_suffix(".toml"), "--threads", "1")
        ship(run, folder, LICENCE, NOTE)
    writing.amend(
        folder,
        defaults={**bundle.read(folder).manifest.defaults, "pooling": "sif"},
        scores=[
            *measured(folder, data / "wordvec/wordsim353.tsv", "--metric", "similarity", digits=4),
            *measured(folder, data / "sts/dev.csv", "--metric", "sts", digits=4),
        ],
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
