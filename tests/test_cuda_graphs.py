"""Graphs rewritten for a GPU compute what the model computes: integers as floats, fp16, blocks. Compared on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from examination import made, named, toys  # noqa: F401
from onnx import TensorProto, helper, numpy_helper

from textkit.bundle.weights import weights_of
from textkit.cuda import graphs
from textkit.cuda.graphs import SHAPES, for_cuda, precision_of
from textkit.cuda.model import Model
from textkit.errors import TextkitError
from textkit.exporting.export import export
from textkit.exporting.quantize_graph import lower
from textkit.serving.session import Session

SHIPPED = sorted((Path(__file__).parent.parent / "exported_models").glob("*/*.onnx"))
INTEGERS = {
    "MatMulIntegerToFloat",
    "MatMulInteger",
    "DynamicQuantizeLinear",
    "DynamicQuantizeMatMul",
    "DynamicQuantizeLSTM",
}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setattr(graphs, "cache_folder", lambda: tmp_path / "graphs")
    return tmp_path / "graphs"


def operators(graph: bytes) -> set[str]:
    return {node.operator for node in Model(graph).nodes}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_what_is_read_is_written_again(file):
    data = file.read_bytes()
    model = Model(data)
    again, before = onnx.load_from_string(model.written()), onnx.load_from_string(data)
    assert list(map(str, again.graph.node)) == list(map(str, before.graph.node))
    assert {one.name: one.SerializeToString() for one in again.graph.initializer} == {
        one.name: one.SerializeToString() for one in before.graph.initializer
    }
    for one in before.graph.initializer:
        np.testing.assert_array_equal(model.constant(one.name), numpy_helper.to_array(one))
    assert [port.name for port in again.graph.input] == [port.name for port in before.graph.input]
    assert [port.type.tensor_type.elem_type for port in again.graph.output] == [
        port.type.tensor_type.elem_type for port in before.graph.output
    ]


def graph_of(nodes, inputs, outputs, constants) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*port) for port in inputs],
        [helper.make_tensor_value_info(*port) for port in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def grid(shape, seed=0, steps=127) -> np.ndarray:
    """Numbers that int8 stores exactly: integers times a scale for each column, the largest of which is 127."""
    random = np.random.default_rng(seed)
    whole = random.integers(-steps, steps + 1, shape).astype(np.float32)
    whole[..., 0, :] = steps
    return whole * np.exp2(random.integers(-9, -5, shape[-1])).astype(np.float32)


def perceptron() -> onnx.ModelProto:
    """Rows of a table that is multiplied by as well, two layers, a norm and a softmax."""
    table = grid((64, 48)).T.copy()  # 48 words of 64 numbers: a scale for each row
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        helper.make_node("MatMul", ["x", "one"], ["h"]),
        helper.make_node("Add", ["h", "bias"], ["hb"]),
        helper.make_node("Relu", ["hb"], ["r"]),
        helper.make_node("MatMul", ["r", "two"], ["y"]),
        helper.make_node("Add", ["x", "y"], ["s"]),
        helper.make_node("LayerNormalization", ["s", "gain", "shift"], ["n"], axis=-1),
        helper.make_node("Transpose", ["table"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["n", "turned"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["logprob"], axis=-1),
    ]
    constants = {
        "table": table, "one": grid((64, 96), 1), "two": grid((96, 64), 2), "bias": np.linspace(-1, 1, 96, dtype=np.float32),
        "gain": np.ones(64, np.float32), "shift": np.zeros(64, np.float32),
    }  # fmt: skip
    inputs = [("ids", TensorProto.INT64, ["line", "token"])]
    return graph_of(nodes, inputs, [("logprob", TensorProto.FLOAT, ["line", "token", 48])], constants)


def run(graph: bytes, feeds) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, feeds)


IDS = {"ids": np.random.default_rng(5).integers(0, 48, (5, 7))}


def test_fp32_of_int8_is_the_model_that_was_stored():
    """The weights lie on the grid of int8, so the fp32 graph is what dequantising must give."""
    model = perceptron()
    (exact,) = run(model.SerializeToString(), IDS)
    stored = lower(model, "int8").SerializeToString()
    assert operators(stored) & INTEGERS
    made = for_cuda(stored, "fp32")
    assert not operators(made) & (INTEGERS | {"QuantizeLinear"})
    np.testing.assert_allclose(run(made, IDS)[0], exact, rtol=1e-5, atol=1e-5)
    assert np.abs(run(stored, IDS)[0] - exact).max() > 1e-3  # rounded activations: the CPU's graph differs


def test_a_tied_table_is_stored_once():
    made = Model(for_cuda(lower(perceptron(), "int8").SerializeToString(), "fp16"))
    large = [name for name in made.constants() if made.constant(name).size == 64 * 48]
    assert len(large) == 1
    assert made.constant(large[0]).dtype == np.float16


def test_channels_that_were_divided_come_back():
    largest = {"x": np.exp2(np.arange(64) % 8).astype(np.float32)}
    stored = Model(lower(perceptron(), "int8", largest=largest).SerializeToString())
    made = Model(for_cuda(stored.written(), "fp32"))
    (channels,) = (stored.constant(name) for name in stored.constants() if name.endswith("/channels"))
    assert not any(name.endswith("/channels") for name in made.constants())
    expected = stored.constant("one/steps") * stored.constant("one/scale") * channels[:, None]
    (matrix,) = (made.constant(name) for name in made.constants() if made.constant(name).shape == (64, 96))
    np.testing.assert_allclose(matrix, expected, rtol=1e-6)
    assert np.abs(expected - grid((64, 96), 1)).max() < np.abs(grid((64, 96), 1)).max() / 5


def test_a_product_with_a_computed_matrix_stays_as_it_is():
    """The sizes of its rows are multiplied by again, although those of other products cancel."""
    stored = lower(perceptron(), "int8")
    product = next(node for node in stored.graph.node if node.op_type == "MatMulIntegerToFloat")
    stored.graph.node.insert(0, helper.make_node("Abs", [product.input[1]], ["computed"]))
    product.input[1] = "computed"
    data = stored.SerializeToString()
    made = for_cuda(data, "fp32")
    assert [node.operator for node in Model(made).nodes].count("MatMulIntegerToFloat") == 1
    np.testing.assert_allclose(run(made, IDS)[0], run(data, IDS)[0], atol=1)


def test_numbers_of_16_bits_that_are_looked_up_get_64():
    """CUDA's GatherND has no kernel for them."""
    nodes = [
        helper.make_node("GatherND", ["rows", "places"], ["found"]),
        helper.make_node("Cast", ["found"], ["row"], to=TensorProto.INT64),
    ]
    constants = {"rows": np.arange(100, -100, -1, np.int16)}
    inputs = [("places", TensorProto.INT64, ["line", 1])]
    data = graph_of(nodes, inputs, [("row", TensorProto.INT64, ["line"])], constants).SerializeToString()
    made = for_cuda(data, "fp32")
    assert [node.operator for node in Model(made).nodes] == ["GatherND"]
    (table,) = (Model(made).constant(name) for name in Model(made).constants())
    assert table.dtype == np.int64
    feeds = {"places": np.array([[0], [199], [42]])}
    assert run(made, feeds)[0].tolist() == run(data, feeds)[0].tolist() == [100, -99, 58]


