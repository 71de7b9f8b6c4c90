"""An LSTM whose matrices are whole numbers and whose rows have scales of their own, as a Scan over time of plain operators.

onnxruntime's DynamicQuantizeLSTM has one scale for all lines of a batch: a line's state would depend on the others, and where
sums have 16 bits (AVX2 without VNNI) they are cut. Here what inputs add to the gates is one product over all of time, and the
loop is left with the product of the state. For one line an operator there costs more than what it computes, so there are few:
what an LSTM gives lies between -1 and 1 and needs no scale of its own, and what comes after a line's end is put aside behind
the loop. Knows no plugin and no bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from textkit.tasks import NEXT

if TYPE_CHECKING:
    import onnx

    from textkit.training.quantize_rows import RowProducts


_MOVES = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Slice", "Gather"}


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


def below_one(graph: onnx.GraphProto) -> set[str]:
    """What lies between -1 and 1 because an LSTM gives it, o * tanh(c): its outputs, and the states that begin with zeros and
    are given back as what it gave (those `name` that have an output `name`.next)."""
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


def recurrence(products: RowProducts, node: onnx.NodeProto, directions: Sequence[Direction]) -> list[onnx.NodeProto]:
    """The nodes that stand for an LSTM, x f32[time, line, inputs] -> [time, direction, line, hidden], and [direction, line,
    hidden] twice; `directions`: one, or forwards and backwards."""
    from onnx import helper

    x, lengths, *begin = (*node.input[:1], *node.input[4:7], *[""] * (7 - len(node.input)))
    hidden = next(attribute.i for attribute in node.attribute if attribute.name == "hidden_size")
    backward = [attribute.s == b"reverse" for attribute in node.attribute if attribute.name == "direction"]
    key, outputs = node.output[0] or next(filter(None, node.output)), [*node.output, *[""] * (3 - len(node.output))]
    make, constant = helper.make_node, products.constant
    zero, one = (constant(f"recurrence/{at}", np.array([at])) for at in range(2))
    nodes = _mask(products, x, lengths, key) if lengths else []
    mask = f"{key}/mask" if lengths else ""
    found: list[list[str]] = [[], [], []]
    for at, direction in enumerate(directions):
        own = f"{key}/{at}"
        bounded = not begin[0] or begin[0] in products.below_one
        if bounded:  # the product of the state adds the bias for nothing
            products.below_one.add(f"{own}/step/hidden")
        bias = "" if bounded else direction.bias
        nodes += products.nodes(x, direction.inputs, direction.inputs_scale, bias, f"{own}/gates")
        states = []
        for name, given in zip(("hidden", "cell"), begin, strict=True):
            states.append(f"{own}/{name}")
            if given:
                index = constant(f"recurrence/direction{at}", np.int64(at))
                nodes.append(make("Gather", [given, index], [states[-1]], axis=0))  # [line, hidden]
            else:
                nodes += _zeros(products, x, hidden, states[-1])
        more, made = _loop(products, direction, hidden, own, at == 1 or any(backward), mask)
        nodes += more
        for names, name, axis in zip(found, made, (one, zero, zero), strict=True):
            nodes.append(make("Unsqueeze", [name, axis], [f"{name}/one"]))
            names.append(f"{name}/one")
    for output, names, axis in zip(outputs, found, (1, 0, 0), strict=True):
        if output:
            nodes.append(make("Concat", names, [output], axis=axis))
    return nodes


def _mask(products: RowProducts, x: str, lengths: str, key: str) -> list[onnx.NodeProto]:
    """Which steps are real bool[time, line, 1], where a line's last step is i64[line, 2], whether it has one bool[line, 1]."""
    from onnx import TensorProto, helper

    make, constant = helper.make_node, products.constant
    zero, one, two = (constant(f"recurrence/{at}", np.array([at])) for at in range(3))
    none, by = constant("recurrence/none", np.int64(0)), constant("recurrence/by", np.int64(1))
    nodes = [make("Cast", [lengths], [f"{key}/lengths"], to=TensorProto.INT64)]
    for at, name in enumerate(("time", "line")):
        nodes += [
            make("Shape", [x], [f"{key}/{name}s"], start=at, end=at + 1),
            make("Squeeze", [f"{key}/{name}s"], [f"{key}/{name}_count"]),
            make("Range", [none, f"{key}/{name}_count", by], [f"{key}/{name}"]),
            make("Unsqueeze", [f"{key}/{name}", one], [f"{key}/{name}_column"]),
        ]
    return [
        *nodes,
        make("Less", [f"{key}/time_column", f"{key}/lengths"], [f"{key}/real"]),
        make("Unsqueeze", [f"{key}/real", two], [f"{key}/mask"]),
        make("Unsqueeze", [f"{key}/lengths", one], [f"{key}/lengths_column"]),
        make("Greater", [f"{key}/lengths_column", zero], [f"{key}/mask/any"]),
        make("Sub", [f"{key}/lengths_column", one], [f"{key}/last_column"]),
        make("Concat", [f"{key}/last_column", f"{key}/line_column"], [f"{key}/mask/last"], axis=1),
    ]


