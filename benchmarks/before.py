"""Measures what a change has cost: runs whole processes of this textkit and of another commit's, in turn.

    git worktree add ../before COMMIT
    python benchmarks/before.py DATA ../before [--only NAME ...] [--rounds 5]

Both run with the packages of this Python, and each with the models of its own tree. For each kind of work the script prints
the median of the rounds' ratios of wall time, before / after, their range, and the median ratio of CPU time. A ratio above 1
means faster than before. The script ends at the first command that fails, for example on an option that one tree lacks.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring.cost import ENVIRONMENT
from translating import first_lines

HERE = Path(__file__).resolve().parents[1]
QUICK = 3  # factor on the rounds of work that takes less than a second


def works(data: Path, folder: Path) -> dict[str, list[str]]:
    """The command lines by name; MODELS stands for the tree's own models. Writes the files that they read."""
    lines = [pair.split("\t")[0] for pair in first_lines(data / "tatoeba/train.en-de.tsv.gz", 160_000)]
    for count in (1, 64, 600, 1500, 16_000, len(lines)):
        (folder / f"lines{count}").write_text("".join(f"{line}\n" for line in lines[:count]), encoding="utf-8")
    with gzip.open(data / "wikitext2/train.txt.gz", "rt", encoding="utf-8") as text:
        words = [line.lower().replace("<unk>", "").split() for line in text if not line.startswith(" =")]
    (folder / "text").write_text("".join(f"{' '.join(line)}\n" for line in words if line), encoding="utf-8")
    shutil.copy(data / "wikitext2/test.txt", folder / "test.txt")
    served = {
        "help": "--help",
        "embed 1": "embed -m MODELS/en-words lines1",
        "embed 160000": f"embed -m MODELS/en-words --format npy lines{len(lines)}",
        "translate 1": "translate -m MODELS/en-de lines1",
        "translate 600": "translate -m MODELS/en-de lines600",
        "translate 16000": "translate -m MODELS/en-de lines16000",
        "translate 600 greedy": "translate -m MODELS/en-de --beam-size 1 lines600",
        "score 1": "score -m MODELS/en-lm lines1",
        "score 1500": "score -m MODELS/en-lm lines1500",
        "evaluate": "evaluate -m MODELS/en-lm test.txt",
        "generate 64": "generate -m MODELS/en-lm --seed 3 --max-tokens 40 lines64",
        "generate one": "generate -m MODELS/en-lm --seed 3 --max-tokens 300 The",
    }
    trained = {
        "train word2vec": "word2vec --set epochs=3", "train word2vec cbow": "word2vec --set epochs=5 --set model=cbow",
        "train fasttext": "fasttext --set epochs=1", "train glove": "glove --set epochs=4", "train ppmi-svd": "ppmi-svd",
    }  # fmt: skip
    trainings = {name: f"train {work} text -o run --threads 2 -q" for name, work in trained.items()}
    return {name: command.split() for name, command in (served | trainings).items()}


def spent(command: list[str], tree: Path, roots: Path, folder: Path) -> tuple[float, float]:
    """The wall and CPU seconds of a command, run by the textkit of a tree."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    environment = ENVIRONMENT | {
        "PYTHONPATH": str(roots),
        "ORT_DISABLE_TELEMETRY": "1",
        "NUMBA_CACHE_DIR": str(roots / "numba"),
    }
    words = [word.replace("MODELS", str(tree / "exported_models")) for word in command]
    before, begun = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "textkit", *words], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wall, after = time.perf_counter() - begun, os.times()
    if done.returncode:
        sys.exit(f"{tree}: textkit {' '.join(command)}: {done.stderr[-300:]}")
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def roots_of(tree: Path, folder: Path) -> Path:
    """A folder that holds a tree's packages under the names that they are imported by."""
    for name, source in (("textkit", "textkit"), ("textkit_plugins", "plugins"), ("textkit_models", "exported_models")):
        folder.mkdir(exist_ok=True)
        (folder / name).symlink_to(tree / source)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds tatoeba/ and wikitext2/")
    parser.add_argument("before", type=Path, help="a checkout of the other commit")
    parser.add_argument("--only", action="append", metavar="NAME", help="one row; may be given several times")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "work")
        folder.mkdir()
        trees = {"before": options.before.resolve(), "after": HERE}
        roots = {side: roots_of(tree, Path(name, side)) for side, tree in trees.items()}
        every = works(options.data.resolve(), folder)
        for row in options.only or every:
            rounds = options.rounds * (QUICK if row == "help" or row.endswith(" 1") else 1)
            found: dict[str, list[tuple[float, float]]] = {side: [] for side in trees}
            for turn in range(rounds + 1):
                for side in sorted(trees, reverse=bool(turn % 2)):
                    cost = spent(every[row], trees[side], roots[side], folder)
                    if turn:  # the first turn compiles and fills caches
                        found[side].append(cost)
            wall, cpu = ([old[at] / new[at] for old, new in zip(*found.values(), strict=True)] for at in (0, 1))
            middle = statistics.median
            seconds = {side: middle(one[0] for one in costs) for side, costs in found.items()}
            print(
                f"{row:22} {seconds['before']:7.2f} s {seconds['after']:7.2f} s {middle(wall):5.2f} "
                f"({min(wall):.2f}-{max(wall):.2f}), CPU {middle(cpu):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
