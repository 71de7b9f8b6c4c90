"""Builds the graph `classify` of a fastText classifier with onnx.helper.

A line's vector is the weighted mean of its rows. A quantised matrix stays as it is: the graph looks up the codes of a row, and
then their centroids. Knows no file and no bundle.

fastText takes the sigmoids of one-vs-all and negative sampling from a table of 512 steps between -8 and 8 (loss.cc). The graph
rounds their scores down to these steps, because its probabilities would differ by up to 0.008 otherwise. Hierarchical softmax
is computed without a table, in fastText too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from textkit.exporting import quantize
from textkit.exporting.onnx_format import IR_VERSION, OPSET
from textkit.exporting.serialising import serialised
from textkit.interop.fasttext.quantised import CENTROIDS, Quantised
from textkit.interop.fasttext.tree import Tree, path_sums
from textkit.tasks.embed.exporting.graph import SMALLEST

if TYPE_CHECKING:
    import onnx

    Nodes = list[onnx.NodeProto]

Matrix = Quantised | np.ndarray
STEP = 1 / 32  # of the table of sigmoids
END = 8  # of the table: beyond, the sigmoid is 0 or 1
CERTAIN = 100.0  # stands for an infinite logit: its sigmoid is 1, and that of its negative is 0


@dataclass(frozen=True)
class Parts:
    """The two matrices, [row, dim] and [label, dim], and what makes log-probabilities of their products, the scores.

    `tree`: hierarchical softmax. `sigmoids`: one-vs-all, or negative sampling. Neither: softmax, whose logits are the scores.
    """

    rows: Matrix
    output: Matrix
    tree: Tree | None
    sigmoids: bool

    @property
    def dim(self) -> int:
        return self.rows.columns if isinstance(self.rows, Quantised) else int(self.rows.shape[1])


def classifier_graph(parts: Parts, precision: str) -> bytes:
    """The whole graph, serialised: ids i64[line, token], weight f32[line, token] -> logits f32[line, label], importance
    f32[line, token]. `precision`: how a matrix that is not quantised is stored."""
    from onnx import TensorProto, helper, numpy_helper

    constants: dict[str, np.ndarray] = {
        "axis_one": np.array([1]),
        "axis_two": np.array([2]),
        "smallest": np.array(SMALLEST),
    }
    nodes, weights, factor = _rows(parts.rows, precision)
    nodes += [
        helper.make_node("ReduceSum", ["weight", "axis_one"], ["total"], keepdims=1),  # [line, 1]
        helper.make_node("Max", ["total", "smallest"], ["divisor"]),
        helper.make_node("Div", ["weight", "divisor"], ["importance"]),  # [line, token]
    ]
    share = "importance"
    if factor:
        nodes.append(helper.make_node("Mul", ["importance", factor], ["share"]))
        share = "share"
    nodes += [
        helper.make_node("Unsqueeze", [share, "axis_one"], ["share_row"]),  # [line, 1, token]
        helper.make_node("MatMul", ["share_row", "rows"], ["vector_row"]),  # [line, 1, dim]
        # Not a Transpose, which onnxruntime would make a part of the product that follows, five times as slow.
        helper.make_node("Squeeze", ["vector_row", "axis_one"], ["vector"]),  # [line, dim]
        helper.make_node("Unsqueeze", ["vector", "axis_two"], ["vector_column"]),  # [line, dim, 1]
    ]
    output_nodes, output_weights = _output(parts)
    # One product for each line, so that no line's logits depend on how many lines are beside it.
    nodes += [
        *output_nodes,
        helper.make_node("MatMul", ["output", "vector_column"], ["scores_column"]),  # [line, label, 1]
        helper.make_node("Squeeze", ["scores_column", "axis_two"], ["scores"]),  # [line, label]
    ]
    last, last_constants = _logits(parts)
    constants |= last_constants
    labels = parts.output.rows if isinstance(parts.output, Quantised) else len(parts.output)
    graph = helper.make_graph(
        nodes + last,
        "classify",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["line", "token"]),
            helper.make_tensor_value_info("weight", TensorProto.FLOAT, ["line", "token"]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["line", labels]),
            helper.make_tensor_value_info("importance", TensorProto.FLOAT, ["line", "token"]),
        ],
        [
            numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
            for name, array in constants.items()
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="textkit"
    )
    return serialised(model, weights | output_weights)


def _rows(matrix: Matrix, precision: str) -> tuple[Nodes, dict[str, np.ndarray], str]:
    """The nodes that make `rows` f32[line, token, dim] of `ids`, their weights, and the name of what each row is still to be
    multiplied by, f32[line, token], or ""."""
    from onnx import TensorProto, helper

    if isinstance(matrix, Quantised):
        nodes, weights = _decoded(matrix, "row", "rows", [0, 0, -1], "ids")
        if matrix.norms is None:
            return nodes, weights, ""
        nodes += [
            helper.make_node("Gather", ["row_norm", "ids"], ["norm_code"]),
            helper.make_node("Cast", ["norm_code"], ["norm_place"], to=TensorProto.INT32),
            helper.make_node("Gather", ["row_norms", "norm_place"], ["factor"]),  # [line, token]
        ]
        return nodes, weights, "factor"
    weights = quantize.store(matrix, precision)
    if precision == "fp32":
        return [helper.make_node("Gather", ["table", "ids"], ["rows"])], weights, ""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["stored"]),
        helper.make_node("Cast", ["stored"], ["rows"], to=TensorProto.FLOAT),
    ]
    if precision == "fp16":
        return nodes, weights, ""
    return [*nodes, helper.make_node("Gather", ["scale", "ids"], ["factor"])], weights, "factor"


def _decoded(
    matrix: Quantised, name: str, made: str, shape: list[int], ids: str
) -> tuple[Nodes, dict[str, np.ndarray]]:
    """The nodes that make `made` of the codes and centroids, without norms, and their weights. `ids`: the input that says
    which rows, whose axes are the first of `shape`; "": all rows."""
    from onnx import TensorProto, helper

    width = matrix.parts[0].shape[1]
    centroids = np.zeros((len(matrix.parts), CENTROIDS, width), np.float32)
    for at, part in enumerate(matrix.parts):
        centroids[at, :, : part.shape[1]] = part  # the last part may be narrower
    weights = {
        f"{name}_codes": matrix.codes,
        f"{name}_centroids": centroids.reshape(-1, width),
        f"{name}_begins": np.arange(len(matrix.parts), dtype=np.int32) * CENTROIDS,
        f"{name}_shape": np.array(shape),
    }
    if matrix.norms is not None:
        weights |= {f"{name}_norm": matrix.norms[0], f"{name}_norms": matrix.norms[1]}
    whole = len(matrix.parts) * width == matrix.columns
    flat = made if whole else f"{name}_wide"
    nodes = [
        *([helper.make_node("Gather", [f"{name}_codes", ids], [f"{name}_code"])] if ids else []),
        helper.make_node(
            "Cast", [f"{name}_code" if ids else f"{name}_codes"], [f"{name}_number"], to=TensorProto.INT32
        ),
        helper.make_node("Add", [f"{name}_number", f"{name}_begins"], [f"{name}_place"]),  # [..., part]
        helper.make_node("Gather", [f"{name}_centroids", f"{name}_place"], [f"{name}_parts"]),  # [..., part, number]
        helper.make_node("Reshape", [f"{name}_parts", f"{name}_shape"], [flat]),
    ]
    if not whole:
        weights |= {
            f"{name}_from": np.array([0]), f"{name}_to": np.array([matrix.columns]), f"{name}_axis": np.array([-1])
        }  # fmt: skip
        cut = [f"{name}_wide", f"{name}_from", f"{name}_to", f"{name}_axis"]
        nodes.append(helper.make_node("Slice", cut, [made]))
    return nodes, weights


def _output(parts: Parts) -> tuple[Nodes, dict[str, np.ndarray]]:
    """The nodes that make `output` f32[score, dim] of constants, and these. A tree has one score less than labels."""
    from onnx import TensorProto, helper

    scores = slice(0, parts.tree.labels - 1 if parts.tree else None)
    if not isinstance(parts.output, Quantised):
        return [], {"output": np.ascontiguousarray(parts.output[scores], np.float32)}
    matrix = parts.output.only(np.arange(parts.output.rows)[scores])
    nodes, weights = _decoded(matrix, "label", "output" if matrix.norms is None else "directions", [0, -1], "")
    if matrix.norms is not None:
        weights["label_norm"] = matrix.norms[0][:, None]
        nodes += [
            helper.make_node("Cast", ["label_norm"], ["label_norm_place"], to=TensorProto.INT32),
            helper.make_node("Gather", ["label_norms", "label_norm_place"], ["lengths"]),  # [score, 1]
            helper.make_node("Mul", ["directions", "lengths"], ["output"]),
        ]
    return nodes, weights


def _logits(parts: Parts) -> tuple[Nodes, dict[str, np.ndarray]]:
    """The nodes that make `logits` f32[line, label] of `scores`, and their constants."""
    from onnx import helper

    if parts.tree is not None:
        return _of_tree(parts.tree)
    if not parts.sigmoids:
        return [helper.make_node("Identity", ["scores"], ["logits"])], {}
    constants = {
        "end": np.array(END, np.float32),
        "begin": np.array(-END, np.float32),
        "steps_of_one": np.array(1 / STEP, np.float32),
        "step": np.array(STEP, np.float32),
        "certain": np.array(CERTAIN, np.float32),
        "impossible": np.array(-CERTAIN, np.float32),
    }
    return [
        helper.make_node("Add", ["scores", "end"], ["from_begin"]),
        helper.make_node("Mul", ["from_begin", "steps_of_one"], ["in_steps"]),
        helper.make_node("Floor", ["in_steps"], ["whole_steps"]),
        helper.make_node("Mul", ["whole_steps", "step"], ["rounded"]),
        helper.make_node("Sub", ["rounded", "end"], ["inside"]),
        helper.make_node("Greater", ["scores", "end"], ["above"]),
        helper.make_node("Less", ["scores", "begin"], ["below"]),
        helper.make_node("Where", ["above", "certain", "inside"], ["not_above"]),
        helper.make_node("Where", ["below", "impossible", "not_above"], ["logits"]),
    ], constants


def _of_tree(tree: Tree) -> tuple[Nodes, dict[str, np.ndarray]]:
    """Scores of inner nodes f32[line, node] -> log-probabilities of labels (see tree.PathSums)."""
    from onnx import helper

    found = path_sums(tree)
    constants: dict[str, np.ndarray] = {
        "leaves": found.leaves,
        "last": found.last,
        "one_behind": np.array([0, 0, 1, 0]),
    }
    # -log(sigmoid(x)) is -log(sigmoid(|x|)) + max(-x, 0), which is exact at both ends and needs only fast operators. Lines are
    # the last axis, so that a look-up copies a row of numbers; one number at a time would take ten times as long.
    nodes = [
        helper.make_node("Transpose", ["scores"], ["turn"], perm=[1, 0]),  # [node, line]
        helper.make_node("Abs", ["turn"], ["size"]),
        helper.make_node("Sigmoid", ["size"], ["chance"]),
        helper.make_node("Log", ["chance"], ["likelier"]),
        helper.make_node("Neg", ["turn"], ["back"]),
        helper.make_node("Relu", ["back"], ["to_right"]),
        helper.make_node("Relu", ["turn"], ["to_left"]),
        helper.make_node("Sub", ["likelier", "to_right"], ["right"]),
        helper.make_node("Sub", ["likelier", "to_left"], ["left"]),
        helper.make_node("Concat", ["right", "left"], ["turns"], axis=0),
        helper.make_node("Pad", ["turns", "one_behind"], ["sum_0"]),  # a turn that is certain
    ]
    for at, step in enumerate(found.steps):
        constants[f"above_{at}"] = step
        nodes += [
            helper.make_node("Gather", [f"sum_{at}", f"above_{at}"], [f"before_{at}"]),
            helper.make_node("Add", [f"sum_{at}", f"before_{at}"], [f"sum_{at + 1}"]),
        ]
    sums = f"sum_{len(found.steps)}"
    nodes += [
        helper.make_node("Gather", [sums, "leaves"], ["of_leaves"]),
        helper.make_node("Gather", [sums, "last"], ["before_leaves"]),
        helper.make_node("Add", ["of_leaves", "before_leaves"], ["of_labels"]),  # [label, line]
        helper.make_node("Transpose", ["of_labels"], ["logits"], perm=[1, 0]),
    ]
    return nodes, constants
