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
from textkit.serving.spreading import searches, threads_of_each
from textkit.tasks.translate.serving.ahead import StepsAhead
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
    """By default each thread searches a batch of its own, and no more than four do."""
    assert [threads_of_each(8, workers, "cpu") for workers in (None, 1, 3, 9)] == [2, 8, 2, 1]
    assert [searches(None, threads, "cpu") for threads in (1, 2, 8)] == [1, 2, 4]
    assert [searches(5, 2, device) for device in ("cpu", "cuda")] == [5, 5]
    assert searches(None, 1, "cuda") == 3
    assert searches(None, None, "cpu") == min(4, cpus())
