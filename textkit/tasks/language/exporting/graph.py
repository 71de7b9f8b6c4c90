"""Builds the graph `score` of the task `language` around what torch exported, with onnx.helper.

The nodes before it make the words that are read: each is the word before the one that is scored. The nodes behind it give the
log-probability of each word. They are written once, here, for every family. Knows no plugin, no torch and no bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from textkit.exporting.graph_edits import prefix
from textkit.exporting.step_graph import fuse_caches, wrapped

if TYPE_CHECKING:
    import onnx


def score_graph(body: onnx.ModelProto) -> bytes:
    """The graph `score` around `body`: token i64[line, token], mask bool[line, token], state.*, cache.* [line, ...] ->
    logits f32[line, token, vocab], state.*.next, cache.*.next."""
    from onnx import TensorProto, helper

    copy = type(body)()
    copy.CopyFrom(body)
    fuse_caches(copy.graph)
    travelling, new = list(copy.graph.input)[2:], list(copy.graph.output)[1:]
    prefix(copy.graph, "body/", {port.name: port.name for port in [*copy.graph.input, *copy.graph.output]})
    node, port = helper.make_node, helper.make_tensor_value_info
    words: list[str | int] = ["line", "token"]
    constants = {
        "score/first": np.array([0]),
        "score/one": np.array([1]),
        "score/last": np.array([-1]),
        "score/two": np.array([2]),
        "score/zero": np.array(0, np.float32),
    }
    return wrapped(
        "score",
        [
            node("Slice", ["ids", "score/first", "score/last", "score/one"], ["score/before"]),  # [line, token - 1]
            node("Unsqueeze", ["previous", "score/one"], ["score/previous"]),  # [line, 1]
            node("Concat", ["score/previous", "score/before"], ["token"], axis=1),
            node("Greater", ["weight", "score/zero"], ["mask"]),
            *copy.graph.node,
            node("LogSoftmax", ["logits"], ["score/logprob"], axis=-1),
            node("Unsqueeze", ["ids", "score/two"], ["score/ids"]),  # [line, token, 1]
            node("GatherElements", ["score/logprob", "score/ids"], ["score/of_ids"], axis=2),
            node("Squeeze", ["score/of_ids", "score/two"], ["score/of_words"]),
            node("Where", ["mask", "score/of_words", "score/zero"], ["logprob"]),
        ],
        [
            port("previous", TensorProto.INT64, ["line"]),
            port("ids", TensorProto.INT64, words),
            port("weight", TensorProto.FLOAT, words),
            *travelling,
        ],
        [port("logprob", TensorProto.FLOAT, words), *new],
        copy,
        constants,
    )
