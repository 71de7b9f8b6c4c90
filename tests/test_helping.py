"""Processes that share the windows of a stream: the same results, in order, whatever becomes of the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from textkit.errors import TextkitError
from textkit.serving import helping
from textkit.serving.helping import Helpers, shared


class Doubling:
    """Doubles numbers and counts them; says in which process; fails at 13."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.counts: tuple[int, ...] = (0, 0)
        self.seconds = seconds

    def __call__(self, item: int) -> tuple[int, int]:
        if item == 13:
            raise TextkitError("thirteen")
        time.sleep(self.seconds)
        self.counts = (self.counts[0] + 1, self.counts[1] + item)
        return 2 * item, os.getpid()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helping, "BUSY", 0.0)


def test_windows_are_shared_by_processes_and_stay_in_order():
    work = Doubling(0.02)
    found = list(shared(iter([*range(13), *range(14, 200)]), work, 3))
    assert [double for double, _ in found] == [2 * item for item in range(200) if item != 13]
    assert len({process for _, process in found} - {os.getpid()}) == 2
    assert work.counts == (199, sum(range(200)) - 13)


def test_an_error_of_a_helper_comes_in_its_place():
    work = Doubling(0.01)
    items = iter([*range(14, 100), 13, 100])
    stream = shared(items, work, 2)
    assert [double for double, _ in islice(stream, 86)] == [2 * item for item in range(14, 100)]
    with pytest.raises(TextkitError, match="^thirteen$"):
        next(stream)


def test_what_a_killed_helper_had_is_done_here():
    helpers = Helpers(Doubling(), 2)
    try:
        assert helpers(1) == (2, os.getpid())  # and the other process starts
        late = time.monotonic() + 60
        while helpers(1)[1] == os.getpid() and time.monotonic() < late:
            time.sleep(0.02)
        (helper,) = helpers._helpers
        os.kill(helper._process.pid, signal.SIGKILL)
        assert [helpers(at) for at in range(4)] == [(2 * at, os.getpid()) for at in range(4)]
    finally:
        helpers.close()


def test_a_slow_source_starts_no_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(helping, "BUSY", 0.05)
    found = list(shared(iter([1, None] * 10), Doubling(0.02), 2))
    assert found == [(2, os.getpid()), None] * 10


def test_processes_end_with_the_stream():
    work = Doubling(0.05)
    stream = shared(iter(range(14, 10**6)), work, 2)
    while next(stream)[1] == os.getpid():
        pass
    others = _children()
    assert len(others) == 1
    stream.close()
    assert not _children()


def test_processes_end_when_the_command_is_killed(tmp_path: Path):
    lines = tmp_path / "lines.txt"
    lines.write_text("Where is my card? It has not come.\n" * 400_000)
    command = [
        sys.executable,
        "-m",
        "textkit",
        "classify",
        str(lines),
        "-o",
        str(tmp_path / "out"),
        "--threads",
        "2",
        "-q",
    ]
    with subprocess.Popen(command) as process:
        late = time.monotonic() + 60
        while not helping_of(process.pid) and time.monotonic() < late and process.poll() is None:
            time.sleep(0.02)
        others = helping_of(process.pid)
        assert len(others) == 1
        process.kill()
    late = time.monotonic() + 30
    while any(Path(f"/proc/{other}").exists() for other in others) and time.monotonic() < late:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{other}").exists() for other in others)


def test_the_bytes_are_those_of_one_process(tmp_path: Path):
    lines = tmp_path / "lines.txt"
    text = "Where is my card?\n\nПривет, мир\n12345\nBonjour tout le monde\n你好，世界\nGuten Morgen allerseits\n"
    lines.write_text(text * 6_000, encoding="utf-8")
    outs = []
    for threads in ("1", "2"):
        words = [sys.executable, "-m", "textkit", "classify", str(lines), "--threads", threads, "--format", "tsv"]
        ended = subprocess.run(words, capture_output=True, check=True)
        outs.append((ended.stdout, ended.stderr))
    assert outs[0] == outs[1]
    assert outs[0][0].count(b"\n") == 42_000


def helping_of(process: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{process}/task").iterdir()
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [int(child) for child in children if b"helping" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _children() -> Any:
    return helping_of(os.getpid())
