"""Any family's export, in any precision: a line has the same answer alone, with others and padded, to the last bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from examination import MET, VARIANTS, lines, named, tiny, toys  # noqa: F401

from textkit.bundle import onnxfile
from textkit.bundle.bundle import read
from textkit.corpora.corpus import corpus_of
from textkit.exporting.export import export
from textkit.registry import registry
from textkit.task_registry import tasks
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.tasks.embed.task import SIDES
from textkit.tasks.language.serving.generator import Generator
from textkit.tasks.language.serving.scorer import LanguageModel
from textkit.tasks.translate.serving.translator import Translator
from textkit.training.run import Run
from textkit.training.trainer import train

pytestmark = pytest.mark.slow  # two exports per family

# Wide enough for matrices to be stored in int8.
WIDE = {"dim": 64, "hidden": 64, "feedforward": 96, "epochs": 1, "layers": 2, "attention_dim": 64}
PRECISIONS = ("fp32", "int8")
_runs: dict[str, Run] = {}


def exported(name: str, precision: str, factory: pytest.TempPathFactory):
    """The folder of an exported model of a family. It has learnt next to nothing, since only equality is tested."""
    if name not in _runs:
        family, extra = VARIANTS.get(name, (name, {}))
        folder, plugin = factory.mktemp(name), registry.get(family)
        (folder / "lines.txt").write_text("".join(f"{line}\n" for line in data_of(family)))
        known = {field.name for field in dataclasses.fields(plugin.Config)} | {"epochs"}
        wide = {key: value for key, value in WIDE.items() if key in known and plugin.task != "embed"}
        options, training = tiny(plugin, wide | extra)
        corpus = corpus_of(plugin, [folder / "lines.txt"], options)
        run = Run.create(folder / "run", plugin, options, training, 3, corpus.paths)
        list(train(run, corpus, device="cpu", threads=1))
        _runs[name] = run
    return export(_runs[name], factory.mktemp(f"{name}-{precision}") / "model", precision)


def data_of(family: str) -> list[str]:
    plugin = registry.get(family)
    return lines(plugin.corpus or tasks.get(plugin.task).corpus)


def of(task: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("name", "precision"), [(name, precision) for name in named(task) for precision in PRECISIONS]
    )


def texts(name: str) -> list[str]:
    given = [line.split("\t")[0] for line in data_of(VARIANTS.get(name, (name,))[0])[:16]]
    return [*given, *MET[:8]]


@of("translate")
def test_translations(name, precision, tmp_path_factory):
    folder = exported(name, precision, tmp_path_factory)
    if precision == "int8":
        graphs = [read(folder).graph(graph) for graph in ("encode", "step")]
        assert not any(map(onnxfile.shares_scales, graphs))
        assert any(b"MatMulIntegerToFloat" in graph for graph in graphs)
        assert not any(b"\x04LSTM" in graph for graph in graphs)  # the name of an operator, with its length
    given = texts(name)
    for options in ({"beam_size": 1, "word_scores": True}, {"n_best": 3}, {"sample": True, "seed": 5}):
        one, two = (Translator(folder, "cpu", threads, max_length=12, **options) for threads in (1, 2))
        together = one.translate(given)
        assert [one.translate([line], first=at)[0] for at, line in enumerate(given)] == together
        assert two.translate(given) == together


@of("language")
def test_scores_and_texts(name, precision, tmp_path_factory):
    folder = exported(name, precision, tmp_path_factory)
    if precision == "int8":
        assert not onnxfile.shares_scales(read(folder).graph("score"))
        assert b"MatMulIntegerToFloat" in read(folder).graph("score")
        assert b"\x04LSTM" not in read(folder).graph("score")  # the name of an operator, with its length
    given = texts(name)
    one, two = (LanguageModel(folder, "cpu", threads) for threads in (1, 2))
    together = [found.logprobs.tobytes() for found in one(given)]
    assert [one([line])[0].logprobs.tobytes() for line in given] == together
    assert [found.logprobs.tobytes() for found in two(given)] == together
    one, two = (Generator(folder, "cpu", threads, seed=4, max_tokens=8, samples=2) for threads in (1, 2))
    made = one(given)
    assert [one.generate([line], [at])[0] for at, line in enumerate(given)] == made
    assert two(given) == made


@of("embed")
def test_vectors(name, precision, tmp_path_factory):
    folder = exported(name, precision, tmp_path_factory)
    given = texts(name)
    for side in SIDES:
        one, two = (Embedder(folder, "cpu", threads, side=side) for threads in (1, 2))
        together = one(given)
        assert np.array_equal(np.concatenate([one([line]) for line in given]), together)
        assert np.array_equal(two(given[::-1])[::-1], together)
