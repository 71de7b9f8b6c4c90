"""Trains the default model, exported_models/en-words: English word vectors from WikiText-2 and Tatoeba.

    python recipes/en_words.py DATA exported_models/en-words

DATA holds wikitext2/ and tatoeba/. Text that may be passed on: WikiText-2 (CC BY-SA 3.0), without its markup of spaces and
without sentences that hold <unk>; the English side of Tatoeba (CC BY 2.0 FR). The scores in the manifest are measured here
too, on files that were not trained on and that nothing was chosen by.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from textkit import bundle

LICENCE = "CC BY-SA 4.0"
NOTE = (
    "WikiText-2 train (Merity et al. 2016, CC BY-SA 3.0), detokenised, sentences with <unk> left out; English side of the"
    " Tatoeba en-de pairs of 2018-05-13 (tatoeba.org and manythings.org/anki, CC BY 2.0 FR)"
)


def wikitext(path: Path) -> Iterator[str]:
    """Sentences of WikiText as they were before tokenisation; headings and sentences with <unk> are left out."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.strip().startswith("="):
                continue
            for sentence in re.split(r"(?<= [.!?]) (?=[A-Z\"])", line.strip()):
                if sentence and "<unk>" not in sentence:
                    yield detokenized(sentence)


def detokenized(text: str) -> str:
    """WikiText's ` @-@ `, ` 's`, ` ,` and spaced brackets as one writes them."""
    text = re.sub(r" @([-,.])@ ", r"\1", text)
    text = re.sub(r" (['’](?:s|re|ve|ll|d|m|t)\b)", r"\1", text)
    text = re.sub(r" ([,.;:!?)\]%])", r"\1", text)
    text = re.sub(r"([(\[$£]) ", r"\1", text)
    return re.sub(r'" ([^"]*) "', r'"\1"', text)


def tatoeba(path: Path) -> Iterator[str]:
    """Each English sentence once."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from dict.fromkeys(line.split("\t")[0] for line in lines)


def textkit(*arguments: str | Path) -> str:
    """Runs textkit as a user does; what it says on stderr is seen, its stdout is given back."""
    command = ["textkit", *map(str, arguments)]
    print("$", " ".join(command), file=sys.stderr)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(data: Path, folder: Path) -> None:
    recipe = Path(__file__).with_suffix(".toml")
    with tempfile.TemporaryDirectory() as scratch:
        corpus, run = Path(scratch, "english.txt"), Path(scratch, "run")
        with corpus.open("w", encoding="utf-8") as out:
            for sentence in (*wikitext(data / "wikitext2/train.txt.gz"), *tatoeba(data / "tatoeba/train.en-de.tsv.gz")):
                out.write(sentence + "\n")
        # One thread, so that the same recipe gives the same model.
        textkit("train", "fasttext", corpus, "-o", run, "--config", recipe, "--seed", "1", "--threads", "1")
        note = ("--licence", LICENCE, "--data-note", NOTE)
        textkit("export-onnx", run, "-o", folder, "--name", folder.name, "--precision", "int8", *note, "--overwrite")
    manifest = bundle.read(folder).manifest
    bundle.amend(
        folder,
        defaults={**manifest.defaults, "pooling": "sif"},
        made={**manifest.made, "command": "make models", "export": "recipes/en_words.py, recipes/en_words.toml"},
        scores=[
            score
            for file, metric in (("wordvec/wordsim353.tsv", "similarity"), ("sts/dev.csv", "sts"))
            for score in measured(folder, data / file, metric)
        ],
    )


def measured(folder: Path, file: Path, metric: str) -> list[dict[str, object]]:
    """A score as the manifest holds it, with the command that measures it again."""
    found = json.loads(textkit("evaluate", "-m", folder, file, "--metric", metric, "--json"))
    name = "/".join(file.parts[-2:])
    command = f"textkit evaluate -m {folder.name} {name} --metric {metric}"
    return [{"metric": metric, "value": round(found["value"], 4), "data": name, "command": command}]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
