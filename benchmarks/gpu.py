"""Measures textkit on a GPU, part by part: `python benchmarks/gpu.py DATA [--only PART]... [--page FILE] [--figures FILE]`.

Each part (benchmarks/gpu_parts.py) runs in a process of its own, with a limit in seconds, and prints a line for each figure as
it has it. A part that fails, hangs or is killed leaves the figures that it had, with the reason; the others still run. What a
part found is appended to --figures (JSON lines) and written to the page as soon as it ends, so that a machine which is taken
away half-way has told half. DATA holds multi30k/, tatoeba/ and wikitext2/. What a machine lacks is done without: a peer that
cannot be imported is said and left out. The script also runs from a clone that is not installed. `--try-on-cpu` proves all of
it in small, with the CPU in place of the GPU, and writes only what --page and --figures name. gpu_run.sh prepares a bare
machine and calls this.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import clone, report

PARTS = Path(__file__).with_name("gpu_parts.py")
# Parts in their order, the most important first, with the most seconds that each may take.
LIMITS = {
    "probe": 60,
    "parity": 90,
    "translate": 120,
    "encoder": 90,
    "train": 150,
    "score": 60,
    "generate": 60,
    "embed": 90,
    "ctranslate2": 150,
}
NEEDED = (
    "click", "numpy", "onnx", "onnxruntime", "platformdirs", "rich", "safetensors", "tokenizers", "torch", "numba",
)  # fmt: skip


@dataclass
class Found:
    """What a part said: its title, text, columns, rows and remarks, and why it ended early ('' if it did not)."""

    part: str
    title: str = ""
    text: str = ""
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problem: str = ""
    seconds: float = 0.0

    def take(self, line: str) -> None:
        """Takes a line of the part's output: {"head": {title, text, columns}}, {"row": [...]} or {"remark": "..."}."""
        said = json.loads(line)
        for name, value in said.get("head", {}).items():
            setattr(self, name, value)
        if "row" in said:
            self.rows.append(said["row"])
        if "remark" in said:
            self.remarks.append(said["remark"])

    def markdown(self) -> str:
        ended = f"**Ended early after {self.seconds:.0f} s: {self.problem}**" if self.problem else ""
        rows = report.table(self.columns, self.rows) if self.rows else ""
        return "\n\n".join(filter(None, [f"### {self.title or self.part}", self.text, rows, *self.remarks, ended]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder that holds multi30k/, tatoeba/ and wikitext2/")
    parser.add_argument("--only", choices=LIMITS, action="append", help="only this part; may be given several times")
    parser.add_argument("--minutes", type=float, default=15, help="when no further part begins, and what runs is ended")
    parser.add_argument("--limit", type=float, help="the most seconds of a part, in place of its own limit")
    parser.add_argument(
        "--peers", metavar="PYTHON", help="a Python that has sentence-transformers; without it, this one"
    )
    parser.add_argument(
        "--translation-peers", metavar="PYTHON", help="a Python that has CTranslate2; without it, this one"
    )
    parser.add_argument("--quick", action="store_true", help="use a part of the data and one round")
    parser.add_argument("--try-on-cpu", action="store_true", help="use the CPU in place of the GPU, in small")
    parser.add_argument(
        "--page", type=Path, help="where the section goes; without it, docs/benchmarks.md if there is a GPU"
    )
    parser.add_argument(
        "--figures", type=Path, help="a file to which each part's figures are appended, as a line of JSON"
    )
    given = parser.parse_args()
    if not given.data.is_dir():
        parser.error(f"{given.data}: no such folder")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"not to be measured: this Python lacks {', '.join(missing)}")
    clone.reach()
    why = None if given.try_on_cpu else no_gpu()
    if why is not None:
        print(f"No GPU to measure: {why}. The page is left as it is.")
        return
    page = given.page or (None if given.try_on_cpu or given.quick else report.PAGE)
    sys.exit(int(measure(given, page)))


def no_gpu() -> str | None:
    """Why there is no GPU to measure; None if the driver has one. Whether it computes is for the first part to say."""
    from textkit.serving.machine import gpu_count

    count, why = gpu_count()
    return None if count else why


def measure(given: argparse.Namespace, page: Path | None) -> bool:
    """Runs the parts, and writes down each as it ends; returns whether any failed."""
    ends = time.monotonic() + 60 * given.minutes
    found: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="textkit-bench-") as scratch:
        for part in given.only or LIMITS:
            left = ends - time.monotonic()
            if left < 5:
                found.append(Found(part, problem="the time was used up before it began"))
            else:
                found.append(run(part, job_of(given, scratch), min(given.limit or LIMITS[part], left)))
            write_down(found, given, page)
            print(found[-1].markdown(), end="\n\n", flush=True)
    return any(one.problem for one in found)


def job_of(given: argparse.Namespace, scratch: str) -> dict[str, Any]:
    """What a part is told."""
    return {
        "data": str(given.data.resolve()),
        "device": "cpu" if given.try_on_cpu else "cuda",
        "small": given.try_on_cpu or given.quick,
        "peers": given.peers or sys.executable,
        "translation_peers": given.translation_peers or sys.executable,
        "scratch": scratch,
    }


def run(part: str, job: dict[str, Any], limit: float) -> Found:
    """One part in a process of its own, which is ended, with all that it started, after `limit` seconds."""
    found, begun = Found(part), time.monotonic()
    command = [sys.executable, str(PARTS), part, json.dumps(job)]
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True)
        late = threading.Event()

        def end() -> None:
            late.set()
            os.killpg(child.pid, signal.SIGKILL)

        clock = threading.Timer(limit, end)
        clock.start()
        assert child.stdout
        for line in child.stdout:
            try:
                found.take(line)
            except (ValueError, AttributeError):
                print(line, end="", file=sys.stderr)  # a library's own
        child.stdout.close()
        code = child.wait()
        clock.cancel()
        said.seek(0)
        errors = said.read()
    sys.stderr.write(errors)
    found.seconds = time.monotonic() - begun
    if late.is_set():
        found.problem = f"its limit of {limit:.0f} s"
    elif code:
        last = [line for line in errors.splitlines() if line.strip()][-1:] or [f"exit code {code}"]
        found.problem = last[0][:300]
    return found


def write_down(found: list[Found], given: argparse.Namespace, page: Path | None) -> None:
    """Appends the last part to the figures, and writes the section of all parts so far."""
    if given.figures:
        with given.figures.open("a", encoding="utf-8") as out:
            out.write(json.dumps(vars(found[-1])) + "\n")
            out.flush()
            os.fsync(out.fileno())
    if page:
        parts = [f"## On a GPU\n\n{where()}.", *(one.markdown() for one in found)]
        report.section("gpu", "\n\n".join(parts), page)


def where() -> str:
    """The machine, its GPU, and the command."""
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True)
        gpu = found.stdout.strip().split("\n")[0]
    except (OSError, subprocess.SubprocessError):
        gpu = "no GPU"
    packages = "numpy", "onnxruntime-gpu", "onnxruntime", "torch", "ctranslate2", "sentence-transformers"
    machine = report.machine(packages)
    return f"{gpu}; {machine}.\n`python benchmarks/gpu.py DATA`"


if __name__ == "__main__":
    main()
