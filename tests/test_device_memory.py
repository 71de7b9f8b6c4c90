"""Each callable whose GPU holds few lines at a time: batches are halved, and the answers are those of one that holds them all.

The GPU is a CPU that refuses larger batches in the words of onnxruntime's CUDA provider.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import on_device
from small_bundle import write_small
from small_classifier import write_classifier
from small_language import write_language

from textkit import Classifier, Embedder, Generator, LanguageModel, Translator
from textkit.searching.steps import Steps
from textkit.serving import line_model
from textkit.serving.line_model import LineModel
from textkit.serving.session import NoDeviceMemory, Session, failure
from textkit.serving.spreading import Workers
from textkit.tasks.classify.serving import sources
from textkit.tasks.embed.serving import embedder
from textkit.tasks.language.serving import scorer

HOLDS = 3  # lines
ANIMALS = ["cat dog", "dog", "", "cat cat fish", "fish cat", "cat", "dog dog", "cat fish fish"]


class Narrow(Session):
    """A graph on a device that holds HOLDS lines. `lines`: those of each run that it did hold; `refused`: of each other."""

    lines: list[int] = []
    refused: list[int] = []
    holds = HOLDS

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(given[0], "cpu", 1, **{name: value for name, value in named.items() if name == "outputs"})
        self.device = "cuda:0"

    def run(self, feeds: Any, outputs: Any = None) -> dict[str, np.ndarray]:
        refuse(len(feeds["ids"]))
        return super().run(feeds, outputs)


def refuse(lines: int) -> None:
    """Raises what a run of so many lines comes to."""
    if lines > Narrow.holds:
        Narrow.refused.append(lines)
        raise failure(RuntimeError("CUDA failure 2: out of memory ; GPU=0"), "cuda:0")
    Narrow.lines.append(lines)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (embedder, sources, scorer, line_model):
        monkeypatch.setattr(module, "Session", Narrow)
    monkeypatch.setattr(scorer, "OnDevice", lambda device: None)
    monkeypatch.setattr(Narrow, "lines", [])
    monkeypatch.setattr(Narrow, "refused", [])


def both(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Any]) -> Any:
    """What `answer` gives on a device that holds few lines and on one that holds all."""
    found = answer()
    assert 1 < max(Narrow.lines) <= HOLDS
    with monkeypatch.context() as patch:
        patch.setattr(Narrow, "holds", 1000)
        wanted = answer()
    assert max(Narrow.lines) > HOLDS
    return found, wanted


def assert_learns(model: Any, lines: list[str]) -> None:
    """No batch as large as one that was refused is tried again, unless by what was pickled: its GPU may be another one."""
    found = model(lines)
    Narrow.refused.clear()
    assert model(lines) == found
    assert not Narrow.refused
    assert pickle.loads(pickle.dumps(model))(lines) == found
    assert Narrow.refused


def test_embed(monkeypatch, tmp_path):
    folder, lines = write_small(tmp_path / "model"), ANIMALS * 2
    found, wanted = both(monkeypatch, lambda: Embedder(folder, device="cuda", threads=1)(lines))
    np.testing.assert_array_equal(found, wanted)
    assert found.any()


def test_classify(monkeypatch, tmp_path):
    folder, lines = (
        write_classifier(tmp_path / "model"),
        ["good film", "bad", "", "not very good", "film , bad", "very"] * 3,
    )

    def answer() -> list[tuple[str, float]]:
        return [(one.label, one.probability) for one in Classifier(folder, device="cuda", threads=1)(lines)]

    found, wanted = both(monkeypatch, answer)
    assert found == wanted
    assert len({str(one) for one in found}) > 1


def test_score(monkeypatch, tmp_path):
    folder, lines = write_language(tmp_path / "model"), ["the dog", "dog runs the", "", "runs", "the the dog runs"] * 2
    found, wanted = both(
        monkeypatch, lambda: [one.logprob for one in LanguageModel(folder, device="cuda", threads=1)(lines)]
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


class Lengths(LineModel):
    """A task of a stranger: the tokens of a line."""

    task, graph = "embed", "embed"

    def more_inputs(self):
        return {"pool": np.array(1), "normalize": np.array(False)}

    def answers(self, outputs, lengths):
        return [(int(length), *row) for length, row in zip(lengths, outputs["vector"].tolist(), strict=True)]

    def answer_to_nothing(self):
        return (0,)


def test_a_task_of_a_stranger(monkeypatch, tmp_path):
    folder, lines = write_small(tmp_path / "model"), ANIMALS
    found, wanted = both(monkeypatch, lambda: Lengths(folder, device="cuda")(lines))
    assert found == wanted
    assert [one[0] for one in found][:3] == [2, 1, 0]
    assert_learns(Lengths(folder, device="cuda"), lines)


def narrow_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes searches run as on a GPU, whose step graph holds few lines."""
    on_device(monkeypatch)
    for name, place in (("step", 0), ("steps", 1)):
        before = getattr(Steps, name)

        def run(self: Steps, *given: Any, before: Any = before, place: int = place) -> Any:
            refuse(len(given[place]))
            return before(self, *given)

        monkeypatch.setattr(Steps, name, run)


def test_translate(monkeypatch):
    narrow_steps(monkeypatch)
    lines = ["I am going home now.", "The dog.", "", "Yes.", "What a day it was!", "She sees it.", "No."]

    def answer() -> list[str]:
        return list(Translator("en-de", device="cpu", threads=1, workers=2, max_length=8)(lines))

    found, wanted = both(monkeypatch, answer)
    assert found == wanted


@pytest.mark.parametrize("options", [{}, {"top_k": 5}, {"top_p": 0.8}], ids=str)
def test_generate(monkeypatch, options):
    narrow_steps(monkeypatch)
    prompts = ["The game", "In 1995 , the", "She was", "", "He", "It is", "We were"]

    def answer() -> list[str]:
        model = Generator("en-lm", device="cpu", threads=1, max_tokens=6, samples=2, **options)
        model.steps.device = "cuda:0"
        return [one.whole for line in model(prompts) for one in line]

    found, wanted = both(monkeypatch, answer)
    assert found == wanted


def test_generate_tries_no_batch_again_that_was_refused(monkeypatch):
    narrow_steps(monkeypatch)
    monkeypatch.setattr(Workers, "each", lambda self, run, waiting: [run(batch) for batch in waiting])  # in order
    assert_learns(
        Generator("en-lm", device="cpu", threads=1, max_tokens=3),
        ["The game", "In 1995 , the", "She was", "He", "It is"],
    )


def test_a_line_that_alone_does_not_fit_is_one_line(monkeypatch, tmp_path):
    folder: Path = write_small(tmp_path / "model")
    monkeypatch.setattr(Narrow, "holds", 0)
    with pytest.raises(
        NoDeviceMemory, match="cuda:0: its memory does not hold a batch; --batch-tokens makes them smaller"
    ):
        Embedder(folder, device="cuda", threads=1)(["cat dog", "dog"])
