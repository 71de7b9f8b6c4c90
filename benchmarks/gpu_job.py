"""What a part of benchmarks/gpu.py is told, what it prints, and the commands that it runs."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any


class Job:
    """What a part is told, and the lines that it prints."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.data, self.scratch = Path(told["data"]), Path(told["scratch"])
        self.device, self.small = told["device"], told["small"]
        self.peers, self.translation_peers = told["peers"], told["translation_peers"]
        self.rounds = 1 if self.small else 3

    def head(self, title: str, text: str, *columns: str) -> None:
        self.say(head={"title": title, "text": text, "columns": columns})

    def row(self, *cells: object) -> None:
        self.say(row=[f"{cell:,.0f}" if isinstance(cell, float) else str(cell) for cell in cells])

    def remark(self, text: str) -> None:
        self.say(remark=text)

    def say(self, **what: Any) -> None:
        print(json.dumps(what), flush=True)

    def english(self, full: int, small: int = 40) -> list[str]:
        """Lines of Tatoeba, from 1 to some 40 words, and every twentieth a paragraph of ten of them."""
        count = small if self.small else full
        with gzip.open(self.data / "tatoeba/train.en-de.tsv.gz", "rt", encoding="utf-8") as pairs:
            lines = [pair.split("\t")[0] for pair in islice(pairs, count)]
        return [" ".join(lines[at : at + 10]) if at % 20 == 0 else line for at, line in enumerate(lines)]

    def rate(self, answer: Callable[[list[Any]], Any], given: list[Any], each: int = 1) -> float:
        """`each` times the things of `given` a second, the best of the rounds, after `answer` has had some of them."""
        list(answer(given[:200]))
        best = float("inf")
        for _ in range(self.rounds):
            begun = time.perf_counter()
            for _ in answer(given):
                pass
            best = min(best, time.perf_counter() - begun)
        return each * len(given) / best

    def devices(self) -> tuple[str, ...]:
        return ("cpu",) if self.device == "cpu" else (self.device, "cpu")


def peer(job: Job, python: str, name: str, code: str, *words: object) -> None:
    """A row for a peer that prints its rate; a remark if it cannot run."""
    done = subprocess.run(
        [python, "-c", code, *map(str, words), job.device], capture_output=True, text=True, check=False
    )
    if done.returncode:
        job.remark(f"{name}: left out: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    else:
        job.row(name, job.device, float(done.stdout.splitlines()[-1]))


def textkit_(*words: object) -> None:
    command = [sys.executable, "-m", "textkit", *map(str, words), "-q"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)


def settings(**options: object) -> list[str]:
    return [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
