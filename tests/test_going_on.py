"""A complete training continues with more epochs or another rate; one that diverges ends with an error that says where."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import training_toys

from textkit.cli import run as run_command
from textkit.cli.options import Messages
from textkit.plugin import Score
from textkit.registry import registry
from textkit.training.position import Diverged, check_score

TOYS = str(Path(training_toys.__file__))


@pytest.fixture
def textkit(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_files", [])
    Path("data.txt").write_text("a b c d\nc d e f\ne f a b\nb c d e\n" * 10)

    def call(*words, code=0):
        found = run_command(["train", *words, "--plugin", TOYS, "--device", "cpu", "--threads", "1"], Messages())
        error = capfd.readouterr().err
        assert found == code, error
        return error

    return call


def settings(*pairs):
    return [word for pair in pairs for word in ("--set", pair)]


def facts():
    return json.loads(Path("run/run.json").read_text())["facts"]


def weights(folder="run"):
    return Path(folder, "weights.safetensors").read_bytes()


def rates():
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    return [line["learning_rate"] for line in lines if line["event"] == "progress"]


@pytest.fixture
def complete(textkit):
    every = settings("schedule=linear", "epochs=2", "log_seconds=0", "dropout=0")
    textkit("toy", "data.txt", "-o", "run", *every)
    return textkit


def test_a_complete_run_goes_on_to_more_epochs_with_a_schedule_that_begins_anew(complete):
    first, before = facts(), rates()
    error = complete("-o", "run", "--resume", *settings("epochs=5", "learning_rate=0.5"))
    assert "after 2 epochs, to 5; optimizer and schedule start afresh (learning_rate=0.5, linear)" in error
    now = facts()
    assert (now["epochs"], now["steps"]) == (5, first["steps"] // 2 * 5)
    assert now["dev_score"]["value"] <= first["dev_score"]["value"]  # the best of both trainings
    added = rates()[len(before) :]
    assert max(added) > 0.1 > max(before)  # the rate begins at the new peak; the clock decides which updates are shown
    record = json.loads(Path("run/run.json").read_text())
    assert record["before"][0]["facts"]["epochs"] == 2
    assert record["before"][0]["training"]["epochs"] == 2


def test_an_average_of_the_weights_begins_with_those_that_the_run_goes_on_from(textkit):
    from safetensors.numpy import load_file

    every = settings("epochs=2", "dropout=0", "ema=0.99")
    textkit("toy", "data.txt", "-o", "run", *every)
    before = load_file("run/weights.safetensors")
    textkit("-o", "run", "--resume", *settings("epochs=3", "learning_rate=1e-12"))
    after = load_file("run/weights.safetensors")
    assert facts()["epochs"] == 3
    assert all(abs(after[name] - values).max() < 1e-6 for name, values in before.items())


def test_another_rate_alone_goes_on_as_long_again(complete):
    complete("-o", "run", "--resume", *settings("learning_rate=0.01"))
    assert facts()["epochs"] == 4
    complete("-o", "run", "--resume", *settings("learning_rate=0.001"))
    assert facts()["epochs"] == 6


def test_what_goes_on_can_be_interrupted_and_ends_with_the_same_bits(complete):
    import shutil

    from textkit.training.run import Run
    from textkit.training.trainer import train

    shutil.copytree("run", "whole")
    more = settings("epochs=4", "learning_rate=0.2")
    complete("-o", "whole", "--resume", *more)
    from textkit.training.recipe import Recipe, go_on

    run = go_on(Path("run"), Recipe(None, (), (), None, more[1::2], None))
    while not run.complete:
        asked = iter([False] * 4)
        list(train(run, run.corpus, device="cpu", threads=1, resume=True, stop=lambda asked=asked: next(asked, True)))
        run = Run.open(run.folder)
    assert weights() == weights("whole")
    assert facts()["steps"] == json.loads(Path("whole/run.json").read_text())["facts"]["steps"]


def test_what_cannot_go_on_is_refused_by_name(complete):
    kept = weights()
    for words, said in [
        (settings("epochs=2", "learning_rate=0.1"), "--resume: epochs=2: 2 are done, set it higher to go on"),
        (settings("epochs=1"), "--resume: epochs=1: 2 are done"),
        (settings("dim=9"), "--resume: dim was 4 when the run began, not 9"),
        (settings("epochs=9", "dropout=0.5"), "--resume: dropout was 0.0"),
        (settings("epochs=9", "momentum=0.9"), "momentum: has no effect on toy with optimizer=adam"),
        (["--seed", "4", *settings("epochs=9")], "--resume: --seed was 1"),
    ]:
        assert said in complete("-o", "run", "--resume", *words, code=2)
    assert "complete already" in complete("-o", "run", "--resume", *settings("epochs=2"))
    assert weights() == kept
    Path("data.txt").write_text("x y\n")
    assert "is not the file" in complete("-o", "run", "--resume", *settings("epochs=9"), code=1)
    assert json.loads(Path("run/run.json").read_text())["complete"]


def test_updates_are_counted_from_the_beginning(textkit):
    textkit("toy", "data.txt", "-o", "run", *settings("max_steps=5"))
    said = textkit("-o", "run", "--resume", *settings("epochs=20"), code=2)
    assert "--resume: max_steps=5: 5 updates are done, set it higher to go on; 0: epochs decide" in said
    textkit("-o", "run", "--resume", *settings("max_steps=12"))
    assert facts()["steps"] == 12
    textkit("-o", "run", "--resume", *settings("learning_rate=0.01"))
    assert facts()["steps"] == 19


def test_what_is_not_trained_batch_by_batch_has_no_more_epochs(textkit):
    textkit("toy-fit", "data.txt", "-o", "run")
    said = textkit("-o", "run", "--resume", *settings("epochs=20"), code=2)
    assert "epochs: has no effect on toy-fit, which is not trained batch by batch" in said


def test_a_dev_score_gone_to_infinity_ends_the_training_with_the_step_and_advice(textkit):
    every = settings("learning_rate=0.25", "checkpoint_steps=3", "fail=dev")
    error = textkit("toy", "data.txt", "-o", "run", *every, code=1)
    *_, last = error.splitlines()
    assert last.startswith("textkit: training diverged: the dev perplexity after update ")
    assert "is infinite (learning_rate=0.25); the checkpoint of update 6 is kept" in last
    assert last.endswith("start again with a lower learning_rate, or with clip (--set clip=1)")
    assert Path("run/checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (Score("bleu", 3.0, True, {"loss": math.inf}), "the dev loss after update 7 is infinite"),
        (Score("perplexity", math.nan, False), "the dev perplexity after update 7 is no number"),
        (Score("spearman", -math.inf, True), "the dev spearman"),
        (Score("spearman", math.nan, True), None),  # as of values that are all equal
        (Score("perplexity", 1e300, False, {"lines": 3}), None),
    ],
)
def test_which_scores_are_a_divergence(score, said):
    if said is None:
        check_score(score, 7, 0.1)
    else:
        with pytest.raises(Diverged, match=said):
            check_score(score, 7, 0.1)


def test_a_language_model_whose_rate_is_far_too_high_says_so(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("a b c d e f g h\n" * 60)
    words = ["nnlm", "text.txt", "-o", "run", "-q", *settings("dim=8", "hidden=8", "streams=2", "bptt=5", "epochs=2")]
    words += settings("optimizer=sgd", "learning_rate=1e6", "clip=0")
    assert run_command(["train", *words, "--device", "cpu"], Messages()) == 1
    error = capfd.readouterr().err
    assert error.startswith("textkit: training diverged: ")
    assert "a lower learning_rate" in error
    assert error.count("\n") == 1
