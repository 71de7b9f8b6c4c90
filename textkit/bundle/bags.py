"""Takes the mean of a line's rows out of a small graph, so that the host makes it: a bounded walk, as in lookups.py.

Of a line the rest of such a graph sees one vector, the mean of the rows of its ids. Whoever computes it himself may add up what
words have in common once. Knows no task. Field numbers are those of onnx.proto, which never change.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

from textkit.bundle.lookups import MOST_NODES, Lookups, Table
from textkit.bundle.protobuf import MAX_FIELDS, Damaged, bytes_field, number_field
from textkit.bundle.pruning import without

_FLOAT = 1  # a type of a tensor's numbers
_MEAN = b"lt,ltw->lw"  # a line's vector by the shares and the rows of its tokens


class Bag(NamedTuple):
    """graph: what is left, with the input `port` f32[line, column]; table [row, column], and scale f32[row], by which a row is
    multiplied, or None."""

    graph: bytes
    port: str
    table: np.ndarray
    scale: np.ndarray | None


class _Step(NamedTuple):
    """A node: `attributes` by name, of bytes or a whole number; `used`: what it takes, and what graphs within it do."""

    operator: bytes
    takes: list[str]
    makes: list[str]
    attributes: dict[str, bytes | int]
    used: set[str]
    tag: int
    last: int


def without_bag(data: bytes, ids: str, weight: str) -> Bag | None:
    """The same model with the mean of each line's rows as an input instead of the inputs `ids` and `weight` [line, token].

    A weight is 1 for a token and 0 for padding. None for any other graph. `data` was inspected (onnxfile.inspect)."""
    try:
        return _Bags(data, MAX_FIELDS).taken_out(ids, weight)
    except (Damaged, _OtherGraph):
        return None


class _OtherGraph(Exception):
    """The graph is not that of a bag."""


class _Bags(Lookups):
    """One pass over one file."""

    def taken_out(self, ids: str, weight: str) -> Bag:  # type: ignore[override]  # another part of the same graph
        tag, start, stop = self.only_graph()
        steps: list[_Step] = []
        self._tables: dict[str, Table] = {}
        self._small: dict[str, bytes] = {}  # constants of one number, by name
        places: dict[str, tuple[int, int]] = {}
        ports: list[tuple[str, int, int, int]] = []  # inputs, outputs and known shapes: name, field, place
        for number, first, last in self.fields(start, stop, {1, 5, 11, 12, 13}):
            begin = self.tag
            if number == 1:
                if len(steps) == MOST_NODES:
                    raise _OtherGraph
                steps.append(self.step(first, last, begin))
            elif number == 5:
                name = self.constant(first, last, begin)
                places[name] = begin, last
            elif number in (11, 12, 13):
                ports.append((self.port_name(first, last), number, begin, last))
        self._by = {name: step for step in steps for name in step.makes}
        mean = self.only([step for step in steps if step.operator == b"Einsum"])
        if mean.attributes != {"equation": _MEAN} or len(mean.takes) != 2:
            raise _OtherGraph
        self._path = [mean]  # the nodes that make the mean
        table, scale = self.rows(mean.takes[1], ids), self.share(mean.takes[0], ids, weight)
        port = mean.makes[0]
        others = [step for step in steps if step not in self._path]
        inner = {name for step in self._path[1:] for name in step.makes} | {ids, weight}
        left = {name for step in others for name in step.used}
        if left & inner or any(name in inner | {port} and number == 12 for name, number, _, _ in ports):
            raise _OtherGraph
        dropped = [(step.tag, step.last) for step in self._path]
        used = {name for step in self._path for name in step.takes}
        dropped += [place for name, place in places.items() if name in used - left]
        dropped += [(first, last) for name, _, first, last in ports if name in inner | {port}]
        more = _input(port, table.columns)
        graph = self.with_graph(tag, stop, without(start, stop, dropped), more)
        return Bag(graph, port, self.array(table), None if scale is None else self.array(scale)[:, 0])

    def rows(self, name: str, ids: str) -> Table:
        """The table whose rows of `ids` the value `name` is."""
        step = self.made(name, b"Gather", b"Cast")
        if step.operator == b"Cast":
            if step.attributes.get("to") != _FLOAT:
                raise _OtherGraph
            step = self.made(step.takes[0], b"Gather")
        if step.takes[1:] != [ids] or step.attributes.get("axis", 0) or step.takes[0] not in self._tables:
            raise _OtherGraph
        return self._tables[step.takes[0]]

    def share(self, name: str, ids: str, weight: str) -> Table | None:
        """The scales [row, 1] by which the share of each token is multiplied, if there are any; that share is its `weight` over
        the sum of the line's."""
        step, scale = self.made(name, b"Div", b"Mul"), None
        if step.operator == b"Mul":
            shares = [name for name in step.takes if name in self._by and self._by[name].operator == b"Div"]
            name = self.only(shares)
            squeezed = self.made(self.only([other for other in step.takes if other != name]), b"Squeeze")
            scale = self.rows(squeezed.takes[0], ids)
            if scale.columns != 1 or self.number(squeezed.takes[1:], "<q") not in (-1, 2):
                raise _OtherGraph
            step = self.made(name, b"Div")
        if step.takes[0] != weight:
            raise _OtherGraph
        least = self.made(step.takes[1], b"Clip")
        total = self.made(least.takes[0], b"ReduceSum")
        keeps = total.attributes.get("keepdims", 1) == 1 and self.number(total.takes[1:], "<q") in (-1, 1)
        if total.takes[0] != weight or not keeps or not 0 < self.number(least.takes[1:], "<f") <= 1:
            raise _OtherGraph
        return scale

    def made(self, name: str, *operators: bytes) -> _Step:
        """The node that makes a value, which must be one of these."""
        step = self._by.get(name)
        if step is None or step.operator not in operators or len(step.makes) != 1 or step in self._path:
            raise _OtherGraph
        self._path.append(step)
        return step

    def number(self, names: list[str], form: str) -> float:
        """The only constant of the only name."""
        data = self._small.get(self.only(names), b"")
        if len(data) != struct.calcsize(form):
            raise _OtherGraph
        found: float = struct.unpack(form, data)[0]
        return found

    def only(self, found: list[Any]) -> Any:
        if len(found) != 1:
            raise _OtherGraph
        return found[0]

    def step(self, start: int, stop: int, tag: int) -> _Step:
        node = self.node(start, stop, tag)
        attributes: dict[str, bytes | int] = {}
        domain = ""
        for number, first, last in self.fields(start, stop, {1, 2, 4, 5, 7}):
            if number == 7:
                domain = self.text(first, last)
            elif number == 5:
                name, value = "", b""  # type: str, bytes | int
                for part, begin, end in self.fields(first, last, {1, 4}):
                    if part == 1:
                        name = self.text(begin, end)
                    elif part == 4:
                        value = self.data[begin:end]
                    elif part == 3:
                        value = begin
                attributes[name] = value
        operator = node.operator if domain in ("", "ai.onnx") else domain.encode() + node.operator
        return _Step(operator, node.takes, node.makes, attributes, node.used, tag, stop)

    def constant(self, start: int, stop: int, tag: int) -> str:
        """Notes a table, or a constant of a few bytes, and returns its name."""
        if (found := self.table(start, stop, tag)) is not None:
            self._tables[found[0]] = found[1]
            return found[0]
        name, data = "", b""
        for number, first, last in self.fields(start, stop, {8, 9}):
            if number == 8:
                name = self.text(first, last)
            elif number == 9 and last - first <= 8:
                data = self.data[first:last]
        self._small[name] = data
        return name


def _input(name: str, columns: int) -> bytes:
    """The field of a graph that declares an input f32[line, column]."""
    shape = bytes_field(1, bytes_field(2, b"line")) + bytes_field(1, number_field(1, columns))
    tensor = number_field(1, _FLOAT) + bytes_field(2, shape)
    return bytes_field(11, bytes_field(1, name.encode()) + bytes_field(2, bytes_field(1, tensor)))
