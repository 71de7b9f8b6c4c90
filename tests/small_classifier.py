"""Classifiers of a few words, small enough to see: a word has logits (TABLE), a line the mean of its words'.

With `looks` a word counts more: in a line it has the share exp(look) / sum of exp(look).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from textkit.bundle import writing
from textkit.text.normalizer import Normalizer
from textkit.text.tokenizer import Pretokenized
from textkit.text.words import Words

WORDS = ["<unk>", "good", "bad", "film", "not", ",", "very"]
LABELS = ("pos", "neg", "none")
TABLE = np.array(  # f32[word, label]
    [[0, 0, 0], [3, 0, 0], [0, 3, 0], [0, 0, 1], [0, 2, 0], [0, 0, 0], [1, 1, 0]], np.float32
)
LOOKS = np.log(np.array([1, 4, 4, 1, 2, 1, 2], np.float32))  # the attention that a word draws


def words_rule() -> Words:
    """Words that are not in the table are left out, so that a line may have no token."""
    return Words(WORDS, Normalizer())


def tokens_rule(clean: bool = False, around: bool = False) -> Pretokenized:
    """Words are lower-cased and cut at white space and punctuation; a word that is not in the table is <unk>. `around`: <unk>
    stands before each line, and `very` behind it."""
    model = {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(WORDS)}, "unk_token": "<unk>"}
    frame = {
        "version": "1.0", "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"}, "model": model,
    }  # fmt: skip
    if around:
        ends = [{"SpecialToken": {"id": word, "type_id": 0}} for word in ("<unk>", "very")]
        line = {"Sequence": {"id": "A", "type_id": 0}}
        specials = {word: {"id": word, "ids": [WORDS.index(word)], "tokens": [word]} for word in ("<unk>", "very")}
        frame["post_processor"] = {
            "type": "TemplateProcessing", "single": [ends[0], line, ends[1]], "pair": [line], "special_tokens": specials,
        }  # fmt: skip
    return Pretokenized(json.dumps(frame).encode(), clean)


def classify_graph(table: np.ndarray = TABLE, looks: np.ndarray | None = None) -> bytes:
    value, node = helper.make_tensor_value_info, helper.make_node
    nodes = [
        node("Gather", ["looks", "ids"], ["look"]),
        node("Exp", ["look"], ["power"]),
        node("Mul", ["power", "weight"], ["own"]),
        node("ReduceSum", ["own", "one"], ["sum"], keepdims=1),
        node("Max", ["sum", "tiny"], ["total"]),
        node("Div", ["own", "total"], ["importance"]),
        node("Gather", ["table", "ids"], ["rows"]),
        node("Unsqueeze", ["importance", "two"], ["share"]),
        node("Mul", ["rows", "share"], ["shared"]),
        node("ReduceSum", ["shared", "one"], ["logits"], keepdims=0),
    ]
    held = {
        "looks": np.zeros(len(table), np.float32) if looks is None else looks, "table": table,
        "one": np.array([1]), "two": np.array([2]), "tiny": np.array(1e-9, np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "classify",
        [value("ids", TensorProto.INT64, ["line", "token"]), value("weight", TensorProto.FLOAT, ["line", "token"])],
        [
            value("logits", TensorProto.FLOAT, ["line", table.shape[1]]),
            value("importance", TensorProto.FLOAT, ["line", "token"]),
        ],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def softmax(*logits: float) -> list[float]:
    powers = [math.exp(logit) for logit in logits]
    return [power / sum(powers) for power in powers]


def head(labels: Sequence[str] = LABELS, name: str = "", **more: Any) -> dict[str, Any]:
    """One head as a manifest states it."""
    return {"name": name, "labels": list(labels), "several": False, "temperature": 1.0} | more


def write_classifier(
    folder: Path, *heads: Mapping[str, Any], table: np.ndarray = TABLE, looks: np.ndarray | None = None, **changes: Any
) -> Path:
    """Writes a model to `folder`; `changes` are keyword arguments of writing.write. It attends if it has `looks`."""
    facts: dict[str, Any] = {
        "name": folder.name,
        "task": "classify",
        "rule": words_rule(),
        "graphs": {"classify": classify_graph(table, looks)},
        "plugin": {"name": "by-hand", "version": "1"},
        "limits": {"tokens": 512},
        "defaults": {},
        "facts": {"heads": list(heads) or [head()], "attends": looks is not None},
        "data": [],
        "licence": "CC0-1.0",
        "scores": [],
        "parity": {},
        "precision": "fp32",
        "made": {},
    }
    return writing.write(folder, **(facts | changes))
