"""`textkit train --budget`: what is shown, what signals do, from labelled lines to a small classifier."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import heard_until, written_to

import textkit
from textkit.plugin import Score, Space
from textkit.registry import registry
from textkit.training.run import Run
from textkit.training.tuning.events import TrialBegan, TrialDone, Tuned
from textkit.training.tuning.trial_lines import said
from textkit.training.tuning.trials import Trial

TOYS = str(Path(__file__).with_name("training_toys.py"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("a b c d\nb c d e\na c e b\n" * 8)
    return tmp_path


def command(*words):
    return [sys.executable, "-m", "textkit", "train", *words, "--plugin", TOYS, "--threads", "1"]


def labelled(lines, seed):
    """Lines whose label is the one of the words that name an animal."""
    draw = random.Random(seed)
    words = {"cat": ("purr", "mew", "claw"), "dog": ("bark", "bone", "wag"), "bird": ("sing", "nest", "wing")}
    for _ in range(lines):
        label = draw.choice(sorted(words))
        yield f"{label}\t{' '.join(draw.choices([*words[label], 'the', 'a', 'so'], k=6))} {draw.choice(words[label])}\n"


@pytest.mark.slow
def test_a_classifier_from_lines_to_a_small_model(here, monkeypatch):
    few = Space(points=({"dim": 8, "weighting": "idf"},), smaller=("features",), scales={"features": (100,)})
    monkeypatch.setattr(type(registry.get("classifier")), "space", lambda self, lines: few)
    Path("train.tsv").write_text("".join(labelled(300, 1)))
    Path("dev.tsv").write_text("".join(labelled(100, 2)))
    heard = []
    textkit.train(
        "classifier", "train.tsv", "run", dev="dev.tsv", options={"maxn": 3, "epochs": 6}, budget="10m", max_mb=0.2,
        threads=1, progress=heard.append,
    )  # fmt: skip
    tuned = heard[-1]
    assert isinstance(tuned, Tuned)
    assert (tuned.trials, tuned.reason) == (4, "exhausted")
    run = Run.open(Path("run"))
    assert run.complete
    assert run.config.maxn == 3
    assert run.facts["dev_score"]["value"] == tuned.best.score.value > 0.9
    assert all("maxn" not in event.changed for event in heard if isinstance(event, TrialBegan))
    assert 0 < tuned.checked <= 200_000
    model = textkit.export("run", "model", precision="int8")
    size = sum(file.stat().st_size for file in model.iterdir())
    assert abs(size - tuned.checked) < 2000  # the names in the manifest differ
    assert sorted(path.name for path in here.iterdir()) == ["dev.tsv", "model", "run", "text", "train.tsv"]


@pytest.mark.slow
def test_plain_lines_where_nobody_watches(here):
    words = ["toy", "text", "--dev", "text", "-o", "run", "--budget", "1h", "--set", "dropout=0.25", "--set", "dim=4"]
    done = subprocess.run(command(*words), capture_output=True, text=True, check=True)
    assert done.stdout == ""
    lines = [line.removeprefix("textkit: ") for line in done.stderr.splitlines()]
    trials = [line for line in lines if " MB in int8, " in line]
    assert len(trials) == 2  # learning_rate is all that is left to try
    assert trials[0].startswith("trial 1: loss ")
    assert trials[0].endswith(", the best so far; no option changed")
    assert trials[1].endswith("; learning_rate=0.01")
    assert lines[-1].startswith("nothing is left to try: 2 trials in ")
    assert lines[-1].endswith("; the run is run, with all trials in trials.tsv")
    assert "epoch 1 done" not in done.stderr
    assert json.loads(Path("run/run.json").read_text())["command"][:3] == ["textkit", "train", "toy"]
    assert Path("run/metrics.jsonl").exists()


@pytest.mark.slow
def test_a_terminal_shows_the_trial_that_goes_on(here):
    main, side = pty.openpty()
    words = ["toy", "text", "--dev", "text", "-o", "run", "--budget", "1h", "--set", "dim=4", "--set", "slow=0.02"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150"}
    process = subprocess.Popen(command(*words), stderr=side, stdout=subprocess.DEVNULL, env=environment)
    os.close(side)
    shown = written_to(main)
    assert process.wait() == 0
    for expected in (b"\x1b[2K", b"trial 1, ", b" left", b"trial 2: loss ", b"nothing is left to try"):
        assert expected in shown


def test_a_signal_ends_the_search_and_keeps_the_best(here):
    words = ["toy", "text", "--dev", "text", "-o", "run", "--budget", "1h", "--set", "slow=0.05"]
    process = subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True)
    heard = heard_until(process, "trial 1: loss")
    process.send_signal(signal.SIGINT)
    heard += heard_until(process, "textkit: stopped: ")
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 130
    run = Run.open(Path("run"))
    count = len(run.trials)  # the signal comes during the second trial, or just before it
    assert count in (1, 2)
    assert heard[-1].startswith(f"textkit: stopped: {count} trial{'s' * (count > 1)} in "), heard
    assert run.complete
    assert run.trials[0]["trial"] == 1
    assert Path("run/trials.tsv").read_text().count("\n") == len(run.trials) + 1
    assert sorted(path.name for path in here.iterdir()) == ["run", "text"]


def test_what_is_said_of_a_trial():
    one = Trial(3, {}, {"dim": 8, "wide": True}, Score("accuracy", 0.91234, True), bytes=1_234_567, rate=12_345.6)
    one.seconds = 75
    figures = "trial 3: accuracy 0.9123, 1.23 MB in int8, 12,346 lines/s, 0:01:15"
    assert said(TrialDone(one, True)) == f"{figures}, the best so far; dim=8 wide=true"
    one.end = "worse"
    assert said(TrialDone(one, False)) == f"{figures}, ended early as clearly worse; dim=8 wide=true"
    one.end = "size"
    assert said(TrialDone(one, False)) == "trial 3: too large, 1.23 MB in int8; dim=8 wide=true"
    one.end, one.error = "failed", "training diverged"
    assert said(TrialDone(one, False)) == "trial 3: failed (training diverged); dim=8 wide=true"
    tuned = Tuned(one, 1, 9.0, "stopped", Path("run"), 1_300_000)
    assert said(tuned) == (
        "stopped: 1 trial in 9.0 s; the best is trial 3, accuracy 0.9123, 1.3 MB exported in int8; the run is run, with all"
        " trials in trials.tsv"
    )


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--max-mb", "3"), "--max-mb: bounds a search; say with --budget how long it may take"),
        (("--budget", "5"), "--budget 5: must be a time above 0, such as 90s, 5m or 1h"),
        (("--budget", "5m", "--max-mb", "0"), "'--max-mb': 0 is not a number above 0 and at most 1e+06"),
        (("--budget", "5m", "--resume"), "--resume: cannot go on with a search"),
        (("--budget", "5m", "--tensorboard"), "--tensorboard: writes no events of a search"),
        (("--budget", "5m", "--processes", "2"), "--processes: a search trains in one process"),
        (("--budget", "5m"), "--budget: ppmi-svd has no search over its options"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(call, here, arguments, wanted):
    code, _, error = call("train", "ppmi-svd", "text", "-o", "run", *arguments)
    assert code == 2
    assert wanted in error
    assert not Path("run").exists()
