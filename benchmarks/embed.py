"""Measures `textkit embed` beside fastText and model2vec: lines/s, memory of a long input, time to the first vector.

    python benchmarks/embed.py DATA [--peers PYTHON] [--model MODEL] [--rounds 5] [--memory-lines 10000000]

textkit is measured as a whole process, from its start to the last byte of a .npy file. The peers are measured in process,
without their imports, loading and writing. All run in turn, round after round, on the English lines of Tatoeba. Without
--peers (a Python that has fasttext-wheel and model2vec) textkit runs alone. Prints JSON; writes docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measuring import report
from measuring.cost import ENVIRONMENT, first_line

from textkit.serving.machine import gpu_count

PEERS = ("fasttext", "fasttext-words", "model2vec")
NAMES = {
    "textkit": "textkit embed --format npy, whole process",
    "fasttext": "fastText get_sentence_vector, d100, n-grams 3-6, in process",
    "fasttext-words": "fastText get_sentence_vector, d100, words alone, in process",
    "model2vec": "model2vec encode, 30k x 256, in process",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds tatoeba/train.en-de.tsv.gz")
    parser.add_argument("--peers", help="Python of an environment with the peers")
    parser.add_argument("--model", help="the model of textkit; without it, the default one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-lines", type=int, default=10_000_000, help="0: leave memory out")
    parser.add_argument("--no-report", action="store_true", help="print, and leave docs/benchmarks.md alone")
    options = parser.parse_args()
    found = measure(options.data, options.peers, options.model, options.rounds, options.memory_lines)
    print(json.dumps(found, indent=2))
    if not options.no_report:
        report.section("embed", markdown(found))


def measure(
    data: Path, peers: str | None = None, model: str | None = None, rounds: int = 5, memory_lines: int = 10_000_000
) -> dict[str, Any]:
    """All figures of this script. The arguments are those of its command line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = folder / "lines.txt"
        with gzip.open(data / "tatoeba" / "train.en-de.tsv.gz", "rt", encoding="utf-8") as source:
            lines.write_text("".join(line.split("\t")[0] + "\n" for line in source), encoding="utf-8")
        count = lines.read_bytes().count(b"\n")
        command = [sys.executable, "-m", "textkit", "embed", *(["-m", model] if model else [])]
        rates: dict[str, list[float]] = {}
        for turn in range(rounds + 1):  # the first turn warms the file cache and makes the peers' models
            for who, rate in [
                ("textkit", textkit_rate(command, lines, count, folder)),
                *peer_rates(peers, lines, folder),
            ]:
                if turn:
                    rates.setdefault(who, []).append(rate)
        medians = {who: statistics.median(turns) for who, turns in rates.items()}
        ratios = [  # of each round, because other load on the machine slows all sides of a round alike
            {who: rates["textkit"][turn] / rates[who][turn] for who in rates if who != "textkit"}
            for turn in range(rounds)
        ]
        return {
            "machine": report.machine(),
            "model": model_facts(command),
            "lines": count,
            "rounds": rounds,
            "lines_per_second": medians,
            "ratio": {who: statistics.median(ratio[who] for ratio in ratios) for who in rates if who != "textkit"},
            "first_vector_seconds": first_line(command, b"hello\n"),
            "help_seconds": first_line([sys.executable, "-m", "textkit", "--help"], b""),
            "cuda": cuda(command, lines, count, folder),
            "memory": memory(command, lines, memory_lines) if memory_lines else None,
        }


def textkit_rate(command: list[str], lines: Path, count: int, folder: Path) -> float:
    target = folder / "vectors.npy"
    begun = time.perf_counter()
    subprocess.run(
        [*command, "--format", "npy", "--threads", "2", str(lines), "-o", str(target)], check=True, env=ENVIRONMENT
    )
    seconds = time.perf_counter() - begun
    target.unlink()
    return count / seconds


def peer_rates(python: str | None, lines: Path, folder: Path) -> Iterator[tuple[str, float]]:
    script = Path(__file__).parent / "peers" / "embed_peer.py"
    for peer in PEERS if python else ():
        run = [str(python), str(script), peer, str(lines), str(folder)]
        done = subprocess.run(run, check=True, stdout=subprocess.PIPE)
        yield peer, json.loads(done.stdout.splitlines()[-1])["rate"]


