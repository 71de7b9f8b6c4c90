"""How much other processes compute, and what that changes: threads that wait for each other sleep rather than spin."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import onnxruntime
import pytest

from textkit import neighbours
from textkit.serving.probe import GRAPH
from textkit.serving.session import Session
from textkit.training.preparing import set_variables


@pytest.fixture
def counted(monkeypatch):
    """Sets what the machine counts: (seconds, seconds of processors that all used, that this process used), twice."""

    def count(begin: tuple[float, float, float] | None, now: tuple[float, float, float] | None, cpus: int = 2) -> None:
        monkeypatch.setattr(neighbours, "_begun", begin)
        monkeypatch.setattr(neighbours, "_now", lambda: now)
        monkeypatch.setattr(os, "cpu_count", lambda: cpus)

    return count


def test_others_are_all_but_oneself(counted):
    counted((10.0, 500.0, 1.0), (12.0, 503.5, 2.5))
    assert neighbours.others() == pytest.approx(1.0)
    counted((10.0, 500.0, 1.0), (12.0, 500.1, 2.5))  # the system's clock is coarser than the process's
    assert neighbours.others() == 0.0
    counted((10.0, 500.0, 1.0), (10.001, 500.02, 1.0))  # too short to say
    assert neighbours.others() == 0.0


def test_nothing_is_known_without_a_beginning_or_without_linux(counted):
    counted(None, (12.0, 503.5, 2.5))
    assert neighbours.others() == 0.0
    counted((10.0, 500.0, 1.0), None)
    assert not neighbours.crowded(2)


@pytest.mark.parametrize(
    ("threads", "used", "cpus", "crowded"),
    [
        (2, 1.0, 2, True),
        (2, 0.2, 2, False),
        (1, 2.0, 2, False),
        (2, 1.0, 4, False),
        (4, 1.0, 4, True),
        (8, 60.0, 64, True),
    ],
)
def test_crowded(counted, threads, used, cpus, crowded):
    counted((0.0, 0.0, 0.0), (1.0, used + 0.5, 0.5), cpus)
    assert neighbours.crowded(threads) is crowded


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="counts what Linux counts")
def test_a_busy_process_is_seen():
    neighbours.watch()
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        begun = time.monotonic()
        while neighbours.others() < 0.3 and time.monotonic() < begun + 30:
            time.sleep(0.1)
        assert neighbours.others() >= 0.3
    finally:
        busy.kill()
        busy.wait()
        neighbours._begun = None


@pytest.mark.parametrize(("used", "entry"), [(2.0, "0"), (0.0, None)])
def test_a_session_in_a_crowd_does_not_spin(counted, monkeypatch, used, entry):
    said = {}

    class Options(onnxruntime.SessionOptions):
        def add_session_config_entry(self, name, value):
            said[name] = value
            super().add_session_config_entry(name, value)

    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    counted((0.0, 0.0, 0.0), (1.0, used, 0.0))
    Session(GRAPH.read_bytes(), "cpu", 2)
    assert said.get("session.intra_op.allow_spinning") == entry
    said.clear()
    Session(GRAPH.read_bytes(), "cpu", 1)  # one thread waits for none
    assert "session.intra_op.allow_spinning" not in said


@pytest.mark.parametrize(("used", "looks"), [(2.0, "1000"), (0.0, "20000")])
def test_torchs_threads_look_for_work_less_often_in_a_crowd(counted, monkeypatch, used, looks):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "")  # so that monkeypatch takes away what is set below
    del os.environ["GOMP_SPINCOUNT"]
    counted((0.0, 0.0, 0.0), (1.0, used, 0.0))
    set_variables(2)
    assert os.environ["GOMP_SPINCOUNT"] == looks


@pytest.mark.parametrize(("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "active")])
def test_a_users_own_setting_stays(counted, monkeypatch, name, value):
    for each in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(each, "")
        del os.environ[each]
    monkeypatch.setenv(name, value)
    set_variables(2)
    assert os.environ.get("GOMP_SPINCOUNT") == (value if name == "GOMP_SPINCOUNT" else None)
