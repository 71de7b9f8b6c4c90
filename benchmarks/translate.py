"""`textkit translate` beside CTranslate2 and optimum: target tokens/s with the same weights, the same beam, the same lengths.

    python benchmarks/translate.py DATA --peers PYTHON [--rounds 3] [--no-report]

The weights: a Marian-shaped model (d512, 6+6 layers, 32k words) of random numbers, read by both sides. Every translation is
given the same length, so that both do the same work. Search alone is timed, from source ids to target ids, in one process a
side, round after round in turn; then the default model's whole process. PYTHON has benchmarks/translation_peers.txt.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import report
from cost import cost, first_line

PEERS = Path(__file__).resolve().parent / "peers"
LENGTH = 18  # target tokens of every translation
# What is measured: lines at once, beam, precision; each with CTranslate2's compute type.
CASES = {
    "int8, 32 lines, beam 4": (32, 4, "int8"),
    "int8, 32 lines, greedy": (32, 1, "int8"),
    "fp32, 32 lines, beam 4": (32, 4, "fp32"),
    "fp32, 32 lines, greedy": (32, 1, "fp32"),
    "int8, 1 line, beam 4": (1, 4, "int8"),
    "int8, 1 line, greedy": (1, 1, "int8"),
    "fp32, 1 line, beam 4": (1, 4, "fp32"),
    "fp32, 1 line, greedy": (1, 1, "fp32"),
}
COMPUTE = {"int8": "int8", "fp32": "float32"}


def textkit_rate(job: dict[str, Any]) -> dict[str, Any]:
    """As a peer's rate, by textkit.serving; runs in a process of its own."""
    from textkit import bundle
    from textkit.serving.decoding import Search, Target, search
    from textkit.serving.steps import Steps

    found = bundle.read(Path(job["model"]))
    rule = found.rule
    steps = Steps(found, job.get("device", "cpu"), job["threads"])
    target = Target(rule.start, rule.eos, rule.unk, rule.pad, rule.target_size)
    options = Search(
        beam_size=job["beam"], length_penalty=1.0, min_length=job["length"], max_length=job["length"], allow_unk=True
    )
    lines = sorted(json.loads(Path(job["ids"]).read_text()), key=len)

    def work(batch: list[list[int]]) -> int:
        mask = np.arange(max(map(len, batch))) < np.array([len(line) for line in batch])[:, None]
        source = np.full(mask.shape, rule.source_pad)
        source[mask] = [token for line in batch for token in line]
        # A translation that is cut at its length has no end; one that is not has it as its last token.
        return sum(min(len(best[0].ids), job["length"]) for best in search(steps, source, mask, target, options))

    batches = [lines[at : at + job["batch"]] for at in range(0, len(lines), job["batch"])]
    work(batches[-1])
    best, count = float("inf"), 0
    for _ in range(job["again"]):
        begun = time.perf_counter()
        count = sum(map(work, batches))
        best = min(best, time.perf_counter() - begun)
    return {"rate": count / best, "tokens": count}


