"""What the task translate asks of every plugin on top of test_contract.py: what is served is what the network computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from examination import MET, Candidate, made, named, served_without_torch, toys  # noqa: F401

from textkit.bundle import bundle
from textkit.corpora.pairs import pair
from textkit.exporting.export import export
from textkit.tasks.translate.greedy import greedy
from textkit.tasks.translate.serving.translator import Translator

PLAIN = {"device": "cpu", "threads": 1, "sentences": False, "guard": False}


@pytest.fixture(scope="module", params=named("translate"))
def candidate(request, tmp_path_factory) -> Candidate:
    return made(request.param, tmp_path_factory)


def sources(candidate: Candidate) -> list[str]:
    return [pair(line)[0] for line in candidate.run.sample()[:20]]


def reference(candidate: Candidate, line: str) -> list[int]:
    """The greedy translation of one line by the torch modules, alone and without padding. As in serving, the tokens that begin
    and pad a line are never chosen."""
    rule, network = candidate.run.vocabulary, candidate.run.network()
    project, barred = network.project, torch.tensor([rule.start, rule.pad])
    network.project = lambda hidden: project(hidden).index_fill(-1, barred, -torch.inf)
    source = torch.from_numpy(rule.encode([line]).ids)[None]
    longest = torch.tensor([candidate.graphs["step"].limit - 1])
    mask = torch.ones(source.shape, dtype=torch.bool)
    return greedy(network.encoder().eval(), network.stepper().eval(), source, mask, rule.start, rule.eos, longest)[0]


def test_greedy_translations_are_those_of_the_network(candidate):
    translate = Translator(candidate.model, beam_size=1, max_length_factor=0.0, allow_unk=True, **PLAIN)
    lines = [line for line in (*MET, *sources(candidate)) if line.strip() and len(line) < 100]
    expected = candidate.run.vocabulary.decode([reference(candidate, line) for line in lines])
    assert translate(lines) == expected


def test_a_line_does_not_depend_on_its_batch_and_a_blank_one_stays_blank(candidate):
    lines = [*MET, *sources(candidate)]
    together = [found[0] for found in Translator(candidate.model, beam_size=3, **PLAIN).translate(lines)]
    alone = Translator(candidate.model, beam_size=3, batch_lines=1, **PLAIN)
    apart = [alone.translate([line])[0][0] for line in lines]
    assert [one.text for one in together] == [one.text for one in apart]
    assert np.allclose([one.score for one in together], [one.score for one in apart], atol=1e-5)
    assert [one.text for one in together[:2]] == ["", ""]
    assert alone([]) == []


@pytest.mark.parametrize("precision", [pytest.param("fp16", marks=pytest.mark.slow), "int8"])
def test_lower_precision_states_what_it_costs(candidate, tmp_path, precision):
    folder = export(candidate.run, tmp_path / "model", precision)
    manifest = bundle.read(folder).manifest
    assert manifest.precision == precision
    assert 0.5 <= manifest.parity["deviation"]["same_word"] <= 1
    assert len(Translator(folder, **PLAIN)(MET)) == len(MET)


def test_serves_where_there_is_no_torch(candidate):
    served = served_without_torch(candidate.model, "Translator", MET)
    assert served == Translator(candidate.model, device="cpu", threads=1)(MET)
