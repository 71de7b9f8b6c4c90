"""Confidence in a translation: what it depends on, how it is learnt, where it is said, and what a manifest may state."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from small_translator import write_translator

from textkit.bundle.bundle import read
from textkit.bundle.manifest import Manifest
from textkit.errors import TextkitError
from textkit.tasks.translate import calibration
from textkit.tasks.translate.serving.confidence import DOUBTFUL, LOW, Confidence, known
from textkit.tasks.translate.serving.translations import Translation, joined
from textkit.tasks.translate.serving.translator import Translator

STATED = {"bias": -1.0, "likelihood": 4.0, "shortness": 1.0, "ratio": 0.1}
LINES = ["the dog runs.", "a man sees the cat.", "the cat, the dog.", "", "a dog sees a cat. the man runs home."]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def with_confidence(folder: Path, **changes) -> Path:
    write_translator(folder)
    manifest = folder / "manifest.json"
    stated = json.loads(manifest.read_text("utf-8")) | {"confidence": STATED | changes}
    manifest.write_text(json.dumps(stated), "utf-8")
    return folder


def test_what_it_depends_on_by_hand():
    one = known(3 * math.log(0.5), 3, "abcd", "abcdefghi")
    assert one.likelihood == pytest.approx(0.25)  # the geometric mean is 0.5
    assert one.longer == pytest.approx(math.log(10 / 5))
    sure = Confidence(-1, 4, 1, 0.1)
    assert sure(one) == pytest.approx(1 / (1 + math.exp(1 - 1)))  # longer than usual is no fault
    short = known(3 * math.log(0.5), 3, "abcdefghi", "abcd")
    assert sure(short) == pytest.approx(1 / (1 + math.exp(-(-1 + 1 - math.log(2) - 0.1))))


@pytest.mark.parametrize("logprob", [-math.inf, math.nan, math.inf, 1e9, -1e9])
def test_a_broken_model_still_gets_a_number(logprob):
    for text in ("", "x" * 10_000):
        value = Confidence(100, 100, 100, -10)(known(logprob, 0, "", text))
        assert 0 <= value <= 1


def test_it_never_falls_with_likelihood_or_length():
    sure = Confidence(-2, 3, 1.5, 0)
    likelier = [sure(known(-p, 10, "a" * 40, "b" * 40)) for p in (50, 20, 5, 1, 0)]
    longer = [sure(known(-5, 10, "a" * 40, "b" * n)) for n in (0, 10, 30, 40, 80)]
    assert likelier == sorted(likelier)
    assert longer == sorted(longer)


def test_coefficients_come_back_from_what_they_made():
    chance = np.random.default_rng(1)
    facts = np.stack([chance.uniform(0, 1, 4000), chance.normal(0.1, 0.3, 4000)], 1)
    ratio = facts[:, 1].mean()
    quality = 1 / (1 + np.exp(-(-1.5 + 3 * facts[:, 0] + 2 * np.minimum(0, facts[:, 1] - ratio))))
    found = calibration.fitted(facts, quality)
    assert found.ratio == pytest.approx(ratio, abs=1e-5)
    assert (found.bias, found.likelihood, found.shortness) == pytest.approx((-1.5, 3, 2), abs=0.05)


def test_the_mean_confidence_is_the_mean_chrf_and_slopes_are_not_negative():
    chance = np.random.default_rng(2)
    facts = np.stack([chance.uniform(0, 1, 500), chance.normal(0, 0.2, 500)], 1)
    quality = np.clip(0.9 - 0.6 * facts[:, 0] + chance.normal(0, 0.1, 500), 0, 1)  # the wrong way round
    found = calibration.fitted(facts, quality)
    assert found.likelihood == 0
    assert found.shortness >= 0
    felt = [found(calibration.Known(*row)) for row in facts.tolist()]
    assert np.mean(felt) == pytest.approx(quality.mean(), abs=1e-3)


@pytest.mark.parametrize("quality", [0.0, 1.0, 0.5])
def test_lines_that_are_all_alike_teach_finite_coefficients(quality):
    found = calibration.fitted(np.full((200, 2), 0.3), np.full(200, quality))
    assert found(calibration.Known(0.3, 0.3)) == pytest.approx(quality, abs=1e-2)
    assert all(map(math.isfinite, found.record().values()))


def test_the_regression_is_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    chance = np.random.default_rng(3)
    columns = chance.normal(size=(300, 2))
    quality = 1 / (1 + np.exp(-(columns @ [1.0, -0.5] + chance.normal(0, 1, 300))))
    ours = calibration._logistic(np.column_stack([columns, np.ones(300)]), quality)
    twice, labels = np.concatenate([columns, columns]), np.repeat([1, 0], 300)
    theirs = linear.LogisticRegression(C=1 / (300 * calibration._PENALTY), tol=1e-10, max_iter=1000)
    theirs.fit(twice, labels, sample_weight=np.concatenate([quality, 1 - quality]))
    assert ours == pytest.approx([*theirs.coef_[0], theirs.intercept_[0]], abs=1e-4)


def test_a_line_has_the_mean_of_its_sentences_weighted_by_tokens():
    parts = [
        ([Translation("A.", length=2, confidence=0.9)], " "),
        ([Translation("😀", confidence=1.0)], " "),
        ([Translation("B c d.", length=6, confidence=0.1)], ""),
    ]
    assert joined(parts, 0, 1.0).confidence == pytest.approx((2 * 0.9 + 6 * 0.1) / 8)
    assert (
        joined([([Translation("A.", length=2)], " "), ([Translation("B.", length=2)], "")], 0, 1.0).confidence is None
    )


def test_it_does_not_depend_on_the_batch(tmp_path):
    translator = Translator(with_confidence(tmp_path / "model"), threads=1)
    alone = [translator.translate([line])[0][0].confidence for line in LINES]
    assert [found[0].confidence for found in translator.translate(LINES * 3)] == alone * 3
    assert alone[3] == 1.0  # a blank line is blank in any language
    assert all(0 < value < 1 for value in alone[:3])
    assert [found[0].confidence for found in Translator(tmp_path / "model", guard=False).translate(LINES)] == alone


def test_every_one_of_the_n_best_has_its_own(tmp_path):
    best, second = Translator(with_confidence(tmp_path / "model"), n_best=2).translate(LINES[:1])[0]
    assert best.confidence > second.confidence


@pytest.fixture
def translate(call):
    def translated(*args, given=""):
        return Ended(*call("translate", *args, stdin=given))

    return translated


def test_it_is_said_in_jsonl_and_with_check(translate, tmp_path):
    model = with_confidence(tmp_path / "model")
    value = Translator(model).translate(["the dog runs."])[0][0].confidence
    record = json.loads(translate("-m", model, "--format", "jsonl", given="the dog runs.\n").out)
    assert record["confidence"] == float(f"{value:.6g}")
    assert "doubts" not in record
    checked = translate("-m", model, "--check", given="the dog runs.\n").out
    assert checked == f"der Hund läuft. ||| Confidence= {value:.6g} ||| Doubts= \n"
    assert translate("-m", model, given="the dog runs.\n").out == "der Hund läuft.\n"


def test_little_confidence_is_a_doubt(translate, tmp_path):
    model = with_confidence(tmp_path / "model", bias=-10)
    ended = translate("-m", model, "--check", given="the dog runs.\n")
    assert ended.out.endswith(f"Doubts= {LOW}\n")
    assert "the translation of 1 line is doubtful" in ended.err
    assert Translator(model).translate(["the dog runs."])[0][0].confidence < DOUBTFUL


def test_a_model_without_coefficients_says_nothing(translate, tmp_path):
    model = write_translator(tmp_path / "model")
    assert "confidence" not in json.loads(translate("-m", model, "--format", "jsonl", given="the dog.\n").out)
    assert translate("-m", model, "--check", given="the dog.\n").out == "der Hund. ||| Doubts= \n"


@pytest.mark.parametrize(
    "stated",
    [
        {"bias": 1}, {**STATED, "likelihood": -1}, {**STATED, "bias": 1e9}, {**STATED, "ratio": "0"}, [], 1, "x", {},
        {**STATED, "shortness": True}, {**STATED, "likelihood": None},
    ],
)  # fmt: skip
def test_other_coefficients_are_refused(tmp_path, stated):
    text = json.loads((write_translator(tmp_path / "model") / "manifest.json").read_text("utf-8"))
    with pytest.raises(TextkitError, match="confidence"):
        Manifest.from_json(json.dumps(text | {"confidence": stated}).encode())


@pytest.mark.parametrize("stated", [None, STATED, STATED | {"note": "for people"}])
def test_these_are_taken(tmp_path, stated):
    text = json.loads((write_translator(tmp_path / "model") / "manifest.json").read_text("utf-8"))
    assert Manifest.from_json(json.dumps(text | {"confidence": stated}).encode()).facts["confidence"] == stated


def many(file: Path) -> Path:
    """120 different lines with references: half of them right."""
    words = ["dog", "cat", "man", "a", "home"]
    rows = []
    for at in range(120):
        source = " ".join(["the", words[at % 5], words[at // 5 % 5], words[at // 25], "runs."])
        rows.append(f"{source}\t{'der Hund läuft.' if at % 2 else 'etwas anderes'}\n")
    file.write_text("".join(rows), "utf-8")
    return file


def test_calibrate_changes_the_coefficients_and_nothing_else(call, tmp_path):
    model, data = write_translator(tmp_path / "model"), many(tmp_path / "pairs.tsv")
    before = json.loads((model / "manifest.json").read_text("utf-8"))
    ended = Ended(*call("calibrate", "-m", model, data))
    assert (ended.code, ended.out) == (0, "")
    assert "learnt from 120 lines; Pearson's correlation with chrF is" in ended.err
    after = json.loads((model / "manifest.json").read_text("utf-8"))
    stated, made = after.pop("confidence"), after["made"].pop("confidence")
    assert made["lines"] == 120
    assert before == after
    felt = [
        found[0].confidence
        for found in Translator(read(model)).translate([row.split("\t")[0] for row in data.read_text().splitlines()])
    ]
    assert 0 < np.mean(felt) < 1
    assert stated["likelihood"] >= 0


def test_evaluate_measures_it(call, tmp_path):
    model, data = write_translator(tmp_path / "model"), many(tmp_path / "pairs.tsv")
    code, _, error = call("evaluate", "-m", model, data, "--metric", "confidence")
    assert code == 1
    assert "states no confidence; textkit calibrate learns it" in error
    call("calibrate", "-q", "-m", model, data)
    code, out, error = call("evaluate", "-m", model, data, "--metric", "chrf,confidence", "--format", "jsonl")
    chrf, figure = map(json.loads, out.splitlines())
    assert (chrf["metric"], figure["metric"], figure["lines"]) == ("chrf", "confidence", 120)
    assert -1 <= figure["value"] <= 1
    assert figure["mean_confidence"] == pytest.approx(figure["mean_chrf"], abs=0.01)


def test_what_calibrate_refuses(call, tmp_path):
    model = write_translator(tmp_path / "model")
    (tmp_path / "few.tsv").write_text("the dog\tder Hund\n")
    for args, code, said in (
        (("calibrate", tmp_path / "few.tsv"), 2, "-m is missing"),
        (("calibrate", "-m", model, tmp_path / "few.tsv"), 1, "100 lines are the fewest"),
        (("calibrate", "-m", model, tmp_path / "none.tsv"), 1, "none.tsv"),
        (("calibrate", "-m", "en-words", tmp_path / "few.tsv"), 1, "a model for 'embed', not for 'translate'"),
    ):
        ended = Ended(*call(*args))
        assert (ended.code, ended.out) == (code, "")
        assert said in ended.err
        assert ended.err.count("\n") == 1


@pytest.mark.slow
def test_the_shipped_confidence_agrees_with_chrf_on_dev(call):
    dev = Path(__file__).resolve().parents[2] / "shared/data/tatoeba/dev.en-de.tsv"
    if not dev.exists():
        pytest.skip("/work/shared is not here")
    code, out, _ = call("evaluate", "-m", "en-de", dev, "--metric", "confidence", "--format", "jsonl")
    figure = json.loads(out)
    assert code == 0
    assert figure["value"] > 0.55
    assert figure["spearman"] > 0.55
    assert figure["calibration_error"] < 0.05
