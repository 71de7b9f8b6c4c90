"""A model that translates word by word, small enough to see: its graphs are made by hand, its words are below.

Word number n of the translation is, with probability about 0.7, the translation of word number n of the source, or with about
0.25 another word; it ends where the source ends. So the best translation is known, and the second best differs in one word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from textkit.bundle import writing
from textkit.task import NEXT
from textkit.text.translation import SPACE, TranslationText

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
PAD, START, EOS, UNK = range(4)
WORDS = {  # source word: its translation, and another
    "the": ("der", "die"), "a": ("ein", "eine"), "dog": ("Hund", "Köter"), "cat": ("Katze", "Mieze"), "man": ("Mann", "Kerl"),
    "sees": ("sieht", "schaut"), "runs": ("läuft", "rennt"), "home": ("heim", "hin"),
    ".": (".", "!"), "!": ("!", "."), ",": (",", ";"),
}  # fmt: skip
SOURCE = [*SPECIAL, *(word if not word.isalpha() else SPACE + word for word in WORDS)]
TARGET = [*SPECIAL, *dict.fromkeys(w if not w.isalpha() else SPACE + w for both in WORDS.values() for w in both)]
LIMIT = 12  # tokens of a source, counting its end


def tokenizer(words: list[str], lowercase: bool) -> bytes:
    """A tokenizer that splits at white space and single punctuation marks, as training makes it."""
    marks = {"type": "Split", "pattern": {"Regex": r"[^\w\s▁]"}, "behavior": "Isolated", "invert": False}
    space = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
    spaces = {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
    steps = [spaces, {"type": "Strip", "strip_left": True, "strip_right": True}]
    return json.dumps(
        {
            "version": "1.0",
            "normalizer": {"type": "Sequence", "normalizers": steps + [{"type": "Lowercase"}] * lowercase},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [space, marks]},
            "decoder": space,
            "model": {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(words)}, "unk_token": "<unk>"},
        }
    ).encode()


def rule(reverse: bool = False) -> TranslationText:
    return TranslationText(
        tokenizer(SOURCE, True), tokenizer(TARGET, False), start=START, eos=EOS, pad=PAD, unk=UNK, reverse=reverse
    )


def table() -> np.ndarray:
    """The logits of the next target word for each source word, f32[source word, target word]."""
    logits = np.full((len(SOURCE), len(TARGET)), -4, np.float32)
    logits[:, [PAD, START]] = -20
    for id, piece in enumerate(SOURCE):
        for value, word in zip((3, 2), WORDS.get(piece.removeprefix(SPACE), ()), strict=False):
            logits[id, TARGET.index(word if not word.isalpha() else SPACE + word)] = value
    logits[EOS, EOS] = logits[PAD, EOS] = logits[UNK, UNK] = 6
    logits[UNK, TARGET.index(f"{SPACE}Hund")] = 1
    return logits


def encode_graph() -> bytes:
    nodes = [
        helper.make_node("Identity", ["source"], ["memory.source"]),
        helper.make_node("Cast", ["source_mask"], ["real"], to=TensorProto.INT64),
        helper.make_node("Mul", ["real", "zero"], ["none"]),
        helper.make_node("ReduceSum", ["none", "last"], ["state.place"], keepdims=0),
    ]
    inputs = [
        _value("source", TensorProto.INT64, ["line", "source"]),
        _value("source_mask", TensorProto.BOOL, ["line", "source"]),
    ]
    outputs = [
        _value("memory.source", TensorProto.INT64, ["line", "source"]),
        _value("state.place", TensorProto.INT64, ["line"]),
    ]
    return _model("encode", nodes, inputs, outputs, {"zero": np.array(0), "last": np.array([1])})


def step_graph() -> bytes:
    """state.place counts the words said so far; attention looks at the source word of that number."""
    beams = ["line", "beam"]
    nodes = [
        helper.make_node("GatherElements", ["state.place", "parent"], ["place"], axis=1),  # [line, beam]
        helper.make_node("Shape", ["memory.source"], ["width"], start=1, end=2),
        helper.make_node("Sub", ["width", "one"], ["end"]),
        helper.make_node("Min", ["place", "end"], ["looked"]),
        helper.make_node("GatherElements", ["memory.source", "looked"], ["word"], axis=1),  # [line, beam]
        helper.make_node("Gather", ["table", "word"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["logprob"], axis=-1),
        helper.make_node("Reshape", ["k", "one"], ["count"]),
        helper.make_node("TopK", ["logprob", "count"], ["top_logprob", "top_id"]),
        helper.make_node("OneHot", ["looked", "width", "off_on"], ["attention"]),
        helper.make_node("Min", ["token", "zero"], ["nothing"]),
        helper.make_node("Add", ["place", "one"], ["more"]),
        helper.make_node("Add", ["more", "nothing"], [f"state.place{NEXT}"]),
    ]
    inputs = [
        _value("token", TensorProto.INT64, beams),
        _value("parent", TensorProto.INT64, beams),
        _value("k", TensorProto.INT64, []),
        _value("memory.source", TensorProto.INT64, ["line", "source"]),
        _value("state.place", TensorProto.INT64, ["line", "from"]),
    ]
    outputs = [
        _value("top_id", TensorProto.INT64, [*beams, "k"]),
        _value("top_logprob", TensorProto.FLOAT, [*beams, "k"]),
        _value("logprob", TensorProto.FLOAT, [*beams, len(TARGET)]),
        _value("attention", TensorProto.FLOAT, [*beams, "source"]),
        _value(f"state.place{NEXT}", TensorProto.INT64, beams),
    ]
    constants = {"table": table(), "one": np.array([1]), "zero": np.array(0), "off_on": np.array([0, 1], np.float32)}
    return _model("step", nodes, inputs, outputs, constants)


_value = helper.make_tensor_value_info


def _model(name: str, nodes: Any, inputs: Any, outputs: Any, constants: dict[str, np.ndarray]) -> bytes:
    held = [numpy_helper.from_array(array, key) for key, array in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def write_translator(folder: Path, reverse: bool = False, **changes: Any) -> Path:
    """Writes the model to `folder`; `changes` are keyword arguments of writing.write. `reverse`: only the text rule reads the
    source backwards, so that the words come out in reversed order."""
    facts: dict[str, Any] = {
        "name": "word-by-word",
        "task": "translate",
        "rule": rule(reverse),
        "graphs": {"encode": encode_graph(), "step": step_graph()},
        "plugin": {"name": "by-hand", "version": "1"},
        "limits": {"tokens": LIMIT, "target": LIMIT},
        "defaults": {"beam_size": 2, "length_penalty": 1.0},
        "facts": {},
        "data": [],
        "licence": "CC0-1.0",
        "scores": [],
        "parity": {},
        "precision": "fp32",
        "made": {},
    }
    return writing.write(folder, **(facts | changes))
