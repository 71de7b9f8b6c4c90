"""Looks through an ONNX file before onnxruntime sees it: a bounded walk of the protobuf in plain Python.

Refuses what could reach outside the file (external data) or what textkit does not serve (operators of unknown domains,
opsets newer than onnxruntime's), and gives the graph's ports. Knows nothing of tensors' contents, which it steps over
without a copy, and nothing of bundles or tasks. Field numbers are those of onnx.proto, which never change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textkit.errors import TextkitError
from textkit.plugin import Port

DOMAINS = ("", "ai.onnx", "com.microsoft")
MAX_BYTES = 2**31 - 1  # protobuf's own limit
MAX_OPSET = {"": 26, "ai.onnx": 26, "com.microsoft": 1}  # what onnxruntime 1.31 reads; the exporter writes 23
MAX_IR = 13
MAX_FIELDS = 1_000_000  # a transformer of 24 layers has about 200,000
MAX_DEPTH = 16  # graphs within graphs: If and Loop bodies

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL = "keeps its weights outside the file (external data)"
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "str", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What the walk found: versions, and the ports of the main graph in order."""

    ir: int
    opsets: dict[str, int]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def inspect(data: bytes, name: str) -> Header:
    """The header of an ONNX model. Raises TextkitError, its line beginning with `name`, for one not to be loaded."""
    if len(data) > MAX_BYTES:
        raise TextkitError(f"{name}: {len(data)} bytes, more than the {MAX_BYTES} of a single ONNX file")
    try:
        return _Walk(data).model()
    except _Refusal as refusal:
        raise TextkitError(f"{name}: {refusal}") from None


class _Refusal(Exception):
    """Why a model is not loaded."""


