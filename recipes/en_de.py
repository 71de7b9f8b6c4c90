"""Trains the default model, exported_models/en-de: English to German from the sentence pairs of Tatoeba.

    python recipes/en_de.py DATA exported_models/en-de [RUN]

DATA holds tatoeba/. One English sentence in a hundred (by a hash of it) is kept from training to choose the best weights
by; tatoeba/dev.en-de.tsv is scored once, at the end. RUN is the folder of the training, which is gone on with where it was
interrupted; without it a temporary one. About an hour and a half on two quiet cores.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from textkit import bundle

LICENCE = "CC BY 2.0 FR"
NOTE = (
    "Tatoeba en-de sentence pairs of 2018-05-13 (tatoeba.org and manythings.org/anki, CC BY 2.0 FR: please name Tatoeba and"
    " its contributors)"
)
HELD = 100  # one English sentence in so many


def held_out(source: str) -> bool:
    """Whether an English sentence, with all its translations, is kept from training."""
    return int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") % HELD == 0


def prepare(data: Path, folder: Path) -> tuple[Path, Path]:
    """Writes train.tsv and held.tsv."""
    train, held = folder / "train.tsv", folder / "held.tsv"
    with (
        gzip.open(data / "tatoeba/train.en-de.tsv.gz", "rt", encoding="utf-8", newline="\n") as lines,
        train.open("w", encoding="utf-8", newline="\n") as learnt,
        held.open("w", encoding="utf-8", newline="\n") as kept,
    ):
        for line in lines:
            (kept if held_out(line.split("\t")[0]) else learnt).write(line)
    return train, held


def textkit(*arguments: str | Path) -> str:
    """Runs textkit as a user does; what it says on stderr is seen, its stdout is given back."""
    command = ["textkit", *map(str, arguments)]
    print("$", " ".join(command), file=sys.stderr)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(data: Path, folder: Path, run: Path | None = None) -> None:
    recipe = Path(__file__).with_suffix(".toml")
    with tempfile.TemporaryDirectory() as scratch:
        run = run or Path(scratch, "run")
        if run.exists():
            textkit("train", "-o", run, "--resume")
        else:
            run.parent.mkdir(parents=True, exist_ok=True)
            train, held = prepare(data, run.parent)
            textkit("train", "transformer", train, "--dev", held, "-o", run, "--config", recipe, "--seed", "1")
        note = ("--licence", LICENCE, "--data-note", NOTE)
        textkit("export-onnx", run, "-o", folder, "--name", folder.name, "--precision", "int8", *note, "--overwrite")
    manifest = bundle.read(folder).manifest
    bundle.amend(
        folder,
        made={**manifest.made, "command": "make models", "export": "recipes/en_de.py, recipes/en_de.toml"},
        scores=measured(folder, data / "tatoeba/dev.en-de.tsv"),
    )


def measured(folder: Path, file: Path) -> list[dict[str, object]]:
    """Scores as the manifest holds them, with the command that measures them again."""
    name = "/".join(file.parts[-2:])
    command = f"textkit evaluate -m {folder.name} {name} --metric bleu,chrf"
    found = [
        json.loads(line)
        for line in textkit("evaluate", "-m", folder, file, "--metric", "bleu,chrf", "--json").splitlines()
    ]
    return [
        {"metric": one["metric"], "value": round(one["value"], 2), "data": name, "command": command} for one in found
    ]


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
