"""Lowers the precision of a traced graph: stores its weights in fewer bytes, and with int8 multiplies by them as integers.

The parity checks measure the deviation. Knows no plugin and no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from textkit.exporting.graph_edits import SMALL, drop_unused, product, size
from textkit.exporting.quantize import store
from textkit.exporting.quantize_blocks import multiply_by_blocks
from textkit.exporting.quantize_channels import constant_size, divisors
from textkit.exporting.quantize_recurrence import below_one, is_plain, largest, recurrence
from textkit.exporting.quantize_rows import RowProducts, fold_biases
from textkit.exporting.quantize_tables import store_half, store_rows, store_slices

if TYPE_CHECKING:
    import onnx

CONTRIB = "com.microsoft"  # onnxruntime's own operators


def lower(
    model: onnx.ModelProto,
    precision: str,
    few_rows: bool = False,
    largest: Mapping[str, np.ndarray] = MappingProxyType({}),
    constant: bool = False,
) -> onnx.ModelProto:
    """A copy of a traced graph with its weights in fewer bytes.

    fp16: weights are stored as halves and computed with as f32, so that any CPU runs them.

    int8: matrices are stored as integers with one scale per column, and multiplied as integers. Activations get one scale per
    row, so that no row's result depends on another's. Tables that are looked up are stored as integers with one scale per row.
    A table that is also multiplied by (tied embeddings) is stored once: the scales of its rows are those of its transpose's
    columns. With `few_rows` every few numbers of matrices and of activations share a scale (quantize_blocks.py): one operator
    per product, which is faster for few rows. `largest`: how large each channel of activations gets, for int8
    (quantize_channels.largest_channels). `constant`: whether what a normalisation or attention gives has one scale for
    all rows, instead: quicker, and a little less exact.
    """
    import onnx

    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    if precision == "fp16":
        store_half(lowered.graph)
    elif precision == "int8":
        contrib = multiply_by_blocks(lowered.graph) if few_rows else 0
        shared = store_rows(lowered.graph)
        store_slices(lowered.graph)
        if not few_rows:
            contrib = _quantize_matrices(lowered.graph, shared, largest, constant)
        if contrib and all(opset.domain != CONTRIB for opset in lowered.opset_import):
            lowered.opset_import.append(onnx.helper.make_opsetid(CONTRIB, 1))
    return lowered


def _quantize_matrices(
    graph: onnx.GraphProto, shared: Mapping[str, str], largest: Mapping[str, np.ndarray], constant: bool
) -> int:
    """Computes products with constant matrices (quantize_rows.py) and LSTMs in integers, in place; returns how many.

    `shared`: matrices that are integers already -> the scales of their columns.

    Written here because onnxruntime's own quantizer breaks graphs: it transposes a weight that two Gemms share twice, and
    makes an invalid node of ai.onnx's Attention.
    """
    from onnx import TensorProto, numpy_helper

    weights = {weight.name: weight for weight in graph.initializer}
    stored: set[str] = set()  # weights, with their orientation, that are stored as integers already
    divided = _divisors(graph, weights, shared, largest)
    sizes = _sizes(graph, divided, largest) if constant else {}
    products, found = RowProducts(graph, below_one(graph), divided, sizes), 0
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if recurrent := _recurrence(graph, products, node):
            nodes += recurrent
            found += 1
            continue
        transposed = product(node)
        factor = node.input[1] if transposed is not None else ""
        weight = weights.get(factor)
        if factor in shared:
            steps, scale = factor, shared[factor]
        elif weight is None or weight.data_type != TensorProto.FLOAT or len(weight.dims) != 2 or size(weight) < SMALL:
            nodes.append(node)
            continue
        else:
            key = weight.name + "/transposed" * bool(transposed)
            steps, scale = f"{key}/steps", f"{key}/scale"
            if key not in stored:
                stored.add(key)
                array = numpy_helper.to_array(weight)
                turned = array if transposed else array.T  # [out, in]
                columns = store(turned * divided.get(node.input[0], np.float32(1)), "int8")
                turned = np.ascontiguousarray(columns["table"].T)  # [in, out]
                for name, array in ((steps, turned), (scale, columns["scale"])):
                    graph.initializer.append(numpy_helper.from_array(array, name))
        bias = node.input[2] if len(node.input) > 2 else ""
        nodes += products.nodes(node.input[0], steps, scale, bias, node.output[0])
        found += 1
    del graph.node[:]
    graph.node.extend(nodes)
    fold_biases(graph)
    drop_unused(graph)
    return found


def _divisors(
    graph: onnx.GraphProto,
    weights: Mapping[str, onnx.TensorProto],
    shared: Mapping[str, str],
    largest: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Activation -> the number that each of its channels is divided by (quantize_channels.py).

    An activation stays as it is where its numbers have bounds anyway (those of a Relu or a Gelu have more steps), or where a
    matrix is of use elsewhere too.
    """
    from onnx import numpy_helper

    bounded = below_one(graph) | {node.output[0] for node in graph.node if node.op_type in ("Relu", "Gelu", "BiasGelu")}
    uses: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        if product(node) is not None and node.input[1] in weights:
            uses.setdefault(node.input[1], []).append(node)
    found: dict[str, np.ndarray] = {}
    for name in largest.keys() - bounded:
        nodes = [node for node in graph.node if product(node) is not None and node.input[0] == name]
        if any(node.input[1] in shared or len(uses.get(node.input[1], ())) != 1 for node in nodes):
            continue
        matrices = [numpy_helper.to_array(weights[node.input[1]]) for node in nodes]
        turned = [array.T if product(node) else array for node, array in zip(nodes, matrices, strict=True)]  # [in, out]
        numbers = divisors(largest[name], turned)
        if numbers is not None:
            found[name] = numbers
    return found


def _sizes(
    graph: onnx.GraphProto, divided: Mapping[str, np.ndarray], largest: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """How large activations of a constant scale get (quantize_channels.constant_size), after channels were `divided`."""
    names = [node.output[0] for node in graph.node if node.op_type in ("LayerNormalization", "Attention")]
    found = {name: constant_size(largest[name], divided.get(name, np.float32(1))) for name in names if name in largest}
    return {name: size for name, size in found.items() if size}


def _recurrence(graph: onnx.GraphProto, products: RowProducts, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes that replace an LSTM of constant weights (quantize_recurrence.py); none where the node stays as it is.

    GRUs and RNNs stay, and so does an LSTM whose inputs, or whose first state, may be numbers of any size. Their weights are
    stored in full precision and computed with so.
    """
    from onnx import TensorProto, numpy_helper

    if not is_plain(node):
        return []
    constants = {weight.name: weight for weight in graph.initializer}
    named = [*node.input[1:3], *filter(None, node.input[3:4])]
    if any(name not in constants or constants[name].data_type != TensorProto.FLOAT for name in named):
        return []
    most = largest(graph, node.input[0], products.below_one)
    begin = node.input[5] if len(node.input) > 5 else ""
    if most is None or (begin and begin not in products.below_one):
        return []
    inputs, state, *bias = (numpy_helper.to_array(constants[name]) for name in named)
    biases = bias[0] if bias else np.zeros((len(state), 2 * state.shape[1]), np.float32)
    return recurrence(products, node, (inputs, state, biases), most)
