"""Runs all benchmarks, one after the other: `python benchmarks/run.py DATA --peers PYTHON`, as `make bench` does.

Each script measures textkit and its peers in turn and writes its own sections of docs/benchmarks.md. If one fails, the others
still run, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Each script with the options that make it quick; with them it writes no report.
SCRIPTS = {
    "embed": ["--rounds", "1", "--memory-lines", "200000", "--no-report"],
    "classify": ["--rounds", "1", "--lines", "2000", "--no-report"],
    "similar": ["--rounds", "1", "--lines", "3000", "--no-report"],
    "search": ["--rounds", "1", "--lines", "3000", "--approximate-lines", "3000", "--no-report"],
    "training": ["--quick"],
    "gpu": ["--quick"],
    "language": ["--rounds", "1", "--steps", "20", "--lines", "50", "--no-report"],
    "translate": ["--rounds", "1", "--lines", "32", "--memory-lines", "0", "--no-report"],
}
OTHERS = {"translate": "translation_peers"}  # the option that names a script's peers, if it is not --peers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder with the data sets")
    parser.add_argument("--peers", metavar="PYTHON", required=True, help="the Python that has benchmarks/peers.txt")
    parser.add_argument(
        "--translation-peers", metavar="PYTHON", help="the Python that has benchmarks/translation_peers.txt"
    )
    parser.add_argument("--only", choices=SCRIPTS, action="append", help="only this script; may be given several times")
    parser.add_argument("--quick", action="store_true", help="try everything and write no report")
    given = parser.parse_args()
    if not given.data.is_dir():
        parser.error(f"{given.data}: no such folder; make bench DATA=folder names the one with the data sets")
    failed = []
    for name in given.only or SCRIPTS:
        peers = getattr(given, OTHERS.get(name, "peers"))
        if peers is None:
            print(f"== {name}: left out, --{OTHERS[name].replace('_', '-')} is not given", file=sys.stderr, flush=True)
            continue
        command = [sys.executable, str(HERE / f"{name}.py"), str(given.data), "--peers", peers]
        if name == "gpu" and given.translation_peers:
            command += ["--translation-peers", given.translation_peers]
        command += SCRIPTS[name] if given.quick else []
        print(f"== {name}", file=sys.stderr, flush=True)
        begun = time.perf_counter()
        code = subprocess.run(command, check=False).returncode
        print(f"== {name}: {time.perf_counter() - begun:.0f} s, exit code {code}", file=sys.stderr, flush=True)
        failed += [name] if code else []
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
