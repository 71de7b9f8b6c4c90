"""What surrounds a node of a graph, for what replaces several nodes by others: who makes and takes a value, and constants.

All of it is that of the graph before it is rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from textkit.cuda.model import Model
from textkit.cuda.nodes import Node


class Surroundings:
    """Questions about the values of `model`."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.makers = model.makers()
        self._users = model.users()
        self._ports = {port.name for port in model.outputs}

    def only_user(self, name: str) -> Node | None:
        """The only node that takes a value; None where there is another, or where the graph returns it."""
        users = self._users.get(name, [])
        alone = len(users) == 1 and name not in self._ports and name not in users[0].within
        return users[0] if alone else None

    def value(self, name: str, depth: int = 0) -> np.ndarray | None:
        """The numbers of a constant, or of what is made of constants by moving their numbers; None for any other value."""
        if self.model.is_constant(name):
            return self.model.constant(name)
        node = self.makers.get(name)
        if node is None or depth > 4 or not node.takes or node.operator not in _MOVES:
            return None
        given = [self.value(each, depth + 1) for each in node.takes]
        if any(each is None for each in given):
            return None
        return _MOVES[node.operator](self.model, node, [each for each in given if each is not None])


def _transposed(model: Model, node: Node, given: Sequence[np.ndarray]) -> np.ndarray:
    return given[0].transpose(model.integers(node, "perm") or None)


def _reshaped(model: Model, node: Node, given: Sequence[np.ndarray]) -> np.ndarray:
    shape = [given[0].shape[at] if size == 0 else size for at, size in enumerate(given[1].tolist())]
    return given[0].reshape(shape)


def _unsqueezed(model: Model, node: Node, given: Sequence[np.ndarray]) -> np.ndarray:
    return np.expand_dims(given[0], tuple(given[1].tolist()))


_MOVES: dict[str, Callable[[Model, Node, Sequence[np.ndarray]], np.ndarray]] = {
    "Transpose": _transposed,
    "Reshape": _reshaped,
    "Unsqueeze": _unsqueezed,
    "Identity": lambda model, node, given: given[0],
}
