"""A translator whose graphs were loaded on a thread: the same answers, the same errors, nothing loaded twice."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from small_translator import write_translator

from textkit.bundle import bundle
from textkit.errors import TextkitError
from textkit.searching.steps import TranslationSteps
from textkit.serving.machine import cpus
from textkit.tasks.translate.serving.ahead import StepsAhead, threads_of
from textkit.tasks.translate.serving.translator import Translator

LINES = ["The dog sees a cat.", "", "A man. The dog!"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_translator(tmp_path_factory.mktemp("models") / "small")


@pytest.mark.parametrize(("attention", "sample"), [(False, False), (True, False), (False, True)])
def test_the_answers_are_the_same(model: Path, attention: bool, sample: bool) -> None:
    bundled = bundle.located(str(model), "translate")
    ahead = StepsAhead(bundled, "cpu", 1, None, attention, False, sample)
    options = {"threads": 1, "alignment": attention, "sample": sample}
    assert Translator(bundled, **options, ahead=ahead)(LINES) == Translator(bundled, **options)(LINES)


def test_graphs_are_loaded_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = bundle.located(str(model), "translate")
    made = []
    begin = TranslationSteps.__init__

    def counted(self: TranslationSteps, *given: object) -> None:
        made.append(given)
        begin(self, *given)

    monkeypatch.setattr(TranslationSteps, "__init__", counted)
    translator = Translator(bundled, threads=3, workers=2, ahead=StepsAhead(bundled, "auto", 3, 2, False, True, False))
    translator(LINES)
    assert made == [(bundled, "cpu", 1, False, True)]
    pickle.loads(pickle.dumps(Translator(bundled, ahead=StepsAhead(bundled, "cpu", 1, None, False, False, False))))(
        LINES
    )


def test_an_error_is_raised_where_the_graphs_are_needed(tmp_path: Path) -> None:
    folder = write_translator(tmp_path / "damaged")
    graph = folder / "step.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    bundled = bundle.located(str(folder), "translate")
    ahead = StepsAhead(bundled, "cpu", 1, None, False, False, False)
    assert ahead.steps() is None
    with pytest.raises(TextkitError, match="step.onnx: damaged or edited"):
        Translator(bundled, ahead=ahead).load()


def test_nothing_is_loaded_ahead_for_a_gpu(model: Path) -> None:
    bundled = bundle.located(str(model), "translate")
    assert StepsAhead(bundled, "cuda", 1, None, False, False, False).steps() is None


def test_batches_share_the_threads() -> None:
    assert [threads_of(8, workers) for workers in (None, 1, 3, 9)] == [8, 8, 2, 1]
    assert threads_of(None, None) == cpus()
