"""Builds the graphs that `translate` and `language` search over, around what torch exported, with onnx.helper.

The nodes before a step fetch each beam's state from the beam that it continues. The nodes behind it give the k best words of
each beam with their log-probabilities, and a word drawn from the whole distribution. They are written once, here: a recurrent
decoder and a transformer get the same nodes. `logprob`, `attention`, the best words and the drawn one are separate branches,
and textkit.bundle.onnxfile.keep_outputs removes those that a search does not need. Knows no plugin, no torch and no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from textkit.exporting.graph_edits import prefix, take_contents
from textkit.exporting.onnx_format import IR_VERSION, OPSET

if TYPE_CHECKING:
    import onnx


_BLOCKS = (64, *range(63, 31, -1), *range(65, 257))  # sizes tried for blocks of the vocabulary: 64 is the fastest
_SUMMED = 256  # words whose probabilities are summed together when one is drawn
_TINY = 1e-30  # less than any probability that counts, but above 0


def whole_graph(body: onnx.ModelProto, name: str) -> bytes:
    """What torch exported, as a graph with nothing around it: `encode` or `explain`."""
    return wrapped(name, body.graph.node, body.graph.input, body.graph.output, body)


def step_graph(body: onnx.ModelProto) -> bytes:
    """The graph `step` around `body`: token i64[line, beam], memory.*, state.* [line, beam, ...], cache.* [line, ...] ->
    logits f32[line, beam, vocab], attention f32[line, beam, source] if there is a source, state.*.next, cache.*.next."""
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
    draw, more = _drawing(vocab)
    port = helper.make_tensor_value_info
    beams: list[str | int] = ["line", "beam"]
    return wrapped(
        "step",
        [*_reordering(moved), *copy.graph.node, *choice, *draw],
        [
            given[0],
            port("parent", TensorProto.INT64, beams),
            port("k", TensorProto.INT64, []),
            port("uniform", TensorProto.FLOAT, beams),
            port("temperature", TensorProto.FLOAT, []),
            port("bias", TensorProto.FLOAT, ["vocab"]),
            *given[1:],
        ],
        [
            port("top_id", TensorProto.INT64, [*beams, "k"]),
            port("top_logprob", TensorProto.FLOAT, [*beams, "k"]),
            port("logprob", TensorProto.FLOAT, [*beams, vocab]),
            port("drawn_id", TensorProto.INT64, beams),
            port("drawn_logprob", TensorProto.FLOAT, beams),
            *made,
        ],
        copy,
        constants | more | {"last_axis": np.array([2])},
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

    All log-probabilities are computed though they may not be asked for: 4 M of them take 4.8 ms on one core, whereas
    ReduceLogSumExp alone takes 50 ms and Exp of differences 16 ms. TopK of the whole vocabulary would take 7 ms. So TopK first
    finds the best maxima of blocks (1 ms), and then the best words of the k blocks that can hold the k best.
    """
    from onnx import helper

    block = next((size for size in _BLOCKS if vocab % size == 0), 64)
    padding = -vocab % block
    node = helper.make_node
    constants = {
        "choice/last_axis": np.array([-1]),
        "choice/one": np.array([1]),
        "choice/blocks": np.array([(vocab + padding) // block]),
        "choice/block": np.array(block, np.int64),
        "choice/blocked": np.array([0, 0, -1, block]),
        "choice/flat": np.array([0, 0, -1]),
    }
    nodes = [node("LogSoftmax", ["logits"], ["logprob"], axis=-1)]
    given = "logprob"
    if padding:
        constants |= {"choice/pads": np.array([0, 0, 0, 0, 0, padding]), "choice/lowest": np.array(-np.inf, np.float32)}
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
        node("Div", ["choice/place", "choice/block"], ["choice/which"]),  # [line, beam, k]: which of the k blocks
        node("GatherElements", ["choice/at", "choice/which"], ["choice/chosen"], axis=2),
        node("Mul", ["choice/chosen", "choice/block"], ["choice/first"]),
        node("Mod", ["choice/place", "choice/block"], ["choice/rest"]),
        node("Add", ["choice/first", "choice/rest"], ["top_id"]),  # [line, beam, k]
    ], constants


def _drawing(vocab: int) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """logprob [line, beam, vocab], uniform [line, beam] in (0, 1], temperature, bias [vocab] -> a word of each beam, drawn in
    proportion to exp((logprob + bias) / temperature), and its log-probability as the model has it.

    The word is the first at which the cumulative sum reaches `uniform` of the total. It is looked for among the sums of blocks
    first and then within a block, because CumSum adds one by one. Rounding never leads to a word of weight 0: where a sum first
    reaches a number above 0 it has just grown.
    """
    from onnx import TensorProto, helper

    padding = -vocab % _SUMMED
    node = helper.make_node
    constants = {
        "draw/pads": np.array([0, 0, 0, 0, 0, padding]),
        "draw/nothing": np.array(0, np.float32),
        "draw/tiny": np.array(_TINY, np.float32),
        "draw/blocked": np.array([0, 0, -1, _SUMMED]),
        "draw/block": np.array(_SUMMED, np.int64),
        "draw/axis": np.array(2),
        "draw/last_axis": np.array([-1]),
        "draw/last_block": np.array([(vocab + padding) // _SUMMED - 1]),
        "draw/last_place": np.array([_SUMMED - 1]),
    }

    def first_reaching(sums: str, mark: str, found: str) -> list[onnx.NodeProto]:
        return [
            node("GreaterOrEqual", [sums, mark], [f"{found}/reached"]),
            node("Cast", [f"{found}/reached"], [f"{found}/ones"], to=TensorProto.FLOAT),  # ArgMax knows no bool
            node("ArgMax", [f"{found}/ones"], [found], axis=2, keepdims=1),  # [line, beam, 1]
        ]

    return [
        node("Add", ["logprob", "bias"], ["draw/biased"]),
        node("Div", ["draw/biased", "temperature"], ["draw/tempered"]),
        node("Softmax", ["draw/tempered"], ["draw/weight"], axis=-1),
        node("Pad", ["draw/weight", "draw/pads", "draw/nothing"], ["draw/padded"]),
        node("Reshape", ["draw/padded", "draw/blocked"], ["draw/blocks"]),  # [line, beam, block, place]
        node("ReduceSum", ["draw/blocks", "draw/last_axis"], ["draw/of_block"], keepdims=0),  # [line, beam, block]
        node("CumSum", ["draw/of_block", "draw/axis"], ["draw/sums"]),
        node("Gather", ["draw/sums", "draw/last_block"], ["draw/whole"], axis=2),  # [line, beam, 1]
        node("Unsqueeze", ["uniform", "draw/last_axis"], ["draw/uniform"]),
        node("Mul", ["draw/whole", "draw/uniform"], ["draw/mark"]),
        *first_reaching("draw/sums", "draw/mark", "draw/at"),
        node("GatherND", ["draw/blocks", "draw/at"], ["draw/within"], batch_dims=2),  # [line, beam, place]
        node("CumSum", ["draw/within", "draw/axis"], ["draw/sums_within"]),
        node("GatherElements", ["draw/sums", "draw/at"], ["draw/reached"], axis=2),
        node("Sub", ["draw/reached", "draw/mark"], ["draw/beyond"]),  # from the mark to the end of its block
        node("Gather", ["draw/sums_within", "draw/last_place"], ["draw/whole_within"], axis=2),
        node("Sub", ["draw/whole_within", "draw/beyond"], ["draw/rest"]),
        node("Max", ["draw/rest", "draw/tiny"], ["draw/mark_within"]),
        *first_reaching("draw/sums_within", "draw/mark_within", "draw/place"),
        node("Mul", ["draw/at", "draw/block"], ["draw/first"]),
        node("Add", ["draw/first", "draw/place"], ["draw/id"]),  # [line, beam, 1]
        node("GatherElements", ["logprob", "draw/id"], ["draw/logprob"], axis=2),
        node("Squeeze", ["draw/id", "draw/last_axis"], ["drawn_id"]),
        node("Squeeze", ["draw/logprob", "draw/last_axis"], ["drawn_logprob"]),
    ], constants


def wrapped(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    body: onnx.ModelProto,
    constants: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """A graph of `nodes` and the weights, functions and opsets of `body`."""
    from onnx import helper, numpy_helper

    extra = [numpy_helper.from_array(array, key) for key, array in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), name, list(inputs), list(outputs), extra)
    take_contents(graph, body)
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
    """Lets Attention append what is new to a cache itself, which takes a third of the time of a Concat and an Attention.

    This is for Attention of [line, head, token, width] whose keys and values are Concats of a graph input and something new.
    """
    inputs = {port.name for port in graph.input}
    outputs = {port.name for port in graph.output}
    makers = {node.output[0]: node for node in graph.node if node.op_type == "Concat" and len(node.input) == 2}
    for node in [node for node in graph.node if node.op_type == "Attention" and len(node.output) == 1]:
        joined = [makers[name] for name in node.input[1:3] if name in makers]
        if len(joined) < 2:
            continue
        if len(node.input) > 4 or any(
            concat.attribute[0].i not in (2, -2)
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
