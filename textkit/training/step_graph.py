"""Builds the graphs that are searched over, of `translate` and `language`, around what torch exported, with onnx.helper.

In front of a step: each beam's state is fetched from the beam it continues. Behind it: the k best words of each beam and
their log-probabilities. Written once, here: a recurrent decoder and a transformer get the same nodes. `logprob` and
`attention` are branches of their own, which textkit.onnxfile.keep_outputs takes off. Knows no plugin, no torch and no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from textkit.training.embedding_graph import IR_VERSION, OPSET, prefix

if TYPE_CHECKING:
    import onnx


_BLOCKS = (64, *range(63, 31, -1), *range(65, 257))  # sizes tried for blocks of the vocabulary: 64 is the fastest


def whole_graph(body: onnx.ModelProto, name: str) -> bytes:
    """A graph that is what torch exported: `encode`, `explain`."""
    return wrapped(name, body.graph.node, body.graph.input, body.graph.output, body)


def step_graph(body: onnx.ModelProto) -> bytes:
    """The graph `step` around `body`: token i64[line, beam], memory.*, state.* [line, beam, ...], cache.* [line, ...] ->
    logits f32[line, beam, vocab], where there is a source attention f32[line, beam, source], state.*.next, cache.*.next."""
    from onnx import TensorProto, helper

    copy = type(body)()
    copy.CopyFrom(body)
    fuse_caches(copy.graph)
    inputs, outputs = list(copy.graph.input), list(copy.graph.output)
    moved = [port.name for port in inputs if port.name.startswith("state.")]
    for port in inputs:  # a state comes with the beams of the step before
        axes = port.type.tensor_type.shape.dim
        if port.name in moved:
            axes[1].dim_param = "from"
    given, made = [_copied(port) for port in inputs], [_copied(port) for port in outputs[1:]]
    vocab = outputs[0].type.tensor_type.shape.dim[2].dim_value
    names = {port.name: port.name for port in [*inputs, *outputs]} | {name: f"{name}/of_parent" for name in moved}
    prefix(copy.graph, "body/", names)
    choice, constants = _choosing(vocab)
    port = helper.make_tensor_value_info
    beams: list[str | int] = ["line", "beam"]
    return wrapped(
        "step",
        [*_reordering(moved), *copy.graph.node, *choice],
        [
            given[0],
            port("parent", TensorProto.INT64, beams),
            port("k", TensorProto.INT64, []),
            *given[1:],
        ],
        [
            port("top_id", TensorProto.INT64, [*beams, "k"]),
            port("top_logprob", TensorProto.FLOAT, [*beams, "k"]),
            port("logprob", TensorProto.FLOAT, [*beams, vocab]),
            *made,
        ],
        copy,
        constants | {"last_axis": np.array([2])},
    )


def _reordering(states: Sequence[str]) -> list[onnx.NodeProto]:
    """State [line, from, ...] -> [line, beam, ...]. GatherND copies each beam's block whole, and takes the index as it is."""
    from onnx import helper

    if not states:
        return []
    return [
        helper.make_node("Unsqueeze", ["parent", "last_axis"], ["parent_index"]),  # [line, beam, 1]
        *(helper.make_node("GatherND", [name, "parent_index"], [f"{name}/of_parent"], batch_dims=1) for name in states),
    ]


