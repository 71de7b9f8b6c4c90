"""Makes an index of many short lines, by static vectors, in pieces that fit between other work; then searches it.

    python benchmarks/large_index.py DATA FOLDER [--lines 10000000] [--minutes 9] [--exact]

FOLDER keeps the lines, the index and what each piece cost. The first piece makes the lines. Every other ends after --minutes
by Ctrl-C, which loses at most a graph that is being built; the same command does the next one. Exit code 3: there is more to
do. When all is done it prints JSON: what making the index cost, what it takes on the disk, and what queries in processes of
their own cost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import report
from measuring.cost import ENVIRONMENT, cost
from similar import english

TEXTKIT = [sys.executable, "-P", "-m", "textkit"]
MODEL = "en-words"
LONGEST = 60  # characters of a line
AT_ONCE = 100_000  # lines that are made together
MORE = 3  # the exit code of a piece that was not the last


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds english/")
    parser.add_argument("folder", type=Path, help="keeps what is done")
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--minutes", type=float, default=9.0, help="of a piece; 0: to the end")
    parser.add_argument("--exact", action="store_true", help="make no graphs")
    parser.add_argument("--rounds", type=int, default=5, help="queries of each kind")
    options = parser.parse_args()
    # A shell's background job ignores Ctrl-C, and so would the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options.folder.mkdir(parents=True, exist_ok=True)
    text, index, told = (options.folder / name for name in ("lines.txt", "index", "pieces.json"))
    pieces: list[dict[str, float]] = json.loads(told.read_text()) if told.exists() else []
    if not text.exists():
        part = text.with_suffix(".part")
        with part.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in short(english(options.data), options.lines))
        part.replace(text)
        return MORE  # this process is too large now: its memory would count as that of the command
    exact = ["--exact"] if options.exact else []
    done, spent = piece(
        [*TEXTKIT, "index", "-q", "-m", MODEL, *exact, str(text), "-o", str(index)], options.minutes * 60
    )
    pieces.append(spent | facts(index))
    told.write_text(json.dumps(pieces, indent=1))
    print(json.dumps(pieces[-1]), file=sys.stderr)
    if not done:
        return MORE
    print(json.dumps(figures(options, index, pieces), indent=2))
    return 0


def short(lines: list[str], count: int) -> Iterator[str]:
    """`count` lines of at most LONGEST characters: the beginning of one line and the end of another."""
    dice = random.Random(6)
    words = [line.split() for line in lines]
    begins = [" ".join(some[: dice.randint(2, 5)]) for some in words]
    ends = [" ".join(some[-dice.randint(2, 5) :]) for some in words]
    for at in range(0, count, AT_ONCE):
        some = min(AT_ONCE, count - at)
        for begin, end in zip(dice.choices(begins, k=some), dice.choices(ends, k=some), strict=True):
            yield f"{begin} {end}"[:LONGEST].rstrip()


def piece(command: list[str], seconds: float) -> tuple[bool, dict[str, float]]:
    """Runs a command for at most so many seconds (0: to its end): whether it came to its end, and what it cost."""
    begun = time.monotonic()
    process = subprocess.Popen(command, env=ENVIRONMENT)
    timer = threading.Timer(seconds, process.send_signal, [signal.SIGINT])
    if seconds:
        timer.start()
    _, status, used = os.wait4(process.pid, 0)
    timer.cancel()
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 130):
        sys.exit(f"{' '.join(command)}: exit code {code}")
    return code == 0, {
        "seconds": round(time.monotonic() - begun, 1), "processors": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6, 1),
    }  # fmt: skip


def facts(index: Path) -> dict[str, int]:
    manifest = index / "manifest.json"
    found: dict[str, Any] = json.loads(manifest.read_text()) if manifest.exists() else {"rows": 0, "parts": []}
    files = [file.stat().st_size for file in index.rglob("*") if file.is_file()]
    return {"rows": found["rows"], "graphs": len(found["parts"]), "mb": round(sum(files) / 1e6)}


def figures(options: argparse.Namespace, index: Path, pieces: list[dict[str, float]]) -> dict[str, Any]:
    few = min(AT_ONCE, options.lines)  # the index has these: lines that are made together depend on how many there are
    queries = list(short(english(options.data), few))[-options.rounds :]
    found: dict[str, Any] = {}
    for way in ("hybrid", "meaning", "words"):
        turns = [cost([*TEXTKIT, "search", query, str(index), f"--{way}"]) for query in queries]
        found[way] = {
            name: round(statistics.median(getattr(each, name) for each in turns), 3)
            for name in ("seconds", "processors", "peak_mb")
        }
    return {
        "machine": report.machine(("numpy", "onnxruntime", "tantivy", "usearch")), "model": MODEL, **facts(index),
        "seconds": round(sum(each["seconds"] for each in pieces)), "pieces": len(pieces),
        "processors": round(sum(each["processors"] for each in pieces)),
        "peak_mb": max(each["peak_mb"] for each in pieces), "query": found,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
