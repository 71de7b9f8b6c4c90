"""`textkit train --processes N` starts processes safely, passes each signal on once, and gives one exit code and one line."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from textkit.cli import run
from textkit.cli.options import Messages
from textkit.errors import TextkitError
from textkit.training.distributed import launching

TOYS = str(Path(__file__).with_name("training_toys.py"))


@pytest.fixture
def processes(monkeypatch, tmp_path):
    """processes(code, ...) -> what `launch` returns if process n runs code n; `rank(n)` is a file that it may create."""
    monkeypatch.chdir(tmp_path)
    begin = "import os, sys, time, signal\nrank = os.environ['RANK']\ndef here(): open('here' + rank, 'w').close()\n"

    def launch(*codes, act=lambda children: None):
        children = []

        def started(rank, count, meeting, words):
            environment = os.environ | {"RANK": str(rank), "WORLD_SIZE": str(count), launching.MEETING: meeting}
            command = [sys.executable, "-c", begin + codes[rank]]
            children.append(subprocess.Popen(command, env=environment, start_new_session=True))
            return children[-1]

        monkeypatch.setattr(launching, "_started", started)
        thread = threading.Thread(target=act, args=(children,))
        thread.start()
        try:
            return launching.launch(len(codes), [])
        finally:
            thread.join()
            assert all(child.returncode is not None for child in children)  # no process is left behind

    return launch


def all_here(count):
    deadline = time.monotonic() + 20
    while not all(Path(f"here{rank}").exists() for rank in range(count)) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_exit_code_is_that_of_the_one_that_failed_first(processes):
    assert processes("", "") == 0
    assert processes("sys.exit(2)", "sys.exit(75)") == 2
    assert processes("time.sleep(0.3); sys.exit(75)", "sys.exit(3)") == 3
    assert processes("sys.exit(75)", "time.sleep(0.3); sys.exit(3)") == 3  # the failing process only took longer to end
    with pytest.raises(TextkitError, match="lost contact with each other"):
        processes("sys.exit(75)", "sys.exit(75)")


def test_one_that_is_killed_is_named_and_takes_the_others_along(processes):
    with pytest.raises(TextkitError, match="process 2 of 2 was ended by SIGKILL"):
        processes("time.sleep(60)", "os.kill(os.getpid(), 9)")


def test_one_that_does_not_end_with_the_others_is_killed(processes, monkeypatch):
    monkeypatch.setattr(launching, "_GRACE", 0.5)
    assert processes("signal.signal(15, signal.SIG_IGN); here(); time.sleep(60)", "time.sleep(1); sys.exit(1)") == 1


def test_others_finish_their_checkpoint_when_one_was_asked_to_stop(processes):
    """A process may end with 130 before the process that writes has finished."""
    leader = "signal.signal(15, lambda *_: sys.exit(1)); time.sleep(1); open('checkpoint', 'w').close(); sys.exit(130)"
    assert processes(leader, "sys.exit(130)") == 130
    assert Path("checkpoint").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_each_process_once(processes, number):
    def act(children):
        all_here(2)
        os.kill(os.getpid(), number)

    count = (
        f"seen = []\nsignal.signal({int(number)}, lambda *_: seen.append(1))\nhere()\n"
        "while not seen: time.sleep(0.01)\ntime.sleep(0.3)\nsys.exit(128 + "
        f"{int(number)} if len(seen) == 1 else 5)"
    )
    assert processes(count, count, act=act) == 128 + number


def test_a_signal_reaches_those_that_are_started_after_it():
    class Child:
        def __init__(self):
            self.got = []

        def send_signal(self, number):
            self.got.append(number)

    children = []
    with launching._passing_signals(children) as catch_up:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            children.append(Child())
            catch_up()
        os.kill(os.getpid(), signal.SIGINT)
    term, kill = signal.SIGTERM, signal.SIGKILL
    assert [child.got for child in children] == [[term, term, kill, kill]] * 3


def test_a_third_signal_kills(processes):
    def act(children):
        all_here(2)
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    deaf = "signal.signal(2, signal.SIG_IGN); here(); time.sleep(60)"
    with pytest.raises(TextkitError, match="ended by SIGKILL"):
        processes(deaf, deaf, act=act)


def test_inside_torchrun_it_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(["train", "toy", "data.txt", "-o", str(tmp_path / "run"), "--processes", "2"], Messages()) == 2
    assert "--processes 2: this is one of several processes already" in capsys.readouterr().err


MODULES = ("click", "numpy", "torch", "textkit", "textkit_plugins", "signal", "runpy", "sitecustomize")


@pytest.fixture
def trapped(tmp_path, monkeypatch):
    """A current folder full of modules that report when they are run."""
    monkeypatch.chdir(tmp_path)
    for name in MODULES:
        Path(f"{name}.py").write_text(f"open('RAN-{name}', 'w').close(); raise SystemExit('{name}.py was run')")
    return tmp_path


@pytest.mark.slow
def test_two_processes_train_and_run_nothing_of_the_current_folder(trapped):
    draw = random.Random(1)
    lines = (" ".join(draw.choice("abcdefgh") for _ in range(5)) + "\n" for _ in range(60))
    Path("data.txt").write_text("".join(lines))
    words = ["train", "toy", "data.txt", "--plugin", TOYS, "-o", "run", "--processes", "2", "--set", "epochs=1"]
    done = subprocess.run([Path(sys.executable).with_name("textkit"), *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.count("the run is run") == 1  # only the first process prints
    assert json.loads(Path("run/run.json").read_text())["facts"]["processes"] == 2
    assert not list(trapped.glob("RAN-*"))
    words[2] = "none.txt"
    words[6] = "other"
    done = subprocess.run([Path(sys.executable).with_name("textkit"), *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "textkit: none.txt: no such file\n")


def test_python_m_textkit_runs_no_module_of_the_current_folder(trapped):
    for name in ("textkit", "runpy"):  # Python itself looks for these there, before any code of textkit runs
        Path(f"{name}.py").unlink()
    done = subprocess.run([sys.executable, "-m", "textkit", "models", "-q"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(trapped.glob("RAN-*"))
    done = subprocess.run([sys.executable, "-P", "-m", "textkit", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("textkit ")