def _choosing(vocab: int) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """logits [line, beam, vocab] -> log-probabilities, the k best of them and their ids.

    Log-probabilities are written out though they may not be asked for: 4 M of them take 4.8 ms on a core, ReduceLogSumExp
    alone 50 ms and Exp of differences 16 ms. TopK of the whole vocabulary would take 7 ms: it is taken of the maxima of
    blocks first (1 ms), and then of the k blocks that can hold the k best.
    """
    from onnx import helper

    block = next((size for size in _BLOCKS if vocab % size == 0), 64)
    padding = -vocab % block
    node = helper.make_node
    constants = {
        "choice/last_axis": np.array([-1]),
        "choice/one": np.array([1]),
        "choice/blocks": np.array([(vocab + padding) // block]),
        "choice/block": np.int64(block),
        "choice/blocked": np.array([0, 0, -1, block]),
        "choice/flat": np.array([0, 0, -1]),
    }
    nodes = [node("LogSoftmax", ["logits"], ["logprob"], axis=-1)]
    given = "logprob"
    if padding:
        constants |= {"choice/pads": np.array([0, 0, 0, 0, 0, padding]), "choice/lowest": np.float32(-np.inf)}
        nodes.append(node("Pad", ["logprob", "choice/pads", "choice/lowest"], ["choice/padded"]))
        given = "choice/padded"
    return [
        *nodes,
        node("Reshape", ["k", "choice/one"], ["choice/k"]),  # [1]
        node("Min", ["choice/k", "choice/blocks"], ["choice/k_blocks"]),
        node("Reshape", [given, "choice/blocked"], ["choice/rows"]),  # [line, beam, block, id]
        node("ReduceMax", ["choice/rows", "choice/last_axis"], ["choice/best"], keepdims=0),  # [line, beam, block]
        node("TopK", ["choice/best", "choice/k_blocks"], ["choice/bests", "choice/at"], axis=-1, largest=1, sorted=1),
        node("Unsqueeze", ["choice/at", "choice/last_axis"], ["choice/index"]),  # [line, beam, k, 1]
        node("GatherND", ["choice/rows", "choice/index"], ["choice/few"], batch_dims=2),  # [line, beam, k, id]
        node("Reshape", ["choice/few", "choice/flat"], ["choice/candidates"]),  # [line, beam, k * id]
        node("TopK", ["choice/candidates", "choice/k"], ["top_logprob", "choice/place"], axis=-1, largest=1, sorted=1),
        node("Div", ["choice/place", "choice/block"], ["choice/which"]),  # [line, beam, k]: of the candidates' blocks
        node("GatherElements", ["choice/at", "choice/which"], ["choice/chosen"], axis=2),
        node("Mul", ["choice/chosen", "choice/block"], ["choice/first"]),
        node("Mod", ["choice/place", "choice/block"], ["choice/rest"]),
        node("Add", ["choice/first", "choice/rest"], ["top_id"]),  # [line, beam, k]
    ], constants


def wrapped(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    body: onnx.ModelProto,
    constants: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    from onnx import helper, numpy_helper

    """A graph of `nodes` and the weights, functions and opsets of `body`."""
    extra = [numpy_helper.from_array(array, key) for key, array in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), name, list(inputs), list(outputs), extra)
    graph.initializer.extend(body.graph.initializer)
    others = [opset for opset in body.opset_import if opset.domain not in ("", "ai.onnx")]
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), *others],
        ir_version=IR_VERSION,
        producer_name="textkit",
    )
    model.functions.extend(body.functions)
    return model.SerializeToString()


def _copied(port: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    copy = type(port)()
    copy.CopyFrom(port)
    return copy


def fuse_caches(graph: onnx.GraphProto) -> None:
    """Lets Attention join what is new to a cache itself, instead of a Concat before it: a third of the time of both.

    For Attention of [line, head, token, width] whose keys and values are Concats of an input of the graph and something new.
    """
    inputs = {port.name for port in graph.input}
    outputs = {port.name for port in graph.output}
    makers = {node.output[0]: node for node in graph.node if node.op_type == "Concat" and len(node.input) == 2}
    for node in [node for node in graph.node if node.op_type == "Attention" and len(node.output) == 1]:
        joined = [makers.get(name) for name in node.input[1:3]]
        if len(node.input) > 4 or any(
            concat is None
            or concat.attribute[0].i not in (2, -2)
            or concat.input[0] not in inputs
            or concat.output[0] not in outputs
            or sum(concat.output[0] in other.input for other in graph.node) > 1
            for concat in joined
        ):
            continue
        key, value = joined
        mask = list(node.input[3:4]) or [""]
        node.input[:] = [node.input[0], key.input[1], value.input[1], *mask, key.input[0], value.input[0]]
        node.output[:] = [node.output[0], key.output[0], value.output[0]]
        for concat in joined:
            graph.node.remove(concat)
