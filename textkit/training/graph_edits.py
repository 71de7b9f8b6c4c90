"""What is asked of ONNX graphs, and done to them, by whatever stores their weights otherwise. Knows no precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

SMALL = 1024  # numbers; a weight of fewer (a bias, a scale of a norm) stays as it is


def lookups(graph: onnx.GraphProto, name: str, others: Sequence[onnx.NodeProto] = ()) -> list[onnx.NodeProto] | None:
    """The Gathers that look up rows of `name`; None where it is used in any other way but by `others`, or in a graph within."""
    users = [node for node in graph.node if name in node.input and not any(node is other for other in others)]
    for node in users:
        if node.op_type != "Gather" or node.input[0] != name or any(a.name == "axis" and a.i for a in node.attribute):
            return None
    within = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return None if not (users or others) or any(mentions(inner, name) for inner in within) else users


def mentions(graph: onnx.GraphProto, name: str) -> bool:
    return any(
        name in node.input or any(mentions(a.g, name) for a in node.attribute if a.HasField("g")) for node in graph.node
    )


def is_factor(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Whether the node turns a matrix over for products that it is the second factor of, and for nothing else."""
    if node.op_type != "Transpose" or list(node.attribute[0].ints if node.attribute else (1, 0)) != [1, 0]:
        return False
    users = [other for other in graph.node if node.output[0] in other.input]
    return bool(users) and all(
        product(other) is False and [at for at, name in enumerate(other.input) if name == node.output[0]] == [1]
        for other in users
    )


def product(node: onnx.NodeProto) -> bool | None:
    """Whether the second factor of a plain matrix product lies transposed; None for a node that is none."""
    if node.op_type == "MatMul":
        return False
    if node.op_type != "Gemm":
        return None
    settings = {attribute.name: attribute for attribute in node.attribute}
    plain = all(settings[name].f == 1 for name in ("alpha", "beta") if name in settings)
    if not plain or ("transA" in settings and settings["transA"].i):
        return None
    return "transB" in settings and bool(settings["transB"].i)


def insert_behind(graph: onnx.GraphProto, node: onnx.NodeProto, new: list[onnx.NodeProto]) -> None:
    at = next(at for at, other in enumerate(graph.node) if other.output == node.output) + 1
    for step, inserted in enumerate(new):
        graph.node.insert(at + step, inserted)


def size(weight: onnx.TensorProto) -> int:
    return int(np.prod(weight.dims))


def drop_unused(graph: onnx.GraphProto) -> None:
    kept = [weight for weight in graph.initializer if mentions(graph, weight.name)]
    del graph.initializer[:]
    graph.initializer.extend(kept)
