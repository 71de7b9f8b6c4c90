"""Trains the published settings of recipes/ and scores them as the literature does.

    python benchmarks/recipes.py DATA RUNS [--only multi30k | --only wikitext2] [--no-training] [--no-report]

RUNS is a folder with one training run per recipe, under the recipe's name. An interrupted run is resumed and a missing one
is trained, which takes hours each on a CPU; with --no-training both are left out. The test files choose nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measuring import report

from textkit.training.run import Run

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True)
class Recipe:
    """A file of recipes/ with its data, and the figure to reach."""

    name: str
    plugin: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    wanted: str
    options: tuple[str, ...] = ()  # of textkit evaluate


def _multi30k(name: str, plugin: str, folder: str, wanted: str, *options: str) -> Recipe:
    files = {
        part: tuple(f"multi30k/{folder}{file}.{side}" for side in sides)
        for part, file, sides in (
            ("train", "train", ("en.gz", "de.gz")),
            ("dev", "val", ("en", "de")),
            ("test", "test_2016_flickr", ("en", "de")),
        )
    }
    return Recipe(name, plugin, **files, wanted=wanted, options=("--beam-size", "5", *options))


def _wikitext2(name: str, wanted: str) -> Recipe:
    return Recipe(
        name, "rnn-lm", ("wikitext2/train.txt.gz",), ("wikitext2/valid.txt",), ("wikitext2/test.txt",), wanted
    )


RECIPES_OF = {
    "multi30k": (
        _multi30k("multi30k-transformer", "transformer", "tok/", "41.0", "--tokenize", "none"),
        _multi30k("multi30k-seq2seq", "seq2seq", "tok/", "37.0", "--tokenize", "none"),
        _multi30k("multi30k-transformer-raw", "transformer", "", ""),
    ),
    "wikitext2": (
        _wikitext2("wikitext2-lstm-200", "110 after two hours, 101.6 (GluonNLP)"),
        _wikitext2("wikitext2-lstm-650", "86.9 (GluonNLP)"),
        _wikitext2("wikitext2-awd-lstm", "65.6 (without fine-tuning)"),
    ),
}
HEADS = {
    "multi30k": """## Multi30k, English to German

BLEU on test2016, beam 5, one seed a recipe. The first two on the lower-cased, tokenised text (`--tokenize none`), where the
published text-only transformer of that size has 41.02 (Wu et al. 2021); `raw` is the text as people write it, cased, under
sacrebleu's default signature. Recipes were chosen on val.""",
    "wikitext2": """## WikiText-2, word level

Test perplexity a word, the state carried through the file, no dynamic evaluation; one seed a recipe.""",
}


def textkit(*arguments: str | Path) -> str:
    return subprocess.run(
        [sys.executable, "-m", "textkit", *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def whole(folder: Path) -> bool:
    """Whether the folder holds a training that is complete."""
    return folder.exists() and Run.open(folder).complete


def trained(recipe: Recipe, data: Path, runs: Path) -> Run:
    folder = runs / recipe.name
    if not folder.exists():
        dev = [word for file in recipe.dev for word in ("--dev", data / file)]
        files = [data / file for file in recipe.train]
        textkit("train", recipe.plugin, *files, *dev, "-o", folder, "--config", RECIPES / f"{recipe.name}.toml")
    elif not whole(folder):
        textkit("train", "-o", folder, "--resume")
    return Run.open(folder)


def row(recipe: Recipe, data: Path, runs: Path) -> list[str]:
    """One row of the table."""
    run, scores = trained(recipe, data, runs), []
    with tempfile.TemporaryDirectory() as scratch:
        for precision in PRECISIONS:
            model = Path(scratch, precision)
            textkit("export-onnx", run.folder, "-o", model, "--precision", precision)
            files = [data / file for file in recipe.test]
            found = json.loads(
                textkit("evaluate", "-m", model, *files, *recipe.options, "--format", "jsonl").splitlines()[0]
            )
            print(recipe.name, precision, found, file=sys.stderr, flush=True)
            scores.append(f"{found['value']:.2f}")
    facts = run.facts
    spent = f"{facts['seconds'] / 3600:.1f} h, {facts['device']}"
    return [f"`{recipe.name}`", f"{facts['parameters']:,}", f"{facts['steps']:,}", spent, *scores, recipe.wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds multi30k/ and wikitext2/")
    parser.add_argument("runs", type=Path, help="folder of the training runs")
    parser.add_argument("--only", choices=RECIPES_OF, action="append", help="only these data; may be repeated")
    parser.add_argument("--no-training", action="store_true", help="leave out recipes without a complete run")
    parser.add_argument("--no-report", action="store_true", help="print, and leave docs/benchmarks.md alone")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data}: no such folder")
    for name in options.only or RECIPES_OF:
        recipes = [one for one in RECIPES_OF[name] if not options.no_training or whole(options.runs / one.name)]
        if not recipes:
            print(f"{name}: {options.runs} holds no run of its recipes", file=sys.stderr)
            continue
        rows = [row(recipe, options.data, options.runs) for recipe in recipes]
        head = ["recipe", "parameters", "updates", "trained in", *PRECISIONS, "wanted"]
        training = " --no-training" if options.no_training else ""
        command = f"`python benchmarks/recipes.py DATA RUNS --only {name}{training}`"
        text = "\n\n".join([HEADS[name], report.table(head, rows), f"{report.machine()}. {command}"])
        print(text)
        if not options.no_report:
            report.section(name, text)


if __name__ == "__main__":
    main()
