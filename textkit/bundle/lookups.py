"""Takes the look-ups of rows out of a small graph, so that the host makes them: a bounded walk, as in pruning.py.

Most of the time of a bag of embeddings is looking up rows of a table, 100 or more for each line. numpy copies a row of 24 bytes
in a quarter of the time that onnxruntime's Gather takes. The rows are the same bytes, so the results are the same, too. Knows
no task. Field numbers are those of onnx.proto, which never change.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from textkit.bundle.protobuf import MAX_FIELDS, Damaged, bytes_field, number_field
from textkit.bundle.pruning import Pruning, without

MOST_NODES = 64  # of a graph that does little besides: a bag has 16
_FLOAT, _INT8, _HALF = 1, 3, 10  # types of a tensor's numbers
_TYPES: dict[int, np.dtype[Any]] = {_FLOAT: np.dtype("<f4"), _INT8: np.dtype("i1"), _HALF: np.dtype("<f2")}


class Table(NamedTuple):
    kind: int
    rows: int
    columns: int
    first: int  # where its numbers begin in the data
    tag: int  # where the tensor begins and ends
    last: int


class _Node(NamedTuple):
    operator: bytes
    plain: bool  # ai.onnx's own, with no attribute but an axis of 0
    takes: list[str]
    makes: list[str]
    used: set[str]  # those that graphs within it take, too
    tag: int
    last: int


def without_lookups(data: bytes, port: str) -> tuple[bytes, dict[str, np.ndarray]] | None:
    """The same model with rows as inputs instead of the ids in `port`, and the tables by the names of these inputs.

    An input has the rows [..., column] of its table [row, column] for the ids [...]. None for a graph of many nodes, and for
    one that does anything else with the ids. `data` was inspected (onnxfile.inspect).
    """
    try:
        return Lookups(data, MAX_FIELDS).taken_out(port)
    except Damaged:
        return None


class Lookups(Pruning):
    """One pass over one file."""

    def taken_out(self, port: str) -> tuple[bytes, dict[str, np.ndarray]] | None:
        tag, start, stop = self.only_graph()
        nodes: list[_Node] = []
        tables: dict[str, Table] = {}
        ports: list[tuple[str, int, int, int]] = []  # inputs, outputs and known shapes: name, field, place
        for number, first, last in self.fields(start, stop, {1, 5, 11, 12, 13}):
            begin = self.tag
            if number == 1:
                if len(nodes) == MOST_NODES:
                    return None
                nodes.append(self.node(first, last, begin))
            elif number == 5:
                if (found := self.table(first, last, begin)) is not None:
                    tables[found[0]] = found[1]
            elif number in (11, 12, 13):
                ports.append((self.port_name(first, last), number, begin, last))
        lookups = [node for node in nodes if port in node.used]
        if not lookups or not all(_looks_up(node, port, tables) for node in lookups):
            return None
        of = {node.makes[0]: tables[node.takes[0]] for node in lookups}
        if any(name in of and number in (11, 12) for name, number, _, _ in ports):
            return None
        names = {node.takes[0] for node in lookups}
        others = {name for node in nodes if node not in lookups for name in node.used}
        dropped = [(node.tag, node.last) for node in lookups]
        dropped += [(tables[name].tag, tables[name].last) for name in names - others]
        dropped += [
            (first, last) for name, number, first, last in ports if name in of or (name == port and number == 11)
        ]
        more = b"".join(_input(name, table) for name, table in of.items())
        return self.with_graph(tag, stop, without(start, stop, dropped), more), {
            name: self.array(table) for name, table in of.items()
        }

    def node(self, start: int, stop: int, tag: int) -> _Node:
        operator, plain = b"", True
        takes, makes = [], []
        for number, value, end in self.fields(start, stop, {1, 2, 4, 5, 7}):
            if number == 1:
                takes.append(self.text(value, end))
            elif number == 2:
                makes.append(self.text(value, end))
            elif number == 4:
                operator = self.data[value:end]
            elif number == 5:
                for kind, attribute, _ in self.fields(value, end, {1}):
                    plain &= not (kind == 3 and attribute)
            elif number == 7:
                plain &= self.text(value, end) in ("", "ai.onnx")
        return _Node(operator, plain, takes, makes, self.node_names(start, stop, 0)[0], tag, stop)

    def table(self, start: int, stop: int, tag: int) -> tuple[str, Table] | None:
        """A constant that can be looked up here: its name and place. None for others."""
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
        if kind not in _TYPES or len(sizes) != 2 or not size or size != sizes[0] * sizes[1] * _TYPES[kind].itemsize:
            return None
        return name, Table(kind, sizes[0], sizes[1], first, tag, stop)

    def array(self, table: Table) -> np.ndarray:
        """The numbers of a table [row, column], which stay where they are unless they lie between two words."""
        count = table.rows * table.columns
        numbers = np.frombuffer(self.data, _TYPES[table.kind], count, table.first).reshape(table.rows, table.columns)
        return numbers if numbers.flags.aligned else numbers.copy()


def _looks_up(node: _Node, port: str, tables: dict[str, Table]) -> bool:
    """Whether a node does nothing but look up rows of a table by the port's ids."""
    gathers = node.operator == b"Gather" and node.plain and len(node.takes) == 2 and len(node.makes) == 1
    return gathers and node.takes[0] in tables and node.takes[1] == port


def _input(name: str, table: Table) -> bytes:
    """The field of a graph that declares an input f[line, token, column]."""
    axes = [bytes_field(2, axis) for axis in (b"line", b"token")]
    axes.append(number_field(1, table.columns))
    shape = b"".join(bytes_field(1, axis) for axis in axes)
    tensor = number_field(1, table.kind) + bytes_field(2, shape)
    return bytes_field(11, bytes_field(1, name.encode()) + bytes_field(2, bytes_field(1, tensor)))