def test_blocks_of_few_rows_are_floats_again():
    model = perceptron()
    stored = lower(model, "int8", few_rows=True).SerializeToString()
    assert "MatMulNBits" in operators(stored)
    made = for_cuda(stored, "fp32")
    assert "MatMulNBits" not in operators(made)
    exact = run(model.SerializeToString(), IDS)[0]
    np.testing.assert_allclose(run(made, IDS)[0], exact, atol=0.3)
    weights = Model(made)
    close = [
        name
        for name in weights.constants()
        if weights.constant(name).shape == (64, 96) and np.abs(weights.constant(name) - grid((64, 96), 1)).max() < 0.02
    ]
    assert len(close) == 1


def test_int8_keeps_the_integers_of_the_model():
    model = perceptron()
    stored = lower(model, "int8").SerializeToString()
    made = Model(for_cuda(stored, "int8"))
    products = [node for node in made.nodes if node.operator == "MatMulNBits"]
    assert len(products) == 3
    blocks, scales = (made.constant(name) for name in products[0].takes[1:3])
    assert blocks.shape == (96, 2, 32)
    whole = (blocks.astype(np.float32) - 128).reshape(96, 64) * np.repeat(
        scales.astype(np.float32).reshape(96, 2), 32, 1
    )
    np.testing.assert_array_equal(whole, grid((64, 96), 1).T)
    assert scales.dtype == np.float16


