"""What the task language asks of every plugin on top of test_contract.py: what is served is what the network computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from examination import MET, Candidate, made, named, served_without_torch, toys  # noqa: F401

from textkit.bundle import bundle
from textkit.exporting.export import export
from textkit.tasks.language.evaluation import evaluate
from textkit.tasks.language.exporting.ports import Modules
from textkit.tasks.language.serving.generator import Generator
from textkit.tasks.language.serving.scorer import LanguageModel

PLAIN = {"device": "cpu", "threads": 1}


@pytest.fixture(scope="module", params=named("language"))
def candidate(request, tmp_path_factory) -> Candidate:
    return made(request.param, tmp_path_factory)


def reference(candidate: Candidate, ids: list[int]) -> np.ndarray:
    """log p of each id after an end of line and the ids before it, by the torch modules, alone and without padding."""
    modules = Modules(candidate.graphs)
    read = torch.tensor([[candidate.run.vocabulary.eos, *ids[:-1]]])
    with torch.no_grad():
        logits, _ = modules.score(read, torch.ones_like(read, dtype=torch.bool), modules.begin(1))
    return logits[0].double().log_softmax(1)[torch.arange(len(ids)), torch.tensor(ids)].numpy()


def lines_of(candidate: Candidate) -> list[str]:
    longest = bundle.read(candidate.model).manifest.limits.get("context", 100)
    return [line for line in (*MET, *candidate.run.sample()[:20]) if len(line) < longest]


def test_scores_are_those_of_the_network(candidate):
    model = LanguageModel(candidate.model, **PLAIN)
    lines = lines_of(candidate)
    for line, found in zip(lines, model(lines), strict=True):
        wanted = reference(candidate, candidate.run.vocabulary.encode([line]).ids.tolist())
        assert found.logprobs == pytest.approx(wanted, abs=1e-4)


def test_a_line_does_not_depend_on_its_batch_and_a_blank_one_is_its_end(candidate):
    model = LanguageModel(candidate.model, **PLAIN)
    lines = [*MET, *candidate.run.sample()[:20]]
    together = model(lines)
    assert np.allclose([one.logprob for one in together], [model([line])[0].logprob for line in lines], atol=1e-4)
    assert [one.tokens for one in together[:2]] == [1, 1]


def test_the_likeliest_continuation_is_the_network_s(candidate):
    rule, modules = candidate.run.vocabulary, Modules(candidate.graphs)
    prompt = "the cat sat"
    read = [rule.eos, *rule.encode([prompt]).ids[:-1].tolist()]
    made_of: list[int] = []
    with torch.no_grad():
        while len(made_of) < 8 and made_of[-1:] != [rule.eos]:
            tokens = torch.tensor([read + made_of])
            logits = modules.score(tokens, torch.ones_like(tokens, dtype=torch.bool), modules.begin(1))[0][0, -1]
            if rule.unk is not None:
                logits[rule.unk] = -np.inf
            made_of.append(int(logits.argmax()))
    (found,) = Generator(candidate.model, temperature=0, max_tokens=8, **PLAIN)([prompt])[0]
    assert found.text == rule.decode([made_of])[0]


def test_samples_do_not_depend_on_their_batch(candidate):
    generator = Generator(candidate.model, max_tokens=24, samples=2, seed=3, **PLAIN)
    prompts = ["the", "", "the cat sat on", "日本", "", "the dog", "a cat sat", "on the mat", "日本 the cat"] * 3
    together = generator(prompts)
    assert [len(found) for found in together] == [2] * len(prompts)
    for at, prompt in enumerate(prompts):
        assert [one.text for one in generator.generate([prompt], [at])[0]] == [one.text for one in together[at]]


@pytest.mark.parametrize("options", [{}, {"temperature": 0.7, "samples": 3}, {"stop": ["s"]}])
def test_samples_are_the_same_however_they_are_drawn(candidate, options):
    """Drawn by the graph with arrays in place, by the graph, and, as with older models, from the graph's whole distribution."""
    prompts = ["the", "", "the cat sat on", "日本", "a cat"] * 2
    found = []
    for draws, same_shape in ((True, None), (True, False), (False, False)):
        generator = Generator(candidate.model, max_tokens=40, seed=5, **options, **PLAIN)
        assert generator.steps.draws
        generator.steps.draws = draws
        if same_shape is not None:
            generator.steps._same_shape = same_shape
        found.append([[(one.text, one.tokens, one.ended, one.logprob) for one in line] for line in generator(prompts)])
    assert found[0] == found[1]
    for line, other in zip(found[0], found[2], strict=True):
        assert [one[:3] for one in line] == [one[:3] for one in other]
        assert [one[3] for one in line] == pytest.approx([one[3] for one in other], rel=1e-5)


def test_the_perplexity_of_a_file_is_that_of_the_network(candidate, tmp_path):
    """The state is carried from line to line."""
    lines = candidate.run.sample()[:20]
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in lines))
    found = evaluate(LanguageModel(candidate.model, **PLAIN), str(tmp_path / "text"))
    ids = candidate.run.vocabulary.encode(lines).ids.tolist()
    context = bundle.read(candidate.model).manifest.limits.get("context")
    if context is None or len(ids) <= context:
        assert found.detail["logprob"] == pytest.approx(reference(candidate, ids).sum(), rel=1e-4)
    assert found.used == sum(len(line.split()) + 1 for line in lines)
    assert found.value == pytest.approx(np.exp(-found.detail["logprob"] / found.used))


@pytest.mark.parametrize("precision", [pytest.param("fp16", marks=pytest.mark.slow), "int8"])
def test_lower_precision_states_what_it_costs(candidate, tmp_path, precision):
    folder = export(candidate.run, tmp_path / "model", precision)
    manifest = bundle.read(folder).manifest
    assert manifest.precision == precision
    assert 0.8 <= manifest.parity["deviation"]["perplexity"] <= 1.25
    assert len(LanguageModel(folder, **PLAIN)(MET)) == len(MET)


def test_serves_where_there_is_no_torch(candidate):
    served = served_without_torch(candidate.model, "LanguageModel", MET, "[one.logprob for one in found]")
    assert served == [one.logprob for one in LanguageModel(candidate.model, **PLAIN)(MET)]
