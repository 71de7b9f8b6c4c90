"""Builds an LSTM whose matrices are integers, and whose activations have the same scale in every batch.

onnxruntime's DynamicQuantizeLSTM takes a scale from the largest and the smallest number of all lines, so that a line's state
would depend on the other lines. Here both numbers are made constant:

- An LSTM's output, o * tanh(c), lies between -1 and 1. Two units are added whose gates keep a cell of 30 and one of -30 for
  ever and output them in full, so that they give exactly 1 and -1.
- An LSTM's input comes from tables or from other LSTMs, and its largest absolute value is known. Two added columns hold that
  number and its negative.

All weights of the added units and columns are 0. Weights have 7 bits because activations have 8: processors without VNNI add
up pairs of products in 16 bits, and 2 * 255 * 64 fits. Knows no plugin and no bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from textkit.bundle.onnxfile import ONE_SCALE
from textkit.task import NEXT

if TYPE_CHECKING:
    import onnx

    from textkit.exporting.quantize_rows import RowProducts

STEPS = 64  # from 0 to a column's largest weight
_MOVES = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Slice", "Gather"}
_CELL = 30.0  # its tanh and its sigmoid are 1 in single precision
_BIAS = (-_CELL, _CELL, _CELL, 0.0)  # of the two added units: input, output, forget, cell


def is_plain(node: onnx.NodeProto) -> bool:
    """Whether a node is an LSTM with the usual equations and time as its first axis."""
    settings = {attribute.name: attribute for attribute in node.attribute}
    strange = {"activations", "activation_alpha", "activation_beta", "clip"} & settings.keys()
    flags = any(settings[name].i for name in ("layout", "input_forget") if name in settings)
    return node.op_type in ("LSTM", "DynamicQuantizeLSTM") and not (
        strange or flags or (len(node.input) > 7 and node.input[7])
    )


def below_one(graph: onnx.GraphProto) -> set[str]:
    """The names of values that lie between -1 and 1 because they are an LSTM's o * tanh(c): its outputs, and states that begin
    with zeros and come back as its outputs (each `name` that has an output `name`.next)."""
    outputs = {port.name for port in graph.output}
    states = {port.name for port in graph.input if port.name + NEXT in outputs}
    while True:
        found = set(states)
        for node in graph.node:
            if is_plain(node):
                begin = node.input[5] if len(node.input) > 5 else ""
                given = list(node.output[: 2 if not begin or begin in found else 1])
            elif node.op_type in _MOVES or node.op_type == "Where":
                parts = node.input[1:] if node.op_type == "Where" else node.input[:1]
                given = list(node.output) if found.issuperset(parts) else []
            else:
                continue
            found.update(filter(None, given))
        kept = {name for name in states if name + NEXT in found}
        if kept == states:
            return found
        states = kept


def largest(graph: onnx.GraphProto, name: str, below_one: Collection[str]) -> float | None:
    """The largest absolute value that `name` can hold where it comes from constants, look-ups in them, or LSTMs.

    None where it is not known.
    """
    from onnx import numpy_helper

    makers = {output: node for node in graph.node for output in node.output}
    weights = {weight.name: weight for weight in graph.initializer}

    def of(name: str) -> float | None:
        if name in below_one:
            return 1.0
        if name in weights:
            array = numpy_helper.to_array(weights[name])
            return max(float(array.max(initial=0)), -float(array.min(initial=0)))
        node = makers.get(name)
        if node is None:
            return None
        kind = node.op_type
        if kind in _MOVES or kind == "Cast":
            return of(node.input[0])
        if kind not in ("Mul", "Concat"):
            return None
        parts = [bound for part in node.input if (bound := of(part)) is not None]
        if len(parts) < len(node.input):
            return None
        return float(np.prod(parts)) if kind == "Mul" else max(parts)

    return of(name)


def recurrence(
    products: RowProducts, node: onnx.NodeProto, weights: tuple[np.ndarray, np.ndarray, np.ndarray], most: float
) -> list[onnx.NodeProto]:
    """The nodes that replace an LSTM.

    `weights`: those of the inputs f32[direction, gates, inputs], those of the state f32[direction, gates, hidden], and the
    biases f32[direction, 2 * gates]; `most`: the largest absolute value of the inputs.
    """
    from onnx import helper

    make, constant = helper.make_node, products.constant
    given = [*node.input, *[""] * (7 - len(node.input))]  # inputs that are left out at the end are blank
    x, lengths, *begin = given[0], *given[4:7]
    inputs, state, bias = weights
    directions, hidden = len(state), state.shape[2]
    key = next(filter(None, node.output))
    steps, scale = _constants(products, inputs, f"{key}/inputs")
    state_steps, state_scale = _constants(products, state, f"{key}/state")
    zero = constant(f"recurrence/zero{directions}x{hidden}", np.zeros((directions, 4 * (hidden + 2)), np.int8))
    biases = constant(f"{key}/bias", np.concatenate([_biases(part, hidden) for part in bias]))
    nodes = _padded(constant, x, most, f"{key}/wide")
    states = []
    for name, end, given in zip(("hidden", "cell"), (1.0, _CELL), begin, strict=True):
        own = f"{key}/{name}"
        states.append(f"{own}/wide")
        if given:
            nodes += _padded(constant, given, end, f"{own}/wide")
            continue
        row = constant(f"recurrence/{name}{hidden}", np.array([*[0.0] * hidden, end, -end], np.float32))
        sides = [constant(f"recurrence/{number}", np.array([number])) for number in (directions, hidden + 2)]
        nodes += [  # every line begins with zeros
            make("Shape", [x], [f"{own}/lines"], start=1, end=2),
            make("Concat", [sides[0], f"{own}/lines", sides[1]], [f"{own}/size"], axis=0),
            make("Expand", [row, f"{own}/size"], [f"{own}/wide"]),
        ]
    outputs = [f"{key}/{at}/wide" if name else "" for at, name in enumerate(node.output)]
    lstm = make(
        "DynamicQuantizeLSTM",
        [f"{key}/wide", steps, state_steps, biases, lengths, *states, "", scale, zero, state_scale, zero],
        outputs, domain="com.microsoft", hidden_size=hidden + 2,
    )  # fmt: skip
    lstm.attribute.extend(attribute for attribute in node.attribute if attribute.name == "direction")
    cut = [constant(f"recurrence/{number}", np.array([number])) for number in (0, hidden, -1)]
    cuts = [make("Slice", [wide, *cut], [name]) for wide, name in zip(outputs, node.output, strict=True) if name]
    return [*nodes, lstm, *cuts]


def _padded(constant: Callable[[str, np.ndarray], str], x: str, most: float, name: str) -> list[onnx.NodeProto]:
    """Two nodes that append `most` and -most to the last axis of f32[a, b, c]."""
    from onnx import helper

    sides = constant(ONE_SCALE, np.array([0, 0, 0, 0, 0, 1]))
    up, down = (constant(f"recurrence/{end!r}", np.array(end, np.float32)) for end in (most, -most))
    return [
        helper.make_node("Pad", [x, sides, up], [f"{name}/up"]),
        helper.make_node("Pad", [f"{name}/up", sides, down], [name]),
    ]


def _constants(products: RowProducts, matrices: np.ndarray, key: str) -> tuple[str, str]:
    """f32[direction, gates, in] as DynamicQuantizeLSTM takes them: integers and scales, with the two added units."""
    steps, scales = zip(*map(_narrow, matrices), strict=True)
    wide = np.stack([_two_more(part, len(part) + 2, 0) for part in steps])
    by = np.concatenate([_two_more(part[None], 1, 1) for part in scales])
    return products.constant(f"{key}/steps", wide), products.constant(f"{key}/scale", by)


def _narrow(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f32[gates, in] -> i8[in, gates] from -STEPS to STEPS, and their scale f32[gates]."""
    size = np.abs(matrix).max(axis=1, initial=0)
    scale = (np.where(size > 0, size, 1) / STEPS).astype(np.float32)
    return np.ascontiguousarray(np.rint(matrix / scale[:, None]).astype(np.int8).T), scale


def _two_more(array: np.ndarray, rows: int, fill: float) -> np.ndarray:
    """[in, 4 * hidden] -> [rows, 4 * (hidden + 2)], `fill` in the new places."""
    hidden = array.shape[1] // 4
    wide = np.full((rows, 4, hidden + 2), fill, array.dtype)
    wide[: len(array), :, :hidden] = array.reshape(-1, 4, hidden)
    return wide.reshape(rows, -1)


def _biases(bias: np.ndarray, hidden: int) -> np.ndarray:
    """f32[2 * gates] -> f32[1, 2 * wider gates], with the biases of the two added units; the second half is added to the
    first."""
    wide = np.zeros((2, 4, hidden + 2), np.float32)
    wide[0, :, :hidden] = bias.reshape(2, 4, hidden).sum(0)
    wide[0, :, hidden:] = np.array(_BIAS, np.float32)[:, None]
    return wide.reshape(1, -1)
