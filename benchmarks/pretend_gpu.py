"""Counts what a step costs beside the GPU's own time: copies, bytes, launches, the host's milliseconds. Needs no GPU.

`python benchmarks/pretend_gpu.py [--page FILE]`. onnxruntime's CUDA provider loads stand-ins for CUDA's libraries
(tests/pretend_cuda, made with gcc) that allocate and copy in the host's memory and compute nothing: results are rubbish, counts
and the host's time are real. Each case is measured in a process of its own (pretend_gpu_parts.py), which finds the stand-ins.
With PYTHONPATH set, another version of textkit is measured.

How busy a GPU would be is found by giving each launch a part of the milliseconds that a step is to take: the device does one
launch after the other, whoever waits waits for it, and the share of the time in which it has something to do is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import report

ROOT = Path(__file__).resolve().parent.parent
PARTS = Path(__file__).with_name("pretend_gpu_parts.py")
LINES = 64
# What is measured: the model, its beams or samples, and how tokens are chosen.
CASES: dict[str, dict[str, Any]] = {
    "en-de, beam 4": {"model": "en-de", "beams": 4, "kind": "search"},
    "en-de, greedy": {"model": "en-de", "beams": 1, "kind": "search"},
    "en-lm, 4 samples": {"model": "en-lm", "beams": 4, "kind": "draw"},
    "en-lm, 4 samples, top-p": {"model": "en-lm", "beams": 4, "kind": "top-p"},
    "en-lm, 4 samples, top-k 20": {"model": "en-lm", "beams": 4, "kind": "top-k"},
}
BUSY = {"en-de, beam 4": (1, 2, 3), "en-lm, 4 samples": (1, 2, 3)}  # with so many batches under way
TEXTS, TRIES = 2560, 3
REPLAYED = {
    f"en-lm, 4 samples, {steps} at a time{', as a CUDA graph' * graph}": {"steps": steps, "graph": graph}
    for steps in (1, 4)
    for graph in (0, 1)
}
Figures = dict[str, Any] | None  # None: it failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--page", type=Path, help="write the table as a section of this page")
    parser.add_argument(
        "--step", type=float, default=1.0, metavar="MILLISECONDS", help="how long the GPU computes a step"
    )
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    from pretend_cuda import pretend

    if why := pretend.missing():
        sys.exit(f"not to be measured: {why}")
    libraries = pretend.build(Path(tempfile.gettempdir()) / "textkit-pretend-cuda")
    before = {
        "LD_LIBRARY_PATH": [str(libraries), os.environ.get("LD_LIBRARY_PATH", "")],
        "PYTHONPATH": [os.environ.get("PYTHONPATH", ""), str(ROOT / "tests")],
    }
    paths = {name: os.pathsep.join(filter(None, places)) for name, places in before.items()}

    def told(part: str, **job: Any) -> Figures:
        command = [sys.executable, str(PARTS), json.dumps({"part": part, "lines": LINES, **job})]
        done = subprocess.run(command, env={**os.environ, **paths}, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-500:], file=sys.stderr)
        return None if done.returncode else json.loads(done.stdout.splitlines()[-1])

    rows = [(case, told("step", **job)) for case, job in CASES.items()]
    loads = []
    for case, counts in BUSY.items():
        job = {name: CASES[case][name] for name in ("model", "beams")}
        job |= {"milliseconds": given.step, "texts": TEXTS, "tries": TRIES}
        loads += [(case, count, told("busy", under_way=count, **job)) for count in counts]
    replays = [(case, told("replayed", **job)) for case, job in REPLAYED.items()]
    text = page_of(rows, loads, replays, given.step)
    print(text)
    if given.page:
        report.section("pretend-gpu", text, given.page)


def page_of(
    rows: list[tuple[str, Figures]], loads: list[tuple[str, int, Figures]], replays: list[tuple[str, Figures]], step: float,
) -> str:  # fmt: skip
    """The section of a page: a row for each case."""
    head = [
        "one step",
        "steps at a time",
        "copies up / down",
        "bytes a line up / down",
        "launches",
        "host, ms of processor time",
        "half of the lines leave, MB",
    ]
    table = report.table(
        head, [[case, *(["failed", *[""] * 5] if found is None else _cells(found))] for case, found in rows]
    )
    shares = report.table(
        ["search", "batches under way", "host, ms of processor time a step", "busy, %", "busy by the wall's clock, %"],
        [
            [case, str(count), *(["failed", "", ""] if found is None else _shares(found))]
            for case, count, found in loads
        ],
    )
    return "\n\n".join(
        [
            "## A step of a search on a pretended GPU",
            f"{LINES} lines. onnxruntime's CUDA provider runs with stand-ins that copy and compute nothing: copies, bytes,"
            " launches and the host's time are real, and say what a step costs beside the GPU's own time. Where several steps"
            " are taken at a time, all figures are for one of them.",
            table,
            f"How busy a GPU is that computes {step:g} ms a step: {TEXTS:,} lines in batches of {LINES}, 20 steps each, with"
            " tokenising, searching and detokenising. The clock counts the process's own processor time, as on one core, and"
            " the time in which all its threads wait, so that other processes matter little; the last column is by the wall's."
            f" Each figure is the best of {TRIES}, because others share the machine.",
            shares,
            "onnxruntime's run alone, with all arrays bound, and the same as a CUDA graph, which textkit does not use: one"
            " thread of a session may replay it, and each number of lines must be captured for itself.",
            report.table(
                ["a step of", "launches by the host", "host, ms"],
                [
                    [case, *(["failed", ""] if found is None else [f"{found['launches']:.4g}", f"{found['ms']:.3f}"])]
                    for case, found in replays
                ],
            ),
            f"{report.machine()}. `python benchmarks/pretend_gpu.py`",
        ]
    )


def _shares(found: dict[str, Any]) -> list[str]:
    return [f"{found['host']:.2f}", f"{found['own']:.0f}", f"{found['wall']:.0f}"]


def _cells(found: dict[str, Any]) -> list[str]:
    return [
        f"{found['ahead']:.0f}",
        f"{found['up']:.4g} / {found['down']:.4g}", f"{found['up_bytes']:,.0f} / {found['down_bytes']:,.0f}",
        f"{found['launches']:.0f}", f"{found['ms']:.2f}", f"{found['leave']:.4f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
