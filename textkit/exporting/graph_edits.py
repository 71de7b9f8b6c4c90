"""Questions about ONNX graphs, and edits of them, that exporting needs. Knows no precision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

WIDE = 4096  # columns of a product from which on its bias is worth one more row of the matrix
SMALL = 1024  # numbers; a weight of fewer (a bias, a norm's scale) stays as it is


def lookups(graph: onnx.GraphProto, name: str, others: Sequence[onnx.NodeProto] = ()) -> list[onnx.NodeProto] | None:
    """The Gathers that look up rows of `name`; None where other nodes (except `others`) or a subgraph use it, or nothing
    does."""
    users = [node for node in graph.node if name in node.input and not any(node is other for other in others)]
    for node in users:
        if node.op_type != "Gather" or node.input[0] != name or any(a.name == "axis" and a.i for a in node.attribute):
            return None
    within = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return None if not (users or others) or any(mentions(inner, name) for inner in within) else users


def weighted_sum(graph: onnx.GraphProto, rows: str) -> onnx.NodeProto | None:
    """The Einsum that adds up `rows` [line, token, dim] by weights [line, token], which are its first input; None where
    anything else uses `rows`."""
    users = [node for node in graph.node if rows in node.input]
    if len(users) != 1 or users[0].op_type != "Einsum" or any(port.name == rows for port in graph.output):
        return None
    if any(mentions(a.g, rows) for node in graph.node for a in node.attribute if a.HasField("g")):
        return None
    equation = "".join(a.s.decode() for a in users[0].attribute if a.name == "equation").replace(" ", "")
    sums = re.fullmatch(r"(\w)(\w),\1\2(\w)->\1\3", equation) and len(set(equation)) == len("lt,w->")
    return users[0] if sums and list(users[0].input).index(rows) == 1 else None


def mentions(graph: onnx.GraphProto, name: str) -> bool:
    return any(
        name in node.input or any(mentions(a.g, name) for a in node.attribute if a.HasField("g")) for node in graph.node
    )


def is_factor(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Whether the node transposes a matrix that is then the second factor of products, and nothing else."""
    if node.op_type != "Transpose" or list(node.attribute[0].ints if node.attribute else (1, 0)) != [1, 0]:
        return False
    users = [other for other in graph.node if node.output[0] in other.input]
    return bool(users) and all(
        product(other) is False and [at for at, name in enumerate(other.input) if name == node.output[0]] == [1]
        for other in users
    )


def product(node: onnx.NodeProto) -> bool | None:
    """Whether a plain matrix product takes its second factor transposed; None for any other node."""
    if node.op_type == "MatMul":
        return False
    if node.op_type != "Gemm":
        return None
    settings = {attribute.name: attribute for attribute in node.attribute}
    plain = all(settings[name].f == 1 for name in ("alpha", "beta") if name in settings)
    if not plain or ("transA" in settings and settings["transA"].i):
        return None
    return "transB" in settings and bool(settings["transB"].i)


def take_biases_in(graph: onnx.GraphProto) -> int:
    """Makes the bias of each wide product with a constant matrix one more row of the matrix, in place; returns how many.

    Adding the bias afterwards is one more pass over the result: a tenth of the time of 300 tokens' logits over 33,278 words
    of 200 numbers each. onnxruntime's Gemm adds it no faster.
    """
    from onnx import helper, numpy_helper

    constants = {weight.name: weight for weight in graph.initializer}
    turned = {node.output[0] for node in graph.node if node.op_type == "Transpose" and node.input[0] in constants}
    found = 0
    for add in [node for node in graph.node if node.op_type == "Add"]:
        bias = next((name for name in add.input if name in constants and len(constants[name].dims) == 1), "")
        if not bias or constants[bias].dims[0] < WIDE:
            continue
        name = add.input[1 - list(add.input).index(bias)]
        multiply = next((node for node in graph.node if name in node.output and node.op_type == "MatMul"), None)
        if multiply is None or sum(name in node.input for node in graph.node) > 1:
            continue
        x, matrix = multiply.input
        if matrix not in constants and matrix not in turned:
            continue
        found += 1
        for key, array in (("row", np.array([0])), ("one", np.array([1]))):
            graph.initializer.append(numpy_helper.from_array(array, f"{name}/{key}"))
        ones = numpy_helper.from_array(np.ones(1, np.float32))
        new = [
            helper.make_node("Unsqueeze", [bias, f"{name}/row"], [f"{name}/bias"]),  # folded when the graph is loaded,
            helper.make_node("Concat", [matrix, f"{name}/bias"], [f"{name}/matrix"], axis=0),  # and so is this
            helper.make_node("Shape", [x], [f"{name}/shape"], start=0, end=-1),
            helper.make_node("Concat", [f"{name}/shape", f"{name}/one"], [f"{name}/column"], axis=0),
            helper.make_node("ConstantOfShape", [f"{name}/column"], [f"{name}/ones"], value=ones),
            helper.make_node("Concat", [x, f"{name}/ones"], [f"{name}/given"], axis=-1),
            helper.make_node("MatMul", [f"{name}/given", f"{name}/matrix"], list(add.output)),
        ]
        at = list(graph.node).index(add)
        graph.node.remove(add)
        for step, node in enumerate(new):
            graph.node.insert(at + step, node)
        graph.node.remove(multiply)
    return found


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


def prefix(graph: onnx.GraphProto, mark: str, names: dict[str, str]) -> None:
    """Puts `mark` before every name of `graph` and its subgraphs that is not in `names`, and adds the new names to it."""
    for value in [*graph.input, *graph.initializer]:
        value.name = names.setdefault(value.name, mark + value.name)
    for node in graph.node:
        node.name = mark + node.name if node.name else ""
        node.input[:] = [names.setdefault(name, mark + name) if name else "" for name in node.input]
        for attribute in node.attribute:
            for subgraph in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                prefix(subgraph, mark, names)
        node.output[:] = [names.setdefault(name, mark + name) if name else "" for name in node.output]
    for value in graph.output:
        value.name = names.setdefault(value.name, mark + value.name)
    for value in graph.value_info:
        value.name = names.get(value.name, value.name)


def take_contents(graph: onnx.GraphProto, body: onnx.ModelProto) -> None:
    """Adds to `graph`, which has the nodes of `body` already, that body's constants and known shapes of inner values."""
    graph.initializer.extend(body.graph.initializer)
    inner = {name for node in graph.node for name in node.output} - {port.name for port in graph.output}
    graph.value_info.extend(value for value in body.graph.value_info if value.name in inner)
