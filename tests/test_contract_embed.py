"""What the task embed asks of every plugin on top of test_contract.py: the vectors served are those of the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from examination import MET, Candidate, made, named, served_without_torch, toys  # noqa: F401

from textkit.bundle import bundle
from textkit.exporting.export import export
from textkit.plugin import Graph
from textkit.tasks.embed.exporting import parity
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.tasks.embed.task import OWN, PORT, SIDES, Side


@pytest.fixture(scope="module", params=named("embed"))
def candidate(request, tmp_path_factory) -> Candidate:
    return made(request.param, tmp_path_factory)


def test_parity_is_stated(candidate):
    assert 0 <= bundle.read(candidate.model).manifest.parity["max_relative"] <= parity.TOLERANCE


def outputs_of(graph: Graph, ids: np.ndarray, weight: np.ndarray) -> list[np.ndarray]:
    """The torch module's vector of each token f32[line, token, dim], and of each line f32[line, dim] if it pools."""
    arguments = (torch.from_numpy(ids), torch.from_numpy(weight))
    with torch.no_grad():
        given = graph.module(*arguments[: 1 if isinstance(graph.module, torch.nn.Embedding) else 2])
    return [part.numpy() for part in (given if isinstance(given, tuple) else (given,))]


def rows_of(graph: Graph, ids: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The vectors of tokens, zeros for padding: f32[line, token, dim]."""
    return np.where((weight > 0)[:, :, None], outputs_of(graph, ids, weight)[0], 0)


def reference(
    candidate: Candidate, graph: Graph, line: str, pool: int, normalize: bool, component: np.ndarray
) -> np.ndarray:
    """The vector of one line: through the torch module, alone and without padding, then pooled as `embed`'s signature says."""
    encoded = candidate.run.vocabulary.encode([line])
    ids = encoded.ids[None]
    weight = np.ones(ids.shape, np.float32) if encoded.weight is None else encoded.weight[None]
    rows, *own = outputs_of(graph, ids, weight)
    if PORT[pool] == "max" and encoded.spans is not None:  # the maximum is over words, not over their pieces
        ends = np.cumsum(encoded.spans)
        words = [
            (rows[0] * weight[0][:, None])[end - span : end].sum(0)
            for end, span in zip(ends, encoded.spans, strict=True)
            if span
        ]
        rows, weight = np.array(words)[None], np.ones((1, len(words)), np.float32)
    probability = graph.constants.get("probability")
    return parity.pooled(rows, ids, weight, pool, normalize, probability, component, *own)[0]


@pytest.mark.parametrize("pooling", PORT)
@pytest.mark.parametrize("normalize", [False, True])
def test_served_vectors_are_those_of_the_network(candidate, pooling, normalize):
    if pooling == OWN and not getattr(candidate.graph.module, "pools", False):
        pytest.skip("has no vector of its own for a line")
    for side, graph in zip(SIDES, candidate.graphs.values(), strict=False):
        check_served_vectors(candidate, side, graph, pooling, normalize)


def check_served_vectors(candidate: Candidate, side: Side, graph: Graph, pooling: str, normalize: bool) -> None:
    embed = Embedder(candidate.model, device="cpu", threads=1, pooling=pooling, normalize=normalize, side=side)
    lines = [*MET, *candidate.run.sample()[:6]]
    vectors = embed(lines)
    scale = max(1.0 if normalize else 0.0, float(np.abs(embed.matrix()).max(initial=0)), float(np.abs(vectors).max()))
    assert vectors.shape == (len(lines), embed.dim)
    assert vectors.dtype == np.float32
    rule = candidate.run.vocabulary
    pool = PORT.index(pooling)
    component = parity.first_component(
        lambda ids, weight: rows_of(graph, ids, weight),
        rule,
        candidate.run.sample(),
        graph.constants.get("probability"),
    )
    for line, vector in zip(lines, vectors, strict=True):
        if not line.strip() or not rule.encode([line]).lengths[0]:
            assert not vector.any(), line
            continue
        length = np.linalg.norm(reference(candidate, graph, line, pool, False, component))
        if normalize and length < 1e-3 * scale:
            continue  # SIF left nothing but rounding errors, which normalising made as long as the other vectors
        expected = reference(candidate, graph, line, pool, normalize, component)
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


@pytest.mark.parametrize("precision", [pytest.param("fp16", marks=pytest.mark.slow), "int8"])
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
    served = served_without_torch(candidate.model, "Embedder", MET, "found.tolist()")
    assert np.array_equal(np.array(served, np.float32), Embedder(candidate.model, device="cpu", threads=1)(MET))
