"""Counts which everyday sentences a model of `textkit translate` gets right, by checks instead of references.

    python benchmarks/everyday.py [en-de|de-en] [--model NAME] [--all]

tests/data/everyday.en-de.tsv has a line for each: its kind, the sentence, and regular expressions that its translation must
match (behind ! : must not match), with && between; everyday.de-en.tsv has German sentences. Prints what failed (with --all
everything), and the share of each kind. No sentence stands in what the shipped models learn from recipes/everyday.en-de.tsv.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

DIRECTIONS = ("en-de", "de-en")  # also the names of the shipped models
DATA = Path(__file__).resolve().parent.parent / "tests" / "data"


def cases(direction: str = "en-de") -> Iterator[tuple[str, str, list[str]]]:
    """(kind, sentence, checks) of each line."""
    for line in (DATA / f"everyday.{direction}.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            kind, sentence, checks = line.split("\t")
            yield kind, sentence, checks.split(" && ")


def failed(translation: str, checks: list[str]) -> list[str]:
    """The checks that `translation` does not pass. One that begins with ! and goes on must not match."""
    barred = [check for check in checks if len(check) > 1 and check[0] == "!" and re.search(check[1:], translation)]
    missing = [
        check for check in checks if not (len(check) > 1 and check[0] == "!") and not re.search(check, translation)
    ]
    return barred + missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("direction", nargs="?", choices=DIRECTIONS, default=DIRECTIONS[0])
    parser.add_argument("--model", help="by default the shipped one of that direction")
    parser.add_argument("--all", action="store_true", help="show what passed, too")
    options = parser.parse_args()
    known = list(cases(options.direction))
    command = [sys.executable, "-m", "textkit", "translate", "-m", options.model or options.direction]
    text = "".join(f"{sentence}\n" for _, sentence, _ in known)
    ended = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    passed, all_ = Counter[str](), Counter[str]()
    for (kind, sentence, checks), translation in zip(known, ended.stdout.split("\n")[:-1], strict=True):
        wrong = failed(translation, checks)
        all_[kind] += 1
        passed[kind] += not wrong
        if wrong or options.all:
            print(f"{'-' if wrong else '+'} {sentence}\n  {translation}" + (f"\n  fails {wrong}" if wrong else ""))
    print(", ".join(f"{kind} {passed[kind]}/{count}" for kind, count in all_.items()))
    print(f"{passed.total()} of {all_.total()}: {passed.total() / all_.total():.1%}")


if __name__ == "__main__":
    main()
