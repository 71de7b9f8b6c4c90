"""The examination that every plugin sits: those that are installed, and the toys of the training tests.

Trained a few steps on a corpus of a hundred lines, gone on with, exported, served. What a family computes is examined in
tests/plugins/; here is what all of them owe the house.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from textkit import bundle, config
from textkit.errors import TextkitError
from textkit.plugin import POOLING, TASKS, Epoch, Graph, Plugin, Training
from textkit.registry import Registry, registry
from textkit.serving.embedder import Embedder
from textkit.text import rule_from_spec
from textkit.training import parity
from textkit.training.corpus import Corpus
from textkit.training.events import Done, Progress, Stopped
from textkit.training.export import TOKEN_LIMIT, export
from textkit.training.run import Run
from textkit.training.trainer import train

TOYS = Path(__file__).parent / "training_toys.py"
SEED = 11
# Set where the plugin or the engine has such an option.
TINY = {"dim": 8, "min_count": 1, "epochs": 3, "batch_size": 16, "bucket": 500, "pieces": 80, "x_max": 10}
VARIANTS = {"fasttext-pieces": ("fasttext", {"kind": "pieces"})}
MET = [
    "",
    "  \t ",
    "the cat sat",
    "xqzzvkw",
    "the xqzzvkw cat",
    "NAÏVE Ünïcödé",
    "日本語 の 文",
    "\U0001f600 !?",
    "a" * 500,
]


def named() -> list[str]:
    found = Registry()
    found.add_file(TOYS)
    return sorted([*found.names(), *VARIANTS])


@dataclass
class Candidate:
    """One plugin, its run on the tiny corpus, and its model."""

    plugin: Plugin
    options: object
    training: Training
    run: Run
    events: list
    corpus: Corpus
    model: Path

    @functools.cached_property
    def graph(self) -> Graph:
        return self.plugin.graphs(self.run.network(), self.run.vocabulary, self.options)["embed"]


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    before = list(registry._files)
    registry.add_file(TOYS)
    yield
    registry._files, registry._entries = before, None
    for name in ("toy", "toy-own", "toy-fit"):
        registry._instances.pop(name, None)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    random = np.random.default_rng(2)
    words = ["the", "cat", "sat", "on", "mat", "naïve", "ünïcödé", "日本", "dog", "ran", "far", "home", "and", "slept"]
    share = 1 / np.arange(1, len(words) + 1)
    lines = [" ".join(random.choice(words, random.integers(0, 12), p=share / share.sum())) for _ in range(120)]
    file = tmp_path_factory.mktemp("corpus") / "lines.txt"
    file.write_text("\n".join(lines) + "\n")
    return Corpus([file])


@pytest.fixture(scope="module", params=named())
def candidate(request, corpus, tmp_path_factory) -> Candidate:
    folder = tmp_path_factory.mktemp(request.param)
    name, extra = VARIANTS.get(request.param, (request.param, {}))
    plugin = registry.get(name)
    options, training = tiny(plugin, extra)
    run = Run.create(folder / "run", plugin, options, training, SEED, corpus.paths)
    events = list(train(run, corpus, device="cpu", threads=1))
    return Candidate(plugin, options, training, run, events, corpus, export(run, folder / "model"))


def tiny(plugin: Plugin, extra: dict[str, object]) -> tuple[object, Training]:
    known = {field.name for field in [*dataclasses.fields(plugin.Config), *dataclasses.fields(Training)]}
    wanted = {key: value for key, value in TINY.items() if key in known} | extra
    if plugin.fit is not None:
        del wanted["epochs"], wanted["batch_size"]
    return config.resolve(plugin, None, [f"{key}={value}" for key, value in wanted.items()])


def test_says_what_it_is(candidate):
    plugin = candidate.plugin
    assert plugin.task in TASKS
    assert plugin.summary
    assert "\n" not in plugin.summary
    assert dataclasses.is_dataclass(plugin.Config)
    assert plugin.Config.__dataclass_params__.frozen
    assert (
        config.from_dict(plugin.Config, json.loads(json.dumps(config.as_dict(candidate.options)))) == candidate.options
    )
    assert set(plugin.defaults()) <= {"pooling", "normalize"}


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

    def batches(number: int, start: int) -> list:
        epoch = Epoch(number, SEED, start, candidate.training.batch_size, run)
        return list(candidate.plugin.batches(candidate.corpus, run.vocabulary, candidate.options, epoch))

    whole = batches(0, 0)
    assert whole
    assert same(whole, batches(0, 0))
    for start in (1, len(whole) - 1, len(whole)):
        assert same(whole[start:], batches(0, start))
    assert not same(whole, batches(1, 0))  # another epoch, another order or other draws


@pytest.mark.parametrize("batches", [1, 4])
def test_resumed_training_ends_with_the_same_weights(candidate, tmp_path, batches):
    """Stopped after so many batches, opened again, gone on with: bit by bit what an uninterrupted training gives."""
    folder = tmp_path / "run"
    Run.create(folder, candidate.plugin, candidate.options, candidate.training, SEED, candidate.corpus.paths)
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
    assert set(found) == set(TASKS[candidate.plugin.task])


def test_model_is_sound_and_says_where_it_is_from(candidate):
    read = bundle.read(candidate.model, candidate.plugin.task)
    read.verify()
    manifest = read.manifest
    assert manifest.plugin["name"] == candidate.plugin.name
    assert manifest.plugin["version"]
    assert 0 <= manifest.parity["max_relative"] <= parity.TOLERANCE
    assert manifest.limits["tokens"] in (candidate.graph.limit, TOKEN_LIMIT)
    assert manifest.made["seed"] == SEED
    assert manifest.data[0]["file"] == "lines.txt"
    assert str(candidate.model.parent) not in (candidate.model / "manifest.json").read_text()


def rows_of(candidate: Candidate, ids: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What the torch module makes of each token, zeros for padding: f32[line, token, dim]."""
    module = candidate.graph.module
    arguments = (torch.from_numpy(ids), torch.from_numpy(weight))
    with torch.no_grad():
        rows = module(*arguments[: 1 if isinstance(module, torch.nn.Embedding) else 2]).numpy()
    return np.where((weight > 0)[:, :, None], rows, 0)