class Models:
    """The same random weights in every format, made once in `folder`, and the lines to translate."""

    def __init__(self, data: Path, peers: str, folder: Path, lines: int) -> None:
        self.peers, self.folder = peers, folder
        sides: dict[str, list[str]] = {"source": [], "target": []}
        with gzip.open(data / "tatoeba/train.en-de.tsv.gz", "rt", encoding="utf-8") as pairs:
            for pair in pairs:
                for side, text in zip(sides, pair.rstrip("\n").split("\t"), strict=False):
                    sides[side].append(text)
        job: dict[str, Any] = {"folder": str(folder / "checkpoint")}
        for side, text in sides.items():
            path = folder / f"{side}.txt"
            path.write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
            job[side] = str(path)
        self.script("marian_shaped.py", job)
        self.script("translate_peer.py", {"peer": "convert", "checkpoint": job["folder"], "model": str(folder)})
        for precision in COMPUTE:
            command = [sys.executable, "-m", "textkit", "import", job["folder"], "-o", str(folder / precision)]
            subprocess.run([*command, "--precision", precision, "-q"], check=True)
        with gzip.open(data / "multi30k/train.en.gz", "rt", encoding="utf-8") as text:
            self.write([next(text).rstrip("\n") for _ in range(lines)])

    def write(self, lines: list[str]) -> None:
        """The lines as textkit's ids and as the peers' tokens."""
        from textkit import bundle

        encoded = bundle.read(self.folder / "fp32").rule.encode(lines)
        ids = [part.tolist() for part in np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])]
        table = json.loads((self.folder / "checkpoint" / "vocab.json").read_text())
        names = {number: piece for piece, number in table.items()}
        (self.folder / "ids.json").write_text(json.dumps(ids))
        (self.folder / "few.json").write_text(json.dumps(ids[:16]))
        tokens = [[names[number] for number in line] for line in ids]
        (self.folder / "tokens.json").write_text(json.dumps(tokens))
        (self.folder / "few_tokens.json").write_text(json.dumps(tokens[:16]))

    def script(self, name: str, job: dict[str, Any]) -> dict[str, Any]:
        """A peer's script with a job; what it prints last."""
        return self.run([self.peers, str(PEERS / name)], job)

    def run(self, command: list[str], job: dict[str, Any]) -> dict[str, Any]:
        path = self.folder / "job.json"
        path.write_text(json.dumps(job))
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}

    def rate(self, side: str, case: tuple[int, int, str], again: int) -> dict[str, Any]:
        batch, beam, precision = case
        few = "few" if batch == 1 else ""
        job: dict[str, Any] = {"batch": batch, "beam": beam, "length": LENGTH, "threads": 2, "again": again}
        if side == "textkit":
            job |= {"model": str(self.folder / precision), "ids": str(self.folder / (few or "ids")) + ".json"}
            return self.run([sys.executable, str(Path(__file__).resolve()), "--job"], job)
        job |= {"peer": side, "model": str(self.folder / side), "compute": COMPUTE[precision]}
        job["tokens"] = str(self.folder / (f"{few}_tokens.json" if few else "tokens.json"))
        return self.script("translate_peer.py", job)


def compared(models: Models, rounds: int, again: int) -> list[list[str]]:
    """A row a case: rates and ratios."""
    rows = []
    for name, case in CASES.items():
        sides = ["textkit", "ctranslate2", *(["optimum"] if case[2] == "fp32" else [])]
        rates: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side in sides:
                found = models.rate(side, case, again)
                rates[side].append(found["rate"])
                print(f"{name}: {side} {found['rate']:,.0f} tokens/s ({found['tokens']})", file=sys.stderr, flush=True)
        cells = [name, f"{statistics.median(rates['textkit']):,.0f}"]
        for peer in ("ctranslate2", "optimum"):
            if peer not in rates:
                cells += ["", ""]
                continue
            ratios = [ours / theirs for ours, theirs in zip(rates["textkit"], rates[peer], strict=True)]
            cells += [
                f"{statistics.median(rates[peer]):,.0f}",
                f"**{statistics.median(ratios):.2f}** ({spread(ratios)})",
            ]
        rows.append(cells)
    return rows


def spread(ratios: list[float]) -> str:
    return f"{min(ratios):.2f}-{max(ratios):.2f}"


def memory(data: Path, folder: Path, count: int) -> tuple[float, float, float]:
    """Peak MB of the default model over a tenth of `count` distinct lines and over all, and lines/s of the latter."""
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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=256)
    parser.add_argument("--memory-lines", type=int, default=100_000, help="0: leave the default model out")
    parser.add_argument("--no-report", action="store_true", help="print, and leave docs/benchmarks.md alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        models = Models(options.data, options.peers, Path(name), options.lines)
        rows = compared(models, options.rounds, 2)
        parts = [
            "## textkit translate",
            f"A Marian-shaped model (d512, 6+6 layers, 32,000 words; random weights, the same on all sides), "
            f"{options.lines} lines of Multi30k, {LENGTH} tokens of translation each, two threads; target tokens/s of the "
            f"search, loading not counted; {options.rounds} rounds in turn, median of the rounds' ratios (range).",
            report.table(["", "textkit", "CTranslate2", "times as fast", "optimum", "times as fast"], rows),
        ]
        if options.memory_lines:
            first = first_line([sys.executable, "-m", "textkit", "translate"], b"I am going home.\n")
            few, many, rate = memory(options.data, Path(name), options.memory_lines)
            parts.append(
                f"Default model: first line {first:.2f} s after the process starts (median of 11, warm); "
                f"{options.memory_lines:,} lines of Tatoeba: {rate:,.0f} lines/s, at most {many:.0f} MB resident "
                f"({few:.0f} MB for a tenth of them)."
            )
    parts.append(f"{report.machine()}. `python benchmarks/translate.py DATA --peers PYTHON`")
    print("\n\n".join(parts))
    if not options.no_report:
        report.section("translate", "\n\n".join(parts))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        print(json.dumps(textkit_rate(json.loads(Path(sys.argv[2]).read_text()))))
    else:
        main()
