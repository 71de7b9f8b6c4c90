"""Measures `textkit translate` beside CTranslate2 and optimum: target tokens/s with the same weights, beam and lengths.

    python benchmarks/translate.py DATA --peers PYTHON [--rounds 3] [--run RUN] [--no-report]

All sides read the same weights: random numbers in a Marian-shaped model (d512, 6+6 layers, 32k words). With --run, the weights
of a training run of the plugin transformer (recipes/multi30k-transformer.toml makes one) are also measured, beside CTranslate2
alone. Every translation has the same length, so that all sides do the same work. Only the search is timed, from source ids to
target ids, in one process per side, round after round in turn; then the whole process of the default model. PYTHON has
benchmarks/translation_peers.txt.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from measuring import report
from measuring.cost import cost, first_line
from translating import LENGTH, Case, Models

# The cases that are measured: lines at once, beam, precision.
CASES: dict[str, Case] = {
    "int8, 32 lines, beam 4": (32, 4, "int8"),
    "int8, 32 lines, greedy": (32, 1, "int8"),
    "fp32, 32 lines, beam 4": (32, 4, "fp32"),
    "fp32, 32 lines, greedy": (32, 1, "fp32"),
    "int8, 1 line, beam 4": (1, 4, "int8"),
    "int8, 1 line, greedy": (1, 1, "int8"),
    "fp32, 1 line, beam 4": (1, 4, "fp32"),
    "fp32, 1 line, greedy": (1, 1, "fp32"),
}


def compared(
    models: Models, cases: Mapping[str, Case], peers: tuple[str, ...], rounds: int, device: str = "cpu"
) -> list[list[str]]:
    """One row per case: textkit's rate, and each peer's rate and ratio; empty if a peer does not have the precision."""
    rows = []
    for name, case in cases.items():
        sides = [side for side in ("textkit", *peers) if side != "optimum" or case[2] == "fp32"]
        rates: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side in sides:
                found = models.rate(side, case, 2, device)
                rates[side].append(found["rate"])
                print(f"{name}: {side} {found['rate']:,.0f} tokens/s ({found['tokens']})", file=sys.stderr, flush=True)
        cells = [name, f"{statistics.median(rates['textkit']):,.0f}"]
        for peer in peers:
            if peer not in rates:
                cells += ["", ""]
                continue
            ratios = [ours / theirs for ours, theirs in zip(rates["textkit"], rates[peer], strict=True)]
            middle = f"**{statistics.median(ratios):.2f}** ({spread(ratios)})"
            cells += [f"{statistics.median(rates[peer]):,.0f}", middle]
        rows.append(cells)
    return rows


def spread(ratios: list[float]) -> str:
    return f"{min(ratios):.2f}-{max(ratios):.2f}"


def memory(data: Path, folder: Path, count: int) -> tuple[float, float, float]:
    """The peak MB of the default model over a tenth of `count` distinct lines and over all, and the lines/s of the latter."""
    with gzip.open(data / "tatoeba/train.en-de.tsv.gz", "rt", encoding="utf-8") as pairs:
        lines = list(dict.fromkeys(pair.split("\t")[0] for pair in pairs))[:count]
    peaks = []
    for part in (count // 10, count):
        path = folder / "lines.txt"
        path.write_text("".join(f"{line}\n" for line in lines[:part]), encoding="utf-8")
        spent = cost([sys.executable, "-m", "textkit", "translate", path, "-o", folder / "translations.txt"])
        (folder / "translations.txt").unlink()
        peaks.append(spent.peak_mb)
    return peaks[0], peaks[1], len(lines) / spent.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds tatoeba/ and multi30k/")
    parser.add_argument("--peers", required=True, help="Python of an environment with the translation peers")
    parser.add_argument("--run", type=Path, help="a training run of the plugin transformer, to compare too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=256)
    parser.add_argument("--memory-lines", type=int, default=100_000, help="0: leave the default model out")
    parser.add_argument("--no-report", action="store_true", help="print, and leave docs/benchmarks.md alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        models = Models.marian(options.data, options.peers, Path(name) / "marian", options.lines)
        rows = compared(models, CASES, ("ctranslate2", "optimum"), options.rounds)
        parts = [
            "## textkit translate",
            f"A Marian-shaped model ({models.about}), "
            f"{options.lines} lines of Multi30k, {LENGTH} tokens of translation each. Two threads share a batch or have one "
            f"each, and one line has two threads or one, whichever is faster for that side. Target tokens/s of the search, "
            f"loading not counted; {options.rounds} rounds in turn, median of the rounds' ratios (range).",
            report.table(["", "textkit", "CTranslate2", "times as fast", "optimum", "times as fast"], rows),
        ]
        if options.run:
            parts += own(options, Path(name) / "own")
        if options.memory_lines:
            first = first_line([sys.executable, "-m", "textkit", "translate"], b"I am going home.\n")
            few, many, rate = memory(options.data, Path(name), options.memory_lines)
            parts.append(
                f"Default model: first line {first:.2f} s after the process starts (median of 11, warm); "
                f"{options.memory_lines:,} lines of Tatoeba: {rate:,.0f} lines/s, at most {many:.0f} MB resident "
                f"({few:.0f} MB for a tenth of them)."
            )
    how = f"--rounds {options.rounds} --lines {options.lines}" + (" --run RUN" if options.run else "")
    parts.append(f"{report.machine()}. `python benchmarks/translate.py DATA --peers PYTHON {how}`")
    print("\n\n".join(parts))
    if not options.no_report:
        report.section("translate", "\n\n".join(parts))


def own(options: argparse.Namespace, folder: Path) -> list[str]:
    """The part about a model that was trained with textkit."""
    models = Models.trained(options.run, options.data, options.peers, folder, options.lines)
    alike = models.agreement(CASES["fp32, 32 lines, greedy"])
    rows = compared(models, CASES, ("ctranslate2",), options.rounds)
    return [
        f"A model trained here: {models.about}; its weights in CTranslate2 by that one's own specification classes "
        f"({alike:.1%} of the lines translated alike, fp32, greedy). Lines, lengths and threads as above.",
        report.table(["", "textkit", "CTranslate2", "times as fast"], rows),
    ]


if __name__ == "__main__":
    main()
