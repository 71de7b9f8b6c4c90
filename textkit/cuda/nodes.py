"""What a graph is made of, nodes, ports and constants, and how a file holds each. Field numbers are those of onnx.proto."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from textkit.bundle.protobuf import bytes_field, head_of, number_field

FLOAT, UINT8, INT8, INT32, INT64, BOOL, HALF, DOUBLE = 1, 2, 3, 6, 7, 9, 10, 11  # types of a tensor's numbers
DTYPES: dict[int, np.dtype[Any]] = {
    FLOAT: np.dtype("<f4"), UINT8: np.dtype("u1"), INT8: np.dtype("i1"), INT32: np.dtype("<i4"), INT64: np.dtype("<i8"),
    BOOL: np.dtype("?"), HALF: np.dtype("<f2"), DOUBLE: np.dtype("<f8"), 4: np.dtype("<u2"), 5: np.dtype("<i2"),
}  # fmt: skip
MICROSOFT = "com.microsoft"  # onnxruntime's own operators


@dataclass(eq=False)
class Node:
    """An operator with what it takes and makes. `attributes`: name -> an AttributeProto's bytes."""

    operator: str
    takes: list[str]
    makes: list[str]
    domain: str = ""
    attributes: dict[str, bytes] = field(default_factory=dict)
    within: frozenset[str] = frozenset()  # the names that graphs within it take
    rest: bytes = b""  # its name and other fields that are kept

    def with_integer(self, name: str, value: int) -> Node:
        """The node, with an attribute that is one whole number."""
        self.attributes[name] = bytes_field(1, name.encode()) + number_field(3, value) + number_field(20, 2)
        return self

    def with_integers(self, name: str, values: Sequence[int]) -> Node:
        """The node, with an attribute that is a list of whole numbers."""
        numbers = b"".join(number_field(8, value) for value in values)
        self.attributes[name] = bytes_field(1, name.encode()) + numbers + number_field(20, 7)
        return self

    def again(self, names: Mapping[str, str]) -> Node:
        """A copy that takes and makes values by other `names`, and has no name of its own."""
        takes, makes = ([names.get(name, name) for name in side] for side in (self.takes, self.makes))
        return replace(self, takes=takes, makes=makes, attributes=dict(self.attributes), rest=b"")

    def written(self) -> bytes:
        """A NodeProto's bytes."""
        names = [bytes_field(1, name.encode()) for name in self.takes]
        names += [bytes_field(2, name.encode()) for name in self.makes]
        attributes = [bytes_field(5, value) for value in self.attributes.values()]
        domain = bytes_field(7, self.domain.encode()) if self.domain else b""
        return b"".join([*names, self.rest, bytes_field(4, self.operator.encode()), *attributes, domain])


@dataclass(eq=False)
class Value:
    """An input or output: its name, the type of its numbers, and its shape as bytes of a TensorShapeProto."""

    name: str
    kind: int
    shape: bytes | None = None  # None: of unknown rank

    def written(self) -> bytes:
        """A ValueInfoProto's bytes."""
        tensor = number_field(1, self.kind) + (b"" if self.shape is None else bytes_field(2, self.shape))
        return bytes_field(1, self.name.encode()) + bytes_field(2, bytes_field(1, tensor))


def rename(nodes: Iterable[Node], name: str, other: str) -> None:
    """Gives a value that nodes take and make another name."""
    for node in nodes:
        node.takes = [other if each == name else each for each in node.takes]
        node.makes = [other if each == name else each for each in node.makes]


def kind_of(array: np.ndarray) -> int:
    """The type of an array's numbers, as a TensorProto names it."""
    return next(kind for kind, dtype in DTYPES.items() if dtype == array.dtype)


def shape_of(axes: Iterable[str | int]) -> bytes:
    """A TensorShapeProto's bytes."""
    sizes = (bytes_field(2, axis.encode()) if isinstance(axis, str) else number_field(1, axis) for axis in axes)
    return b"".join(bytes_field(1, size) for size in sizes)


def tensor(name: str, array: np.ndarray) -> list[bytes | memoryview]:
    """The field of a graph that holds a constant, in pieces: its numbers are not copied."""
    array = np.asarray(array, order="C")
    sizes = b"".join(number_field(1, size) for size in array.shape)
    head = sizes + number_field(2, kind_of(array)) + bytes_field(8, name.encode())
    content: list[bytes | memoryview] = [head, head_of(9, array.nbytes), array.reshape(-1).view(np.uint8).data]
    return [head_of(5, sum(map(len, content))), *content]
