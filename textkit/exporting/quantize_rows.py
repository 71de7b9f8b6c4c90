"""Builds products with integer matrices where each row of the activations has its own scale, or all rows have a constant one.

A row's result then depends on that row alone, not on the rest of the batch, on padding or on threads: sums of integers are
exact in any order. Activations have 7 bits rather than 8, because processors without VNNI (those with AVX2 alone) add up pairs
of products in 16 bits: 2 * 127 * 127 fits, whereas 2 * 255 * 127 does not and would be clipped silently.
Knows no plugin and no bundle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from textkit.bundle.weights import CHANNELS, ROW_STEPS

if TYPE_CHECKING:
    import onnx

STEPS = 63  # from 0 to a row's largest absolute value
_ZERO = 64  # how 0 is stored where numbers may be negative
_CONSTANTS = {  # for numbers of either sign; named _up, for numbers that are never negative; named _gelu, for those of a Gelu
    "by_row/step": np.float32(1 / STEPS),
    "by_row/zero": np.uint8(_ZERO),
    "by_row/last": np.array([-1]),
    "by_row/step_up": np.float32(1 / (2 * STEPS)),
    "by_row/zero_up": np.uint8(0),
    # A Gelu gives nothing below -0.17, which is 19 * step, and its largest value is 107 * step.
    "by_row/step_gelu": np.float32(1 / 107),
    "by_row/zero_gelu": np.uint8(19),
    "by_row/least": np.float32(1),
}


class RowProducts:
    """Makes the nodes of products, and remembers which activations are integers already. `graph`: where constants are put;
    `below_one`: the names of values between -1 and 1; `divisors`: the number f32[channel] that each channel of an activation is
    divided by first, for which its matrices make up (quantize_channels.py); `sizes`: how large an activation gets after that,
    of those that need no scale for each row."""

    def __init__(
        self,
        graph: onnx.GraphProto,
        below_one: Collection[str] = (),
        divisors: Mapping[str, np.ndarray] = MappingProxyType({}),
        sizes: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._graph, self._divisors, self._sizes = graph, divisors, sizes
        kinds = {"Relu": "_up", "Gelu": "_gelu", "BiasGelu": "_gelu"}
        self._kind = {node.output[0]: kinds[node.op_type] for node in graph.node if node.op_type in kinds}
        self._done: set[str] = set()
        self.below_one = set(below_one)

    def constant(self, name: str, value: object) -> str:
        """Puts a constant into the graph unless it is there already, and returns its name."""
        from onnx import numpy_helper

        if all(weight.name != name for weight in self._graph.initializer):
            self._graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def nodes(self, given: str, steps: str, scale: str, bias: str, output: str) -> list[onnx.NodeProto]:
        """given f32[..., in] times `steps` i8[in, out] of `scale` f32[out], and `bias` f32[out] or '', to `output`."""
        from onnx import helper

        if given in self.below_one or given in self._sizes:
            return self._of_constant_size(given, steps, scale, bias, output)
        kind = self._kind.get(given, "")  # fewer negative numbers: more steps for the others
        step, zero = f"by_row/step{kind}", f"by_row/zero{kind}"
        nodes = [] if given in self._done else self._quantised(given, step, zero, kind)
        self._done.add(given)
        unbiased = f"{output}/product" if bias else output
        nodes += [
            helper.make_node(
                "MatMulIntegerToFloat", [f"{given}{ROW_STEPS}", steps, step, scale, zero], [f"{output}/of_one"],
                domain="com.microsoft",
            ),
            helper.make_node("Mul", [f"{output}/of_one", f"{given}/row_size"], [unbiased]),
        ]  # fmt: skip
        return nodes + ([helper.make_node("Add", [unbiased, bias], [output])] if bias else [])

    def _of_constant_size(self, given: str, steps: str, scale: str, bias: str, output: str) -> list[onnx.NodeProto]:
        """The same for numbers whose size is known: their rows need no scales, so two operators do, or three."""
        from onnx import helper

        zero = self.constant("by_row/zero", _CONSTANTS["by_row/zero"])
        if given in self._sizes:
            step = self.constant(f"{given}/step", np.float32(self._sizes[given] / STEPS))
        else:
            step = self.constant("by_row/step", _CONSTANTS["by_row/step"])
        nodes: list[onnx.NodeProto] = []
        if given not in self._done:
            values, nodes = self._even(given)
            nodes.append(helper.make_node("QuantizeLinear", [values, step, zero], [f"{given}{ROW_STEPS}"]))
        self._done.add(given)
        factors = [f"{given}{ROW_STEPS}", steps, step, scale, zero]
        made = helper.make_node(
            "MatMulIntegerToFloat", factors + ["", bias] * bool(bias), [output], domain="com.microsoft"
        )
        return [*nodes, made]

    def _even(self, given: str) -> tuple[str, list[onnx.NodeProto]]:
        """The activation with its channels divided, where they are, and the node that does it."""
        from onnx import helper

        if given not in self._divisors:
            return given, []
        factor = self.constant(f"{given}{CHANNELS}", 1 / self._divisors[given])
        return f"{given}/even", [helper.make_node("Mul", [given, factor], [f"{given}/even"])]

    def _quantised(self, given: str, step: str, zero: str, kind: str) -> list[onnx.NodeProto]:
        """Divides each row by its largest absolute value: all are then from -1 to 1, and one scale fits them. A row of zeros
        becomes 0 / 0, which is stored as some integer; times the row's size, 0, that is 0 again. The size of a Gelu's row is at
        least 1, so that what is negative stays above -0.17."""
        from onnx import helper

        for name in (step, zero, "by_row/last", *(["by_row/least"] if kind == "_gelu" else [])):
            self.constant(name, _CONSTANTS[name])
        size, unit = f"{given}/row_size", f"{given}/row_unit"
        values, nodes = self._even(given)
        absolute = values if kind else f"{given}/row_absolute"
        largest = f"{given}/row_largest" if kind == "_gelu" else size
        nodes += [] if kind else [helper.make_node("Abs", [values], [absolute])]
        nodes.append(helper.make_node("ReduceMax", [absolute, "by_row/last"], [largest], keepdims=1))  # [..., 1]
        nodes += [helper.make_node("Max", [largest, "by_row/least"], [size])] if kind == "_gelu" else []
        return [
            *nodes,
            helper.make_node("Div", [values, size], [unit]),
            helper.make_node("QuantizeLinear", [unit, step, zero], [f"{given}{ROW_STEPS}"]),
        ]


def fold_biases(graph: onnx.GraphProto) -> None:
    """Lets a product add its bias itself, in place, where an Add behind it adds a constant and nothing else uses it."""
    constants = {weight.name for weight in graph.initializer if len(weight.dims) == 1 and weight.dims[0] > 1}
    ports = {port.name for port in graph.output}
    for node in [node for node in graph.node if node.op_type == "MatMulIntegerToFloat" and len(node.input) == 5]:
        users = [other for other in graph.node if node.output[0] in other.input]
        if len(users) != 1 or users[0].op_type != "Add" or node.output[0] in ports:
            continue
        bias = [name for name in users[0].input if name in constants]
        if bias:
            node.input.extend(["", bias[0]])
            node.output[0] = users[0].output[0]
            graph.node.remove(users[0])