def _loop(
    products: RowProducts, direction: Direction, hidden: int, own: str, reverse: bool, mask: str
) -> tuple[list[onnx.NodeProto], tuple[str, str, str]]:
    """The steps one after the other: hidden f32[time, line, hidden], 0 where a line has ended, and hidden and cell at its end.

    Forwards what comes after a line's end cannot reach it: it is put aside once, not at every step.
    """
    from onnx import helper

    make = helper.make_node
    inputs = [f"{own}/gates", *([mask] if mask and reverse else [])]
    made = [f"{own}/last", f"{own}/last_cell", f"{own}/all"]
    aside = bool(mask) and not reverse
    body = _step(products, direction, hidden, own, bool(mask) and reverse, aside)
    settings = {"scan_input_directions": [1] * len(inputs), "scan_output_directions": [1]} if reverse else {}
    scan = make(
        "Scan", [f"{own}/hidden", f"{own}/cell", *inputs], [*made, *([f"{own}/cells"] if aside else [])],
        body=body, num_scan_inputs=len(inputs), **settings,
    )  # fmt: skip
    if not aside:
        return [scan], (made[2], made[0], made[1])
    nodes = [
        scan,
        make("Where", [mask, made[2], products.constant("recurrence/nothing", np.float32(0))], [f"{own}/real"]),
    ]
    for name, every in (("hidden", made[2]), ("cell", f"{own}/cells")):
        nodes += [
            make("GatherND", [every, f"{mask}/last"], [f"{own}/{name}/at_last"]),
            make("Where", [f"{mask}/any", f"{own}/{name}/at_last", f"{own}/{name}"], [f"{own}/{name}/after"]),
        ]
    return nodes, (f"{own}/real", f"{own}/hidden/after", f"{own}/cell/after")


def _zeros(products: RowProducts, x: str, hidden: int, output: str) -> list[onnx.NodeProto]:
    """f32[line, hidden] of zeros for x [time, line, inputs]."""
    from onnx import helper

    width = products.constant(f"recurrence/wide{hidden}", np.array([hidden]))
    return [
        helper.make_node("Shape", [x], [f"{output}/lines"], start=1, end=2),
        helper.make_node("Concat", [f"{output}/lines", width], [f"{output}/size"], axis=0),
        helper.make_node("ConstantOfShape", [f"{output}/size"], [output]),
    ]


def _step(
    products: RowProducts, direction: Direction, hidden: int, key: str, masked: bool, cells: bool
) -> onnx.GraphProto:
    """One step: hidden and cell f32[line, hidden], what the inputs add f32[line, 4 * hidden], if `masked` whether it is real
    bool[line, 1] -> hidden, cell, the output, 0 where it is not real, if `cells` the cell once more. Gates in ONNX's order:
    input, output, forget, cell."""
    from onnx import TensorProto, helper

    make, constant = helper.make_node, products.constant
    sizes = constant(f"recurrence/gates{hidden}", np.array([3 * hidden, hidden]))
    each = constant(f"recurrence/each{hidden}", np.array([hidden] * 3))
    h, c, x, mask = (f"{key}/step/{name}" for name in ("hidden", "cell", "inputs", "mask"))
    own = f"{key}/step/"
    bias = direction.bias if h in products.below_one else ""
    nodes = [
        *products.nodes(h, direction.state, direction.state_scale, bias, f"{own}recurrent"),
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
    if cells:
        nodes.append(make("Identity", [after[1]], [f"{own}cell_output"]))
    port = helper.make_tensor_value_info
    given = [port(name, TensorProto.FLOAT, None) for name in (h, c, x)]
    given += [port(mask, TensorProto.BOOL, None)] if masked else []
    made = [
        port(name, TensorProto.FLOAT, None)
        for name in (*after, f"{own}output", *([f"{own}cell_output"] if cells else []))
    ]
    return products.inside(helper.make_graph(nodes, "step", given, made), own)
