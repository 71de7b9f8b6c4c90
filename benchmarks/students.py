"""Lines per second of translators beside each other: a teacher and its students, or a model with and without a shortlist.

    python benchmarks/students.py LINES MODEL... [--lines N] [--length N] [--threads N] [--times N]

LINES is a file of lines. MODEL is a folder; MODEL:all looks at all words although the model has a shortlist. With --length
every translation has that many tokens, so that models of random weights can be compared as well as trained ones. All models
translate in turn, --times times, and the best time of each counts. The last column is the ratio to the first model.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from textkit.streams.lines import read_blocks
from textkit.tasks.translate.serving.translator import Translator

# Name, beams, lines at once (0: as it is).
CASES = (("greedy", 1, 0), ("greedy", 1, 1), ("beam 4", 4, 0), ("beam 4", 4, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("models", nargs="+")
    for name, default in (("lines", 160), ("length", 0), ("threads", 1), ("times", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    lines = [line for block in read_blocks(options.text) for line in block if line.strip()][: options.lines]
    fixed = {"min_length": options.length, "max_length": options.length} if options.length else {}
    print("| search | lines at once | model | lines/s | |\n| --- | --- | --- | ---: | ---: |")
    for name, beams, at_once in CASES:
        some = lines if not at_once else lines[: max(1, len(lines) // 4)]
        made = {}
        for model in options.models:
            folder, _, words = model.partition(":")
            made[model] = Translator(
                folder, "cpu", options.threads, beam_size=beams, guard=False, sentences=False, shortlist=words != "all", **fixed
            )  # fmt: skip
        best = dict.fromkeys(made, float("inf"))
        for _ in range(options.times):
            for model, translator in made.items():
                translator(some[:1])
                begun = time.perf_counter()
                for part in [[line] for line in some] if at_once else [some]:
                    translator(part)
                best[model] = min(best[model], time.perf_counter() - begun)
        first = best[options.models[0]]
        for model, seconds in best.items():
            rate, ratio = len(some) / seconds, first / seconds
            print(f"| {name} | {at_once or len(some)} | {model} | {rate:,.0f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
