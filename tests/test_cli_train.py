"""`textkit train`: killed and resumed, stopped by Ctrl-C, refused in one line; progress and log."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from terminal import heard_until, written_to

from textkit.cli import run as run_command
from textkit.cli.options import Messages
from textkit.plugin import Score
from textkit.registry import registry
from textkit.training import progress
from textkit.training.events import Progress, Scored, Started
from textkit.training.recipe import _comments, options

TOYS = str(Path(__file__).with_name("training_toys.py"))


@pytest.fixture(autouse=True)
def fresh_registry(monkeypatch):
    monkeypatch.setattr(registry, "_files", [])
    monkeypatch.setattr(registry, "_entries", None)
    monkeypatch.setattr(registry, "_instances", {})


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = random.Random(1)
    lines = (" ".join(draw.choice("abcdefgh") for _ in range(5)) + "\n" for _ in range(100))
    Path("data.txt").write_text("".join(lines))
    return tmp_path


@pytest.fixture
def textkit(data, capfd):
    """textkit(word...) -> exit code, stdout, stderr; in this process."""

    def textkit(*words):
        capfd.readouterr()
        code = run_command([*map(str, words), "--plugin", TOYS], Messages())
        return code, *capfd.readouterr()

    return textkit


def start(*words, **options):
    environment = {**os.environ, "PYTHONHASHSEED": "random"}
    command = [sys.executable, "-m", "textkit", "train", *words, "--plugin", TOYS, "--threads", "1"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, **options)


def wait_for(path, process):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.01)


SETTINGS = ["schedule=linear", "warmup=4", "accumulate=2", "clip=1", "epochs=4"]
TOY = ["toy", "data.txt", *(word for setting in SETTINGS for word in ("--set", setting))]
# 72 batches that take 0.05 s each: even on a busy machine there is time to interrupt them after a checkpoint.
SLOW = ["--set", "slow=0.05", "--set", "checkpoint_seconds=0.2"]


def weights(name):
    return Path(name, "weights.safetensors").read_bytes()


@pytest.mark.slow
def test_killed_and_resumed_it_ends_with_the_same_bits(data, textkit):
    assert textkit("train", *TOY, "-o", "whole", "--threads", 1)[0] == 0
    process = start(*TOY, *SLOW, "-o", "run")
    wait_for(data / "run/checkpoint.safetensors", process)
    time.sleep(0.3)  # somewhere after a checkpoint
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not json.loads(Path("run/run.json").read_text())["complete"]
    process = start("-o", "run", "--resume")
    error = process.communicate()[1]
    assert process.returncode == 0
    assert "going on after update" in error
    assert weights("run") == weights("whole")
    assert not Path("run/checkpoint.safetensors").exists()


def test_ctrl_c_writes_a_checkpoint_and_says_how_to_go_on(data, textkit):
    assert textkit("train", *TOY, "-o", "whole", "--threads", 1)[0] == 0
    process = start(*TOY, *SLOW, "-o", "run")
    wait_for(data / "run/checkpoint.safetensors", process)
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert process.returncode == 130
    assert "go on with: textkit train -o run --resume" in error
    assert "Traceback" not in error
    assert textkit("train", "-o", "run", "--resume")[0] == 0
    assert weights("run") == weights("whole")


@pytest.mark.slow
def test_killed_before_the_first_checkpoint_it_begins_anew(data, textkit, monkeypatch):
    monkeypatch.setenv("TOY_KILL", "1")
    process = start("toy-own", "data.txt", "-o", "run", "--set", "fail=kill")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    monkeypatch.delenv("TOY_KILL")
    assert textkit("train", "toy-own", "data.txt", "-o", "run", "--resume", "--set", "fail=kill")[0] == 0
    assert textkit("train", "toy-own", "data.txt", "-o", "whole", "--set", "fail=kill")[0] == 0
    assert weights("run") == weights("whole")


def test_a_complete_run_says_so(textkit):
    code, out, error = textkit("train", *TOY, "-o", "run")
    assert (code, out) == (0, "")
    assert "trained in" in error
    kept = weights("run")
    code, _, error = textkit("train", *TOY, "-o", "run", "--resume")
    assert code == 0
    assert "is complete already" in error
    assert weights("run") == kept
    record = json.loads(Path("run/run.json").read_text())
    assert record["command"][:4] == ["textkit", "train", "toy", "data.txt"]
    assert record["data"][0]["bytes"] == 1000


def test_quiet_and_plain(textkit):
    assert textkit("train", *TOY, "-o", "run", "-q") == (0, "", "")
    _, _, error = textkit("train", *TOY, "-o", "again")
    lines = error.splitlines()
    assert all(line.startswith("textkit: ") for line in lines)
    assert sum(line.startswith("textkit: epoch ") for line in lines) >= 4
    assert any("best so far" in line for line in lines)


def test_on_a_terminal_it_is_live(data):
    main, side = pty.openpty()
    command = [sys.executable, "-m", "textkit", "train", *TOY, "-o", "run", "--plugin", TOYS, "--set", "slow=0.004"]
    process = subprocess.Popen(command, stderr=side, stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"})
    os.close(side)
    shown = written_to(main)
    assert process.wait() == 0
    assert process.stdout.read() == b""
    process.stdout.close()
    for expected in (b"\x1b[2K", b"epoch 2/4", "━".encode(), b"left", b"words/s", b"trained in"):
        assert expected in shown


def test_metrics_are_lines_of_json(textkit):
    textkit("train", *TOY, "-o", "run", "--set", "log_seconds=0")
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [record["event"] for record in records].count("epoch") == 4
    shown = [record for record in records if record["event"] == "progress"]
    for record in shown:
        assert record.keys() >= {"step", "epoch", "loss", "learning_rate", "examples", "words", "seconds"}
    # A line shown between two updates has no gradient norm; on a busy machine the first may be such a line.
    assert max(record.get("gradient_norm", 0) for record in shown) > 0
    best = [record for record in records if record["event"] == "score" and record["best"]]
    assert best[-1]["loss"] == json.loads(Path("run/run.json").read_text())["facts"]["dev_score"]["value"]


def test_options_are_listed_with_their_comments(textkit):
    code, out, _ = textkit("train", "toy", "--show-options")
    assert code == 0
    assert "dim=4         numbers a word\n" in out
    assert re.search("^epochs=3 +passes over the training data$", out, re.MULTILINE)
    assert re.search("^betas=0.9,0.999 +adam, adamw$", out, re.MULTILINE)
    assert re.search("^min_learning_rate=0 +", out, re.MULTILINE)  # 0.0 as one would type it
    code, out, _ = textkit("train", "word2vec", "--show-options")
    assert code == 0
    assert all(line.startswith("#") or "  " in line for line in out.splitlines())  # base classes' options too


def test_no_family_has_an_option_without_a_comment():
    for name in registry.names():
        for group, members in options(registry.get(name)).items():
            assert [option.name for option in members if not option.comment.strip()] == [], (name, group)


def test_a_comment_may_stand_above_its_option():
    @dataclass(frozen=True)
    class Config:
        # in two
        # lines

        first: int = 1  # beside
        # above, in
        # two lines
        second: int = 2
        third: int = 3

    assert _comments(Config) == {"first": "beside", "second": "above, in two lines"}


REFUSED = [
    (["toy", "none.txt", "-o", "run"], 1, "none.txt: no such file"),
    (["toy", ".", "-o", "run"], 1, ".: is a directory"),
    (["toy", "data.txt", "empty.txt", "-o", "run"], 1, "empty.txt: is empty"),
    (["toy", "binary.txt", "-o", "run"], 1, "binary.txt: is binary, not text"),
    (["toy", "data.txt", "--dev", "none.txt", "-o", "run"], 1, "none.txt: no such file"),
    (["toy", "one.txt", "-o", "run"], 1, "one.txt: the corpus is too small"),
    (["toy-own", "data.txt", "--dev", "data.txt", "-o", "run"], 2, "--dev: has no effect on toy-own"),
    (["toy", "data.txt"], 2, "missing option '-o'"),
    (["toy", "-o", "run"], 2, "missing argument DATA"),
    (["-o", "run"], 2, "missing argument PLUGIN"),
    (["toyy", "data.txt", "-o", "run"], 2, "unknown plugin 'toyy'; did you mean 'toy'?"),
    (
        ["toy", "data.txt", "-o", "run", "--set", "dimm=3"],
        2,
        "--set dimm=3: unknown option 'dimm'; did you mean 'dim'?",
    ),
    (["toy", "data.txt", "-o", "run", "--set", "dim=x"], 2, "--set dim=x: dim takes a whole number, not 'x'"),
    (["toy", "data.txt", "-o", "run", "--config", "none.toml"], 1, "none.toml: No such file or directory"),
    (["toy", "data.txt", "-o", "run", "--set", "precision=fp16", "--device", "cpu"], 2, "precision=fp16: needs a GPU"),
    (
        ["toy", "data.txt", "-o", "run", "--set", "fail=loss"],
        1,
        "plugin 'toy' failed in loss: ValueError: a mistake of",
    ),
    (["toy", "data.txt", "-o", "run", "--set", "fail=nan"], 1, "training diverged: the loss of update 1 is nan"),
    (["toy", "-o", "run", "--resume"], 1, "run: no such training run"),
    (["toy", "data.txt", "-o", "."], 2, "-o .: exists; give another folder, or --resume"),
    (["toy", "data.txt", "-o", "data.txt/run"], 1, "-o data.txt/run: Not a directory"),
    (["--show-options"], 2, "--show-options: of which plugin?"),
    (["toy", "data.txt", "-o", "run", "--seed", "-1"], 2, "'--seed': -1 is not a whole number from 0 on"),
]


@pytest.mark.parametrize(("words", "code", "message"), REFUSED)
def test_refused_in_one_line_with_nothing_left(textkit, words, code, message):
    Path("empty.txt").write_text("")
    Path("binary.txt").write_bytes(b"a\0b\n")
    Path("one.txt").write_text("a b c\n")
    found, out, error = textkit("train", "-q", *words)
    assert (found, out) == (code, "")
    assert message in error
    assert error.startswith("textkit: ")
    assert error.count("\n") == 1
    assert not Path("run").exists()


@pytest.fixture
def interrupted(textkit):
    """A run that was stopped after its first checkpoint by SIGTERM, as a cluster does it."""
    process = start("toy", "data.txt", "-o", "run", "--set", "dim=5", "--set", "slow=0.05", "--seed", "3", *SLOW)
    wait_for(Path("run/checkpoint.safetensors"), process)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    return textkit


@pytest.mark.slow
def test_export_tells_of_a_training_that_is_not_complete(interrupted):
    code, out, error = interrupted("export-onnx", "run", "-o", "model")
    assert (code, out) == (0, "")
    assert error == "textkit: warning: run: the training is not complete; what is exported is its weights so far\n"


@pytest.mark.slow
def test_what_may_change_when_a_run_goes_on_and_what_may_not(interrupted):
    textkit = interrupted
    refused = [
        (["toy-own"], "run is a run of toy, not of toy-own"),
        (["--set", "dim=6"], "dim was 5 when the run began, not 6"),
        (["--set", "epochs=9"], "epochs was 3 when the run began, not 9"),
        (["--seed", "4"], "--seed was 3 when the run began, not 4"),
        (["toy", "other.txt"], "DATA was "),
        (["toy", "data.txt", "--dev", "other.txt"], "--dev was nothing when the run began"),
    ]
    Path("other.txt").write_text("a b\n")
    for words, message in refused:
        code, _, error = textkit("train", *words, "-o", "run", "--resume")
        assert code == 2
        assert message in error
    code, _, error = textkit("train", "toy", "data.txt", "-o", "run")
    assert code == 2
    assert "--resume to go on" in error
    before = Path("data.txt").read_text()
    Path("data.txt").write_text(before.replace("a", "b"))
    code, _, error = textkit("train", "-o", "run", "--resume")
    assert code == 1
    assert "data.txt: is not the file that the run began with" in error
    Path("data.txt").write_text(before)
    said_again = ["toy", "data.txt", "--set", "dim=5", "--seed", "3", "--set", "checkpoint_seconds=9"]
    assert textkit("train", *said_again, "-o", "run", "--resume")[0] == 0


def test_a_run_of_a_plugin_that_is_not_here_says_which_option_brings_it(textkit, capfd, monkeypatch):
    textkit("train", "toy-fit", "data.txt", "-o", "run")
    monkeypatch.setattr(registry, "_files", [])
    monkeypatch.setattr(registry, "_entries", None)
    capfd.readouterr()
    assert run_command(["train", "-o", "run", "--resume"], Messages()) == 2
    assert "its plugin 'toy-fit' is not installed; name the file it is in with --plugin FILE" in capfd.readouterr().err


def event(**values):
    base = {
        "epoch": 1,
        "step": 0,
        "steps": 400,
        "loss": 1.5,
        "weight": 1,
        "learning_rate": 0.1,
        "examples": 0,
        "words": 0,
    }
    return Progress(**{**base, "seconds": 0.0, **values})


def test_pace_is_that_of_the_last_seconds():
    # 100 updates and 10,000 words in the first 100 s, then 10 updates and 50,000 words a second.
    throughput = progress.Throughput(Started(0, 5, 0, 400, 0, 0, 0.0, "cpu", 1))
    assert throughput.figures(event(step=100, words=10_000, seconds=100.0)) == ["100 words/s", "0:05:00 left"]
    for second in range(1, 21):
        figures = throughput.figures(
            event(step=100 + 10 * second, words=10_000 + 50_000 * second, seconds=100.0 + second)
        )
    assert figures == ["50k words/s", "10.0 s left"]


def test_pace_counts_examples_where_there_are_no_words():
    throughput = progress.Throughput(Started(0, 5, 0, 0, 0, 0, 0.0, "cpu", 1))
    assert throughput.figures(event(step=1, steps=0, examples=30, seconds=2.0)) == ["15 examples/s"]


def test_plain_lines_come_every_few_seconds(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = progress.Lines("run")
    lines.show(Started(0, 5, 0, 400, 0, 0, 0.0, "cpu", 1234))
    for second in range(25):
        now[0] = float(second)
        lines.show(event(step=second, words=1000 * second, seconds=now[0], detail={"gradient_norm": 0.25}))
    lines.show(Scored(1, 24, Score("bleu", 31.27, True), best=True))
    monkeypatch.undo()
    assert capsys.readouterr().err.splitlines() == [
        "textkit: training 1,234 parameters on cpu",
        "textkit: epoch 2/5, update 10/400 (2%), loss 1.5, gradient norm 0.25, rate 0.1, 1000 words/s, 0:06:30 left",
        "textkit: epoch 2/5, update 20/400 (5%), loss 1.5, gradient norm 0.25, rate 0.1, 1000 words/s, 0:06:20 left",
        "textkit: dev bleu 31.27 (best so far)",
    ]


def ended(process, number=signal.SIGINT):
    """The seconds from the signal to the end of the process, and the lines that it printed."""
    begun = time.monotonic()
    process.send_signal(number)
    try:
        error = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 128 + number, error
    assert "Traceback" not in error
    return time.monotonic() - begun, error.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_ctrl_c_is_answered_at_once_inside_compiled_code_before_anything_is_learnt(data, number):
    process = start("toy", "data.txt", "-o", "run", "--set", "fail=stuck-vocabulary")
    wait_for(data / "run/run.json", process)
    heard_until(process, "learning the vocabulary")
    time.sleep(0.2)
    seconds, lines = ended(process, number)
    assert seconds < 15  # 0.7, or more on a busy machine; the code that it interrupts takes minutes
    assert lines == ["textkit: stopped; nothing was written to run"]
    assert not Path("run").exists()


@pytest.mark.slow
def test_ctrl_c_is_answered_at_once_inside_the_first_update(data):
    """For instance while a kernel is compiled: nothing was learnt yet, so there is nothing to wait for."""
    process = start("toy", "data.txt", "-o", "run", "--set", "fail=stuck", stdout=subprocess.PIPE)
    assert process.stdout.readline() == "stuck\n"
    seconds, lines = ended(process)
    assert seconds < 15
    assert lines[-1] == "textkit: stopped; begin again with: textkit train -o run --resume"


@pytest.mark.slow
def test_a_long_update_is_finished_unless_ctrl_c_comes_twice(data):
    process = start(
        "toy",
        "data.txt",
        "-o",
        "run",
        "--set",
        "fail=stuck-later",
        "--set",
        "checkpoint_steps=3",
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == "stuck\n"
    process.send_signal(signal.SIGINT)
    line = heard_until(process, "once more ends it at once")[-1]
    assert line == "textkit: stopping after this update, with a checkpoint; once more ends it at once\n"
    seconds, lines = ended(process)
    assert seconds < 15
    assert lines[-1] == "textkit: stopped; the last checkpoint is kept, go on with: textkit train -o run --resume"
    assert Path("run/checkpoint.safetensors").exists()


def test_no_time_left_is_told_before_it_is_worth_something():
    """The first update takes 30 s, as if it compiled kernels; then there are ten a second."""
    throughput = progress.Throughput(Started(0, 5, 0, 4000, 0, 0, 0.0, "cpu", 1))
    told = []
    for number in range(60):
        figures = throughput.figures(event(step=1 + number, steps=4000, words=number, seconds=30 + number / 10))
        told.append(next((figure for figure in figures if figure.endswith("left")), ""))
    assert not any(told[:30])
    assert set(told[31:]) <= {f"0:06:{second} left" for second in range(33, 38)}


@pytest.mark.parametrize(
    ("name", "value", "unit", "shown"),
    [
        ("perplexity", 87.4321, "word", "perplexity 87.4 a word"),
        ("perplexity", 5123.4, "token", "perplexity 5,123 a token"),
        ("perplexity", 1.31999, "token", "perplexity 1.32 a token"),
        ("word_perplexity", 187.9, "token", "perplexity 188 a word"),
        ("loss", 1.23456, "word", "loss 1.235"),
    ],
)
def test_a_perplexity_says_of_what_it_is(name, value, unit, shown):
    assert progress.figure(name, value, unit) == shown


@pytest.mark.slow
def test_the_first_seconds_are_named(data):
    process = start("word2vec", "data.txt", "-o", "run", "--set", "min_count=1", "--set", "epochs=1", "--set", "dim=4")
    lines = process.communicate()[1].splitlines()
    assert [line.removeprefix("textkit: ") for line in lines[:3]] == [
        "loading PyTorch",
        "reading the data and learning the vocabulary",
        "reading the data as numbers, to count its batches",
    ]
    assert lines[4] == "textkit: compiling the kernels, or loading them where they are compiled already"