class _Walk:
    """One pass over one file. Offsets instead of slices, so that a tensor of any size costs nothing."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fields_left = MAX_FIELDS

    def model(self) -> Header:
        ir, opsets, graphs, ports = 0, {}, 0, ([], [])
        for number, value, end in self.fields(0, len(self.data), {7, 8, 20, 25}):
            if number == 1 and end is None:
                ir = value
            elif number == 7:
                graphs += 1
                ports = self.graph(value, end, 0)
            elif number == 8:
                domain, version = self.opset(value, end)
                opsets[domain] = version
            elif number == 20:
                raise _Refusal("carries a training graph (training_info)")
            elif number == 25:
                self.function(value, end)
        if graphs != 1 or not opsets:
            raise _Refusal("not an ONNX model")
        if not 3 <= ir <= MAX_IR:
            raise _Refusal(f"has IR version {ir}; versions 3 to {MAX_IR} are read")
        return Header(ir, opsets, tuple(ports[0]), tuple(ports[1]))

    def opset(self, start: int, stop: int) -> tuple[str, int]:
        domain, version = "", 0
        for number, value, end in self.fields(start, stop, {1}):
            if number == 1:
                domain = self.domain(value, end)
            elif number == 2 and end is None:
                version = value
        if not 1 <= version <= MAX_OPSET[domain]:
            raise _Refusal(f"needs opset {version} of {domain or 'ai.onnx'}; up to {MAX_OPSET[domain]} is read")
        return domain, version

    def function(self, start: int, stop: int) -> None:
        for number, value, end in self.fields(start, stop, {7, 9, 10, 11}):
            if number == 7:
                self.node(value, end, 1)
            elif number == 9:
                self.opset(value, end)
            elif number == 10:
                self.domain(value, end)
            elif number == 11:
                self.attribute(value, end, 1)

    def graph(self, start: int, stop: int, depth: int) -> tuple[list[Port], list[Port]]:
        """Walks a graph; the ports of the outermost one."""
        if depth > MAX_DEPTH:
            raise _Refusal(f"nests graphs more than {MAX_DEPTH} deep")
        inputs: list[Port] = []
        outputs: list[Port] = []
        for number, value, end in self.fields(start, stop, {1, 5, 11, 12, 15}):
            if number == 1:
                self.node(value, end, depth)
            elif number == 5:
                self.tensor(value, end)
            elif number == 15:
                self.sparse(value, end)
            elif number == 11 and depth == 0:
                inputs.append(self.port(value, end))
            elif number == 12 and depth == 0:
                outputs.append(self.port(value, end))
        return inputs, outputs

    def node(self, start: int, stop: int, depth: int) -> None:
        for number, value, end in self.fields(start, stop, {4, 5, 7}):
            if number == 5:
                self.attribute(value, end, depth)
            elif number == 7:
                self.domain(value, end)
            elif number == 4 and self.text(value, end) == "EPContext":
                raise _Refusal("refers to a compiled engine outside the file (EPContext)")

    def attribute(self, start: int, stop: int, depth: int) -> None:
        for number, value, end in self.fields(start, stop, {5, 6, 10, 11, 22, 23}):
            if number in (6, 11):
                self.graph(value, end, depth + 1)
            elif number in (5, 10):
                self.tensor(value, end)
            elif number in (22, 23):
                self.sparse(value, end)

    def sparse(self, start: int, stop: int) -> None:
        for number, value, end in self.fields(start, stop, {1, 2}):
            if number in (1, 2):
                self.tensor(value, end)

    def tensor(self, start: int, stop: int) -> None:
        for number, value, end in self.fields(start, stop, {13}):
            if number == 13 or (number == 14 and (end is not None or value != 0)):
                raise _Refusal(_EXTERNAL)

    def port(self, start: int, stop: int) -> Port:
        name, dtype, axes = "", "", []
        for number, value, end in self.fields(start, stop, {1, 2}):
            if number == 1:
                name = self.text(value, end)
            elif number == 2:
                for kind, first, last in self.fields(value, end, {1}):
                    if kind == 1:  # tensor_type; sequences, maps and optionals are no ports of ours
                        dtype, axes = self.tensor_type(first, last)
        if not name or not dtype:
            raise _Refusal(f"port {name!r} is no tensor of a known type")
        return Port(name, dtype, tuple(axes))

    def tensor_type(self, start: int, stop: int) -> tuple[str, list[str | int]]:
        dtype, axes = "", []
        for number, value, end in self.fields(start, stop, {2}):
            if number == 1 and end is None:
                dtype = _DTYPES.get(value, "")
            elif number == 2:
                axes = [self.axis(first, last) for kind, first, last in self.fields(value, end, {1}) if kind == 1]
        return dtype, axes

    def axis(self, start: int, stop: int) -> str | int:
        axis: str | int = ""
        for number, value, end in self.fields(start, stop, {2}):
            if number == 1 and end is None:
                axis = value
            elif number == 2:
                axis = self.text(value, end)
        return axis

    def domain(self, start: int, stop: int) -> str:
        domain = self.text(start, stop)
        if domain not in DOMAINS:
            raise _Refusal(f"uses operators of the unknown domain {domain[:100]!r}")
        return domain

    def text(self, start: int, stop: int) -> str:
        if stop - start > 10_000:
            raise _Refusal("has a name of more than 10,000 bytes")
        try:
            return self.data[start:stop].decode("utf-8")
        except UnicodeDecodeError:
            raise _Refusal("damaged: a name is not UTF-8") from None

    def fields(self, start: int, stop: int, messages: set[int]) -> Iterator[tuple[int, int, int | None]]:
        """The fields of one message: (number, value, None) of a number, (number, first, last + 1) of bytes.

        `messages`: the fields that must be bytes; another wire type there would hide them from this walk.
        """
        data, at = self.data, start
        while at < stop:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise _Refusal(f"has more than {MAX_FIELDS} fields")
            tag, at = self.varint(at, stop, 5)
            number, wire = tag >> 3, tag & 7
            if number == 0 or (wire != _BYTES and number in messages):
                raise _Refusal("damaged: not a protobuf of a model")
            if wire == _BYTES:
                size, at = self.varint(at, stop, 5)
                if size > stop - at:
                    raise _Refusal("damaged or cut off: a field ends outside its message")
                yield number, at, at + size
                at += size
            elif wire == _VARINT:
                value, at = self.varint(at, stop, 10)
                yield number, value, None
            elif wire in (_FIXED32, _FIXED64):
                size = 4 if wire == _FIXED32 else 8
                if size > stop - at:
                    raise _Refusal("damaged or cut off: a field ends outside its message")
                yield number, int.from_bytes(data[at : at + size], "little"), None
                at += size
            else:  # groups, which ONNX has never had
                raise _Refusal("damaged: not a protobuf of a model")

    def varint(self, at: int, stop: int, longest: int) -> tuple[int, int]:
        """A base-128 number and the offset behind it; `longest`: the bytes that protobuf's own reader allows."""
        value = 0
        for shift in range(0, 7 * longest, 7):
            if at >= stop:
                raise _Refusal("damaged or cut off: it ends in the middle of a field")
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise _Refusal("damaged: a number is too long")
