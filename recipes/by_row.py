"""Converts an int8 model of an earlier version to scales by row, so that a line's result does not depend on other lines.

    python recipes/by_row.py MODEL NEW

It needs no training and no data. The integers and scales of every matrix stay as they are; the activations multiplied by them
get one scale per row instead of one per batch (textkit/exporting/quantize_rows.py). The matrices of LSTMs are the exception:
they are rounded to 7 bits, and their inputs get a constant scale (textkit/exporting/quantize_recurrence.py). Nodes are fused
where possible (textkit/exporting/fusing.py). The shipped models were made anew with this script and their scores measured
again.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import onnx  # noqa: TID253 - a script of its own
from onnx import numpy_helper  # noqa: TID253

from textkit.bundle import bundle, writing
from textkit.exporting.fusing import fused
from textkit.exporting.graph_edits import drop_unused
from textkit.exporting.quantize_recurrence import below_one, largest, recurrence
from textkit.exporting.quantize_rows import RowProducts, fold_biases


def by_row(data: bytes) -> bytes:
    """The graph with scales by row; the same bytes if it has no products with a scale per batch."""
    model = onnx.load_from_string(data)
    graph, products = model.graph, RowProducts(model.graph, below_one(model.graph))
    makers = {name: node for node in graph.node for name in node.output}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    gone: set[str] = set()
    made: dict[str, tuple[str, str, str, str, str]] = {}  # a product's output -> what RowProducts.nodes takes
    for node in graph.node:
        if node.op_type != "MatMulInteger":
            continue
        quantised = makers[node.input[0]]  # DynamicQuantizeLinear
        (cast,) = users[node.output[0]]
        (scaled,) = users[cast.output[0]]
        scales = makers[next(name for name in scaled.input if name != cast.output[0])]
        scale = next(name for name in scales.input if name != quantised.output[1])
        last, bias = scaled, ""
        (after, *others) = users.get(scaled.output[0], [None])
        if not others and after is not None and after.op_type == "Add" and scaled.output[0].endswith("/product"):
            last, bias = after, next(name for name in after.input if name != scaled.output[0])
        gone |= {part.output[0] for part in (quantised, node, cast, scaled, scales, last)}
        made[node.output[0]] = quantised.input[0], node.input[1], scale, bias, last.output[0]
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "DynamicQuantizeLSTM":
            nodes += recurrence(
                products, node, _matrices(graph, node), largest(graph, node.input[0], products.below_one)
            )
        elif node.output[0] in made:
            nodes += products.nodes(*made[node.output[0]])
        elif node.output[0] not in gone:
            nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    fold_biases(graph)
    drop_unused(graph)
    if made and all(opset.domain != "com.microsoft" for opset in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    return model.SerializeToString() if made else data


def with_shapes_of_norms(data: bytes) -> bytes:
    """The graph with the shape after each norm, which textkit's exporter now records (textkit/exporting/tracing.py)."""
    model = onnx.load_from_string(data)
    graph = model.graph
    words = next(port for port in graph.input if port.name in ("source", "ids", "token"))
    axes = [axis.dim_param for axis in words.type.tensor_type.shape.dim]
    sizes = {weight.name: weight.dims[0] for weight in graph.initializer if len(weight.dims) == 1}
    known = {value.name for value in graph.value_info}
    for node in graph.node:
        if node.op_type == "LayerNormalization" and node.output[0] not in known:
            shape = [*axes, sizes[node.input[1]]]
            graph.value_info.append(onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, shape))
    return model.SerializeToString() if len(graph.value_info) > len(known) else data


def _matrices(graph: onnx.GraphProto, node: onnx.NodeProto) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weights of a DynamicQuantizeLSTM as `recurrence` takes them."""
    weights = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    inputs, state, bias, scale, state_scale = (
        weights[node.input[at]] for at in (1, 2, 3, 8, 10)
    )  # [direction, in, gates]
    matrices = (steps * by[:, None] for steps, by in ((inputs, scale), (state, state_scale)))
    return *(np.ascontiguousarray(matrix.transpose(0, 2, 1)) for matrix in matrices), bias


def main(model: Path, folder: Path) -> None:
    found = bundle.read(model)
    manifest = found.manifest
    made = {
        **manifest.made,
        "by_row": "recipes/by_row.py; parity is that of the export before, scores are measured again",
    }
    graphs = {name: with_shapes_of_norms(fused(by_row(found.graph(name)))) for name in manifest.graphs}
    writing.write(
        folder, name=manifest.name, task=manifest.task, rule=found.rule, plugin=manifest.plugin, limits=manifest.limits,
        graphs=graphs, defaults=manifest.defaults, facts=manifest.facts, data=manifest.data, licence=manifest.licence,
        scores=manifest.scores, parity=manifest.parity, precision=manifest.precision, made=made, overwrite=True,
    )  # fmt: skip
    print(dataclasses.asdict(bundle.read(folder).manifest)["files"])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
