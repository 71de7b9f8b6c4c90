"""Integers for uneven channels and for what a Gelu gives: less is lost, weights come back, no row depends on another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from textkit.bundle.weights import weights_of
from textkit.cuda.dequantising import dequantised
from textkit.cuda.model import Model
from textkit.exporting import quantize_graph
from textkit.exporting.parity import MORE, SAMPLE, Case, load
from textkit.exporting.quantize_channels import constant_size, divisors, largest_channels
from textkit.plugin import Graph
from textkit.tasks.embed.exporting import export
from textkit.tasks.embed.exporting.export import trace
from textkit.text.normalizer import Normalizer
from textkit.text.words import Words

DIM, ROWS = 64, 50


class Uneven(torch.nn.Module):
    """Vectors whose fourth channel is thirty times as large as the others, times two matrices; or, even, through a Gelu."""

    def __init__(self, gelu: bool = False) -> None:
        super().__init__()
        torch.manual_seed(4)
        table = torch.randn(ROWS, DIM)
        table[:, 3] *= 1 if gelu else 30
        self.embedding = torch.nn.Embedding.from_pretrained(table)
        self.first, self.second = torch.nn.Linear(DIM, DIM), torch.nn.Linear(DIM, DIM, bias=False)
        self.gelu = gelu

    def forward(self, ids, weight):
        x = self.embedding(ids) * 1.5  # what is looked up alone is a table
        if self.gelu:
            return self.second(torch.nn.functional.gelu(x))
        return self.first(x) * self.second(x)


def case(name: str = SAMPLE, seed: int = 0) -> Case:
    random = np.random.default_rng(seed)
    weight = (np.arange(7) < np.array([[7], [3], [1], [0]])).astype(np.float32)
    return Case(name, random.integers(0, ROWS, (4, 7)), weight)


def feeds(one: Case) -> dict[str, np.ndarray]:
    return {"ids": one.ids, "weight": one.weight}


def test_divisors_by_hand():
    largest = np.array([1.0, 1, 1, 16], np.float32)
    matrix = np.array([[1, -1], [0.5, 1], [1, 1], [2, -4]], np.float32)  # the largest of each row: 1, 1, 1, 4
    found = divisors(largest, [matrix])
    wanted = np.array([1, 1, 1, 16**0.8 / 4**0.2])
    assert found == pytest.approx(wanted / np.prod(wanted) ** 0.25, rel=1e-5)
    two = divisors(largest, [matrix, np.array([[8, 0], [0, 0], [0, 0], [0, 0]], np.float32)])
    assert two[1] / two[0] == pytest.approx(8**0.2, rel=1e-5)
    assert divisors(np.array([1.0, 2, 3, 4], np.float32), [matrix]) is None  # even enough
    assert np.isfinite(divisors(np.array([0, 1.0, 1, 9], np.float32), [np.zeros((4, 2), np.float32) + 0.1])).all()
    assert divisors(np.zeros(4, np.float32), [matrix]) is None


def test_channels_are_measured_over_real_tokens_of_real_text():
    module = Uneven().eval()
    body = trace(module, ROWS)
    real, other = case(), case(MORE, 9)
    (found,) = largest_channels(body, [real, other]).values()
    rows = module.embedding.weight.numpy()[real.ids[real.weight > 0]] * 1.5
    assert found == pytest.approx(np.abs(rows).max(axis=0), rel=1e-6)
    (without,) = largest_channels(body, [Case("ragged", real.ids, real.weight), other]).values()
    assert np.array_equal(found, without)


def deviation(module: Uneven, **how) -> float:
    """How far int8 is from the module, of its largest number."""
    session = load(quantize_graph.lower(trace(module, ROWS), "int8", **how).SerializeToString())
    one = case("other", 5)
    with torch.no_grad():
        wanted = module(*map(torch.from_numpy, (one.ids, one.weight))).numpy()
    return float(np.abs(session.run(feeds(one))["rows"] - wanted).max() / np.abs(wanted).max())


def test_a_large_channel_takes_no_steps_from_the_others():
    module = Uneven().eval()
    even = deviation(module, largest=largest_channels(trace(module, ROWS), [case()]))
    assert even < 0.4 * deviation(module)


def test_what_a_gelu_gives_has_more_steps():
    """Numbers from -0.17 on need fewer steps below 0; even a row without large numbers keeps its sign."""
    module = Uneven(gelu=True).eval()
    graph = quantize_graph.lower(trace(module, ROWS), "int8")
    assert {node.op_type for node in graph.graph.node} >= {"Gelu", "Max", "MatMulIntegerToFloat"}
    assert not any(node.op_type == "Abs" for node in graph.graph.node)
    assert deviation(module) < 0.02
    with torch.no_grad():
        module.embedding.weight.fill_(-0.5)  # Gelu(-0.75) = -0.17, its least
        module.embedding.weight[:, 0] = 0.1
        module.second.weight.fill_(0.01)
    assert deviation(module) < 0.02


def test_weights_come_back_as_they_were():
    module = Uneven().eval()
    body = trace(module, ROWS)
    lowered = quantize_graph.lower(body, "int8", largest=largest_channels(body, [case()]))
    assert any(weight.name.endswith("/channels") for weight in lowered.graph.initializer)
    found = weights_of(lowered.SerializeToString())
    for name in ("first", "second"):
        wanted = module.get_parameter(f"{name}.weight").detach().numpy()
        apart = np.abs(found[f"{name}.weight"] - wanted).max(axis=0) / np.abs(wanted).max()  # [in]
        assert apart.max() < 0.1
        assert apart[3] < 0.01  # the others' steps are as wide as this one needs


def test_a_row_does_not_depend_on_the_others():
    module = Uneven().eval()
    body = trace(module, ROWS)
    session = load(quantize_graph.lower(body, "int8", largest=largest_channels(body, [case()])).SerializeToString())
    one = case()
    together = session.run(feeds(one))["rows"]
    for line in range(len(one.ids)):
        alone = session.run({"ids": one.ids[line : line + 1], "weight": one.weight[line : line + 1]})["rows"]
        assert np.array_equal(alone[0], together[line])


class Normed(torch.nn.Module):
    """Rows of a normalisation whose fourth channel is thirty times as large as the others, times two matrices."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.embedding, self.norm = torch.nn.Embedding(ROWS, DIM), torch.nn.LayerNorm(DIM)
        self.norm.weight.data[3] = 30
        self.first, self.second = torch.nn.Linear(DIM, DIM), torch.nn.Linear(DIM, DIM, bias=False)

    def forward(self, ids, weight):
        x = self.norm(self.embedding(ids))
        return self.first(x) * self.second(x)


