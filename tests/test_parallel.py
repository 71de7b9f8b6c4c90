"""Several processes train one network: they do what one does, stop together, fail together, and resume to the bit.

torchrun itself is tried once. The other tests start processes as it does, but from a server that has imported torch already.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from textkit.training.distributed.overlapping import buckets
from textkit.training.distributed.parallel import ALONE
from textkit.verbs.train import Patience

TOYS = str(Path(__file__).with_name("training_toys.py"))
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch",
        "torch._dynamo",
        "torch.distributed",
        "safetensors.torch",
        "textkit.training.trainer",
        "textkit.verbs.train",
    ]
)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """100 lines of one to seven words."""
    monkeypatch.chdir(tmp_path)
    write()


def write():
    draw = random.Random(1)
    lines = (" ".join(draw.choice("abcdefgh") for _ in range(draw.randrange(1, 8))) + "\n" for _ in range(100))
    Path("data.txt").write_text("".join(lines))


def process(folder, words, rank, size, port):
    os.chdir(folder)
    if size:
        os.environ.update(
            RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(size),
            MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
        )  # fmt: skip
    error = os.open(f"stderr.{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(error, 2)
    sys.stderr = os.fdopen(error, "w")
    from textkit.cli import main

    main(["train", *words, "--plugin", TOYS])


class Processes:
    """The processes of one training; size 0: one process outside any group."""

    def __init__(self, size, *words):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        given = (os.getcwd(), [*map(str, words), "--threads", "1"])
        self.all = [CONTEXT.Process(target=process, args=(*given, rank, size, port)) for rank in range(size or 1)]
        for one in self.all:
            one.start()

    def end(self):
        """Waits for the processes; their exit codes, and what each printed."""
        for one in self.all:
            one.join(60)
        codes = [one.exitcode for one in self.all]
        for one in self.all:
            one.kill()
        return codes, [Path(f"stderr.{rank}").read_text() for rank in range(len(self.all))]

    def reach(self, path):
        deadline = time.monotonic() + 60
        while not Path(path).exists():
            assert all(one.is_alive() for one in self.all), self.end()
            assert time.monotonic() < deadline
            time.sleep(0.01)


def alone(*words):
    codes, said = Processes(0, *words).end()
    assert codes == [0], said


def settings(**options):
    return [word for key, value in options.items() for word in ("--set", f"{key}={value}")]


def losses(folder):
    records = [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]
    epochs = [record for record in records if record["event"] in ("epoch", "score")]
    assert records[-1]["event"] == "done"
    return [(record["event"], record["step"]) for record in epochs], [record["loss"] for record in epochs]


def same(one, other):
    first, second = (load_file(Path(folder, "weights.safetensors")) for folder in (one, other))
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-5, atol=1e-6)
    assert losses(one)[0] == losses(other)[0]
    assert losses(one)[1] == pytest.approx(losses(other)[1], rel=1e-5)
    facts = [json.loads(Path(folder, "run.json").read_text())["facts"] for folder in (one, other)]
    for key in ("examples", "words", "steps", "epochs", "lines", "best_step"):
        assert facts[0][key] == facts[1][key]
    assert facts[0]["loss"] == pytest.approx(facts[1]["loss"], rel=1e-5)
    return facts


PLAIN = {"dropout": 0, "optimizer": "sgd", "learning_rate": 0.5, "clip": 0.3, "ema": 0.9, "epochs": 3, "batch_size": 6}


@pytest.mark.slow  # test_launching.py tests the same with processes that textkit starts
def test_two_processes_of_torchrun_are_one_with_the_same_global_batch(data):
    words = ["toy", "data.txt", *settings(**PLAIN, schedule="linear", warmup=3, l2=0.01)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        launcher += ["--master-port", str(free.getsockname()[1])]
    command = [*launcher, "-m", "textkit", "train", *words, "--plugin", TOYS, "-o", "two"]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("the run is two") == 1  # only the first process prints
    alone(*words, "--set", "accumulate=2", "-o", "one")
    facts = same("one", "two")
    assert [fact["processes"] for fact in facts] == [1, 2]
    batches = -(-facts[0]["lines"] // 6)
    assert batches % 2 == 1  # so that the last group of an epoch leaves a process without a batch
    assert facts[0]["steps"] == 3 * (batches + 1) // 2


@pytest.mark.parametrize("options", [{"accumulate": 2}, {"batch_size": 0}])
@pytest.mark.slow
def test_three_processes(data, options):
    words = ["toy", "data.txt", *settings(**{**PLAIN, **options})]
    codes, said = Processes(3, *words, "-o", "three").end()
    assert codes == [0, 0, 0], said
    assert said[1:] == ["", ""]
    alone(*words, *settings(accumulate=6), "-o", "one")
    same("one", "three")


RANDOM = settings(dropout=0.5, accumulate=2, epochs=4, ema=0.9, batch_size=3)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The weights of a training that nothing interrupts."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with contextlib.chdir(folder):
        write()
        codes, said = Processes(2, "toy", "data.txt", *RANDOM, "-o", "whole").end()
        assert codes == [0, 0], said
        return Path("whole/weights.safetensors").read_bytes()


@pytest.mark.slow
def test_one_that_is_killed_ends_all_and_they_go_on_to_the_same_bits(data, undisturbed):
    slow = settings(slow=0.05, checkpoint_steps=1)
    processes = Processes(2, "toy", "data.txt", *RANDOM, *slow, "-o", "run")
    processes.reach("run/checkpoint.safetensors")
    os.kill(processes.all[1].pid, signal.SIGKILL)
    codes, said = processes.end()
    assert codes == [1, -9]
    assert "textkit: another process of this training has ended\n" in said[0]
    codes, said = Processes(2, "-o", "run", "--resume").end()
    assert codes == [0, 0], said
    assert "going on after update" in said[0]
    assert Path("run/weights.safetensors").read_bytes() == undisturbed


@pytest.mark.slow
def test_a_signal_to_one_stops_all_with_a_checkpoint(data):
    slow = settings(slow=0.05, checkpoint_steps=1)
    processes = Processes(2, "toy", "data.txt", *RANDOM, *slow, "-o", "run")
    processes.reach("run/checkpoint.safetensors")
    os.kill(processes.all[1].pid, signal.SIGINT)
    codes, said = processes.end()
    assert codes == [130, 130], said
    assert "stopped after update" in said[0]
    assert said[1] == ""
    codes, said = Processes(1, "-o", "run", "--resume").end()
    assert codes == [0], said
    assert "warning: begun with processes: 2, now 1: an update was of 4 batches, is of 2 batches" in said[0]


def test_what_several_processes_cannot_do(data):
    codes, said = Processes(2, "toy-own", "data.txt", "-o", "own").end()
    assert codes[0] == 2
    assert "toy-own: only what is trained by the gradient of a loss is trained in several processes" in said[0]
    assert not Path("own").exists()
    codes, said = Processes(2, "toy", "nothing.txt", "-o", "none").end()
    assert codes == [1, 1]
    assert "nothing.txt: no such file" in said[0]
    assert said[1] == ""
    codes, said = Processes(2, "toy", "data.txt", *settings(fail="nan"), "-o", "nan").end()
    assert codes == [1, 1]
    assert "training diverged: the loss of update 1 is nan" in said[0]
    assert said[1] == ""


def test_a_signal_that_comes_twice_at_once_is_once_where_there_is_a_launcher(monkeypatch):
    patience = Patience(alone=False)
    patience.gentle = True
    now = [100.0]
    monkeypatch.setattr("textkit.verbs.patience.time", type("Clock", (), {"monotonic": lambda: now[0]}))
    for moment in (100.0, 102.9):
        now[0] = moment
        patience._take(signal.SIGINT, None)
    now[0] = 103.1
    with pytest.raises(KeyboardInterrupt):
        patience._take(signal.SIGINT, None)
    patience = Patience()
    patience.gentle = True
    patience._take(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        patience._take(signal.SIGINT, None)


def test_gradients_go_in_pieces_of_a_kind():
    kinds = [torch.zeros(3), torch.zeros(1), torch.zeros(1), torch.zeros(9), torch.zeros(1, dtype=torch.float64)]
    assert [[len(tensor) for tensor in bucket] for bucket in buckets(kinds, 16)] == [[3, 1], [1], [9], [1]]


def test_alone():
    assert (ALONE.leads, ALONE.owns(0), ALONE.owns(7), ALONE.any(False), ALONE.any(True)) == (
        True,
        True,
        True,
        False,
        True,
    )
    assert (ALONE.share(lambda: 3), ALONE.gather(3), ALONE.add_up([1, 2])) == (3, [3], [1, 2])
