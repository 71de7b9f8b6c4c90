"""Builds the graph of the task `embed` with onnx.helper: rows of a table, or another graph's tokens, then pooling.

The pooling half (mean, max, sif; component removal; normalisation) is written once, here, in ONNX: a table of word
vectors and a network that torch exported get the same nodes. Knows no plugin, no bundle, no torch and no onnxruntime.

Measured on one core with 512 lines of 12 tokens and 100 numbers per vector: MatMul of weights and rows takes 0.25 ms (0.14
of it the Gather), Mul and ReduceSum take 0.36 ms; Einsum is as fast as MatMul on one thread and a third slower on two. What
`pool` and `normalize` do not ask for lies in the branches of an If and costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.exporting.graph_edits import prefix, take_contents
from textkit.exporting.onnx_format import IR_VERSION, LARGEST, OPSET
from textkit.exporting.serialising import serialised

if TYPE_CHECKING:
    import onnx

SIF_A = 1e-3  # Arora et al. 2017, section 3: weight a / (a + p(word))
SMALLEST = np.float32(np.finfo(np.float32).tiny)  # stands for 0 as a divisor: 0 / SMALLEST is 0


def table_graph(
    stored: Mapping[str, np.ndarray], probability: np.ndarray | None = None, component: np.ndarray | None = None
) -> bytes:
    """The whole `embed` graph of a table of vectors, serialised.

    `stored`: `table` [id, dim] as f32, f16 or i8, and for i8 `scale` f32[id], one per row; see quantize.store.
    `probability` f32[id] and `component` f32[dim] as in `pooling`. Raises TextkitError over the 2 GB that one ONNX
    file may hold.
    """
    from onnx import TensorProto, helper

    table = stored["table"]
    refuse_size(table.shape, table.dtype.itemsize)
    # The rows are cast after the Gather: the other way round onnxruntime folds the Cast and holds the table as f32.
    if table.dtype == np.float32:
        nodes = [helper.make_node("Gather", ["table", "ids"], ["tokens"])]  # [line, token, dim]
    elif table.dtype == np.float16:
        nodes = [
            helper.make_node("Gather", ["table", "ids"], ["half"]),  # [line, token, dim]
            helper.make_node("Cast", ["half"], ["tokens"], to=TensorProto.FLOAT),
        ]
    else:
        nodes = [
            helper.make_node("Gather", ["table", "ids"], ["steps"]),  # [line, token, dim]
            helper.make_node("Cast", ["steps"], ["whole"], to=TensorProto.FLOAT),
            helper.make_node("Gather", ["scale", "ids"], ["step"]),  # [line, token]
            helper.make_node("Unsqueeze", ["step", "axis_two"], ["step_column"]),  # [line, token, 1]
            helper.make_node("Mul", ["whole", "step_column"], ["tokens"]),
        ]
    head, constants = pooling(table.shape[1], probability, component)
    return serialised(_model(_graph(nodes + head, constants, table.shape[1]), []), stored)


def row_bytes(dim: int, itemsize: int) -> int:
    """The bytes that one row of a table takes in an ONNX file. An int8 row has a scale as well."""
    return dim * itemsize + 4 * (itemsize == 1)


def refuse_size(shape: tuple[int, ...], itemsize: int) -> None:
    """Raises TextkitError where a table of this shape, `itemsize` bytes per number, is too large for one ONNX file."""
    size = shape[0] * row_bytes(shape[1], itemsize)
    if size > LARGEST:
        raise TextkitError(
            f"a table of {shape[0]:,} vectors takes {size / 1e9:.1f} GB, an ONNX file holds 2 GB: "
            f"leave rare words out with --max-vocab, or choose a lower --precision"
        )


def graft(body: onnx.ModelProto, probability: np.ndarray | None = None, component: np.ndarray | None = None) -> bytes:
    """Puts the pooling half behind `body`: ids i64[line, token], weight f32[line, token] -> rows f32[line, token, dim].

    `tokens` is `rows` with zeros where the weight is 0, whatever the network computed for padding. A line that is all
    padding is shown to the network with weights of 1, because attention over nothing gives NaN.
    `body` may give a second output as well, the model's own vector of each line f32[line, dim].
    """
    from onnx import helper

    shown = [
        helper.make_node("ReduceMax", ["weight", "axis_one"], ["largest_weight"], keepdims=1),  # [line, 1]
        helper.make_node("Equal", ["largest_weight", "zero"], ["all_padding"]),
        helper.make_node("Where", ["all_padding", "one", "weight"], ["shown_weight"]),  # [line, token]
    ]
    body = _copied(body)
    rows = body.graph.output[0]
    dim = rows.type.tensor_type.shape.dim[2].dim_value
    own = "own_vector" if len(body.graph.output) > 1 else ""
    head, constants = pooling(dim, probability, component, own)
    mask = [
        helper.make_node("Greater", ["weight", "zero"], ["real"]),  # [line, token]
        helper.make_node("Unsqueeze", ["real", "axis_two"], ["real_column"]),  # [line, token, 1]
        helper.make_node("Where", ["real_column", rows.name, "zero"], ["tokens"]),
    ]
    constants["one"] = np.array(1, np.float32)
    # The names used here could clash with the exporter's, so all names of the body but its two inputs get a prefix.
    names = {"ids": "ids", "weight": "shown_weight"}
    prefix(body.graph, "body/", names)
    mask[2].input[1] = names.get(rows.name, rows.name)
    if own:
        vector = body.graph.output[1].name
        mask.append(helper.make_node("Where", ["all_padding", "zero", names.get(vector, vector)], [own]))
    graph = _graph([*shown, *body.graph.node, *mask, *head], constants, dim)
    take_contents(graph, body)
    others = [opset for opset in body.opset_import if opset.domain not in ("", "ai.onnx")]
    model = _model(graph, others)
    model.functions.extend(body.functions)
    return model.SerializeToString()


def pooling(
    dim: int, probability: np.ndarray | None, component: np.ndarray | None, own: str = ""
) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """The nodes that turn ids, weight, pool, normalize and tokens f32[line, token, dim] into `vector`, and their
    constants.

    mean: sum(weight * row) / sum(weight), the zero vector where all weights are 0. max: over the tokens of weight above 0.
    sif: the mean by weight * a / (a + p), minus its part along `component` f32[dim]. Without `probability` f32[id] every
    word is as probable as any other, and sif differs from mean by the component alone.

    `own`: the name of the model's own vector f32[line, dim], which the value 3 of `pool` then gives.
    """
    from onnx import helper

    constants: dict[str, np.ndarray] = {
        "axis_one": np.array([1]),
        "axis_two": np.array([2]),
        "zero": np.array(0, np.float32),
        "smallest": np.array(SMALLEST),
        "pool_mean": np.array(0, np.int64),
        "pool_max": np.array(1, np.int64),
    }
    sif = _sif(probability, component, constants)
    last, last_vector = sif, "sif_vector"
    if own:
        constants["pool_own"] = np.array(3, np.int64)
        plain_own = [helper.make_node("Identity", [own], ["model_vector"])]
        last = _choice("is_own", plain_own, "model_vector", sif, "sif_vector", "last_vector", dim)
        last.insert(0, helper.make_node("Equal", ["pool", "pool_own"], ["is_own"]))
        last_vector = "last_vector"
    others = _choice("is_max", _max("max_vector"), "max_vector", last, last_vector, "other_vector", dim)
    others.insert(0, helper.make_node("Equal", ["pool", "pool_max"], ["is_max"]))
    pooled = _choice(
        "is_mean", _mean("weight", "mean", "mean_vector"), "mean_vector", others, "other_vector", "pooled", dim
    )
    unit = [
        helper.make_node("ReduceL2", ["pooled", "axis_one"], ["length"], keepdims=1),  # [line, 1]
        helper.make_node("Max", ["length", "smallest"], ["divisor"]),
        helper.make_node("Div", ["pooled", "divisor"], ["unit_vector"]),  # [line, dim]
    ]
    plain = [helper.make_node("Identity", ["pooled"], ["plain_vector"])]
    return [
        helper.make_node("Equal", ["pool", "pool_mean"], ["is_mean"]),
        *pooled,
        *_choice("normalize", unit, "unit_vector", plain, "plain_vector", "vector", dim),
    ], constants


def _sif(
    probability: np.ndarray | None, component: np.ndarray | None, constants: dict[str, np.ndarray]
) -> list[onnx.NodeProto]:
    """The nodes of `sif_vector`, as `pooling` describes it; their constants are added to `constants`."""
    from onnx import helper

    sif, weight = [], "weight"
    if probability is not None:
        constants["sif_weight"] = (SIF_A / (SIF_A + np.asarray(probability, np.float64))).astype(np.float32)
        sif = [
            helper.make_node("Gather", ["sif_weight", "ids"], ["rarity"]),  # [line, token]
            helper.make_node("Mul", ["weight", "rarity"], ["rare_weight"]),
        ]
        weight = "rare_weight"
    if component is None:
        sif += _mean(weight, "sif", "sif_vector")
    else:
        constants["component"] = np.asarray(component, np.float32)[None, None, :]  # [1, 1, dim]
        constants["component_row"] = np.asarray(component, np.float32)[None, :]
        sif += [
            *_mean(weight, "sif", "sif_whole"),
            # One product for each line: if the constant came second, onnxruntime would make one product of all lines,
            # which adds up in an order that depends on their number.
            helper.make_node("Unsqueeze", ["sif_whole", "axis_two"], ["sif_column"]),  # [line, dim, 1]
            helper.make_node("MatMul", ["component", "sif_column"], ["along_column"]),  # [line, 1, 1]
            helper.make_node("Squeeze", ["along_column", "axis_two"], ["along"]),  # [line, 1]
            helper.make_node("Mul", ["along", "component_row"], ["shared"]),  # [line, dim]
            helper.make_node("Sub", ["sif_whole", "shared"], ["sif_vector"]),
        ]
    return sif


def _mean(weight: str, prefix: str, output: str) -> list[onnx.NodeProto]:
    from onnx import helper

    return [
        helper.make_node("Unsqueeze", [weight, "axis_one"], [f"{prefix}_row"]),  # [line, 1, token]
        helper.make_node("MatMul", [f"{prefix}_row", "tokens"], [f"{prefix}_sum"]),  # [line, 1, dim]
        helper.make_node("Squeeze", [f"{prefix}_sum", "axis_one"], [f"{prefix}_flat"]),  # [line, dim]
        helper.make_node("ReduceSum", [weight, "axis_one"], [f"{prefix}_total"], keepdims=1),  # [line, 1]
        helper.make_node("Max", [f"{prefix}_total", "smallest"], [f"{prefix}_divisor"]),
        helper.make_node("Div", [f"{prefix}_flat", f"{prefix}_divisor"], [output]),  # [line, dim]
    ]


def _max(output: str) -> list[onnx.NodeProto]:
    from onnx import TensorProto, helper

    lowest = helper.make_tensor("lowest", TensorProto.FLOAT, [], [float("-inf")])
    return [
        helper.make_node("Constant", [], ["lowest"], value=lowest),
        helper.make_node("Greater", ["weight", "zero"], ["counts"]),  # [line, token]
        helper.make_node("Unsqueeze", ["counts", "axis_two"], ["counts_column"]),  # [line, token, 1]
        helper.make_node("Where", ["counts_column", "tokens", "lowest"], ["candidates"]),  # [line, token, dim]
        helper.make_node("ReduceMax", ["candidates", "axis_one"], ["highest"], keepdims=0),  # [line, dim]
        helper.make_node("ReduceMax", ["weight", "axis_one"], ["largest"], keepdims=1),  # [line, 1]
        helper.make_node("Greater", ["largest", "zero"], ["any"]),
        helper.make_node("Where", ["any", "highest", "zero"], [output]),  # [line, dim]
    ]


def _choice(
    condition: str, then: list[Any], then_output: str, other: list[Any], other_output: str, output: str, dim: int
) -> list[onnx.NodeProto]:
    from onnx import TensorProto, helper

    branches = [
        helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["line", dim])])
        for nodes, name in ((then, then_output), (other, other_output))
    ]
    return [helper.make_node("If", [condition], [output], then_branch=branches[0], else_branch=branches[1])]


def _graph(nodes: list[onnx.NodeProto], constants: Mapping[str, np.ndarray], dim: int) -> onnx.GraphProto:
    from onnx import TensorProto, helper, numpy_helper

    return helper.make_graph(
        nodes,
        "embed",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["line", "token"]),
            helper.make_tensor_value_info("weight", TensorProto.FLOAT, ["line", "token"]),
            helper.make_tensor_value_info("pool", TensorProto.INT64, []),
            helper.make_tensor_value_info("normalize", TensorProto.BOOL, []),
        ],
        [
            helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["line", dim]),
            helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["line", "token", dim]),
        ],
        [
            numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
            for name, array in constants.items()
        ],
    )


def _model(graph: onnx.GraphProto, opsets: list[Any]) -> onnx.ModelProto:
    from onnx import helper

    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), *opsets],
        ir_version=IR_VERSION,
        producer_name="textkit",
    )


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy
