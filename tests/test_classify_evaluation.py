"""What `textkit evaluate` measures of classifiers, against numbers worked out by hand."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_classifier import LABELS, WORDS, head, words_rule, write_classifier

from textkit.tasks.classify.corpus import Labelled
from textkit.tasks.classify.evaluation import measures, tables
from textkit.tasks.classify.evaluation.evaluating import evaluated
from textkit.tasks.classify.serving.classifier import Classifier

LINES = [("pos", "good"), ("pos", "bad"), ("neg", "bad"), ("none", "bad"), ("none", "film"), ("pos", "")]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_classifier(folder / "plain", head(temperature=0.5))
    write_classifier(folder / "used", head(temperature=0.1, typical=np.linspace(0, 2, 201).tolist()))
    write_classifier(folder / "several", head(several=True, thresholds=[0.6, 0.6, 0.7]))
    write_classifier(folder / "kinds", head(coarse={"neg": "any", "none": "any"}, nothing="und"))
    return folder


@pytest.fixture
def report(models: Path) -> Any:
    def made(model: str, lines: list[tuple[str, str]], scope: str | None = None, **options: Any) -> Any:
        classifier = Classifier(models / model, device="cpu", threads=1, **options)
        some = [Labelled(text, tuple(label.split("+")) if label else ()) for label, text in lines]
        return evaluated(classifier, [some[:2], some[2:]], scope)

    return made


def write(path: Path, lines: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{label}\t{text}\n" for label, text in lines))
    return path


@pytest.fixture
def asked(models: Path, call: Any) -> Any:
    """asked(model, *args) -> (exit code, stdout, stderr) of `textkit evaluate`."""
    return lambda model, *args: call("evaluate", "-m", models / model, "--device", "cpu", *args)


# --- measures ---------------------------------------------------------------------------------------------------------


def test_auroc_is_the_share_of_pairs_in_order():
    # Pairs: .9 > .5, .9 > .2, .5 = .5 (half), .5 > .2.
    assert measures.auroc(np.array([0.9, 0.5]), np.array([0.5, 0.2])) == pytest.approx(3.5 / 4)
    random = np.random.default_rng(4)
    one, other = random.integers(0, 20, 300), random.integers(5, 25, 200)
    pairs = (one[:, None] > other).sum() + (one[:, None] == other).sum() / 2
    assert measures.auroc(one, other) == pytest.approx(pairs / (300 * 200))
    assert math.isnan(measures.auroc(one, other[:0]))


def test_the_bins_of_a_diagram_add_up():
    confidence, right = np.array([0.62, 0.68, 1.0, 0.0]), np.array([True, False, True, False])
    sums = measures.reliability(confidence, right, bins=10)
    assert sums.shape == (3, 10)
    assert sums[:, 6].tolist() == [2, pytest.approx(1.3), 1]
    assert sums[0].sum() == 4
    parts = measures.reliability(confidence[:2], right[:2], 10) + measures.reliability(confidence[2:], right[2:], 10)
    assert np.allclose(parts, sums)
    assert measures.calibration_error_of(sums) == pytest.approx(measures.calibration_error(confidence, right, 10))
    assert math.isnan(measures.calibration_error_of(np.zeros((3, 5))))


# --- reports ----------------------------------------------------------------------------------------------------------


def test_figures_by_hand(report):
    found = report("plain", LINES)
    assert (found.used, found.total, found.unknown) == (6, 6, 0)
    assert found.accuracy == pytest.approx(3 / 6)  # the blank line has no label, and is wrong
    assert found.per_label.support.tolist() == [3, 1, 2]
    assert found.answered.tolist() == [1, 3, 1]
    assert found.per_label.precision.tolist() == pytest.approx([1, 1 / 3, 1])
    assert found.per_label.recall.tolist() == pytest.approx([1 / 3, 1, 1 / 2])
    f1 = [2 / 4, 2 / 4, 2 / 3]
    assert found.per_label.f1.tolist() == pytest.approx(f1)
    assert found.macro_f1 == pytest.approx(sum(f1) / 3)
    assert sorted(found.confusions()) == [(0, -1, 1), (0, 1, 1), (2, 1, 1)]
    assert found.shares([0, 1, 2]).tolist() == [
        [pytest.approx(1 / 3), pytest.approx(1 / 3), 0], [0, 1, 0], [0, 0.5, 0.5],
    ]  # fmt: skip
    assert math.isnan(found.auroc)


def test_calibration_with_the_temperature_and_without(report):
    # At temperature .5 "good" is (6, 0, 0): its probability is 1 / (1 + 2 exp(-6)); without, 1 / (1 + 2 exp(-3)).
    lines = [("pos", "good")] * 3 + [("neg", "good")]
    found = report("plain", lines)
    warm, plain = 1 / (1 + 2 * math.exp(-6)), 1 / (1 + 2 * math.exp(-3))
    assert measures.calibration_error_of(found.reliability) == pytest.approx(warm - 0.75, rel=1e-4)
    assert measures.calibration_error_of(found.uncalibrated) == pytest.approx(plain - 0.75, rel=1e-4)


def test_lines_whose_label_is_not_known_are_out_of_scope(report):
    lines = [("pos", "good"), ("neg", "good film"), ("oos", "film"), ("oos", "xyz"), ("other", "good")]
    found = report("plain", lines)
    assert (found.used, found.total, found.unknown, found.outside) == (2, 5, 3, 3)
    assert found.accuracy == 0.5
    # In scope "good" and "good film", outside "film", nothing and "good": of six pairs 2 + .5 and 2 are in order.
    assert found.auroc == pytest.approx(4.5 / 6)
    found = report("plain", lines, "oos")
    assert (found.outside, found.unknown) == (2, 3)
    assert found.auroc == 1


def test_lines_out_of_scope_may_be_strange_where_they_are_not_unsure(report):
    # In scope (1.56, 1.44, 0) is at .56, but hardly likelier to be pos than neg; outside "film ," (0, 0, .5) is at .33.
    found = report("used", [("pos", "good " * 13 + "bad " * 12), ("oos", "film ,")])
    assert (found.outlier_auroc, found.auroc) == (1, 0)
    assert tables.summary(found)["outlier-auroc"] == 1
    assert "outlier-auroc" not in tables.summary(report("plain", [("pos", "good"), ("oos", "film")]))


def test_a_model_that_has_a_label_for_what_is_out_of_scope(report):
    # The confidence is that in the likeliest of pos and neg.
    lines = [("pos", "good"), ("none", "film"), ("none", "good film")]
    found = report("plain", lines, "none")
    assert (found.used, found.outside, found.accuracy) == (3, 2, pytest.approx(2 / 3))
    assert found.auroc == 1
    assert report("plain", [("pos", "good film"), ("none", "good")], "none").auroc == 0


def test_finer_labels_are_the_label_they_belong_to(report):
    lines = [("neg", "film"), ("any", "bad"), ("pos", "good"), ("und", "xyz")]
    found = report("kinds", lines)
    assert found.accuracy == 1
    assert found.per_label.support.tolist() == [1, 2, 1]
    found = report("kinds", [("neg", "film"), ("any", "bad"), ("pos", "good")], fine=True)
    assert (found.used, found.unknown, found.accuracy) == (2, 1, 0.5)


def test_several_labels_by_hand(report):
    # Answers: "good" pos; "good bad" pos, neg; "film" none; "very" none of them (.73 is above .6): pos, neg.
    lines = [
        ("pos", "good"),
        ("pos", "good bad"),
        ("", "film"),
        ("pos+neg", "very"),
        ("odd", "good"),
        ("neg+odd", "bad"),
    ]
    found = report("several", lines)
    assert (found.used, found.total, found.unknown) == (5, 6, 1)
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.per_label.support.tolist() == [3, 2, 0]
    assert found.answered.tolist() == [3, 3, 1]
    f1 = [1, 4 / 5, 0]
    assert found.per_label.f1.tolist() == pytest.approx(f1)
    assert found.macro_f1 == pytest.approx(sum(f1) / 3)
    assert found.micro_f1 == pytest.approx(2 * 5 / (5 + 7))
    assert found.reliability[0].sum() == 15  # each label of each line


def test_nothing_to_measure(report):
    from textkit.errors import TextkitError

    with pytest.raises(TextkitError, match="none of 2 lines has a label that the model knows: it knows 'pos', 'neg'"):
        report("plain", [("x", "good"), ("y", "good")])


# --- textkit evaluate -------------------------------------------------------------------------------------------------


def test_rows_of_figures(asked, tmp_path):
    file = write(tmp_path / "dev.tsv", LINES[:5])
    code, out, err = asked("plain", file)
    assert (code, err) == (0, "")
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["accuracy", "0.6000", "5", "5", "0", str(file)]
    assert [row[0] for row in rows] == ["accuracy", "macro-f1", "ece", "ece-uncalibrated", "label", "label", "label"]
    assert rows[4] == ["label", "pos", "1.0000", "0.5000", "0.6667", "2"]
    assert asked("plain", file, "--metric", "macro-f1")[1].startswith("macro-f1\t")
    _, out, _ = asked("plain", file, "--confusion")
    assert [line.split("\t") for line in out.splitlines()][7:] == [
        ["confusion", "pos", "neg", "1"], ["confusion", "none", "neg", "1"],
    ]  # fmt: skip


def test_one_object(asked, tmp_path):
    files = write(tmp_path / "dev.tsv", LINES[:5]), write(tmp_path / "oos.tsv", [("oos", "xyz")])
    code, out, err = asked("plain", *files, "--format", "jsonl")
    assert code == 0
    assert "1 line has no label that the model knows" in err
    found = json.loads(out)
    assert (found["metric"], found["value"], found["used"], found["total"], found["unknown"]) == (
        "accuracy",
        0.6,
        5,
        6,
        1,
    )
    assert found["data"] == f"{files[0]} {files[1]}"
    assert found["out_of_scope_auroc"] == 1
    assert found["out_of_scope"] == 1
    assert [one["label"] for one in found["labels"]] == list(LABELS)
    assert found["confusions"][0].keys() == {"wanted", "given", "lines"}
    assert sum(one["count"] for one in found["reliability"]) == 5
    assert found["temperature"] == 0.5


def test_several_labels_of_a_file(asked, tmp_path):
    file = write(tmp_path / "dev.tsv", [("pos", "good"), ("pos,neg", "good bad"), ("", "xyz")])
    code, out, _ = asked("several", file)
    assert code == 0
    rows = {row[0]: row[1] for row in (line.split("\t") for line in out.splitlines())}
    assert out.startswith("macro-f1\t1.0000")
    assert (rows["micro-f1"], rows["accuracy"]) == ("1.0000", "1.0000")


def test_a_picture_of_confusions(asked, tmp_path):
    file = write(tmp_path / "dev.tsv", LINES[:5])
    code, _, err = asked("plain", file, "--picture", tmp_path / "who.png")
    assert (code, err) == (0, "")
    content = (tmp_path / "who.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", content[16:24])) > 100


def test_a_picture_shows_what_is_confused_most(tmp_path, monkeypatch):
    names = [f"label {at}" for at in range(5)]
    table = np.zeros((len(WORDS), 5), np.float32)
    table[1, 1], table[2, 2], table[3, 3], table[4, 4] = 5, 5, 5, 5
    folder = write_classifier(tmp_path / "five", head(names), table=table, rule=words_rule())
    lines = [
        Labelled(text, (names[at],)) for at, text in ((1, "good"), (2, "film"), (2, "film"), (3, "film"), (4, "not"))
    ]
    found = evaluated(Classifier(folder, device="cpu", threads=1), [lines])
    assert tables._drawn(found) == [1, 2, 3, 4]
    monkeypatch.setattr(tables, "MOST_DRAWN", 2)
    assert tables._drawn(found) == [2, 3]
    assert found.shares([2, 3]).tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("model", "args", "code", "said"),
    [
        ("plain", ["--head", "x"], 2, "--head x: unknown"),
        ("plain", ["--fine"], 2, "--fine: the model has no labels that belong to coarser ones"),
        ("plain", ["--picture", "x.gif"], 2, "--picture x.gif: ends with none of .png, .svg, .pdf"),
        ("plain", ["--out-of-scope", "oos"], 1, "no line has the label 'oos' that --out-of-scope names"),
        ("several", ["--confusion"], 2, "--confusion: is for a model that gives each line one label"),
        ("plain", ["--metric", "bleu"], 2, "is a model for 'classify', which has accuracy, macro-f1"),
        ("plain", ["--metric", "accuracy,macro-f1"], 2, "several at a time are bleu,chrf"),
        ("plain", ["--pooling", "max"], 2, "--pooling: has no effect on"),
    ],
)
def test_mistakes_are_one_line(asked, tmp_path, model, args, code, said):
    file = write(tmp_path / "dev.tsv", [("pos", "good"), ("neg", "bad")])
    found, out, err = asked(model, file, *args)
    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1


def test_lines_without_a_known_label_are_told(asked, tmp_path):
    file = write(tmp_path / "dev.tsv", [("pos", "good"), ("oos", "bad"), ("oos", "film")])
    _, out, err = asked("plain", file)
    assert "accuracy\t1.0000\t1\t3\t2" in out
    assert err == (
        "textkit: warning: 2 lines have no label that the model knows, and are taken for out of scope and left out of the "
        "other figures\n"
    )
