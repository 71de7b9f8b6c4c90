"""A step graph that is being made for a GPU: how nodes, constants and ports come into it. Knows no form of a step."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from textkit.cuda.model import Model
from textkit.cuda.nodes import Node, Value, shape_of

GIVEN = "given"
NUMBERS = 4  # random numbers for one token under top-p (searching/sampling.py)


class StepGraph:
    """A model with a vocabulary of so many tokens, whose new values have names that begin with `cuda/`."""

    def __init__(self, model: Model, vocab: int) -> None:
        self.model, self.vocab = model, vocab

    def add(self, operator: str, takes: Collection[str], makes: str | list[str], **settings: int) -> str:
        """Adds a node, and returns the name of what it makes first."""
        node = Node(operator, list(takes), [makes] if isinstance(makes, str) else list(makes))
        for name, value in settings.items():
            node.with_integer(name, value)
        self.model.nodes.append(node)
        return node.makes[0]

    def constant(self, name: str, value: object) -> str:
        return self.model.put(f"cuda/{name}", np.asarray(value))

    def take(self, name: str, kind: int, axes: Collection[str | int]) -> str:
        """Makes `name` an input of the graph, unless it is one."""
        if all(port.name != name for port in self.model.inputs):
            self.model.inputs.append(Value(name, kind, shape_of(axes)))
        return name

    def give(self, name: str, kind: int, axes: Collection[str | int], instead: Collection[str]) -> None:
        """Makes `name` an output of the graph instead of others."""
        self.model.outputs = [port for port in self.model.outputs if port.name not in instead]
        self.model.outputs.append(Value(name, kind, shape_of(axes)))

    def joined(self, name: str, rows: Collection[str], makes: str) -> str:
        """Values [line, ...] as rows [row, line, ...] of one."""
        first = self.constant(f"{name}/first", np.array([0]))
        parts = [self.add("Unsqueeze", [row, first], f"cuda/{name}/row{at}") for at, row in enumerate(rows)]
        return self.add("Concat", parts, makes, axis=0)
