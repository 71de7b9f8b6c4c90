"""Parts made by a real Ray on this machine: workers and the head are killed, and nothing is lost or doubled. Needs Ray."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "textkit", "embed", "-q", "-m", "en-words", "--format", "f32"]


def embed(*args, **options) -> subprocess.Popen:
    """A run in a session of its own, so that all that it starts can be found."""
    return subprocess.Popen(
        [*COMMAND, *map(str, args)], stderr=subprocess.PIPE, text=True, start_new_session=True, **options
    )


def ended(run: subprocess.Popen) -> tuple[int, str]:
    _, error = run.communicate(timeout=150)
    return run.returncode, error


def processes(session: int, name: str) -> list[int]:
    """The processes that a run has started whose command line has `name`."""
    found = []
    for place in Path("/proc").iterdir():
        if not place.name.isdecimal():
            continue
        try:
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (place / "environ").read_bytes()
        except OSError:
            continue
        if name in command and f"TEXTKIT_TEST_RUN={session}".encode() in environment:
            found.append(int(place.name))
    return found


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("".join(f"the house of music number {at}\n" for at in range(200_000)))
    one = tmp_path / "one.f32"
    assert ended(embed(path, "-o", one)) == (0, "")
    return path, one.read_bytes()


def joined(out: Path) -> bytes:
    return subprocess.run(
        [sys.executable, "-m", "textkit", "parts", out, "--join"], stdout=subprocess.PIPE, check=True
    ).stdout


def test_ray_makes_the_parts_though_workers_are_killed(tmp_path, corpus):
    path, one = corpus
    out, mark = tmp_path / "OUT", os.getpid()
    args = [path, "-o", out, "--parts", 40, "--engine", "ray", "--workers", 2]
    run = embed(*args, env={**os.environ, "TEXTKIT_TEST_RUN": str(mark)})
    rng, killed = random.Random(5), 0
    while run.poll() is None:
        time.sleep(0.02)
        due = killed < 3 and len(list(out.glob("part-*"))) > 5 * killed
        if due and (workers := processes(mark, "ray::MapWorker")):
            time.sleep(rng.random() / 5)
            os.kill(rng.choice(workers), signal.SIGKILL)
            killed += 1
    assert ended(run) == (0, "")
    assert killed
    assert joined(out) == one


def test_a_killed_head_ends_the_run_and_a_rerun_makes_the_rest(tmp_path, corpus):
    path, one = corpus
    out, mark = tmp_path / "OUT", os.getpid() + 1
    args = [path, "-o", out, "--parts", 40, "--engine", "ray"]
    run = embed(*args, env={**os.environ, "TEXTKIT_TEST_RUN": str(mark), "RAY_gcs_rpc_server_reconnect_timeout_s": "5"})
    while run.poll() is None and len(list(out.glob("part-*"))) < 5:
        time.sleep(0.02)
    for name in ("gcs_server", "raylet"):
        for process in processes(mark, name):
            os.kill(process, signal.SIGKILL)
    code, error = ended(run)
    assert (code, error.count("\n")) == (1, 1), error
    assert "the head of Ray is gone; the parts that are done stay" in error
    done = {place: place.stat().st_mtime_ns for place in (out / "_textkit" / "done").iterdir()}
    assert done
    again = embed(*args)
    assert ended(again) == (0, "")
    assert {place: place.stat().st_mtime_ns for place in done} == done
    assert joined(out) == one


def test_datasets_get_a_column_of_answers(tmp_path):
    """In a process of its own, because Ray stays in a process that has started it."""
    program = """
import numpy as np, ray, textkit, textkit.ray
ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1")
rows = [{"id": at, "text": None if at == 3 else f"the house {at}"} for at in range(100)]
found = textkit.ray.embed(ray.data.from_items(rows), model="en-words", workers=1).take_all()
found.sort(key=lambda row: row["id"])
wanted = textkit.load("en-words")([row["text"] or "" for row in rows])
assert found[3]["embedding"] is None, found[3]
assert all(np.array_equal(np.array(row["embedding"], np.float32), wanted[row["id"]]) for row in found if row["id"] != 3)
told = textkit.ray.classify(ray.data.from_items([{"words": "Wo ist der Bahnhof?"}]), column="words", workers=1).take_all()
assert told[0]["label"] == "de", told
try:
    textkit.ray.embed(ray.data.from_items(rows), model="nix")
except textkit.UsageError as error:
    assert "nix" in str(error)
else:
    raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_errors_are_one_line(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("a\n" * 10)
    args = [path, "-o", tmp_path / "OUT", "--parts", 2, "--engine", "ray"]
    for more, message in (
        (["--workers", 99], "--workers 99: each worker takes a CPU, and the cluster has "),
        (["--gpus-per-worker", 1], "each worker takes a CPU and 1 GPUs, and the cluster has "),
        (["--address", "127.0.0.1:1"], "Ray at 127.0.0.1:1 cannot be reached: "),
    ):
        run = embed(*args, *more)
        code, error = ended(run)
        assert code in (1, 2)
        assert error.count("\n") == 1, error
        assert message in error
