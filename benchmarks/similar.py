"""Measures `textkit similar` beside semhash and an exact search by faiss: seconds, and how many near-duplicates are found.

    python benchmarks/similar.py DATA [--peers PYTHON] [--lines 120000] [--rounds 3] [--threshold 0.9]

The lines are those of DATA/english, as many as there are, and for a sixth of all one of them with a word or two changed, left
out, moved or repeated, or not changed at all (seeded). textkit is a whole process, from its start to the last byte of its
output, which reads and embeds; semhash and faiss get the same vectors (`textkit embed -m en-words`) ready-made, and are
measured in process: semhash builds its index and deduplicates, faiss finds all pairs above the threshold (IndexFlatIP,
range_search). They run in turn, round after round. Prints JSON; writes docs/benchmarks.md.
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
from pathlib import Path
from typing import Any

from measuring import report

TEXTKIT = [sys.executable, "-m", "textkit"]
MODEL = "en-words"
PEER = Path(__file__).resolve().parent / "peers" / "similar_peer.py"
PEERS = ("semhash", "faiss-flat")
NAMES = {
    "textkit": "textkit similar, whole process",
    "semhash": "semhash, in process, vectors given",
    "faiss-flat": "faiss IndexFlatIP, all pairs, in process, vectors given",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds english/")
    parser.add_argument("--peers", help="Python of an environment with the peers")
    parser.add_argument("--lines", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threshold", type=float, default=0.9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=PEERS, action="append", help="only this peer; may be given several times")
    parser.add_argument("--no-report", action="store_true", help="print, and leave docs/benchmarks.md alone")
    options = parser.parse_args()
    peers = options.only or PEERS if options.peers else ()
    found = measure(
        options.data, options.peers, options.lines, options.rounds, options.threshold, options.threads, peers
    )
    print(json.dumps(found, indent=2))
    if not options.no_report:
        report.section("similar", markdown(found))


def measure(
    data: Path, python: str | None, count: int, rounds: int, threshold: float, threads: int, peers: tuple[str, ...] | list[str]
) -> dict[str, Any]:  # fmt: skip
    """All figures of this script. The arguments are those of its command line."""
    lines, copies = with_copies(english(data), count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text, vectors = folder / "lines.txt", folder / "vectors.npy"
        text.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        subprocess.run([*TEXTKIT, "embed", "-m", MODEL, text, "-o", vectors], check=True)
        seconds: dict[str, list[float]] = {}
        processor: dict[str, list[float]] = {}
        dropped: dict[str, set[str]] = {}
        for _ in range(rounds):
            for who in ("textkit", *peers):
                if who == "textkit":
                    wall, used, gone = by_textkit(text, folder, threshold, threads)
                else:
                    given = [str(python), str(PEER), who, text, vectors, folder / "gone", str(threshold), str(threads)]
                    done = subprocess.run(given, check=True, capture_output=True, text=True)
                    wall, used = json.loads(done.stdout.splitlines()[-1])
                    gone = (folder / "gone").read_text(encoding="utf-8").split("\n")[:-1]
                seconds.setdefault(who, []).append(wall)
                processor.setdefault(who, []).append(used)
                dropped[who] = set(gone)
                print(f"{who}: {wall:.1f} s, {used:.1f} s of processors", file=sys.stderr, flush=True)
        return {
            "machine": report.machine(("numpy", "onnxruntime")),
            "load": round(os.getloadavg()[1], 1),
            "lines": len(lines),
            "copies": len(copies),
            "threshold": threshold,
            "threads": threads,
            "seconds": {who: statistics.median(turns) for who, turns in seconds.items()},
            "processor_seconds": {who: statistics.median(turns) for who, turns in processor.items()},
            "ratio": {
                who: statistics.median(other / own for other, own in zip(seconds[who], seconds["textkit"], strict=True))
                for who in peers
            },
            "texts_dropped": {who: len(gone) for who, gone in dropped.items()},
            "copies_found": {who: sum(not gone.isdisjoint(pair) for pair in copies) for who, gone in dropped.items()},
        }


def english(data: Path) -> list[str]:
    """The different lines of 40 to 400 characters, shuffled."""
    found: dict[str, None] = {}
    for file in sorted((data / "english").glob("*.txt.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as stream:
            found.update(dict.fromkeys(line for line in map(str.strip, stream) if 40 <= len(line) <= 400))
    lines = list(found)
    random.Random(1).shuffle(lines)
    return lines


def with_copies(lines: list[str], count: int) -> tuple[list[str], list[tuple[str, str]]]:
    """`count` lines, a sixth of which are copies of others, most of them changed a little; and each source with its copy."""
    rng = random.Random(2)
    lines = lines[: count - count // 6]
    sources = rng.sample(lines, min(count // 6, len(lines)))
    copies = [line if at % 10 == 0 else changed(line, rng) for at, line in enumerate(sources)]
    every = lines + copies
    rng.shuffle(every)
    return every, list(zip(sources, copies, strict=True))


def changed(line: str, rng: random.Random) -> str:
    """A line with one or two words left out, repeated, moved, written in capitals or added."""
    words = line.split()
    for _ in range(rng.choice((1, 1, 2))):
        kind, at = rng.randrange(5), rng.randrange(len(words))
        if kind == 0 and len(words) > 4:
            del words[at]
        elif kind == 1:
            words.insert(at, rng.choice(words))
        elif kind == 2:
            other = rng.randrange(len(words))
            words[at], words[other] = words[other], words[at]
        elif kind == 3:
            words[at] = words[at].upper()
        else:
            words.append(rng.choice(("indeed.", "Really.", "(sic)", "!")))
    return " ".join(words)


def by_textkit(text: Path, folder: Path, threshold: float, threads: int) -> tuple[float, float, list[str]]:
    """Seconds, seconds of processors, and the texts that are dropped."""
    out = folder / "kept.txt"
    command = [*TEXTKIT, "similar", "-m", MODEL, text, "-o", out, "--threshold", threshold, "--threads", threads]
    before, begun = os.times(), time.perf_counter()
    subprocess.run(list(map(str, command)), check=True)
    seconds, after = time.perf_counter() - begun, os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    kept = out.read_text(encoding="utf-8").split("\n")[:-1]
    left = dict.fromkeys(kept, 0)
    for line in kept:
        left[line] += 1
    gone = []
    for line in text.read_text(encoding="utf-8").split("\n")[:-1]:
        if left.get(line, 0):
            left[line] -= 1
        else:
            gone.append(line)
    return seconds, used, gone


def markdown(found: dict[str, Any]) -> str:
    rows = [
        [
            NAMES[who],
            f"{found['seconds'][who]:.1f}",
            f"{found['processor_seconds'][who]:.1f}",
            "" if who == "textkit" else f"{found['ratio'][who]:.1f}",
            f"{found['texts_dropped'][who]:,}",
            f"{found['copies_found'][who]:,}",
        ]
        for who in found["seconds"]
    ]
    head = ["", "s", "processors' s", "textkit is faster by", "texts dropped", "copies found"]
    return f"""## Near-duplicates

{found["machine"]}; load {found["load"]}. {found["lines"]:,} lines, of which {found["copies"]:,} are copies of others, most of
them changed a little; threshold {found["threshold"]:g}, {found["threads"]} threads, vectors of {MODEL}. Medians of rounds in
turn.

{report.table(head, rows)}

A text counts once as dropped, however often it is. faiss finds pairs, and drops the later of each; the others keep what is near
to a dropped text alone. `python benchmarks/similar.py DATA --peers PYTHON`
"""


if __name__ == "__main__":
    main()
