"""The graphs of `language`: what is added around the modules, against independent numbers, and what the exporter refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from language_toys import LINES, WORDS, Bag, Score, Step, bag, graphs, logprobs, rule

from textkit.bundle import bundle
from textkit.errors import TextkitError
from textkit.exporting import export
from textkit.exporting.exported import TOKEN_LIMIT
from textkit.exporting.parity_steps import feeds
from textkit.plugin import Graph
from textkit.serving.session import Session
from textkit.tasks.language.exporting import export as export_language
from textkit.tasks.language.exporting import parity as parity_language
from textkit.tasks.language.exporting.ports import Modules


@pytest.fixture(scope="module")
def network() -> Bag:
    return bag()


@pytest.fixture(scope="module")
def toy(network: Bag) -> export.Exported:
    return export_language.exported(graphs(network), rule(), LINES, "fp32")


def start(lines: int) -> dict[str, np.ndarray]:
    return {"state.sum": np.zeros((lines, 8), np.float32), "state.count": np.zeros(lines, np.int64)}


def test_scores_are_those_of_the_definition(toy, network):
    """Two lines of different lengths in one batch, with an end of line before each, against a loop over words in float64."""
    ids = np.array([[2, 3, 4, 0], [5, 0, 0, 0]])
    weight = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.float32)
    given = Session(toy.graphs["score"], "cpu", 1).run(
        {"previous": np.zeros(2, np.int64), "ids": ids, "weight": weight, **start(2)}
    )
    assert given["logprob"][0] == pytest.approx(logprobs(network, [2, 3, 4, 0]), abs=1e-5)
    assert given["logprob"][1, :2] == pytest.approx(logprobs(network, [5, 0]), abs=1e-5)
    assert given["logprob"][1, 2:].tolist() == [0, 0]
    assert given["state.count.next"].tolist() == [4, 2]  # words read: the one before the line, and all but its last


def test_a_line_in_chunks_is_the_line_at_once(toy, network):
    session = Session(toy.graphs["score"], "cpu", 1)
    ids = [5, 6, 7, 2, 8, 9, 0]
    state, previous, found = start(1), 0, []
    for chunk in (ids[:3], ids[3:4], ids[4:]):
        given = session.run(
            {"previous": np.array([previous]), "ids": np.array([chunk]), "weight": np.ones((1, len(chunk)), np.float32)}
            | state
        )
        state = {name: given[f"{name}.next"] for name in state}
        previous = chunk[-1]
        found += given["logprob"][0].tolist()
    assert found == pytest.approx(logprobs(network, ids), abs=1e-5)


def test_a_step_says_what_scoring_says(toy, network):
    session = Session(toy.graphs["step"], "cpu", 1)
    state = {name: value[:, None] for name, value in start(1).items()}
    zero = np.zeros((1, 1), np.int64)
    given = session.run(feeds(zero, zero, 3) | state)
    everything = [logprobs(network, [word])[0] for word in range(len(WORDS))]
    assert given["logprob"][0, 0] == pytest.approx(everything, abs=1e-5)
    assert given["top_id"][0, 0].tolist() == np.argsort(everything)[::-1][:3].tolist()


def test_the_ports_of_the_manifest(toy, tmp_path, network):
    folder = export.export_graphs(tmp_path / "toy", task="language", rule=rule(), graphs=graphs(network), sample=LINES)
    found = bundle.read(folder, "language")
    score, step = ([port.name for port in found.manifest.ports(graph)[0]] for graph in ("score", "step"))
    assert score == ["previous", "ids", "weight", "state.sum", "state.count"]
    assert step == ["token", "parent", "k", "uniform", "temperature", "bias", "state.sum", "state.count"]
    assert found.manifest.limits == {"tokens": TOKEN_LIMIT}
    assert found.manifest.defaults["temperature"] == 1
    assert found.manifest.parity["max_relative"] <= 1e-4
    assert found.rule.decode(np.split(found.rule.encode(["the man"]).ids, 1)) == ["the man"]


@pytest.mark.parametrize("precision", ["int8", "fp16"])
@pytest.mark.slow
def test_lower_precision_states_what_it_makes_of_the_perplexity(precision, toy):
    words = (*WORDS, *map(str, range(190)))
    found = export_language.exported(graphs(bag(len(words), dim=64)), rule(words), LINES, precision)
    assert 0.9 < found.parity["deviation"]["perplexity"] < 1.1
    assert found.parity["deviation"]["mean_abs"] > 0
    assert "deviation" not in toy.parity
    with pytest.raises(TextkitError, match="raises the perplexity by 30%"):
        parity_language.refuse_deviation("int8", {"perplexity": 1.3})


class Forgetful(Step):
    """Broken: a step that does not count."""

    def forward(self, token, total, count):
        logits, total, _ = super().forward(token, total, count)
        return logits, total, count


class Leaky(Score):
    """Broken: padding is read like any word."""

    def forward(self, token, mask, total, count):
        return super().forward(token, torch.ones_like(mask), total, count)


class Hasty(Score):
    """Broken: the first state is not zero, as ports begin."""

    def begin(self, lines):
        return torch.ones(lines, self.network.dim), torch.zeros(lines, dtype=torch.int64)


class Short(Score):
    def begin(self, lines):
        return torch.zeros(lines, 3), torch.zeros(lines, dtype=torch.int64)


class Nameless(Step):
    state = ("state.sum",)


class Odd(Score):
    state = ("memory.sum", "state.count")


class OddStep(Step):
    state = Odd.state


@pytest.mark.parametrize(
    ("score", "step", "message"),
    [
        (Score, Forgetful, "'step' differs from that of 'score'"),
        pytest.param(Leaky, Step, "when the line is padded", marks=pytest.mark.slow),
        (Hasty, Step, "not all zeros"),
        (Short, Step, "fails|begins"),
        (Score, Nameless, "that of 'step' state.sum: not the same"),
        (Odd, OddStep, "neither state"),
    ],
)
def test_modules_that_are_wrong_are_told_of(network, score, step, message):
    wrong = {"score": Graph(score(network)), "step": Graph(step(network))}
    with pytest.raises(TextkitError, match=message):
        export_language.exported(wrong, rule(), LINES, "fp32")


def test_a_graph_that_computes_something_else_is_not_written(toy, network):
    """The graphs of one network against the modules of another."""
    other = Modules(graphs(bag(seed=2)))
    with pytest.raises(TextkitError, match="differ from the model by"):
        parity_language.check(parity_language.Graphs(toy.graphs), other, rule(), parity_language.cases(rule(), LINES))


def test_a_model_that_forgets_says_how_much_it_takes(network):
    found = export_language.exported(graphs(network, limit=64), rule(), LINES, "fp32")
    assert found.limits == {"tokens": 64, "context": 64}
    with pytest.raises(TextkitError, match="remembers nothing"):
        export_language.exported(graphs(network, limit=1), rule(), LINES, "fp32")


def test_another_kind_of_text_is_refused(network):
    from textkit.text.words import Words

    with pytest.raises(TextkitError, match="has no end of a line"):
        export_language.exported(graphs(network), Words(list(WORDS)), LINES, "fp32")


def test_a_manifest_whose_graphs_carry_other_states_is_refused(tmp_path, network):
    folder = export.export_graphs(tmp_path / "toy", task="language", rule=rule(), graphs=graphs(network), sample=LINES)
    manifest = bundle.read(folder).manifest
    stated = dict(manifest.graphs)
    stated["score"] = {**stated["score"], "inputs": stated["score"]["inputs"][:-1]}
    broken = dataclasses.replace(manifest, graphs=stated)
    (folder / "manifest.json").write_bytes(broken.to_json())
    with pytest.raises(TextkitError, match="'score' takes other state"):
        bundle.read(folder)
