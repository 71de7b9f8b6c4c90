"""Reads a graph of few nodes whole, and takes nodes out of it whose work the host does: a bounded walk, as in pruning.py.

Knows no task, and no operator's meaning. Field numbers are those of onnx.proto, which never change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from textkit.bundle.protobuf import MAX_FIELDS, Damaged, bytes_field, number_field
from textkit.bundle.pruning import Pruning, without

MOST_NODES = 64  # of a graph that does little: a bag has 16
FLOAT, INT8, HALF = 1, 3, 10  # types of a tensor's numbers
_TYPES: dict[int, np.dtype[Any]] = {FLOAT: np.dtype("<f4"), INT8: np.dtype("i1"), HALF: np.dtype("<f2")}
_NODE, _CONSTANT, _INPUT, _OUTPUT, _SHAPE = 1, 5, 11, 12, 13  # fields of a graph
_SMALL = 8  # bytes of a constant of one number


class OtherGraph(Exception):
    """The graph is not of the kind that is looked for."""


class Node(NamedTuple):
    operator: bytes  # with its domain, if that is not ai.onnx
    takes: list[str]
    makes: list[str]
    attributes: dict[str, bytes | int]  # those of bytes or a whole number; b"" for others
    used: set[str]  # what it takes, and what graphs within it take
    tag: int  # where it begins and ends
    last: int


class Table(NamedTuple):
    """A constant [row, column] whose numbers begin at the place `first` of the data."""

    kind: int
    rows: int
    columns: int
    first: int


class SmallGraph(Pruning):
    """The only graph of a model, whose bytes were inspected (onnxfile.inspect): its `nodes` in order, its `tables` and `small`
    constants of one number by name. Raises Damaged, and OtherGraph for one of more nodes than MOST_NODES."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, MAX_FIELDS)
        self._graph = self.only_graph()
        self.nodes: list[Node] = []
        self.tables: dict[str, Table] = {}
        self.small: dict[str, bytes] = {}
        self._places: dict[str, tuple[int, int]] = {}  # of constants
        self._ports: list[tuple[str, int, int, int]] = []  # inputs, outputs and known shapes: name, field, place
        for number, first, last in self.fields(*self._graph[1:], {_NODE, _CONSTANT, _INPUT, _OUTPUT, _SHAPE}):
            begin = self.tag
            if number == _NODE:
                if len(self.nodes) == MOST_NODES:
                    raise OtherGraph
                self.nodes.append(self._node(first, last, begin))
            elif number == _CONSTANT:
                self._places[self._constant(first, last)] = begin, last
            elif number in (_INPUT, _OUTPUT, _SHAPE):
                self._ports.append((self.port_name(first, last), number, begin, last))

    def array(self, table: Table) -> np.ndarray:
        """The numbers of a table [row, column], which stay where they are unless they lie between two words."""
        count = table.rows * table.columns
        numbers = np.frombuffer(self.data, _TYPES[table.kind], count, table.first).reshape(table.rows, table.columns)
        return numbers if numbers.flags.aligned else numbers.copy()

    def rest(self, gone: Sequence[Node], inputs: Collection[str], declared: Mapping[str, bytes]) -> bytes:
        """The model's bytes without the nodes `gone`, the constants that only these need, and `inputs`. What is left takes the
        values `declared`, name -> input_field, as inputs instead. Raises OtherGraph if it needs more of what went."""
        made = {name for node in gone for name in node.makes}
        lost = made - declared.keys() | set(inputs)
        left = {name for node in self.nodes if node not in gone for name in node.used}
        for name, number, _, _ in self._ports:
            if (number == _OUTPUT and name in lost | declared.keys()) or (number == _INPUT and name in made):
                raise OtherGraph
        if left & lost:
            raise OtherGraph
        used = {name for node in gone for name in node.takes}
        dropped = [(node.tag, node.last) for node in gone]
        dropped += [place for name, place in self._places.items() if name in used - left]
        dropped += [(first, last) for name, _, first, last in self._ports if name in lost | declared.keys()]
        tag, start, stop = self._graph
        return self.with_graph(tag, stop, without(start, stop, dropped), b"".join(declared.values()))

    def _node(self, start: int, stop: int, tag: int) -> Node:
        operator, domain = b"", b""
        takes, makes = [], []
        attributes: dict[str, bytes | int] = {}
        for number, first, last in self.fields(start, stop, {1, 2, 4, 5, 7}):
            if number == 1:
                takes.append(self.text(first, last))
            elif number == 2:
                makes.append(self.text(first, last))
            elif number == 4:
                operator = self.data[first:last]
            elif number == 5:
                name, value = self._attribute(first, last)
                if name in attributes:
                    raise Damaged("damaged: a node has an attribute twice")
                attributes[name] = value
            elif number == 7:
                domain = self.data[first:last]
        if domain not in (b"", b"ai.onnx"):
            operator = domain + b"::" + operator
        return Node(operator, takes, makes, attributes, self.node_names(start, stop, 0)[0], tag, stop)

    def _attribute(self, start: int, stop: int) -> tuple[str, bytes | int]:
        name, value = "", b""  # type: str, bytes | int
        for number, first, last in self.fields(start, stop, {1, 4}):
            if number == 1:
                name = self.text(first, last)
            elif number == 3:
                value = first
            elif number == 4:
                value = self.data[first:last]
        return name, value

    def _constant(self, start: int, stop: int) -> str:
        """Notes a table, or a constant of a few bytes, and returns its name."""
        name, kind, first, size = "", 0, 0, 0
        sizes: list[int] = []
        for number, value, end in self.fields(start, stop, {8, 9}):
            if number == 1:
                sizes += self.packed(value, end) if end else [value]
            elif number == 2 and not end:
                kind = value
            elif number == 8:
                name = self.text(value, end)
            elif number == 9:
                first, size = value, end - value
        if kind in _TYPES and len(sizes) == 2 and size and size == sizes[0] * sizes[1] * _TYPES[kind].itemsize:
            self.tables[name] = Table(kind, sizes[0], sizes[1], first)
        elif size <= _SMALL:
            self.small[name] = self.data[first : first + size]
        return name


def input_field(name: str, kind: int, axes: Sequence[str | int]) -> bytes:
    """The field of a graph that declares an input of numbers of a `kind`; axes of any size have names."""
    sizes = [number_field(1, axis) if isinstance(axis, int) else bytes_field(2, axis.encode()) for axis in axes]
    tensor = number_field(1, kind) + bytes_field(2, b"".join(bytes_field(1, size) for size in sizes))
    return bytes_field(_INPUT, bytes_field(1, name.encode()) + bytes_field(2, bytes_field(1, tensor)))
