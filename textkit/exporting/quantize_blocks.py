"""Stores matrices as 8-bit integers with a scale for every few numbers of a column, and multiplies by MatMulNBits.

That is an operator of onnxruntime's own. It gives each block of each row of the activations a scale, so that a row's result
does not depend on the rows beside it: drawing words by the result needs that. It is faster than quantize_rows.py with few
rows, and slower with many. Knows no plugin and no bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.exporting.graph_edits import SMALL, drop_unused, insert_behind, is_factor, lookups, product, size

if TYPE_CHECKING:
    import onnx

BLOCK = 32  # numbers that share a scale
_ZERO = 128  # how 0 is stored


def store_blocks(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """rows f32[out, in] -> u8[out, blocks, BLOCK], padded with zeros, and their scales f32[out, blocks]."""
    count, width = rows.shape
    blocks = -(-width // BLOCK)
    padded = np.zeros((count, blocks * BLOCK), np.float32)
    padded[:, :width] = rows
    padded = padded.reshape(count, blocks, BLOCK)
    scale = np.abs(padded).max(2) / np.float32(127)  # [out, blocks]
    steps = np.rint(padded / np.where(scale == 0, 1, scale)[:, :, None]) + _ZERO
    return steps.astype(np.uint8), scale.astype(np.float32)


def multiply_by_blocks(graph: onnx.GraphProto) -> int:
    """Multiplies by every constant matrix in blocks, in place, and returns the number of products. A table that is looked up
    too is stored once."""
    from onnx import TensorProto, numpy_helper

    found = 0
    for weight in list(graph.initializer):
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) != 2:
            continue
        users = [node for node in graph.node if weight.name in node.input]
        turned = [node for node in users if is_factor(graph, node)]  # Transposes
        behind = [user for node in turned for user in graph.node if node.output[0] in user.input]
        direct = [node for node in users if product(node) is not None and node.input[1] == weight.name]
        looked_up = lookups(graph, weight.name, [*turned, *direct])
        if not (direct or behind) or looked_up is None or (size(weight) < SMALL and not looked_up):
            continue
        array = numpy_helper.to_array(weight)
        rows_are_outputs = [*behind, *(node for node in direct if product(node))]
        for node in [*rows_are_outputs, *(node for node in direct if not product(node))]:
            of_rows = any(node is other for other in rows_are_outputs)
            _multiply(graph, node, f"{weight.name}/{'rows' if of_rows else 'columns'}", array if of_rows else array.T)
            found += 1
        for node in looked_up:
            _look_up(graph, node, f"{weight.name}/rows", array)
        for node in turned:
            graph.node.remove(node)
    drop_unused(graph)
    return found


def _stored(graph: onnx.GraphProto, key: str, rows: np.ndarray) -> tuple[str, str]:
    """The names of the blocks and of their scales, which are put into the graph unless they are there already."""
    from onnx import numpy_helper

    names = f"{key}/blocks", f"{key}/scales"
    if all(weight.name != names[0] for weight in graph.initializer):
        blocks, scale = store_blocks(rows)
        graph.initializer.append(numpy_helper.from_array(blocks, names[0]))
        graph.initializer.append(numpy_helper.from_array(scale.reshape(-1), names[1]))
    return names


def _multiply(graph: onnx.GraphProto, node: onnx.NodeProto, key: str, rows: np.ndarray) -> None:
    """Makes the product with rows f32[out, in] a product with blocks."""
    from onnx import helper

    blocks, scales = _stored(graph, key, rows)
    name = node.input[2] if len(node.input) > 2 else _added(graph, node, len(rows))
    bias = ["", "", name] if name else []
    settings = {"K": rows.shape[1], "N": rows.shape[0], "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
    node.CopyFrom(
        helper.make_node(
            "MatMulNBits", [node.input[0], blocks, scales, *bias], list(node.output), domain="com.microsoft", **settings
        )
    )


def _added(graph: onnx.GraphProto, node: onnx.NodeProto, width: int) -> str:
    """The name of the constant f32[width] that is added to a product, whose Add is removed from the graph; '' where there is
    none, or where the product is used elsewhere too."""
    output = node.output[0]
    users = [user for user in graph.node if output in user.input]
    if len(users) != 1 or users[0].op_type != "Add" or any(output == port.name for port in graph.output):
        return ""
    constants = [weight.name for weight in graph.initializer if list(weight.dims) == [width]]
    found = [name for name in users[0].input if name in constants]
    if found:
        node.output[0] = users[0].output[0]
        graph.node.remove(users[0])
    return found[0] if found else ""


def _look_up(graph: onnx.GraphProto, node: onnx.NodeProto, key: str, rows: np.ndarray) -> None:
    """Makes the node look up rows f32[..., in] of ids [...] in a table of blocks."""
    from onnx import TensorProto, helper, numpy_helper

    blocks, scales = _stored(graph, key, rows)
    ids, output = node.input[1], node.output[0]
    width = rows.shape[1]
    padded = -(-width // BLOCK) * BLOCK

    def constant(name: str, value: object) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{output}/{name}"))
        return f"{output}/{name}"

    def made(kind: str, inputs: list[str], name: str, **settings: Any) -> str:
        after.append(helper.make_node(kind, inputs, [f"{output}/{name}" if name else output], **settings))
        return str(after[-1].output[0])

    after: list[onnx.NodeProto] = []
    node.input[0], node.output[0] = blocks, f"{output}/steps"  # [..., blocks, BLOCK]
    whole = made("Cast", [node.output[0]], "whole", to=TensorProto.FLOAT)
    apart = made("Sub", [whole, constant("zero", np.float32(_ZERO))], "apart")
    of_rows = made("Reshape", [scales, constant("by_row", [len(rows), -1, 1])], "scales")  # folded at loading
    scale = made("Gather", [of_rows, ids], "scale")  # [..., blocks, 1]
    scaled = made("Mul", [apart, scale], "scaled")
    shape = made("Concat", [made("Shape", [ids], "shape"), constant("padded", [padded])], "flat", axis=0)
    if padded == width:
        made("Reshape", [scaled, shape], "")
    else:
        wide = made("Reshape", [scaled, shape], "wide")
        made("Slice", [wide, constant("from", [0]), constant("to", [width]), constant("last", [-1])], "")
    insert_behind(graph, node, after)
