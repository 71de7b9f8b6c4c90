"""A graph that can be rewritten: its nodes and constants, read from an ONNX file's bytes and written back, without onnx.

A machine that serves need not have the package onnx, and 20 MB of imports would cost more than the rewriting. What is not
changed stays byte for byte. The bytes were inspected before (onnxfile.inspect). Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from textkit.bundle.onnxfile import Unfolded
from textkit.bundle.protobuf import MAX_FIELDS, Message, bytes_field, head_of, number_field, signed
from textkit.bundle.pruning import Pruning
from textkit.cuda.nodes import DTYPES, HALF, MICROSOFT, Node, Value, kind_of, tensor

_TYPED = {4: "<f4", 10: "<f8"}  # fields of a TensorProto that hold numbers of their own size


class Edit(Protocol):
    """A change of a graph that only a GPU's has. `key` names it, with all that it depends on. It is called before precisions
    are changed, and `finish` afterwards."""

    @property
    def key(self) -> str: ...

    def __call__(self, model: Model) -> None: ...

    def finish(self, model: Model) -> None: ...


class Model(Pruning):
    """A model's only graph, taken apart. Change `nodes`, `inputs`, `outputs` and constants, then call `written`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, sys.maxsize)  # inspect has counted the fields
        self.nodes: list[Node] = []
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self._spans: dict[str, tuple[int, int]] = {}  # constants as the file has them
        self._arrays: dict[str, np.ndarray] = {}  # constants that were read or made
        self._new: set[str] = set()
        self._rest: list[bytes] = []  # other fields of the graph, but for the known shapes of inner values
        self._around: list[bytes] = []  # other fields of the model
        domains: set[str] = set()
        for number, first, last in self.fields(0, len(data), {7, 8}):
            if number == 7:
                self._read(first, last)
            else:
                self._around.append(data[self.tag : last] if last else number_field(number, first))
                if number == 8:
                    domains.add(self._domain(first, last))
        self._domains = domains
        self._names = 0

    @classmethod
    def empty(cls, opset: int = 23, ir: int = 10) -> Model:
        """A model without a node."""
        graph = bytes_field(2, b"graph")
        return cls(number_field(1, ir) + bytes_field(8, number_field(2, opset)) + bytes_field(7, graph))

    def _domain(self, start: int, stop: int) -> str:
        return "".join(self.text(value, end) for number, value, end in self.fields(start, stop, {1}) if number == 1)

    def _read(self, start: int, stop: int) -> None:
        for number, first, last in self.fields(start, stop, {1, 5, 11, 12, 13}):
            begin = self.tag
            if number == 1:
                self.nodes.append(self._node(first, last))
            elif number == 5:
                name = next(self.text(a, b) for kind, a, b in self.fields(first, last, {8}) if kind == 8)
                self._spans[name] = first, last
            elif number in (11, 12):
                (self.inputs if number == 11 else self.outputs).append(self._value(first, last))
            elif number != 13:  # shapes of inner values may not hold any more
                self._rest.append(self.data[begin:last] if last else number_field(number, first))

    def _node(self, start: int, stop: int) -> Node:
        node = Node("", [], [])
        rest = []
        for number, first, last in self.fields(start, stop, {1, 2, 4, 5, 7}):
            begin = self.tag
            if number in (1, 2):
                (node.takes if number == 1 else node.makes).append(self.text(first, last))
            elif number == 4:
                node.operator = self.text(first, last)
            elif number == 7:
                domain = self.text(first, last)
                node.domain = "" if domain == "ai.onnx" else domain
            elif number == 5:
                name = next(self.text(a, b) for kind, a, b in self.fields(first, last, {1}) if kind == 1)
                node.attributes[name] = self.data[first:last]
            else:
                rest.append(self.data[begin:last] if last else number_field(number, first))
        if node.operator == "If":
            node.within = frozenset(self.node_names(start, stop, 0)[0] - set(node.takes))
        node.rest = b"".join(rest)
        return node

    def _value(self, start: int, stop: int) -> Value:
        found = Value("", 0)
        for number, first, last in self.fields(start, stop, {1, 2}):
            if number == 1:
                found.name = self.text(first, last)
            elif number == 2:
                for _, begin, end in self.fields(first, last, {1}):
                    for kind, one, two in self.fields(begin, end, {2}):
                        if kind == 1 and not two:
                            found.kind = one
                        elif kind == 2:
                            found.shape = self.data[one:two]
        return found

    # Constants

    def is_constant(self, name: str) -> bool:
        return name in self._spans or name in self._arrays

    def constant(self, name: str) -> np.ndarray:
        """A constant's numbers. Raises KeyError where there is none of this name."""
        if name not in self._arrays:
            self._arrays[name] = self._array(*self._spans[name])
        return self._arrays[name]

    def constants(self) -> list[str]:
        """The names of all constants."""
        return [*dict.fromkeys((*self._spans, *self._arrays))]

    def kind_of(self, name: str) -> int:
        """The type of a constant's numbers."""
        if name in self._arrays:
            return kind_of(self._arrays[name])
        first, last = self._spans[name]
        return next((value for number, value, end in self.fields(first, last, ()) if number == 2 and not end), 0)

    def put(self, name: str, array: np.ndarray) -> str:
        """Makes `array` the constant `name`, and returns the name."""
        self._arrays[name] = array
        self._new.add(name)
        return name

    def _array(self, start: int, stop: int) -> np.ndarray:
        kind, sizes, raw, numbers = 0, [], b"", []
        for number, first, last in self.fields(start, stop, {8, 9}):
            if number == 1:
                sizes += self.packed(first, last) if last else [first]
            elif number == 2 and not last:
                kind = first
            elif number == 9:
                raw = self.data[first:last]
            elif number in _TYPED:
                packed = self.data[first:last] if last else struct.pack("<I" if number == 4 else "<Q", first)
                raw += np.frombuffer(packed, _TYPED[number]).tobytes()
            elif number in (5, 7, 11):
                numbers += self.packed(first, last) if last else [first]
        dtype = DTYPES[kind]
        if numbers:
            whole = np.array(numbers, np.uint64)
            typed = whole.astype(np.uint16).view(dtype) if kind == HALF else whole.astype(np.int64).astype(dtype)
            return typed.reshape(sizes)
        return np.frombuffer(raw, dtype).reshape(sizes)

    # Questions

    def makers(self) -> dict[str, Node]:
        """Value -> the node that makes it."""
        return {name: node for node in self.nodes for name in node.makes if name}

    def users(self) -> dict[str, list[Node]]:
        """Value -> the nodes that take it, each once."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in {*node.takes, *node.within} - {""}:
                found.setdefault(name, []).append(node)
        return found

    def integers(self, node: Node, name: str, default: Sequence[int] = ()) -> list[int]:
        """An attribute's whole numbers: one, or a list of them."""
        if name not in node.attributes:
            return list(default)
        inner = Message(node.attributes[name], MAX_FIELDS)
        found: list[int] = []
        for number, first, last in inner.fields(0, len(inner.data), ()):
            if number == 3 and not last:
                found.append(first)
            elif number == 8:
                found += inner.packed(first, last) if last else [first]
        return list(map(signed, found))

    def unique(self, name: str) -> str:
        """A name that no value of the graph has yet."""
        self._names += 1
        return f"{name}/cuda{self._names}"

    # Changing

    def abandon(self, node: Node) -> None:
        """Leaves what a node makes to others. It is no operator any more, and drop_unused will remove it."""
        node.operator, node.takes, node.makes = "", [], [self.unique(name) for name in node.makes]

    def drop_unused(self) -> None:
        """Removes nodes and constants that lead to no output."""
        needed = {port.name for port in self.outputs}
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if needed.isdisjoint(node.makes):
                continue
            needed |= {*node.takes, *node.within}
            kept.append(node)
        self.nodes = kept[::-1]
        self._spans = {name: span for name, span in self._spans.items() if name in needed}
        self._arrays = {name: array for name, array in self._arrays.items() if name in needed}

    def ordered(self) -> None:
        """Puts the nodes into an order in which each follows those that it needs."""
        made = {*self._spans, *self._arrays} | {port.name for port in self.inputs} | {""}
        inner = {name for node in self.nodes for name in node.makes}
        waiting, done = list(self.nodes), []
        while waiting:
            later = []
            for node in waiting:
                if all(name in made or name not in inner for name in (*node.takes, *node.within)):
                    made.update(node.makes)
                    done.append(node)
                else:
                    later.append(node)
            if len(later) == len(waiting):
                raise ValueError("the nodes of a graph go in a circle")
            waiting = later
        self.nodes = done

    # Writing

    def written(self) -> bytes:
        """The file's bytes."""
        if any(node.domain == MICROSOFT for node in self.nodes) and MICROSOFT not in self._domains:
            self._around.append(bytes_field(8, bytes_field(1, MICROSOFT.encode()) + number_field(2, 1)))
            self._domains.add(MICROSOFT)
        parts: list[bytes | memoryview] = [*self._rest]
        parts += [bytes_field(1, node.written()) for node in self.nodes]
        for name, (first, last) in self._spans.items():
            if name not in self._new:
                parts += [head_of(5, last - first), memoryview(self.data)[first:last]]
        for name in self._arrays:
            if name in self._new:
                parts += tensor(name, self._arrays[name])
        parts += [bytes_field(11, port.written()) for port in self.inputs]
        parts += [bytes_field(12, port.written()) for port in self.outputs]
        whole = b"".join([*self._around, head_of(7, sum(map(len, parts))), *parts])
        return Unfolded(whole) if isinstance(self.data, Unfolded) else whole
