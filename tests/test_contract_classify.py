"""What the task classify asks of every plugin on top of test_contract.py: what is served is what the network computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from examination import MET, Candidate, made, named, served_without_torch, toys  # noqa: F401

from textkit.bundle import bundle
from textkit.errors import UsageError
from textkit.exporting.export import export
from textkit.tasks.classify.corpus import texts
from textkit.tasks.classify.serving.classifier import Classifier

PLAIN = {"device": "cpu", "threads": 1}


@pytest.fixture(scope="module", params=named("classify"))
def candidate(request, tmp_path_factory) -> Candidate:
    return made(request.param, tmp_path_factory)


def lines_of(candidate: Candidate) -> list[str]:
    return [*MET, *texts([record for record in candidate.run.sample() if record][:20])]


def reference(candidate: Candidate, line: str) -> np.ndarray | None:
    """The logits of one line, f32[label], by the torch module, alone and without padding; None for a line without a token."""
    encoded = candidate.run.vocabulary.encode([line])
    if not line.strip() or not len(encoded.ids):
        return None
    limit = bundle.read(candidate.model).manifest.limits["tokens"]
    ids = torch.from_numpy(encoded.ids[None, :limit])
    weight = torch.ones(ids.shape) if encoded.weight is None else torch.from_numpy(encoded.weight[None, :limit])
    with torch.no_grad():
        return candidate.graphs["classify"].module.eval()(ids, weight)[0][0].numpy()


def test_heads_fit_the_graph(candidate):
    manifest = bundle.read(candidate.model).manifest
    labels = [label for head in manifest.facts["heads"] for label in head["labels"]]
    assert reference(candidate, candidate_line(candidate)).shape == (len(labels),)
    assert all(head["temperature"] > 0 for head in manifest.facts["heads"])


def candidate_line(candidate: Candidate) -> str:
    return next(line for line in lines_of(candidate) if reference(candidate, line) is not None)


def test_probabilities_are_those_of_the_network(candidate):
    model = Classifier(candidate.model, **PLAIN)
    lines = lines_of(candidate)
    for line, found in zip(lines, model(lines), strict=True):
        wanted = reference(candidate, line)
        if wanted is None:
            assert not found.labels or found.label == model.labels[model.head.nothing], line
            continue
        expected = model.head.probabilities(wanted[None, model.head.columns])[0]
        assert found.probabilities == pytest.approx(expected, abs=1e-4), line


def test_every_head_can_be_asked(candidate):
    heads = bundle.read(candidate.model).manifest.facts["heads"]
    for head in heads:
        if head["name"]:
            model = Classifier(candidate.model, head=head["name"], **PLAIN)
            assert model.head.name == head["name"]
            assert list(model.labels) == head["labels"]
    if not heads[0]["name"]:  # one head without a name: there is nothing to ask for
        assert len(heads) == 1
        with pytest.raises(UsageError, match="has one head"):
            Classifier(candidate.model, head="no-such-head", **PLAIN)


def test_a_line_does_not_depend_on_its_batch(candidate):
    model = Classifier(candidate.model, **PLAIN)
    lines = lines_of(candidate)
    together = np.array([found.probabilities for found in model(lines)])
    apart = np.array([model([line])[0].probabilities for line in lines])
    backwards = np.array([found.probabilities for found in model(lines[::-1])])[::-1]
    assert np.abs(together - apart).max() <= 1e-5
    assert np.abs(together - backwards).max() <= 1e-5
    assert len(model([])) == 0


def test_words_are_explained(candidate):
    model = Classifier(candidate.model, **PLAIN)
    line = candidate_line(candidate)
    (found,) = model.explain([line])
    assert found.words
    assert all(0 <= word.start < word.stop <= len(line) and np.isfinite(word.weight) for word in found.words)
    if model.attends:
        assert 0 < sum(word.weight for word in found.words) <= 1.0001


@pytest.mark.parametrize("precision", [pytest.param("fp16", marks=pytest.mark.slow), "int8"])
def test_lower_precision_states_what_it_costs(candidate, tmp_path, precision):
    folder = export(candidate.run, tmp_path / "model", precision)
    manifest = bundle.read(folder).manifest
    assert manifest.precision == precision
    assert 0 <= manifest.parity["deviation"]["max_relative"] <= (0.001 if precision == "fp16" else 0.05)
    lines = lines_of(candidate)
    full, lower = (Classifier(place, **PLAIN)(lines) for place in (candidate.model, folder))
    for line, one, other in zip(lines, full, lower, strict=True):
        assert other.probabilities == pytest.approx(one.probabilities, abs=0.05), line


def test_serves_where_there_is_no_torch(candidate):
    served = served_without_torch(candidate.model, "Classifier", MET, "[one.label for one in found]")
    assert served == [one.label for one in Classifier(candidate.model, **PLAIN)(MET)]
