"""Counts what a step costs beside the GPU's own time: copies, bytes, launches, the host's milliseconds. Needs no GPU.

`python benchmarks/pretend_gpu.py [--page FILE]`. onnxruntime's CUDA provider loads stand-ins for CUDA's libraries
(tests/pretend_cuda, made with gcc) that allocate and copy in the host's memory and compute nothing: results are rubbish, counts
and the host's time are real. The script starts itself again so that the stand-ins are found. `--of ROOT` measures another
checkout's textkit, such as the one before a change.
"""

from __future__ import annotations

import argparse
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
    text = table(rows)
    print(text)
    if given.page:
        import report

        report.section("a pretended GPU", text, given.page)


def table(rows: list[tuple[str, dict[str, Any] | None]]) -> str:
    lines = [
        "| | copies up | copies down | bytes up | bytes down | launches | host, ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for case, found in rows:
        if found is None:
            lines.append(f"| {case} | failed | | | | | |")
            continue
        lines.append(
            f"| {case} | {found['up']:.1f} | {found['down']:.1f} | {found['up_bytes']:.0f} | {found['down_bytes']:.0f} | "
            f"{found['launches']:.0f} | {found['ms']:.2f} |"
        )
    return "\n".join(lines)


def measured(case: str, wait: int) -> dict[str, float]:
    """Each figure for one step; bytes for one line and step as well."""
    sys.path.insert(0, str(ROOT / "tests"))
    warnings.simplefilter("ignore")
    import ctypes

    from pretend_cuda.pretend import counts

    kind, options = CASES[case]
    every: list[dict[str, float]] = []

    from textkit.searching.steps import Steps

    step = Steps.step

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        before, begun = counts(), time.perf_counter()
        found = step(self, *given, **named)
        took, after = time.perf_counter() - begun, counts()
        one = {name: after[name] - before[name] for name in COUNTED}
        lines = len(given[0])
        every.append(
            {**one, "up_bytes": one["up_bytes"] / lines, "down_bytes": one["down_bytes"] / lines, "ms": 1000 * took}
        )
        return found

    Steps.step = counted  # type: ignore[method-assign]
    if wait:
        ctypes.CDLL("libcudart.so.13").pretend_waits(wait)
    if kind == "translate":
        from textkit import Translator

        model = Translator(
            "en-de", device="cuda", workers=1, guard=False, min_length=STEPS, max_length=STEPS, **options
        )
        model.translate(["The dog runs home with the man that it has met."] * LINES)
    else:
        from textkit import Generator

        writer = Generator("en-lm", device="cuda", max_tokens=STEPS, samples=4, **options)
        writer.generate(["The game"] * LINES)
    late = every[3:] or every
    return {name: statistics.median(one[name] for one in late) for name in late[0]}


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "en-de, beam 4": ("translate", {"beam_size": 4}),
    "en-de, greedy": ("translate", {"beam_size": 1}),
    "en-lm, 4 samples": ("generate", {}),
    "en-lm, 4 samples, top-p 0.9": ("generate", {"top_p": 0.9}),
    "en-lm, 4 samples, top-k 20": ("generate", {"top_k": 20}),
}

if __name__ == "__main__":
    main()
