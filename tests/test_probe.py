"""The probe of a device: its graphs, its numbers, and what it says of a device that does not compute."""

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from textkit.bundle import onnxfile
from textkit.errors import TextkitError
from textkit.serving import machine, probe
from textkit.serving.probe import available_device, checks

gpu = pytest.mark.skipif(machine.gpu_count()[0] == 0, reason="needs a GPU")


def made() -> bytes:
    """The bytes of probe.onnx."""

    def constant(name: str, values: np.ndarray) -> onnx.TensorProto:
        return numpy_helper.from_array(values.astype(np.float32), name)

    value, f32, f16 = helper.make_tensor_value_info, TensorProto.FLOAT, TensorProto.FLOAT16
    of_gates = np.zeros((1, 8, 2))  # [direction, gates i o f c of two units, number]
    of_gates[0, 6:] = [[1, 0], [0, -1]]
    of_outputs = np.zeros((1, 8, 2))
    of_outputs[0, 6:] = [[1, 0], [0, 1]]
    bias = np.zeros((1, 16))  # [direction, that of what is read and that of outputs]
    bias[0, :6] = np.repeat([math.log(3), math.log(9), -math.log(3)], 2)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["left", "right"], ["product"]),
            helper.make_node("ReduceMax", ["left"], ["reduction"], axes=[1], keepdims=0),
            helper.make_node("LSTM", ["read", "of_gates", "of_outputs", "bias"], ["lstm"], hidden_size=2),
            helper.make_node("MatMul", ["half_left", "half_right"], ["half_product"]),
        ],
        "probe",
        [
            value("left", f32, [8, 16]),
            value("right", f32, [16, 8]),
            value("read", f32, [2, 1, 2]),
            value("half_left", f16, [8, 16]),
            value("half_right", f16, [16, 8]),
        ],
        [
            value("product", f32, [8, 8]),
            value("reduction", f32, [8]),
            value("lstm", f32, [2, 1, 1, 2]),
            value("half_product", f16, [8, 8]),
        ],
        [constant("of_gates", of_gates), constant("of_outputs", of_outputs), constant("bias", bias)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def test_the_file_is_what_onnx_makes():
    assert probe.GRAPH.read_bytes() == made()


def test_a_cpu_computes():
    assert available_device("cpu") is None


def test_what_is_right_is_what_plain_python_computes():
    product, reduction, lstm, half = checks()
    for each, (left, right) in ((product, ("left", "right")), (half, ("half_left", "half_right"))):
        a, b = each.feeds[left].tolist(), each.feeds[right].tolist()
        rows = [[sum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*b, strict=True)] for row in a]
        assert rows == each.right.tolist()
        assert max(map(max, rows)) > 0
    assert [max(row) for row in reduction.feeds["left"].tolist()] == reduction.right.tolist()
    cells, outs, seen = [0.0, 0.0], [0.0, 0.0], []
    for read in lstm.feeds["read"][:, 0].tolist():
        for unit, sign in ((0, 1), (1, -1)):
            cells[unit] = 0.25 * cells[unit] + 0.75 * math.tanh(sign * read[unit] + outs[unit])
            outs[unit] = 0.9 * math.tanh(cells[unit])
        seen.append(list(outs))
    np.testing.assert_allclose(lstm.right[:, 0, 0], seen, rtol=1e-7)


@pytest.mark.parametrize("check", checks(), ids=lambda check: check.name)
def test_each_graph_stands_alone(check):
    """So that a device that fails at one of them is tried with the others, too."""
    cut = onnx.load_from_string(bytes(onnxfile.keep_outputs(probe.GRAPH.read_bytes(), [check.output])))
    assert len(cut.graph.node) == 1
    assert {port.name for port in cut.graph.input} == set(check.feeds)


class Lame:
    """A session on a device that answers with zeros, or not at all."""

    def __init__(self, graph, device, threads, outputs):
        self.device, (self.output,) = device, outputs

    def run(self, feeds):
        (check,) = [check for check in checks() if check.output == self.output]
        if self.output in self.right:
            return {self.output: check.right}
        if self.answer is None:
            raise TextkitError("the model failed: CUDNN_STATUS_INTERNAL_ERROR")
        return {self.output: np.full_like(check.right, self.answer)}


@pytest.mark.parametrize(
    ("right", "answer", "said"),
    [
        ((), 0, "computes wrong results: product, reduction, LSTM, fp16 product"),
        (("product", "reduction"), np.float32("nan"), "computes wrong results: LSTM, fp16 product"),
        (("product", "reduction", "lstm"), 1, "computes wrong results: fp16 product"),
        (("product",), None, "reduction: the model failed: CUDNN_STATUS_INTERNAL_ERROR"),
        (("product", "reduction", "lstm", "half_product"), 0, None),
    ],
)
def test_a_device_that_computes_something_else(monkeypatch, right, answer, said):
    monkeypatch.setattr(probe, "Session", type("Session", (Lame,), {"right": right, "answer": answer}))
    if isinstance(answer, np.float32):  # whole numbers have no NaN
        monkeypatch.setattr(np, "full_like", lambda like, value: np.full(like.shape, value))
    assert available_device("cuda") == said


@gpu
def test_a_real_gpu_computes():
    assert available_device("cuda") is None