def cuda(command: list[str], lines: Path, count: int, folder: Path) -> dict[str, float] | None:
    """The rate on a GPU and the largest difference from the CPU's vectors; None without a GPU."""
    if not gpu_count()[0]:
        return None
    seconds = {}
    for device in ("cpu", "cuda", "cuda"):  # the second run on the GPU counts
        target = folder / f"{device}.npy"
        begun = time.perf_counter()
        subprocess.run([*command, "--device", device, str(lines), "-o", str(target)], check=True, env=ENVIRONMENT)
        seconds[device] = time.perf_counter() - begun
    apart = np.abs(np.load(folder / "cpu.npy") - np.load(folder / "cuda.npy")).max()
    return {"lines_per_second": count / seconds["cuda"], "largest_difference": float(apart)}


def memory(command: list[str], lines: Path, count: int) -> dict[str, Any]:
    """The peak resident memory in MB, over all and after each tenth of `count` lines through a pipe, by the kernel's VmHWM."""
    text = lines.read_bytes()
    held = text.count(b"\n")
    tenths: list[float] = []
    with open(os.devnull, "wb") as null:
        process = subprocess.Popen([*command, "--format", "npy", "--threads", "2"], stdin=subprocess.PIPE, stdout=null)
    assert process.stdin
    begun = time.perf_counter()

    def feed() -> None:
        sent = 0
        with process.stdin as pipe:
            while sent < count:
                part = text if count - sent >= held else b"".join(text.splitlines(keepends=True)[: count - sent])
                pipe.write(part)
                sent += min(held, count - sent)
                if sent * 10 // count > len(tenths):
                    tenths.append(_peak(process.pid))

    feeder = threading.Thread(target=feed)
    feeder.start()
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        time.sleep(0.05)
    feeder.join()
    if process.returncode:
        raise SystemExit(f"textkit ended with {process.returncode}")
    return {
        "lines": count,
        "peak_mb": max([peak, *tenths]),
        "after_each_tenth_mb": tenths,
        "seconds": time.perf_counter() - begun,
    }


def _peak(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def model_facts(command: list[str]) -> str:
    """The model that was measured, as `-v` reports it."""
    done = subprocess.run([*command, "-v"], input=b"", capture_output=True, check=True)
    folder, _, facts = done.stderr.decode().strip().removeprefix("textkit: ").partition(": ")
    return f"{Path(folder).name}, {facts}"


def markdown(found: dict[str, Any]) -> str:
    rates, ratios = found["lines_per_second"], found["ratio"]
    rows = [
        [NAMES[who], f"{rates[who]:,.0f}", "" if who == "textkit" else f"{ratios[who]:.2f}"]
        for who in NAMES
        if who in rates
    ]
    parts = [
        "## textkit embed",
        f"{found['lines']:,} English lines of Tatoeba; textkit's model: {found['model']}; two threads; medians of "
        f"{found['rounds']} rounds, in turn. The ratio is textkit's rate over the peer's, in the same round.",
        report.table(["", "lines/s", "textkit is faster by"], rows),
        f"First vector: {found['first_vector_seconds']:.2f} s after the process starts (median of 11, warm); "
        f"`textkit --help`: {found['help_seconds']:.2f} s.",
    ]
    if on_gpu := found["cuda"]:
        parts.append(
            f"On the GPU, whole process: {on_gpu['lines_per_second']:,.0f} lines/s; no number differs from the CPU's by "
            f"more than {on_gpu['largest_difference']:.1e}."
        )
    if memory_found := found["memory"]:
        tenths = ", ".join(f"{megabytes:.0f}" for megabytes in memory_found["after_each_tenth_mb"])
        parts.append(
            f"{memory_found['lines']:,} lines through a pipe: at most {memory_found['peak_mb']:.0f} MB resident "
            f"(after each tenth: {tenths} MB), {memory_found['lines'] / memory_found['seconds']:,.0f} lines/s."
        )
    return "\n\n".join([*parts, f"{found['machine']}. `python benchmarks/embed.py DATA --peers PYTHON`"])


if __name__ == "__main__":
    main()
