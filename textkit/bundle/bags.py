"""Takes the mean of a line's rows out of a small graph, so that the host makes it.

Of a line the rest of such a graph sees one vector, the mean of the rows of its ids. Whoever computes it himself may add up what
words have in common once. Knows no task.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from textkit.bundle.protobuf import Damaged
from textkit.bundle.small_graph import FLOAT, Node, OtherGraph, SmallGraph, Table, input_field

_MEAN = b"lt,ltw->lw"  # a line's vector by the shares and the rows of its tokens

Found = TypeVar("Found")


class Bag(NamedTuple):
    """graph: what is left, with the input `port` f32[line, column]; table [row, column], and scale f32[row], by which a row is
    multiplied, or None."""

    graph: bytes
    port: str
    table: np.ndarray
    scale: np.ndarray | None


def without_bag(data: bytes, ids: str, weight: str) -> Bag | None:
    """The same model with the mean of each line's rows as an input instead of the inputs `ids` and `weight` [line, token].

    A weight is 1 for a token and 0 for padding. None for any other graph. `data` was inspected (onnxfile.inspect)."""
    try:
        return _Mean(SmallGraph(data), ids, weight).taken_out()
    except (Damaged, OtherGraph):
        return None


class _Mean:
    """The nodes that make the mean, followed from its Einsum to the inputs."""

    def __init__(self, graph: SmallGraph, ids: str, weight: str) -> None:
        self.graph, self.ids, self.weight = graph, ids, weight
        self.by = {name: node for node in graph.nodes for name in node.makes}
        self.path: list[Node] = []

    def taken_out(self) -> Bag:
        mean = _only([node for node in self.graph.nodes if node.operator == b"Einsum"])
        if mean.attributes != {"equation": _MEAN} or len(mean.takes) != 2 or len(mean.makes) != 1:
            raise OtherGraph
        self.path.append(mean)
        table, scale = self.rows(mean.takes[1]), self.share(mean.takes[0])
        port = mean.makes[0]
        declared = {port: input_field(port, FLOAT, ("line", table.columns))}
        left = self.graph.rest(self.path, {self.ids, self.weight}, declared)
        return Bag(left, port, self.graph.array(table), None if scale is None else self.graph.array(scale)[:, 0])

    def rows(self, name: str) -> Table:
        """The table whose rows of the ids the value `name` is."""
        node = self.made(name, b"Gather", b"Cast")
        if node.operator == b"Cast":
            if node.attributes.get("to") != FLOAT:
                raise OtherGraph
            node = self.made(node.takes[0], b"Gather")
        if node.takes[1:] != [self.ids] or node.attributes.get("axis", 0) or node.takes[0] not in self.graph.tables:
            raise OtherGraph
        return self.graph.tables[node.takes[0]]

    def share(self, name: str) -> Table | None:
        """The scales [row, 1] by which the share of each token is multiplied, if there are any; that share is its weight over
        the sum of the line's."""
        node, scale = self.made(name, b"Div", b"Mul"), None
        if node.operator == b"Mul":
            shares = [name for name in node.takes if name in self.by and self.by[name].operator == b"Div"]
            name = _only(shares)
            squeezed = self.made(_only([other for other in node.takes if other != name]), b"Squeeze")
            scale = self.rows(squeezed.takes[0])
            if scale.columns != 1 or self.number(squeezed.takes[1:], "<q") not in (-1, 2):
                raise OtherGraph
            node = self.made(name, b"Div")
        if node.takes[:1] != [self.weight]:
            raise OtherGraph
        least = self.made(_only(node.takes[1:]), b"Clip")
        total = self.made(least.takes[0], b"ReduceSum")
        keeps = total.attributes.get("keepdims", 1) == 1 and self.number(total.takes[1:], "<q") in (-1, 1)
        if total.takes[0] != self.weight or not keeps or not 0 < self.number(least.takes[1:], "<f") <= 1:
            raise OtherGraph
        return scale

    def made(self, name: str, *operators: bytes) -> Node:
        """The node that makes a value, which must be one of these and take something."""
        node = self.by.get(name)
        if (
            node is None
            or node.operator not in operators
            or len(node.makes) != 1
            or not node.takes
            or node in self.path
        ):
            raise OtherGraph
        self.path.append(node)
        return node

    def number(self, names: list[str], form: str) -> float:
        """The only constant of the only name."""
        data = self.graph.small.get(_only(names), b"")
        if len(data) != struct.calcsize(form):
            raise OtherGraph
        found: float = struct.unpack(form, data)[0]
        return found


def _only(found: Sequence[Found]) -> Found:
    if len(found) != 1:
        raise OtherGraph
    return found[0]
