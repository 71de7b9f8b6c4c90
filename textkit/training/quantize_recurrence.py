"""An LSTM whose matrices are whole numbers and whose rows have scales of their own, as a Scan over time of plain operators.

onnxruntime's DynamicQuantizeLSTM has one scale for all lines of a batch: a line's state would depend on the others, and where
sums have 16 bits (AVX2 without VNNI) they are cut. Here what inputs add to the gates is one product over all of time; the loop
is left with the product of the state. 64 lines at a time are as fast as with that operator, one line three quarters as fast.
Knows no plugin and no bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

    from textkit.training.quantize_rows import RowProducts


@dataclass(frozen=True)
class Direction:
    """The names of a direction's constants: i8[inputs, gates], its f32[gates], i8[hidden, gates], its f32[gates], and the bias
    f32[gates], or ''."""

    inputs: str
    inputs_scale: str
    state: str
    state_scale: str
    bias: str


def is_plain(node: onnx.NodeProto) -> bool:
    """Whether a node is an LSTM of the usual equations, time first. Any other stays as it is."""
    settings = {attribute.name: attribute for attribute in node.attribute}
    strange = {"activations", "activation_alpha", "activation_beta", "clip"} & settings.keys()
    flags = any(settings[name].i for name in ("layout", "input_forget") if name in settings)
    return node.op_type in ("LSTM", "DynamicQuantizeLSTM") and not (
        strange or flags or (len(node.input) > 7 and node.input[7])
    )


def recurrence(products: RowProducts, node: onnx.NodeProto, directions: Sequence[Direction]) -> list[onnx.NodeProto]:
    """The nodes that stand for an LSTM, x f32[time, line, inputs] -> [time, direction, line, hidden], and [direction, line,
    hidden] twice; `directions`: one, or forwards and backwards."""
    from onnx import TensorProto, helper

    x, lengths, *begin = (*node.input[:1], *node.input[4:7], *[""] * (7 - len(node.input)))
    hidden = next(attribute.i for attribute in node.attribute if attribute.name == "hidden_size")
    backward = [attribute.s == b"reverse" for attribute in node.attribute if attribute.name == "direction"]
    key, outputs = node.output[0] or next(filter(None, node.output)), [*node.output, *[""] * (3 - len(node.output))]
    make, constant = helper.make_node, products.constant
    zero, one, two = (constant(f"recurrence/{at}", np.array([at])) for at in range(3))
    nodes: list[onnx.NodeProto] = []
    mask = ""
    if lengths:  # [time, line, 1]
        mask, start, step = (
            f"{key}/mask",
            constant("recurrence/start", np.int64(0)),
            constant("recurrence/by", np.int64(1)),
        )
        nodes += [
            make("Shape", [x], [f"{key}/shape"], start=0, end=1),
            make("Squeeze", [f"{key}/shape"], [f"{key}/time"]),
            make("Range", [start, f"{key}/time", step], [f"{key}/at"]),
            make("Unsqueeze", [f"{key}/at", one], [f"{key}/column"]),
            make("Cast", [lengths], [f"{key}/lengths"], to=TensorProto.INT64),
            make("Less", [f"{key}/column", f"{key}/lengths"], [f"{key}/real"]),
            make("Unsqueeze", [f"{key}/real", two], [mask]),
        ]
    found: list[list[str]] = [[], [], []]
    for at, direction in enumerate(directions):
        own = f"{key}/{at}"
        nodes += products.nodes(x, direction.inputs, direction.inputs_scale, direction.bias, f"{own}/gates")
        states = []
        for name, given in zip(("hidden", "cell"), begin, strict=True):
            states.append(f"{own}/{name}")
            if given:
                index = constant(f"recurrence/direction{at}", np.int64(at))
                nodes.append(make("Gather", [given, index], [states[-1]], axis=0))  # [line, hidden]
            else:
                nodes += _zeros(products, x, hidden, states[-1])
        reverse = at == 1 or any(backward)
        given = [*states, f"{own}/gates", *([mask] if mask else [])]
        made = [f"{own}/last", f"{own}/last_cell", f"{own}/all"]
        settings = {"scan_input_directions": [1] * (len(given) - 2), "scan_output_directions": [1]} if reverse else {}
        body = _step(products, direction, hidden, own, bool(mask))
        nodes.append(make("Scan", given, made, body=body, num_scan_inputs=len(given) - 2, **settings))
        for names, name, axis in zip(found, (made[2], *made[:2]), (one, zero, zero), strict=True):
            nodes.append(make("Unsqueeze", [name, axis], [f"{name}/one"]))
            names.append(f"{name}/one")
    for output, names, axis in zip(outputs, found, (1, 0, 0), strict=True):
        if output:
            nodes.append(make("Concat", names, [output], axis=axis))
    return nodes


def _zeros(products: RowProducts, x: str, hidden: int, output: str) -> list[onnx.NodeProto]:
    """f32[line, hidden] of zeros for x [time, line, inputs]."""
    from onnx import helper

    width = products.constant(f"recurrence/wide{hidden}", np.array([hidden]))
    return [
        helper.make_node("Shape", [x], [f"{output}/lines"], start=1, end=2),
        helper.make_node("Concat", [f"{output}/lines", width], [f"{output}/size"], axis=0),
        helper.make_node("ConstantOfShape", [f"{output}/size"], [output]),
    ]


def _step(products: RowProducts, direction: Direction, hidden: int, key: str, masked: bool) -> onnx.GraphProto:
    """One step: hidden and cell f32[line, hidden], what the inputs add f32[line, 4 * hidden], whether it is real bool[line, 1]
    -> hidden, cell, and the output, 0 where the line has ended. Gates in ONNX's order: input, output, forget, cell."""
    from onnx import TensorProto, helper

    make, constant = helper.make_node, products.constant
    sizes = constant(f"recurrence/gates{hidden}", np.array([3 * hidden, hidden]))
    each = constant(f"recurrence/each{hidden}", np.array([hidden] * 3))
    h, c, x, mask = (f"{key}/step/{name}" for name in ("hidden", "cell", "inputs", "mask"))
    own = f"{key}/step/"
    nodes = [
        *products.nodes(h, direction.state, direction.state_scale, "", f"{own}recurrent"),
        make("Add", [f"{own}recurrent", x], [f"{own}summed"]),
        make("Split", [f"{own}summed", sizes], [f"{own}three", f"{own}new"], axis=-1),
        make("Sigmoid", [f"{own}three"], [f"{own}gates"]),
        make("Tanh", [f"{own}new"], [f"{own}tanh"]),
        make("Split", [f"{own}gates", each], [f"{own}take", f"{own}show", f"{own}keep"], axis=-1),
        make("Mul", [f"{own}keep", c], [f"{own}kept"]),
        make("Mul", [f"{own}take", f"{own}tanh"], [f"{own}taken"]),
        make("Add", [f"{own}kept", f"{own}taken"], [f"{own}cell_after"]),
        make("Tanh", [f"{own}cell_after"], [f"{own}cell_tanh"]),
        make("Mul", [f"{own}show", f"{own}cell_tanh"], [f"{own}hidden_after"]),
    ]
    after = [f"{own}hidden_after", f"{own}cell_after"]
    if masked:
        zero = constant("recurrence/nothing", np.float32(0))
        nodes += [
            make("Where", [mask, after[0], h], [f"{own}hidden_kept"]),
            make("Where", [mask, after[1], c], [f"{own}cell_kept"]),
            make("Where", [mask, after[0], zero], [f"{own}output"]),
        ]
        after = [f"{own}hidden_kept", f"{own}cell_kept"]
    else:
        nodes.append(make("Identity", [after[0]], [f"{own}output"]))
    port = helper.make_tensor_value_info
    given = [port(name, TensorProto.FLOAT, None) for name in (h, c, x)]
    given += [port(mask, TensorProto.BOOL, None)] if masked else []
    made = [port(name, TensorProto.FLOAT, None) for name in (*after, f"{own}output")]
    return helper.make_graph(nodes, "step", given, made)