def lstm() -> onnx.ModelProto:
    random = np.random.default_rng(3)
    hidden, width = 24, 16
    constants = {
        "table": grid((16, 40)).T.copy(),
        "w": random.normal(0, 0.4, (1, 4 * hidden, width)).astype(np.float32),
        "r": random.normal(0, 0.4, (1, 4 * hidden, hidden)).astype(np.float32),
        "b": random.normal(0, 0.3, (1, 8 * hidden)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        helper.make_node(
            "LSTM",
            ["x", "w", "r", "b", "", "state.h", "state.c"],
            ["y", "state.h.next", "state.c.next"],
            hidden_size=hidden,
        ),
    ]
    state = [1, "line", hidden]
    inputs = [("ids", TensorProto.INT64, ["token", "line"]), ("state.h", 1, state), ("state.c", 1, state)]
    outputs = [("y", 1, ["token", 1, "line", hidden]), ("state.h.next", 1, state), ("state.c.next", 1, state)]
    return graph_of(nodes, inputs, outputs, constants)


def test_an_lstm_of_integers_is_an_lstm_again():
    model = lstm()
    stored = lower(model, "int8").SerializeToString()
    assert "DynamicQuantizeLSTM" in operators(stored)
    made = Model(for_cuda(stored, "fp32"))
    (node,) = [node for node in made.nodes if node.operator == "LSTM"]
    assert made.integers(node, "hidden_size") == [24]  # without the two units that the exporter added
    assert made.constant(node.takes[1]).shape == (1, 96, 16)
    assert {"Pad", "Slice"} & {node.operator for node in made.nodes} == set()
    # The weights that int8 stored, each column of a gate with its own scale of 7 bits.
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    for weight in rounded.graph.initializer:
        if weight.name in ("w", "r"):
            array = numpy_helper.to_array(weight)
            scale = np.abs(array).max(2, keepdims=True) / 64
            weight.CopyFrom(numpy_helper.from_array((np.rint(array / scale) * scale).astype(np.float32), weight.name))
    random = np.random.default_rng(9)
    feeds = {
        "ids": random.integers(0, 40, (6, 3)),
        "state.h": np.tanh(random.normal(0, 1, (1, 3, 24))).astype(np.float32),
        "state.c": random.normal(0, 1, (1, 3, 24)).astype(np.float32),
    }
    for one, other in zip(run(made.written(), feeds), run(rounded.SerializeToString(), feeds), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_what_onnxruntime_s_own_quantiser_made(tmp_path):
    from onnxruntime.quantization import quantize_dynamic

    model = perceptron()
    onnx.save(model, tmp_path / "fp32.onnx")
    quantize_dynamic(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", op_types_to_quantize=["MatMul"])
    stored = (tmp_path / "int8.onnx").read_bytes()
    assert operators(stored) & INTEGERS
    made = for_cuda(stored, "fp32")
    assert not operators(made) & INTEGERS
    np.testing.assert_allclose(run(made, IDS)[0], run(model.SerializeToString(), IDS)[0], atol=1)


def test_fp16_computes_products_in_halves_and_probabilities_in_floats():
    model = perceptron()
    made = onnx.load_from_string(for_cuda(model.SerializeToString(), "fp16"))
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in onnx.shape_inference.infer_shapes(made).graph.value_info
    }
    by = {node.op_type: node for node in made.graph.node}
    assert all(kinds[node.output[0]] == TensorProto.FLOAT16 for node in made.graph.node if node.op_type == "MatMul")
    assert kinds[by["LayerNormalization"].output[0]] == TensorProto.FLOAT16
    assert kinds[by["LogSoftmax"].input[0]] == TensorProto.FLOAT
    assert made.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert all(one.data_type != TensorProto.FLOAT for one in made.graph.initializer if np.prod(one.dims) > 100)
    exact = run(model.SerializeToString(), IDS)[0]
    np.testing.assert_allclose(run(made.SerializeToString(), IDS)[0], exact, atol=0.02)


def test_a_model_stored_in_halves_computes_in_halves_without_casts_of_weights():
    stored = lower(perceptron(), "fp16").SerializeToString()
    made = Model(for_cuda(stored, "fp16"))
    casts = [node for node in made.nodes if node.operator == "Cast"]
    assert len(casts) == 1  # the logits
    assert precision_of(stored) == "fp16"


def test_what_travels_is_half_in_fp16_and_nothing_else_changes():
    made = Model(for_cuda(lstm().SerializeToString(), "fp16"))
    assert {port.name: port.kind for port in made.inputs} == {"ids": 7, "state.h": 10, "state.c": 10}
    assert {port.name: port.kind for port in made.outputs} == {"y": 1, "state.h.next": 10, "state.c.next": 10}


def test_masks_stay_masks():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Where", ["seen", "y", "lowest"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=-1),
    ]
    constants = {"w": np.eye(40, dtype=np.float32), "lowest": np.array(np.finfo(np.float32).min)}
    inputs = [("x", 1, ["line", 40]), ("seen", TensorProto.BOOL, ["line", 40])]
    model = graph_of(nodes, inputs, [("p", 1, ["line", 40])], constants)
    feeds = {"x": np.zeros((2, 40), np.float32), "seen": np.arange(80).reshape(2, 40) % 40 < 4}
    feeds["seen"][1] = False
    for one, other in zip(
        run(for_cuda(model.SerializeToString(), "fp16"), feeds), run(model.SerializeToString(), feeds), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_weight_that_fp16_does_not_hold():
    model = perceptron()
    for weight in model.graph.initializer:
        if weight.name == "one":
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1e6, "one"))
    with pytest.raises(TextkitError, match=r"fp16 holds numbers up to 65504, this model has \d"):
        for_cuda(model.SerializeToString(), "fp16")
    for_cuda(model.SerializeToString(), "fp32")


