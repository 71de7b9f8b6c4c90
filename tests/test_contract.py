"""The examination of every plugin, whatever its task: the installed ones, and the toys of the training tests.

Each is trained for a few steps on a corpus of about a hundred lines, resumed, and exported. What each task asks on top is in
test_contract_<task>.py; what a family computes is tested in tests/plugins/.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch
from examination import MET, SEED, Candidate, made, named, same, tiny, toys  # noqa: F401

from textkit import config
from textkit.bundle import bundle
from textkit.corpora.batching import padded
from textkit.corpora.corpus import corpus_of
from textkit.errors import TextkitError
from textkit.exporting.export import export
from textkit.exporting.exported import TOKEN_LIMIT
from textkit.plugin import Epoch
from textkit.task_registry import tasks
from textkit.text.rules import rule_from_spec
from textkit.training.events import Done, Progress, Stopped
from textkit.training.run import Run
from textkit.training.trainer import train


@pytest.fixture(scope="module", params=named())
def candidate(request, tmp_path_factory) -> Candidate:
    return made(request.param, tmp_path_factory)


def test_says_what_it_is(candidate):
    plugin = candidate.plugin
    assert plugin.task in tasks
    assert plugin.summary
    assert "\n" not in plugin.summary
    assert dataclasses.is_dataclass(plugin.Config)
    assert plugin.Config.__dataclass_params__.frozen
    assert (
        config.from_dict(plugin.Config, json.loads(json.dumps(config.as_dict(candidate.options)))) == candidate.options
    )
    assert tasks.get(plugin.task).wrong_default(plugin.defaults()) == ""


def test_training_comes_to_its_end(candidate):
    assert isinstance(candidate.events[-1], Done)
    assert candidate.run.complete
    losses = [event.loss for event in candidate.events if isinstance(event, Progress) and event.loss is not None]
    assert np.isfinite(losses).all()
    assert 0 < len(candidate.run.sample()) <= 120
    assert all(torch.isfinite(value).all() for value in candidate.run.network().state_dict().values())


def test_text_rule_is_whole_in_its_files(candidate):
    rule = candidate.run.vocabulary
    again = rule_from_spec(json.loads(json.dumps(rule.spec())), rule.files().__getitem__)
    lines = [*MET, *candidate.run.sample()]
    assert len(again) == len(rule)
    assert same(rule.encode(lines), again.encode(lines))
    assert sum(rule.encode(candidate.run.sample()).lengths) > 0


def test_batches_repeat_and_begin_anywhere(candidate, tmp_path):
    if candidate.plugin.fit is not None:
        pytest.skip("is not trained by batches")
    run = Run.create(
        tmp_path / "run", candidate.plugin, candidate.options, candidate.training, SEED, candidate.corpus.paths
    )
    run.save_vocabulary(candidate.run.vocabulary)

    def batches(number: int, start: int, processes: int = 1, turn: int | None = None) -> list:
        epoch = Epoch(number, run.seed, start, candidate.training.batch_size, run.scratch, processes, turn)
        return list(candidate.plugin.batches(candidate.corpus, run.vocabulary, candidate.options, epoch))

    whole = batches(0, 0)
    assert whole
    assert same(whole, batches(0, 0))
    for start in (1, len(whole) - 1, len(whole)):
        assert same(whole[start:], batches(0, start))
    assert not same(whole, batches(1, 0))  # another epoch, another order or other draws
    if candidate.plugin.update is None and not getattr(candidate.plugin, "carries", False):
        for start, turn in ((0, 0), (0, 1), (1, 1)):  # of two processes; each may leave out what the other learns from
            share = batches(0, start, 2, turn)
            assert len(share) == len(whole) - start
            for place, batch in enumerate(share):
                assert same(batch, whole[start + place]) or (batch is None and place % 2 != turn)


@pytest.mark.parametrize("batches", [1, 4])
def test_resumed_training_ends_with_the_same_weights(candidate, tmp_path, batches):
    """A training that is stopped after so many batches and resumed gives bit by bit what an uninterrupted one gives."""
    folder = tmp_path / "run"
    given = candidate.plugin, candidate.options, candidate.training, SEED, candidate.corpus.paths
    Run.create(folder, *given, init=candidate.run.init)
    asked = iter([False] * (batches - 1))
    first = list(train(Run.open(folder), candidate.corpus, device="cpu", threads=1, stop=lambda: next(asked, True)))
    assert isinstance(first[-1], (Stopped, Done))
    list(train(Run.open(folder), candidate.corpus, device="cpu", threads=1, resume=True))
    resumed, straight = Run.open(folder).network().state_dict(), candidate.run.network().state_dict()
    assert resumed.keys() == straight.keys()
    for name, value in straight.items():
        assert torch.equal(resumed[name], value), name


def test_exports_the_graphs_of_its_task(candidate):
    found = candidate.plugin.graphs(candidate.run.network(), candidate.run.vocabulary, candidate.options)
    task = tasks.get(candidate.plugin.task)
    assert set(task.graphs) - task.optional - task.extra <= set(found) <= set(task.graphs)


def test_an_encoder_gives_a_vector_for_each_token(candidate):
    given = candidate.plugin.encoder(candidate.run.network(), candidate.run.vocabulary, candidate.options)
    if given is None:
        pytest.skip("has no encoder to export as a model of the task embed")
    sample = candidate.run.sample()[:8]
    texts = list(given.texts(sample)) if given.texts else sample
    assert len(texts) == len(sample)
    assert tasks.get("embed").wrong_default(given.defaults) == ""
    ids, weight = map(torch.from_numpy, padded(given.rule, [*MET, *texts], given.graph.limit))
    module = given.graph.module.eval()
    with torch.no_grad():
        rows = module(ids) if isinstance(module, torch.nn.Embedding) else module(ids, weight)
    assert rows.shape[:2] == ids.shape
    assert torch.isfinite(rows[weight > 0]).all()


def test_the_shape_behind_every_norm_is_known(candidate):
    """If the shape is not known, onnxruntime takes twice as long to load the graph (textkit/exporting/tracing.py)."""
    read = bundle.read(candidate.model, candidate.plugin.task)
    for name in read.manifest.graphs:
        graph = onnx.load_from_string(read.graph(name)).graph
        known = {value.name: value.type.tensor_type.shape.dim for value in graph.value_info}
        for node in graph.node:
            if node.op_type == "LayerNormalization":
                assert all(axis.dim_param or axis.dim_value for axis in known[node.output[0]]), (name, node.output[0])


def test_model_is_sound_and_says_where_it_is_from(candidate):
    read = bundle.read(candidate.model, candidate.plugin.task)
    read.verify()
    manifest = read.manifest
    assert manifest.plugin["name"] == candidate.plugin.name
    assert manifest.plugin["version"]
    assert manifest.parity
    assert manifest.limits["tokens"] in (next(iter(candidate.graphs.values())).limit, TOKEN_LIMIT)
    assert manifest.made["seed"] == candidate.run.seed
    assert manifest.data[0]["file"] == "lines.txt"
    assert str(candidate.model.parent) not in (candidate.model / "manifest.json").read_text()


@pytest.mark.parametrize("text", ["a\n", "\n\n", "...\n"])
def test_corpus_too_small_is_one_clear_line(candidate, tmp_path, text):
    file = tmp_path / "small.txt"
    file.write_text(text)
    options, training = tiny(candidate.plugin, {}, candidate.run.init)
    run = Run.create(tmp_path / "run", candidate.plugin, options, training, SEED, [file], init=candidate.run.init)
    with pytest.raises(TextkitError) as caught:
        list(train(run, corpus_of(candidate.plugin, [file], options), device="cpu", threads=1))
    assert "\n" not in str(caught.value)
    assert "small.txt" in str(caught.value) or "corpus is too small" in str(caught.value)


def test_run_without_weights_is_not_exported(candidate, tmp_path):
    run = Run.create(
        tmp_path / "run", candidate.plugin, candidate.options, candidate.training, SEED, candidate.corpus.paths
    )
    run.save_vocabulary(candidate.run.vocabulary)
    with pytest.raises(TextkitError, match="has no weights yet"):
        export(run, tmp_path / "model")
    assert not (tmp_path / "model").exists()
