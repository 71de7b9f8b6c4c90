"""What is served, graphs and search, against a plain search in torch that recomputes the whole decoder for every word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_translator import rule

from textkit.bundle import bundle
from textkit.exporting.export import export_graphs
from textkit.registry import registry
from textkit.searching.decoding import search
from textkit.searching.options import Search, Target
from textkit.searching.steps import TranslationSteps

RULE = rule()
TARGET = Target(RULE.start, RULE.eos, RULE.unk, RULE.pad, RULE.target_size)
MOST = 12
FAMILIES: dict[str, dict[str, Any]] = {
    "transformer": {"dim": 16, "heads": 2, "feedforward": 32, "encoder_layers": 1, "decoder_layers": 1},
    "seq2seq": {"dim": 12, "hidden": 16, "layers": 1},
}


@pytest.fixture(scope="module", params=["transformer", "seq2seq"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, TranslationSteps]:
    """A random network, and its graphs as they are served."""
    plugin = registry.get(request.param)
    config = plugin.Config(**FAMILIES[request.param], dropout=0.0, max_tokens=MOST + 1, tie="none")
    torch.manual_seed(np.int64(1))  # not an int, so that other_seeds.py leaves it alone: with it some lines end
    network = plugin.network(config, RULE).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.8)  # makes some words likely, others not, and some lines end
    folder = export_graphs(
        tmp_path_factory.mktemp("models") / request.param,
        task="translate",
        rule=RULE,
        graphs=plugin.graphs(network, RULE, config),
        sample=["the dog sees a cat."],
    )
    return network, TranslationSteps(bundle.read(folder), "cpu", 1)


def plain(network: Any, source: list[int], options: Search) -> list[tuple[list[int], float]]:
    """Textbook beam search of one line: ids and scores, best first."""
    ids = torch.tensor([source])
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    kept: list[tuple[list[int], float]] = []
    for step in range(MOST):
        continued = []
        target = torch.tensor([[RULE.start, *said] for said, _ in beams])
        with torch.no_grad():
            hidden = network.hidden(
                ids.expand(len(beams), -1), torch.ones(len(beams), len(source), dtype=torch.bool), target
            )
            logprob = network.project(hidden[:, -1]).double().log_softmax(1).tolist()
        for (said, total), of_next in zip(beams, logprob, strict=True):
            continued += [(said + [id], total + more) for id, more in enumerate(of_next)]
        continued = [beam for beam in continued if beam[0][-1] not in (RULE.start, RULE.pad, RULE.unk)]
        continued.sort(key=lambda beam: -beam[1])
        for said, total in continued[: options.beam_size]:
            if said[-1] == RULE.eos:
                kept.append((said, total / len(said) ** options.length_penalty))
        kept = sorted(kept, key=lambda each: -each[1])[: options.beam_size]
        beams = [beam for beam in continued if beam[0][-1] != RULE.eos][: options.beam_size]
        best = beams[0][1] / (step + 1) ** options.length_penalty
        if len(kept) == options.beam_size and best <= kept[-1][1]:
            break
    else:
        kept += [(said, total / (MOST + 1) ** options.length_penalty) for said, total in beams]
    return sorted(kept, key=lambda each: -each[1])[: options.n_best]


@pytest.mark.parametrize(
    "options",
    [
        Search(beam_size=1),
        Search(beam_size=4, n_best=3),
        Search(length_penalty=0.0),
    ],
)
@pytest.mark.slow
def test_as_a_plain_search_in_torch(family: tuple[Any, TranslationSteps], options: Search) -> None:
    network, steps = family
    random = np.random.default_rng(3)
    lengths = random.integers(2, 9, 7)
    mask = np.arange(lengths.max()) < lengths[:, None]
    source = np.where(mask, random.integers(4, len(RULE), mask.shape), RULE.source_pad)
    source[np.arange(7), lengths - 1] = RULE.source_eos
    found = search(steps, source, mask, TARGET, options, most=MOST)
    assert any(hypothesis.ended for hypotheses in found for hypothesis in hypotheses)
    for at, (hypotheses, row, real) in enumerate(zip(found, source, mask, strict=True)):
        expected = plain(network, row[real].tolist(), options)
        assert [hypothesis.ids for hypothesis in hypotheses] == [ids for ids, _ in expected]
        scores = [hypothesis.score for hypothesis in hypotheses]
        np.testing.assert_allclose(scores, [score for _, score in expected], rtol=1e-4)
        (alone,) = search(steps, row[real][None], real[real][None], TARGET, options, most=MOST)
        assert [hypothesis.ids for hypothesis in alone] == [ids for ids, _ in expected], at
        np.testing.assert_allclose([hypothesis.score for hypothesis in alone], scores, rtol=1e-5)