@pytest.mark.parametrize(("precision", "expected"), [("fp32", "fp32"), ("fp16", "fp16"), ("int8", "fp16")])
def test_the_precision_is_that_of_the_weights(precision, expected):
    assert precision_of(lower(perceptron(), precision).SerializeToString()) == expected


def test_an_fp32_graph_stays_as_it_is():
    data = perceptron().SerializeToString()
    assert for_cuda(data, "fp32") is data
    assert for_cuda(data, "tf32") is data


def test_what_was_made_is_kept_and_damage_is_noticed(cache, monkeypatch):
    monkeypatch.setattr(graphs, "_LEAST", 0)
    stored = lower(perceptron(), "int8").SerializeToString()
    made = for_cuda(stored, "fp16")
    (file,) = cache.iterdir()
    monkeypatch.setattr(graphs, "dequantised", lambda *given, **named: pytest.fail("made again"))
    assert for_cuda(stored, "fp16") == made
    monkeypatch.undo()
    monkeypatch.setattr(graphs, "cache_folder", lambda: cache)
    monkeypatch.setattr(graphs, "_LEAST", 0)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert for_cuda(stored, "fp16") == made
    assert for_cuda(stored, "int8") != made
    assert len(list(cache.iterdir())) == 2


def test_the_cache_keeps_a_number_of_graphs(cache, monkeypatch):
    monkeypatch.setattr(graphs, "_LEAST", 0)
    monkeypatch.setattr(graphs, "_KEPT", 2)
    stored = lower(perceptron(), "int8").SerializeToString()
    for precision in ("fp16", "fp32", "int8"):
        for_cuda(stored, precision)
    assert len(list(cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_stops_nothing(cache, monkeypatch):
    cache.write_text("a file")
    monkeypatch.setattr(graphs, "_LEAST", 0)
    assert for_cuda(lower(perceptron(), "int8").SerializeToString(), "fp16")


def test_vectors_of_the_shipped_encoder_in_fp16():
    """Tolerance: a cosine of 0.9999 with the same weights in fp32; int8 on the CPU has 0.999."""
    file = next(file for file in SHIPPED if file.parent.name == "en-sentences").read_bytes()
    random = np.random.default_rng(1)
    feeds = {
        "ids": random.integers(5, 2000, (8, 12)), "weight": np.ones((8, 12), np.float32), "pool": np.array(0),
        "normalize": np.array(True),
    }  # fmt: skip
    half, whole = (Session(for_cuda(file, one), "cpu", 1).run(feeds, ["vector"])["vector"] for one in ("fp16", "fp32"))
    assert half.dtype == np.float32
    assert (half * whole).sum(1).min() > 0.9999


def test_dequantised_weights_are_those_that_training_reads():
    """An independent reader of the same integers (bundle/weights.py, with the package onnx) gives the same matrices."""
    file = next(file for file in SHIPPED if file.parent.name == "en-sentences").read_bytes()
    made = Model(for_cuda(file, "fp32"))
    arrays = [made.constant(name) for name in made.constants()]
    matrices = [weight for name, weight in weights_of(file).items() if name.endswith("weight") and "layers" in name]
    compared = 0
    for weight in (weight for weight in matrices if weight.ndim == 2):
        turned = [array for array in arrays if array.shape == weight.T.shape]
        assert any(np.allclose(array.T, weight, atol=1e-6) for array in turned)
        compared += 1
    assert compared >= 8


def recorded() -> tuple[set[str], set[str]]:
    """Operators that onnxruntime placed on CUDA, and those that it left to the CPU, in the newest version on record."""
    record = json.loads((Path(__file__).parent / "data" / "cuda_operators.json").read_text())
    newest = record[max(record, key=lambda version: tuple(map(int, version.split("."))))]
    return set(newest["cuda"]), set(newest["cpu"])


def without_kernel(graph: bytes) -> set[str]:
    """The operators of a graph that are not known to run on CUDA (pretend_cuda/record.py makes the record)."""
    names = {f"{node.domain}.{node.operator}".lstrip(".") for node in Model(graph).nodes}
    return names - recorded()[0] - SHAPES


@pytest.mark.parametrize("precision", ["fp16", "fp32", "int8"])
@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_no_node_of_a_shipped_model_lacks_a_kernel(file, precision):
    assert without_kernel(for_cuda(file.read_bytes(), precision)) == set()


def test_the_record_knows_what_has_no_kernel():
    assert {"com.microsoft.MatMulIntegerToFloat", "com.microsoft.DynamicQuantizeLSTM"} <= recorded()[1]
    data = next(file for file in SHIPPED if file.parent.name == "en-de").read_bytes()
    assert without_kernel(data) == {"com.microsoft.MatMulIntegerToFloat"}


@pytest.mark.slow  # three exports per family
@pytest.mark.parametrize("name", named())
def test_no_node_of_any_family_lacks_a_kernel(name, tmp_path_factory):
    candidate = made(name, tmp_path_factory)
    for stored in ("fp32", "fp16", "int8"):
        folder = export(candidate.run, tmp_path_factory.mktemp(stored) / "model", stored)
        for file in folder.glob("*.onnx"):
            for precision in ("fp16", "fp32", "int8"):
                graph = for_cuda(file.read_bytes(), precision)
                assert without_kernel(graph) == set(), (file.stem, stored, precision)
