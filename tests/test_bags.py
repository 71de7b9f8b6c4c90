"""A bag's vectors computed by the host: the mean of a line's rows, whatever is remembered, and the graph that takes them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from textkit.bundle import onnxfile
from textkit.bundle.bags import without_bag
from textkit.bundle.onnxfile import keep_outputs
from textkit.serving import open_model
from textkit.serving.session import Session
from textkit.tasks.classify.serving import sources
from textkit.tasks.classify.serving.bags import Bags
from textkit.text.hashed import Hashed
from textkit.text.ngrams import seen_words
from textkit.text.normalizer import Normalizer

RANDOM = np.random.default_rng(7)
KEPT = np.sort(RANDOM.permutation(1 << 12)[:900])
TABLE = RANDOM.standard_normal((900, 5)).astype(np.float32)
STEPS = RANDOM.integers(-127, 128, (900, 5)).astype(np.int8)
SCALE = RANDOM.random(900).astype(np.float32)


def lines_of(count: int) -> list[str]:
    rng = random.Random(2)
    words = ["".join(rng.choices("abcdefgh\u00e9\u4e2d.\u0301", k=rng.randrange(1, 8))) for _ in range(300)]
    lines = [" ".join(rng.choices(words, k=rng.randrange(0, 12))) for _ in range(count)]
    return [*lines, "", "  ", "a", " ".join(rng.choices(words, k=200)), "b" * 400]


def rule(word_ngrams: int, minimum: int, maximum: int) -> Hashed:
    return Hashed(Normalizer(), word_ngrams, minimum, maximum, 1 << 12, KEPT)


@pytest.mark.parametrize("limit", [4, 100_000])
@pytest.mark.parametrize("kinds", [(1, 1, 4), (3, 2, 5), (2, 1, 0), (0, 2, 3)])
@pytest.mark.parametrize("scale", [None, SCALE])
def test_vectors_are_the_means_of_rows(kinds, limit, scale):
    hashed, lines = rule(*kinds), lines_of(300)
    table = TABLE if scale is None else STEPS
    vectors, counts = Bags(hashed, table, scale, limit).means(lines)
    encoded = hashed.encode(lines)
    assert counts.tolist() == encoded.lengths.tolist()
    full = table.astype(np.float64) * (1 if scale is None else scale[:, None])
    parts = np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])
    expected = [full[ids[:limit]].mean(0) if len(ids) else np.zeros(5) for ids in parts]
    assert np.allclose(vectors, expected, rtol=0, atol=2e-5 if scale is None else 2e-4)


@pytest.mark.parametrize("scale", [None, SCALE])
def test_a_vector_depends_on_its_line_alone_to_the_last_bit(scale, monkeypatch: pytest.MonkeyPatch):
    hashed, lines, table = rule(2, 1, 4), lines_of(1500), TABLE if scale is None else STEPS
    together = Bags(hashed, table, scale, 300).means(lines)[0]
    backwards = Bags(hashed, table, scale, 300).means(lines[::-1])[0][::-1]
    assert np.array_equal(together, backwards)
    monkeypatch.setattr(seen_words, "AT_ONCE", 450)  # the longest lines are longer than that
    monkeypatch.setattr(seen_words, "MOST", 500)
    bags = Bags(hashed, table, scale, 300)
    alone = np.concatenate([bags.means([line])[0] for line in lines])
    short = np.array([len(line) < 400 for line in lines])
    assert np.array_equal(together[short], alone[short])
    assert np.allclose(together, alone, atol=2e-4)


def bag_graph(quantized: bool = False, **changed: Any) -> bytes:
    """The graph of a bag, as it is exported, but for what is `changed`."""
    value, node = helper.make_tensor_value_info, helper.make_node
    held: dict[str, Any] = {
        "table": TABLE,
        "one": np.array([1]),
        "tiny": np.array(1e-12, np.float32),
        "out": np.eye(5, 3, dtype=np.float32),
    }
    nodes = [
        node("ReduceSum", ["weight", "one"], ["sum"], keepdims=changed.get("keepdims", 1)),
        node("Clip", ["sum", "tiny"], ["total"]),
        node("Div", ["weight", "total"], ["share"]),
    ]
    if quantized:
        held |= {"table": STEPS, "scale": SCALE[:, None], "last": np.array([-1])}
        nodes += [
            node("Gather", ["table", "ids"], ["steps"], axis=0),
            node("Cast", ["steps"], ["rows"], to=TensorProto.FLOAT),
            node("Gather", ["scale", "ids"], ["scales"]),
            node("Squeeze", ["scales", "last"], ["flat"]),
            node("Mul", ["share", "flat"], ["shares"]),
        ]
    else:
        nodes += [node("Gather", ["table", "ids"], ["rows"]), node("Identity", ["share"], ["shares"])][
            : 1 + bool(changed.get("more"))
        ]
    shares = "shares" if quantized or changed.get("more") else "share"
    nodes += [
        node("Einsum", [shares, "rows"], ["mean"], equation=changed.get("equation", "lt,ltw->lw")),
        node("MatMul", ["mean", "out"], ["y"]),
    ]
    held |= changed.get("held", {})
    outputs = [value("y", TensorProto.FLOAT, ["line", 3])] + [
        value("share", TensorProto.FLOAT, ["line", "token"])
    ] * bool(changed.get("shown"))
    graph = helper.make_graph(
        nodes, "g",
        [value("ids", TensorProto.INT64, ["line", "token"]), value("weight", TensorProto.FLOAT, ["line", "token"])],
        outputs, [numpy_helper.from_array(array, name) for name, array in held.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    onnx.checker.check_model(made)
    data: bytes = made.SerializeToString()
    return data


@pytest.mark.parametrize("quantized", [False, True])
def test_a_graph_without_its_bag_takes_means(quantized):
    data = bag_graph(quantized)
    bag = without_bag(data, "ids", "weight")
    assert bag is not None
    assert bag.port == "mean"
    assert np.array_equal(bag.table, STEPS if quantized else TABLE)
    assert [(port.name, port.axes) for port in onnxfile.inspect(bag.graph, "g").inputs] == [("mean", ("line", 5))]
    assert len(bag.graph) < len(data) - bag.table.nbytes
    ids, weight = np.array([[4, 9, 9], [899, 0, 0]]), np.array([[1, 1, 1], [1, 0, 0]], np.float32)
    expected = Session(data, "cpu", 1).run({"ids": ids, "weight": weight})["y"]
    rows = bag.table.astype(np.float32) * (1 if bag.scale is None else bag.scale[:, None])
    means = np.stack([rows[[4, 9, 9]].mean(0), rows[899]])
    assert np.allclose(Session(bag.graph, "cpu", 1).run({"mean": means})["y"], expected, atol=1e-5)


@pytest.mark.parametrize(
    "changed",
    [
        {"equation": "lt,ltw->l"},
        {"held": {"tiny": np.array(2, np.float32)}},
        {"held": {"one": np.array([0])}},
        {"keepdims": 0},
        {"shown": True},
        {"more": True},
    ],
)
def test_another_graph_is_left_alone(changed):
    assert without_bag(bag_graph(**changed), "ids", "weight") is None


@pytest.mark.parametrize("operator", ["Einsum", "Gather", "Clip", "ReduceSum", "Div"])
def test_a_node_that_takes_or_makes_nothing_is_left_alone(operator):
    for side in ("input", "output"):
        model = onnx.load_from_string(bag_graph())
        [node] = [node for node in model.graph.node if node.op_type == operator]
        del getattr(node, side)[:]
        assert without_bag(model.SerializeToString(), "ids", "weight") is None


def test_a_damaged_graph_is_left_alone_or_served():
    data = bag_graph(quantized=True)
    for at in range(0, len(data), 7):
        assert without_bag(data[:at], "ids", "weight") is None
    changed = [without_bag(data[:at] + b"\xff" + data[at + 1 :], "ids", "weight") for at in range(0, len(data), 7)]
    served = [found for found in changed if found is not None]
    assert 0 < len(served) < len(changed)
    for found in served:
        assert found.port == "mean"
        assert found.table.shape == STEPS.shape
        assert found.scale.shape == SCALE.shape


def test_bytes_that_are_no_model():
    assert without_bag(b"\x3a\x05abc", "ids", "weight") is None


def test_the_default_model_gives_what_its_graph_gives(monkeypatch: pytest.MonkeyPatch):
    lines = [
        "Hello, how are you?",
        "Guten Tag, wie geht es Ihnen?",
        "12 34",
        "",
        "\u0926\u094b \u0936\u092c\u094d\u0926",
        "x",
    ] * 3
    fast, slow = (open_model("languages", task="classify", device="cpu") for _ in range(2))
    assert fast.source.light
    assert fast.source._bags
    given = fast(lines)
    monkeypatch.setattr(sources, "without_bag", lambda *_: None)
    expected = slow(lines)
    assert not slow.source._bags
    for ours, theirs in zip(given, expected, strict=True):
        assert ours.label == theirs.label
        # A bit more or less before the rounding to integers may make a step of a row.
        assert np.allclose(ours.probabilities, theirs.probabilities, atol=5e-3)
    assert fast.unknown_lines == slow.unknown_lines
    graph = keep_outputs(fast.bundle.graph("classify"), ["importance"])
    assert without_bag(graph, "ids", "weight") is None