def test_a_size_by_hand():
    assert constant_size(np.array([1.0, 8, 3], np.float32), np.array([1, 4, 1], np.float32)) == 1.25 * 3
    assert constant_size(np.array([1.0, 8, 3], np.float32), np.float32(1)) == 1.25 * 8


def test_rows_of_a_normalisation_may_share_a_scale():
    module = Normed().eval()
    body = trace(module, ROWS)
    largest = largest_channels(body, [case()])
    lowered = quantize_graph.lower(body, "int8", largest=largest, constant=True)
    kinds = [node.op_type for node in lowered.graph.node]
    assert not {"Abs", "ReduceMax", "Div"} & set(kinds)
    assert kinds.count("QuantizeLinear") == kinds.count("Mul") - 2 == 1  # channels, the table, the module itself
    assert "Add" not in kinds  # the products add their biases
    by_rows = deviation(module, largest=largest)
    assert deviation(module, largest=largest, constant=True) < 1.5 * by_rows < 0.05
    found = weights_of(lowered.SerializeToString())["first.weight"]
    wanted = module.first.weight.detach().numpy()
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()
    session = load(lowered.SerializeToString())
    one = case()
    together = session.run(feeds(one))["rows"]
    for line in range(len(one.ids)):
        alone = session.run({"ids": one.ids[line : line + 1], "weight": one.weight[line : line + 1]})["rows"]
        assert np.array_equal(alone[0], together[line])


def test_a_gpu_gets_products_of_floats_without_channels():
    module = Normed().eval()
    body = trace(module, ROWS)
    stored = quantize_graph.lower(body, "int8", largest=largest_channels(body, [case()]), constant=True)
    model = Model(stored.SerializeToString())
    dequantised(model)
    kinds = [node.operator for node in model.nodes]
    assert not {"MatMulIntegerToFloat", "QuantizeLinear"} & set(kinds)
    assert kinds.count("Mul") == 1
    one = case()
    with torch.no_grad():
        wanted = module(*map(torch.from_numpy, (one.ids, one.weight))).numpy()
    given = load(model.written()).run(feeds(one))["rows"]
    assert np.abs(given - wanted).max() < 0.03 * np.abs(wanted).max()


def test_a_model_that_a_shared_scale_turns_too_far_gets_one_for_each_row(monkeypatch):
    lowered = []
    real = quantize_graph.lower
    monkeypatch.setattr(
        export.quantize_graph, "lower", lambda *given, **how: lowered.append(how["constant"]) or real(*given, **how)
    )
    rule = Words([f"w{at}" for at in range(ROWS)], Normalizer())
    sample = [" ".join(f"w{(3 * line + 7 * at) % ROWS}" for at in range(6)) for line in range(20)]
    found = export.export_module(Graph(Normed().eval()), rule, sample, "int8")
    assert lowered == [True]
    assert found.parity["deviation"]["worst_cosine"] > 0.98
    monkeypatch.setattr(quantize_graph, "constant_size", lambda largest, divisors: 0.5)  # cuts nearly all
    del lowered[:]
    again = export.export_module(Graph(Normed().eval()), rule, sample, "int8")
    assert lowered == [True, False]
    assert again.parity["deviation"]["worst_cosine"] > 0.98
