"""The candidates of the examination of plugins: each installed family and the toys, trained a few steps and exported, once."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from textkit import config
from textkit.corpora.corpus import Corpus, corpus_of
from textkit.exporting.export import export
from textkit.plugin import Graph, Plugin, Training
from textkit.registry import Registry, registry
from textkit.task import LINES
from textkit.task_registry import tasks
from textkit.training.effects import without_effect
from textkit.training.initial import options_of, source_of
from textkit.training.run import Run
from textkit.training.trainer import train

TOYS = Path(__file__).parent / "training_toys.py"
SEED = 11
# Set where the plugin or the engine has such an option.
TINY = {
    "dim": 8, "min_count": 1, "epochs": 3, "batch_size": 16, "bucket": 500, "pieces": 80, "x_max": 10,
    "hidden": 8, "layers": 1, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "feedforward": 16, "tokenizer": "word",
    "vocab_size": 100, "batch_tokens": 256, "max_tokens": 32, "patience": 0,
    "streams": 4, "bptt": 8, "towers": "two",
}  # fmt: skip
BEGIN_WITH = {"few-shot": "classifier"}  # a family that needs a model to begin with -> the family of that model
HEADED = "textkit.tasks.classify.corpus:HeadedCorpus"
VARIANTS = {
    "fasttext-pieces": ("fasttext", {"kind": "pieces"}),
    "transformer-ssru": ("transformer", {"decoder_autoreg": "ssru"}),
    "classifier-wide": ("classifier", {"text": "word", "encoder": "transformer", "wide": 2}),
}
WORDS = ["the", "cat", "sat", "on", "mat", "naïve", "ünïcödé", "日本", "dog", "ran", "far", "home", "and", "slept"]
LABELS = ["one", "two, or more", "drei", "четыре"]
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


def named(task: str | None = None) -> list[str]:
    """The names of the candidates, of one task or of all."""
    found = Registry()
    found.add_file(TOYS)
    every = sorted([*found.names(), *VARIANTS])
    return [name for name in every if task in (None, found.get(VARIANTS.get(name, (name,))[0]).task)]


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
    def graphs(self) -> dict[str, Graph]:
        return dict(self.plugin.graphs(self.run.network(), self.run.vocabulary, self.options))

    @property
    def graph(self) -> Graph:
        return self.graphs["embed"]


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    """The toys are plugins while a module of the examination runs; each such module imports this fixture."""
    before = list(registry._files)
    registry.add_file(TOYS)
    yield
    registry._files, registry._entries = before, None
    for name in ("toy", "toy-own", "toy-fit"):
        registry._instances.pop(name, None)


_made: dict[str, Candidate] = {}


def made(name: str, temporary: pytest.TempPathFactory) -> Candidate:
    """The candidate `name`, trained when it is first asked for."""
    if name not in _made:
        _made[name] = _make(name, temporary.mktemp(name))
    return _made[name]


def _make(name: str, folder: Path) -> Candidate:
    name, extra = VARIANTS.get(name, (name, {}))
    plugin = registry.get(name)
    file = folder / "lines.txt"
    file.write_text("".join(f"{line}\n" for line in lines(plugin.corpus or tasks.get(plugin.task).corpus)))
    init = None
    if name in BEGIN_WITH:
        init = str(_make(BEGIN_WITH[name], Path(tempfile.mkdtemp(dir=folder))).run.folder)
    options, training = tiny(plugin, extra, init)
    corpus = corpus_of(plugin, [file], options)
    run = Run.create(folder / "run", plugin, options, training, SEED, corpus.paths, init=init)
    events = list(train(run, corpus, device="cpu", threads=1))
    return Candidate(plugin, options, training, run, events, corpus, export(run, folder / "model"))


def lines(corpus: str) -> list[str]:
    """120 lines, or 120 pairs of lines without an empty side; for a corpus of labelled lines one side is one of four labels."""
    random = np.random.default_rng(2)
    share = 1 / np.arange(1, len(WORDS) + 1)

    def line(least: int) -> str:
        return " ".join(random.choice(WORDS, random.integers(least, 12), p=share / share.sum()))

    if corpus in (tasks.get("classify").corpus, HEADED):
        return [f"{random.choice(LABELS)}\t{line(1)}" for _ in range(120)]
    return [line(0) if corpus == LINES else f"{line(1)}\t{line(1)}" for _ in range(120)]


def tiny(plugin: Plugin, extra: dict[str, object], init: str | None = None) -> tuple[object, Training]:
    known = {field.name for field in [*dataclasses.fields(plugin.Config), *dataclasses.fields(Training)]}
    known -= without_effect(plugin).keys()
    wanted = {key: value for key, value in TINY.items() if key in known} | extra
    if plugin.fit is not None:
        wanted.pop("epochs", None)
    if plugin.training.patience == 0:
        wanted.pop("patience", None)
    base = None if init is None else (options_of(plugin, source_of(init)), plugin.training)
    if base is not None:  # the model that it begins with has its own sizes
        wanted = {key: value for key, value in wanted.items() if key not in plugin.inherited}
    return config.resolve(plugin, None, [f"{key}={value}" for key, value in wanted.items()], base)


WITHOUT = (
    "torch", "onnx", "onnxscript", "transformers", "textkit_plugins", "textkit.training", "textkit.exporting",
)  # fmt: skip


def served_without_torch(model: Path, name: str, lines: list[str], said: str = "found") -> Any:
    """What textkit's class `name` makes of the lines in a fresh process that can import neither torch nor onnx nor the plugins.

    `said` is the expression, over what was `found`, that comes back as JSON.
    """
    program = (
        "import json, sys\n"
        f"for name in {WITHOUT}:\n"
        "    sys.modules[name] = None\n"
        f"from textkit import {name}\n"
        f"found = {name}(sys.argv[1], device='cpu', threads=1)(json.loads(sys.stdin.read()))\n"
        f"print(json.dumps({said}))\n"
    )
    command = [sys.executable, "-c", program, str(model)]
    done = subprocess.run(command, input=json.dumps(lines), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def same(left: object, right: object) -> bool:
    """Whether two batches hold the same, bit by bit, whatever containers they are built of."""
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
