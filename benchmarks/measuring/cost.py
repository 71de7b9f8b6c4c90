"""What a command costs: its seconds and peak memory, or the seconds to its first line. Knows no benchmark.

This file runs as a small separate process that starts the command. The system counts the starting process's memory towards
the new one's peak, so a script that has imported numpy and torch would be most of what is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# As for an installed textkit, modules are compiled once and cached.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Cost:
    """The cost of a command: `seconds` from start to exit, `peak_mb` resident (10^6 bytes), its `stdout`, and the seconds of
    all `processors` together."""

    seconds: float
    peak_mb: float
    stdout: str
    processors: float = 0.0


class Failed(Exception):
    """A command ended with an error. The message names it and its last lines of output."""


def cost(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Cost:
    """Runs `command` to its end, with `environment` added to ENVIRONMENT. Raises Failed if its exit code is not 0."""
    words = [str(word) for word in command]
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "cost.json")
        starter = [sys.executable, "-I", "-S", __file__, str(told), *words]
        ended = subprocess.run(
            starter, env={**ENVIRONMENT, **(environment or {})}, capture_output=True, text=True, check=False
        )
        found = json.loads(told.read_text()) if told.exists() else {"code": ended.returncode}
    if found["code"]:
        said = (ended.stderr.strip() or ended.stdout.strip()).split("\n")
        raise Failed(f"{' '.join(words[:6])}: exit code {found['code']}: {' / '.join(said[-3:])}")
    return Cost(found["seconds"], found["peak_mb"], ended.stdout, found["processors"])


def first_line(command: Sequence[str], line: bytes, times: int = 11) -> float:
    """The median seconds from the start of `command` to its first line of output; its input stays open after `line`."""
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(line)
            process.stdin.flush()
            if not process.stdout.readline():
                raise Failed(f"{' '.join(command)}: ended without a line")
            seconds.append(time.perf_counter() - begun)
            process.stdin.close()
    return sorted(seconds)[times // 2]


def _start(told: str, command: list[str]) -> None:
    begun = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    code = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * unit / 1e6
    used = usage.ru_utime + usage.ru_stime
    Path(told).write_text(json.dumps({"seconds": seconds, "peak_mb": peak, "code": code, "processors": used}))


if __name__ == "__main__":
    _start(sys.argv[1], sys.argv[2:])
