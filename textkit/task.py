"""The tasks: the graphs of each with their ports, and the serving options that a model may state defaults of.

All that serving knows of a model. Knows no architecture and no training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from textkit.errors import quoted


@dataclass(frozen=True)
class Port:
    """One input or output of a graph: its name, element type (numpy's name) and axes (a str is free, an int is fixed).

    A name that ends in `*` stands for any number of ports with that prefix, of any type, whose first axes are these. Of ports
    that are `optional` a graph has all or none.
    """

    name: str
    dtype: str
    axes: tuple[str | int, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Signature:
    """The ports of one graph of a task, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


# What travels from step to step: it belongs to a line, in a step to each of its beams, or to all beams of a line.
_OF_LINES = (Port("state.*", "", ("line",)), Port("cache.*", "", ("line",)))
_WORD = (
    Port("token", "int64", ("line", "beam")),
    Port("parent", "int64", ("line", "beam")),
    Port("k", "int64"),
    Port("uniform", "float32", ("line", "beam"), optional=True),
    Port("temperature", "float32", optional=True),
    Port("bias", "float32", ("vocab",), optional=True),
)
_BEFORE = (Port("state.*", "", ("line", "from")), Port("cache.*", "", ("line",)))
_AFTER = (Port("state.*", "", ("line", "beam")), Port("cache.*", "", ("line",)))
_CHOICE = (
    Port("top_id", "int64", ("line", "beam", "k")),
    Port("top_logprob", "float32", ("line", "beam", "k")),
    Port("logprob", "float32", ("line", "beam", "vocab")),
    Port("drawn_id", "int64", ("line", "beam"), optional=True),
    Port("drawn_logprob", "float32", ("line", "beam"), optional=True),
)
_SOURCE = (Port("source", "int64", ("line", "source")), Port("source_mask", "bool", ("line", "source")))

# A task is a graph signature: the serving side knows these names and no architecture. docs/architecture.md explains each.
TASKS: Mapping[str, Mapping[str, Signature]] = MappingProxyType(
    {
        "embed": {
            "embed": Signature(
                inputs=(
                    Port("ids", "int64", ("line", "token")),
                    Port("weight", "float32", ("line", "token")),
                    Port("pool", "int64"),
                    Port("normalize", "bool"),
                ),
                outputs=(
                    Port("vector", "float32", ("line", "dim")),
                    Port("tokens", "float32", ("line", "token", "dim")),
                ),
            )
        },
        "language": {
            "score": Signature(
                inputs=(
                    Port("previous", "int64", ("line",)),
                    Port("ids", "int64", ("line", "token")),
                    Port("weight", "float32", ("line", "token")),
                    *_OF_LINES,
                ),
                outputs=(Port("logprob", "float32", ("line", "token")), *_OF_LINES),
            ),
            "step": Signature(inputs=(*_WORD, *_BEFORE), outputs=(*_CHOICE, *_AFTER)),
        },
        "translate": {
            "encode": Signature(inputs=_SOURCE, outputs=(Port("memory.*", "", ("line",)), *_OF_LINES)),
            "step": Signature(
                inputs=(*_WORD, Port("memory.*", "", ("line",)), *_BEFORE),
                outputs=(*_CHOICE, Port("attention", "float32", ("line", "beam", "source")), *_AFTER),
            ),
            "explain": Signature(
                inputs=(*_SOURCE, Port("target", "int64", ("line", "target"))),
                outputs=(
                    Port("encoder", "float32", ("line", "layer", "head", "source", "source")),
                    Port("decoder", "float32", ("line", "layer", "head", "target", "target")),
                    Port("cross", "float32", ("line", "layer", "head", "target", "source")),
                ),
            ),
        },
    }
)

# Graphs of a task that a model may lack: made on request, for pictures.
OPTIONAL: Mapping[str, frozenset[str]] = MappingProxyType({"translate": frozenset({"explain"})})
# A graph cannot give what it takes under one name: the step's output `state.x.next` is the next step's input `state.x`.
NEXT = ".next"
INPUTS = ("lines", "tsv", "csv", "jsonl")  # what a record of a filter's input may be
SEED = 1  # of all randomness, of a training as of what is drawn, where nobody says another
POOLING = ("mean", "max", "sif")  # the values 0, 1, 2 of the port `pool`
POOLINGS = (*POOLING, "fasttext")  # with that which the host computes, of `tokens`


@dataclass(frozen=True)
class Setting:
    """What a serving option may be: of a kind (a whole number is a float too), one of `choices` or from `least` to `most`."""

    kind: type
    least: float = 0
    most: float = 1
    choices: tuple[Any, ...] = ()

    def allows(self, value: Any) -> bool:
        if type(value) is not self.kind and (self.kind, type(value)) != (float, int):
            return False
        return value in self.choices if self.choices else self.least <= value <= self.most


# The serving options of a task that a model may state defaults of.
SETTINGS: Mapping[str, Mapping[str, Setting]] = MappingProxyType(
    {
        "embed": {"pooling": Setting(str, choices=POOLINGS), "normalize": Setting(bool)},
        "language": {
            "max_tokens": Setting(int, 1, 1 << 20),
            "temperature": Setting(float, 0, 100),
            "top_k": Setting(int, 0, 1 << 24),
            "top_p": Setting(float, 1e-9, 1),
        },
        "translate": {
            "beam_size": Setting(int, 1, 1024),
            "length_penalty": Setting(float, -100, 100),
            "min_length": Setting(int, 0, 1 << 20),
            "max_length": Setting(int, 1, 1 << 20),
            "max_length_factor": Setting(float, 0, 1000),
            "no_repeat_ngram_size": Setting(int, 0, 1000),
            "allow_unk": Setting(bool),
            "early_stopping": Setting(bool),
            "sentences": Setting(bool),
        },
    }
)


def wrong_default(task: str, defaults: Mapping[str, Any]) -> str:
    """What is wrong with a model's serving defaults, as key=value; empty where nothing is."""
    for key, value in defaults.items():
        setting = SETTINGS[task].get(key)
        if setting is None or not setting.allows(value):
            return f"{quoted(key)[1:-1]}={quoted(value)}"
    return ""
