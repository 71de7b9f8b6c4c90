"""A prompt is read in one pass through the graph `score`; each step after that draws a token.

Reading it token by token would give the same text, only many times more slowly, so the tests count what is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from language_toys import LINES, bag, graphs, rule

from textkit.exporting import export
from textkit.searching import steps
from textkit.serving.session import Session
from textkit.tasks.language.serving import generator as generating
from textkit.tasks.language.serving.generator import Generator


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = bag(dim=16, seed=3)
    return export.export_graphs(
        tmp_path_factory.mktemp("language") / "toy", task="language", rule=rule(), graphs=graphs(network), sample=LINES
    )


class Runs:
    """What ran through a model's graphs: the shapes [line, token] that `score` read, and the number of steps."""

    def __init__(self) -> None:
        self.read: list[tuple[int, ...]] = []
        self.steps = 0


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    seen = Runs()
    run, step = Session.run, steps.LanguageSteps.step

    def counted_run(self, feeds, *rest):
        if "ids" in feeds:
            seen.read.append(np.shape(feeds["ids"]))
        return run(self, feeds, *rest)

    def counted_step(self, *args, **options):
        seen.steps += 1
        return step(self, *args, **options)

    monkeypatch.setattr(Session, "run", counted_run)
    monkeypatch.setattr(steps.LanguageSteps, "step", counted_step)
    return seen


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("told", [False, True])
def test_a_prompt_is_read_in_one_pass(folder, runs, temperature, told):
    generator = Generator(folder, "cpu", 1, temperature=temperature, max_tokens=5)
    prompt = " ".join(["the man rides a bike ."] * 20)
    found = generator.stream(prompt, lambda text: None) if told else generator([prompt])[0][0]
    assert runs.read == [(1, 120)]
    assert runs.steps == found.tokens


def test_samples_of_a_prompt_read_it_once(folder, runs):
    found = Generator(folder, "cpu", 1, samples=7, max_tokens=5)(["the man rides a bike"])[0]
    assert runs.read == [(1, 5)]
    assert runs.steps == max(one.tokens for one in found)


def test_prompts_side_by_side_are_read_in_one_pass(folder, runs):
    Generator(folder, "cpu", 1, max_tokens=3)(["the man", "", "a b c", "rides a", "", "the man rides a bike"])
    assert len(runs.read) == 1
    assert runs.read[0][0] == 4
    assert runs.steps <= 2 * 3  # prompts without a token are a separate batch


def test_prompts_of_one_token_and_of_none(folder, runs):
    Generator(folder, "cpu", 1, max_tokens=3)(["the", "", "a"])
    assert runs.read == [(2, 1)]


def test_a_very_long_prompt_is_read_in_as_few_passes_as_its_length_allows(folder, runs, monkeypatch):
    monkeypatch.setattr(steps, "READ", 50)
    monkeypatch.setattr(generating, "READ", 50)
    Generator(folder, "cpu", 1, max_tokens=2)([" ".join(["the"] * 121)])
    assert runs.read == [(1, 50), (1, 50), (1, 21)]


def test_the_shipped_model_reads_each_prompt_in_one_pass(runs):
    generator = Generator("en-lm", "cpu", 1, max_tokens=3, seed=3)
    prompts = ["He said that the weather in the north of the country had been", "the cat sat on the"]
    lengths = [len(begun.ids) for begun in generator._begun(prompts)]
    generator(prompts[:1])
    assert runs.read == [(1, lengths[0])]
    assert runs.steps <= 3 + 1  # the last token of a prompt is drawn again if a word may continue
    runs.read.clear()
    generator(prompts)
    assert len(runs.read) <= 2
    assert max(tokens for _, tokens in runs.read) == max(lengths)