def reference(candidate: Candidate, line: str, pool: int, normalize: bool, component: np.ndarray) -> np.ndarray:
    """One line through the torch module, alone and without padding, then pooled as the signature of `embed` says."""
    encoded = candidate.run.vocabulary.encode([line])
    ids = encoded.ids[None]
    weight = np.ones(ids.shape, np.float32) if encoded.weight is None else encoded.weight[None]
    rows = rows_of(candidate, ids, weight)
    if POOLING[pool] == "max" and encoded.spans is not None:  # the maximum is over words, not over what spells them
        ends = np.cumsum(encoded.spans)
        words = [
            (rows[0] * weight[0][:, None])[end - span : end].sum(0)
            for end, span in zip(ends, encoded.spans, strict=True)
            if span
        ]
        rows, weight = np.array(words)[None], np.ones((1, len(words)), np.float32)
    probability = candidate.graph.constants.get("probability")
    return parity.pooled(rows, ids, weight, pool, normalize, probability, component)[0]


@pytest.mark.parametrize("pooling", POOLING)
@pytest.mark.parametrize("normalize", [False, True])
def test_served_vectors_are_those_of_the_network(candidate, pooling, normalize):
    embed = Embedder(candidate.model, device="cpu", threads=1, pooling=pooling, normalize=normalize)
    lines = [*MET, *candidate.run.sample()[:6]]
    vectors = embed(lines)
    scale = max(1.0 if normalize else 0.0, float(np.abs(embed.matrix()).max()))
    assert vectors.shape == (len(lines), embed.dim)
    assert vectors.dtype == np.float32
    rule = candidate.run.vocabulary
    pool = POOLING.index(pooling)
    component = parity.first_component(
        lambda ids, weight: rows_of(candidate, ids, weight),
        rule,
        candidate.run.sample(),
        candidate.graph.constants.get("probability"),
    )
    for line, vector in zip(lines, vectors, strict=True):
        if not line.strip() or not rule.encode([line]).lengths[0]:
            assert not vector.any(), line
            continue
        length = np.linalg.norm(reference(candidate, line, pool, False, component))
        if normalize and length < 1e-3 * scale:
            continue  # SIF took all but rounding away, and what is left was made as long as the others
        expected = reference(candidate, line, pool, normalize, component)
        assert np.abs(vector - expected).max() <= 1e-4 * scale, line


def test_line_does_not_depend_on_its_batch(candidate):
    embed = Embedder(candidate.model, device="cpu", threads=1)
    lines = [*MET, *candidate.run.sample()[:20]]
    together = embed(lines)
    apart = np.concatenate([embed([line]) for line in lines])
    backwards = embed(lines[::-1])[::-1]
    scale = float(np.abs(together).max())
    assert np.abs(together - apart).max() <= 1e-5 * scale
    assert np.abs(together - backwards).max() <= 1e-5 * scale
    assert embed([]).shape == (0, embed.dim)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_lower_precision_states_what_it_costs(candidate, tmp_path, precision):
    folder = export(candidate.run, tmp_path / "model", precision)
    manifest = bundle.read(folder).manifest
    assert manifest.precision == precision
    figures = manifest.parity["deviation"]
    assert figures["lines"] > 0
    assert figures["worst_cosine"] >= (0.9999 if precision == "fp16" else 0.99)
    full, lower = Embedder(candidate.model, "cpu", 1, normalize=False), Embedder(folder, "cpu", 1, normalize=False)
    lines = candidate.run.sample()
    if full.pooling == "mean":
        assert np.abs(full(lines) - lower(lines)).max() <= figures["max_abs"] * 1.01 + 1e-6


def test_serves_where_there_is_no_torch(candidate):
    """In a fresh process in which neither torch nor onnx nor the plugins can be imported."""
    program = (
        "import json, sys\n"
        "for name in ('torch', 'onnx', 'onnxscript', 'transformers', 'textkit_plugins', 'textkit.training'):\n"
        "    sys.modules[name] = None\n"
        "from textkit.serving.embedder import Embedder\n"
        "lines = json.loads(sys.stdin.read())\n"
        "print(json.dumps(Embedder(sys.argv[1], device='cpu', threads=1)(lines).tolist()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, candidate.model],
        input=json.dumps(MET),
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stderr == ""
    here = Embedder(candidate.model, device="cpu", threads=1)(MET)
    assert np.array_equal(np.array(json.loads(done.stdout), np.float32), here)


@pytest.mark.parametrize("text", ["a\n", "\n\n", "...\n"])
def test_corpus_too_small_is_one_clear_line(candidate, tmp_path, text):
    file = tmp_path / "small.txt"
    file.write_text(text)
    options, training = tiny(candidate.plugin, {})
    run = Run.create(tmp_path / "run", candidate.plugin, options, training, SEED, [file])
    with pytest.raises(TextkitError) as caught:
        list(train(run, Corpus([file]), device="cpu", threads=1))
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


def same(left: object, right: object) -> bool:
    """Whether two batches hold the same, however they are built: bit by bit."""
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and np.array_equal(left, right)
    if dataclasses.is_dataclass(left):
        return type(left) is type(right) and same(vars(left), vars(right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return left == right
