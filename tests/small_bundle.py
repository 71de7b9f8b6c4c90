"""A model of three words and two dimensions, small enough to see; the tests of bundles and of serving's frame share it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from textkit.bundle import writing
from textkit.text.normalizer import Normalizer
from textkit.text.words import Words

WORDS = ["cat", "dog", "fish"]
TABLE = np.array([[1, 2], [3, 4], [5, 6]], np.float32)  # [id, dim]


def identity() -> bytes:
    """The smallest graph: f32[n] x -> y, the same numbers."""
    port = TensorProto.FLOAT, ["n"]
    ports = [[helper.make_tensor_value_info(name, *port)] for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", *ports)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def embed_model(table: np.ndarray = TABLE, opset: int = 23, ir: int = 10) -> onnx.ModelProto:
    """The ports of the task `embed` over a bare table; the vector is the weighted sum, whatever pool and normalize say."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["tokens"]),
            helper.make_node("Unsqueeze", ["weight", "last"], ["column"]),
            helper.make_node("Mul", ["tokens", "column"], ["weighted"]),
            helper.make_node("ReduceSum", ["weighted", "middle"], ["vector"], keepdims=0),
        ],
        "embed",
        [
            value("ids", TensorProto.INT64, ["line", "token"]),
            value("weight", TensorProto.FLOAT, ["line", "token"]),
            value("pool", TensorProto.INT64, []),
            value("normalize", TensorProto.BOOL, []),
        ],
        [
            value("vector", TensorProto.FLOAT, ["line", table.shape[1]]),
            value("tokens", TensorProto.FLOAT, ["line", "token", table.shape[1]]),
        ],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([2]), "last"),
            numpy_helper.from_array(np.array([1]), "middle"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


FACTS: dict[str, Any] = {
    "name": "pets",
    "task": "embed",
    "plugin": {"name": "by-hand", "version": "1"},
    "limits": {"tokens": 512},
    "defaults": {"pooling": "mean", "normalize": False},
    "facts": {"dim": 2},
    "data": [{"file": "none", "licence": "none"}],
    "licence": "CC0-1.0",
    "scores": [{"metric": "spearman", "value": 0.5, "data": "pairs", "command": "by hand"}],
    "parity": {"worst": 0.0},
    "precision": "fp32",
    "made": {"command": "by hand"},
}


def write_small(folder: Path, **changes: Any) -> Path:
    """Writes the model to `folder`; `changes` are keyword arguments of writing.write."""
    facts = {"rule": Words(WORDS, Normalizer()), "graphs": {"embed": embed_model().SerializeToString()}, **FACTS}
    return writing.write(folder, **(facts | changes))
