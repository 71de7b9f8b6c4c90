"""A language model of three words, small enough to see: a word has the same probability (`LOGPROB`) after any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from textkit.bundle import writing
from textkit.text.language import LanguageText

WORDS = ["<eos>", "<unk>", "the", "dog", "runs"]
LOGPROB = np.log(np.array([0.3, 0.1, 0.3, 0.2, 0.1], np.float32))  # f32[word]


def rule() -> LanguageText:
    model = {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(WORDS)}, "unk_token": "<unk>"}
    frame = {"version": "1.0", "pre_tokenizer": {"type": "WhitespaceSplit"}, "model": model}
    return LanguageText(json.dumps(frame).encode(), eos=0, unk=1, words=True)


def score_graph() -> bytes:
    inputs = [
        _value("previous", TensorProto.INT64, ["line"]),
        _value("ids", TensorProto.INT64, ["line", "token"]),
        _value("weight", TensorProto.FLOAT, ["line", "token"]),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["likely"]),
        helper.make_node("Mul", ["likely", "weight"], ["logprob"]),
    ]
    return _model("score", nodes, inputs, [_value("logprob", TensorProto.FLOAT, ["line", "token"])], {"table": LOGPROB})


def step_graph() -> bytes:
    beams = ["line", "beam"]
    nodes = [
        helper.make_node("Unsqueeze", ["token", "last"], ["apart"]),
        helper.make_node("Mul", ["apart", "zero"], ["nothing"]),
        helper.make_node("Cast", ["nothing"], ["no"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["no", "table"], ["logprob"]),
        helper.make_node("Reshape", ["k", "one"], ["count"]),
        helper.make_node("TopK", ["logprob", "count"], ["top_logprob", "top_id"]),
    ]
    inputs = [
        _value("token", TensorProto.INT64, beams),
        _value("parent", TensorProto.INT64, beams),
        _value("k", TensorProto.INT64, []),
    ]
    outputs = [
        _value("top_id", TensorProto.INT64, [*beams, "k"]),
        _value("top_logprob", TensorProto.FLOAT, [*beams, "k"]),
        _value("logprob", TensorProto.FLOAT, [*beams, len(WORDS)]),
    ]
    constants = {"table": LOGPROB, "zero": np.array(0), "last": np.array([2]), "one": np.array([1])}
    return _model("step", nodes, inputs, outputs, constants)


_value = helper.make_tensor_value_info


def _model(name: str, nodes: Any, inputs: Any, outputs: Any, constants: dict[str, np.ndarray]) -> bytes:
    held = [numpy_helper.from_array(array, key) for key, array in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def write_language(folder: Path, **changes: Any) -> Path:
    """Writes the model to `folder`; `changes` are keyword arguments of writing.write."""
    facts: dict[str, Any] = {
        "name": "three-words",
        "task": "language",
        "rule": rule(),
        "graphs": {"score": score_graph(), "step": step_graph()},
        "plugin": {"name": "by-hand", "version": "1"},
        "limits": {"tokens": 512},
        "defaults": {"max_tokens": 5},
        "facts": {},
        "data": [],
        "licence": "CC0-1.0",
        "scores": [],
        "parity": {},
        "precision": "fp32",
        "made": {},
    }
    return writing.write(folder, **(facts | changes))
