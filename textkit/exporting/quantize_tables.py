"""Stores the tables of a traced graph in fewer bytes, and what looks rows up in them turns these into numbers again.

What is multiplied by as integers is in quantize_graph.py. Knows no plugin and no bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from textkit.exporting.graph_edits import (
    SMALL,
    insert_behind,
    is_factor,
    lookups,
    product,
    size,
    weighted_sum,
)
from textkit.exporting.quantize import store

if TYPE_CHECKING:
    import onnx


def store_half(graph: onnx.GraphProto) -> None:
    """Stores tables and matrices as halves, in place, and casts them, or the rows looked up in them."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or array.size < SMALL:
            continue
        name, half = weight.name, f"{weight.name}/half"
        others = list(weight.metadata_props)
        weight.CopyFrom(numpy_helper.from_array(store(array, "fp16")["table"], half))
        weight.metadata_props.extend(others)
        gathers = lookups(graph, name)
        if gathers is None:  # the Cast is folded when the model is loaded
            casts.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
        for node in gathers or ():  # casts the rows looked up: a table cast whole would be held as f32
            node.input[0] = half
            rows = f"{node.output[0]}/half"
            after = helper.make_node("Cast", [rows], [node.output[0]], to=TensorProto.FLOAT)
            node.output[0] = rows
            insert_behind(graph, node, [after])
    for cast in reversed(casts):
        graph.node.insert(0, cast)


def store_rows(graph: onnx.GraphProto) -> dict[str, str]:
    """Stores looked-up tables as integers. Returns transposed table -> its scales for those that are multiplied by too."""
    from onnx import TensorProto, helper, numpy_helper

    shared: dict[str, str] = {}
    _turn_tables(graph)
    for weight in list(graph.initializer):
        users = [node for node in graph.node if weight.name in node.input]
        factors = [node for node in users if is_factor(graph, node)]
        gathers = lookups(graph, weight.name, factors)
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) != 2 or not users or gathers is None:
            continue
        name = weight.name
        stored = store(numpy_helper.to_array(weight), "int8")
        weight.CopyFrom(numpy_helper.from_array(stored["table"], name))
        graph.initializer.append(numpy_helper.from_array(stored["scale"][:, None].copy(), f"{name}/scale"))
        if factors:  # the Reshape of a constant is folded when the graph is loaded
            graph.initializer.append(numpy_helper.from_array(np.array([-1]), f"{name}/flat"))
            flat = helper.make_node("Reshape", [f"{name}/scale", f"{name}/flat"], [f"{name}/scales"])
            graph.node.insert(0, flat)
            shared |= {node.output[0]: f"{name}/scales" for node in factors}
        for node in gathers:
            output = node.output[0]
            if total := weighted_sum(graph, output):
                _scale_weights(graph, node, total, f"{name}/scale")
                continue
            node.output[0] = f"{output}/steps"
            insert_behind(
                graph,
                node,
                [
                    helper.make_node("Cast", [f"{output}/steps"], [f"{output}/whole"], to=TensorProto.FLOAT),
                    helper.make_node("Gather", [f"{name}/scale", node.input[1]], [f"{output}/step"]),  # [..., 1]
                    helper.make_node("Mul", [f"{output}/whole", f"{output}/step"], [output]),
                ],
            )
    return shared


def _scale_weights(graph: onnx.GraphProto, gather: onnx.NodeProto, total: onnx.NodeProto, scale: str) -> None:
    """Multiplies the weights of a weighted sum of rows by the rows' scales, not each number of each row: a line of a bag then
    takes half the time."""
    from onnx import TensorProto, helper, numpy_helper

    rows, weights = gather.output[0], total.input[0]
    gather.output[0] = f"{rows}/steps"
    insert_behind(graph, gather, [helper.make_node("Cast", [f"{rows}/steps"], [rows], to=TensorProto.FLOAT)])
    graph.initializer.append(numpy_helper.from_array(np.array([2]), f"{rows}/last"))
    scaled = [
        helper.make_node("Gather", [scale, gather.input[1]], [f"{rows}/scales"]),  # [line, token, 1]
        helper.make_node("Squeeze", [f"{rows}/scales", f"{rows}/last"], [f"{rows}/scale"]),  # [line, token]
        helper.make_node("Mul", [weights, f"{rows}/scale"], [f"{rows}/weights"]),
    ]
    total.input[0] = f"{rows}/weights"
    at = next(at for at, node in enumerate(graph.node) if node.output == total.output)
    for step, node in enumerate(scaled):
        graph.node.insert(at + step, node)


def _turn_tables(graph: onnx.GraphProto) -> None:
    """Transposes a looked-up table by a separate node where a Gemm would take it transposed."""
    from onnx import helper

    for weight in list(graph.initializer):
        users = [node for node in graph.node if weight.name in node.input]
        gemms = [node for node in users if node.op_type == "Gemm" and product(node) and node.input[1] == weight.name]
        if not gemms or not lookups(graph, weight.name, gemms):
            continue
        turned = f"{weight.name}/turned"
        graph.node.insert(0, helper.make_node("Transpose", [weight.name], [turned], perm=[1, 0]))
        for node in gemms:
            node.input[1] = turned
            kept = [attribute for attribute in node.attribute if attribute.name != "transB"]
            del node.attribute[:]
            node.attribute.extend(kept)


def store_slices(graph: onnx.GraphProto) -> None:
    """Stores tables that are only sliced (those of positions) as halves, and casts the slices."""
    from onnx import TensorProto, helper, numpy_helper

    for weight in list(graph.initializer):
        users = [node for node in graph.node if weight.name in node.input]
        cut = users and all(node.op_type == "Slice" and node.input[0] == weight.name for node in users)
        if not cut or weight.data_type != TensorProto.FLOAT or size(weight) < SMALL:
            continue
        half = store(numpy_helper.to_array(weight), "fp16")["table"]
        weight.CopyFrom(numpy_helper.from_array(half, weight.name))
        for node in users:
            piece = node.output[0]
            node.output[0] = f"{piece}/half"
            cast = helper.make_node("Cast", [f"{piece}/half"], [piece], to=TensorProto.FLOAT)
            insert_behind(graph, node, [cast])
