"""Counts what a step costs beside the GPU's own time: copies, bytes, launches, the host's milliseconds. Needs no GPU.

`python benchmarks/pretend_gpu.py [--page FILE]`. onnxruntime's CUDA provider loads stand-ins for CUDA's libraries
(tests/pretend_cuda, made with gcc) that allocate and copy in the host's memory and compute nothing: results are rubbish, counts
and the host's time are real. Each case is measured in a process of its own, which finds the stand-ins. With PYTHONPATH set,
another version of textkit is measured.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LINES = 64
STEPS = 20
# What is measured: the model, its beams or samples, and how tokens are chosen.
CASES: dict[str, tuple[str, int, str]] = {
    "en-de, beam 4": ("en-de", 4, "search"),
    "en-de, greedy": ("en-de", 1, "search"),
    "en-lm, 4 samples": ("en-lm", 4, "draw"),
    "en-lm, 4 samples, top-p": ("en-lm", 4, "top-p"),
    "en-lm, 4 samples, top-k 20": ("en-lm", 4, "top-k"),
}
COUNTED = ("up", "down", "up_bytes", "down_bytes", "launches")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--page", type=Path, help="write the table as a section of this page")
    parser.add_argument("--wait", type=int, default=0, metavar="MICROSECONDS", help="how long the GPU computes a run")
    parser.add_argument("--measure", metavar="CASE", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measured(given.measure, given.wait)))
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from pretend_cuda import pretend

    if why := pretend.missing():
        sys.exit(f"not to be measured: {why}")
    libraries = pretend.build(Path(tempfile.gettempdir()) / "textkit-pretend-cuda")
    rows = []
    for case in CASES:
        command = [sys.executable, __file__, "--measure", case, "--wait", str(given.wait)]
        paths = os.pathsep.join(filter(None, [str(libraries), os.environ.get("LD_LIBRARY_PATH")]))
        done = subprocess.run(
            command, env={**os.environ, "LD_LIBRARY_PATH": paths}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            rows.append((case, None))
            print(done.stderr[-500:], file=sys.stderr)
        else:
            rows.append((case, json.loads(done.stdout.splitlines()[-1])))
    text = page_of(rows, given.wait)
    print(text)
    if given.page:
        import report

        report.section("pretend-gpu", text, given.page)


def page_of(rows: list[tuple[str, dict[str, Any] | None]], wait: int) -> str:
    """The section of a page: a row for each case, None for one that failed."""
    import report

    head = [
        "one step",
        "copies up / down",
        "bytes a line up / down",
        "launches",
        "host, ms",
        "half of the lines leave, MB",
    ]
    table = report.table(
        head, [[case, *(["failed", *[""] * 4] if found is None else _cells(found))] for case, found in rows]
    )
    waits = f" Each run of the GPU is waited for {wait} microseconds." if wait else ""
    return "\n\n".join(
        [
            "## A step of a search on a pretended GPU",
            f"{LINES} lines. onnxruntime's CUDA provider runs with stand-ins that copy and compute nothing: copies, bytes,"
            f" launches and the host's time are real, and say what a step costs beside the GPU's own time.{waits}",
            table,
            f"{report.machine()}. `python benchmarks/pretend_gpu.py`",
        ]
    )


def _cells(found: dict[str, Any]) -> list[str]:
    return [
        f"{found['up']:.0f} / {found['down']:.0f}", f"{found['up_bytes']:,.0f} / {found['down_bytes']:,.0f}",
        f"{found['launches']:.0f}", f"{found['ms']:.2f}", f"{found['leave']:.4f}",
    ]  # fmt: skip


def measured(case: str, wait: int) -> dict[str, float]:
    """Each figure for one step; bytes for one line and step as well."""
    sys.path.insert(0, str(ROOT / "tests"))
    warnings.simplefilter("ignore")
    import numpy as np
    from pretend_cuda.pretend import counts

    model, beams, kind = CASES[case]
    steps = steps_of(model)
    state: Any
    memory, state = steps.encode(np.full((LINES, 12), 5), np.ones((LINES, 12), bool))
    if wait:
        ctypes.CDLL("libcudart.so.13").pretend_waits(wait)
    token = np.full((LINES, 1 if kind == "search" else beams), 7)
    parent = np.zeros_like(token)
    own = np.tile(np.arange(beams), (LINES, 1))
    every = []
    for _ in range(STEPS):
        before, begun = counts(), time.perf_counter()
        state = one_step(steps, kind, beams, token, parent, memory, state)
        took, after = time.perf_counter() - begun, counts()
        found = {name: after[name] - before[name] for name in COUNTED}
        found |= {name: found[name] / LINES for name in ("up_bytes", "down_bytes")}
        every.append({**found, "ms": 1000 * took})
        token, parent = np.full((LINES, beams), 7), own
    result = {name: statistics.median(one[name] for one in every[3:]) for name in every[0]}
    before = counts()
    steps.keep(memory, state, np.arange(0, LINES, 2))
    after = counts()
    leave = sum(after[name] - before[name] for name in ("up_bytes", "down_bytes")) / 1e6
    return {**result, "leave": leave}


def steps_of(model: str) -> Any:
    from textkit import Generator, Translator

    return (Translator(model, device="cuda", workers=1) if model == "en-de" else Generator(model, device="cuda")).steps


def one_step(steps: Any, kind: str, beams: int, token: Any, parent: Any, memory: Any, state: Any) -> Any:
    """A step as the search of this version of textkit asks for it."""
    import numpy as np

    from textkit.searching.drawing import Draw

    if kind == "search":
        k = 1 if beams == 1 else beams + 1
        more = {"score": np.zeros(token.shape)} if getattr(steps, "ranks", False) else {}
        return steps.step(token, parent, k, memory, state, False, **more)
    if kind == "top-k":
        return steps.step(token, parent, 24, memory, state, False)
    numbers = np.full(token.shape, 0.5, np.float32)
    rest = held_constants(len(steps._bundle.rule))
    if kind == "draw":
        return steps.step(token, parent, 0, memory, state, False, Draw(numbers, *rest[:2]))
    if getattr(steps, "cuts", False):
        return steps.step(token, parent, 0, memory, state, False, Draw(np.repeat(numbers[:, :, None], 4, 2), *rest))
    return steps.step(token, parent, 0, memory, state, True)


@functools.cache
def held_constants(vocab: int) -> tuple[Any, ...]:
    """The same arrays at each step, as a search has them: temperature, bias, share."""
    import numpy as np

    return np.array(1, np.float32), np.zeros(vocab, np.float32), np.array(0.9, np.float32)


if __name__ == "__main__":
    main()
