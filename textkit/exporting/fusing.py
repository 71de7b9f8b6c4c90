"""Does the same arithmetic in fewer nodes: with one or two rows at a time, running a node costs more than its arithmetic.

Knows no plugin, no precision and no bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textkit.exporting.graph_edits import drop_unused

if TYPE_CHECKING:
    import onnx


def fused(data: bytes) -> bytes:
    """A graph, as bytes, with fewer nodes.

    A normalisation and the sum before it stay two nodes: onnxruntime's SkipLayerNormalization takes three times as long.
    """
    import onnx

    model = onnx.load_from_string(data)
    _skip_splits(model.graph)
    _fold_heads(model.graph)
    drop_unused(model.graph)
    return model.SerializeToString()


def _users(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in set(node.input):
            users.setdefault(name, []).append(node)
    for port in graph.output:
        users.setdefault(port.name, []).extend([graph.node[0]] * 2)  # only what has a single user is fused away
    return users


def _attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto | None:
    return next((attribute for attribute in node.attribute if attribute.name == name), None)


def _is_turn(node: onnx.NodeProto) -> bool:
    """Whether a node swaps the axes of heads and tokens."""
    return node.op_type == "Transpose" and list(node.attribute[0].ints) == [0, 2, 1, 3]


def _skip_splits(graph: onnx.GraphProto) -> None:
    """Removes every Split into a single part."""
    outputs = {port.name for port in graph.output}
    for node in [node for node in graph.node if node.op_type == "Split" and len(node.output) == 1]:
        if node.output[0] in outputs:
            continue
        for other in graph.node:
            other.input[:] = [node.input[0] if name == node.output[0] else name for name in other.input]
        graph.node.remove(node)


def _fold_heads(graph: onnx.GraphProto) -> None:
    """Lets Attention of [line, token, width] split and join heads itself: eight nodes fewer."""
    from onnx import helper, numpy_helper

    constants = {weight.name: weight for weight in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    users = _users(graph)
    for node in [node for node in graph.node if node.op_type == "Attention" and not node.domain]:
        turns = [makers[name] for name in node.input[:3] if name in makers]
        behind = users.get(node.output[0], [])
        if len(turns) < 3 or len(behind) != 1 or not all(map(_is_turn, [*turns, *behind])):
            continue
        if _attribute(node, "q_num_heads") is not None:
            continue
        reshapes = [makers[turn.input[0]] for turn in turns if turn.input[0] in makers]
        joined = users.get(behind[0].output[0], [])
        if len(joined) != 1 or joined[0].op_type != "Reshape":
            continue
        if len(reshapes) < 3 or any(part.op_type != "Reshape" for part in reshapes):
            continue
        if any(len(users[name]) > 1 for name in [*node.input[:3], *(part.output[0] for part in reshapes)]):
            continue
        shapes = [makers.get(part.input[1]) for part in reshapes]
        heads = [shape.input[2] if shape is not None and len(shape.input) == 4 else "" for shape in shapes]
        if any(name not in constants for name in heads):
            continue
        counts = [int(numpy_helper.to_array(constants[name])[0]) for name in heads]
        for at, part in enumerate(reshapes):
            node.input[at] = part.input[0]
        node.attribute.append(helper.make_attribute("q_num_heads", counts[0]))
        node.attribute.append(helper.make_attribute("kv_num_heads", counts[1]))
        node.output[0] = joined[0].output[0]
        for gone in (*turns, *reshapes, *behind, *joined):
            graph.node.remove(gone)
