"""Reads the ports of an ONNX graph: their names, types and axes. Field numbers are those of onnx.proto."""

from __future__ import annotations

from textkit.bundle.protobuf import Damaged, Message
from textkit.errors import quoted
from textkit.task import Port

_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "str", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip


def port(message: Message, start: int, stop: int) -> Port:
    """A ValueInfoProto. Raises Damaged for one that is no tensor of a known type."""
    name, dtype = "", ""
    axes: list[str | int] = []
    for number, value, end in message.fields(start, stop, {1, 2}):
        if number == 1:
            name = message.text(value, end)
        elif number == 2:
            for kind, first, last in message.fields(value, end, {1}):
                if kind == 1:  # tensor_type; textkit has no ports that are sequences, maps or optionals
                    dtype, axes = _tensor_type(message, first, last)
    if not name or not dtype:
        raise Damaged(f"port {quoted(name)} is no tensor of a known type")
    return Port(name, dtype, tuple(axes))


def _tensor_type(message: Message, start: int, stop: int) -> tuple[str, list[str | int]]:
    dtype = ""
    axes: list[str | int] = []
    for number, value, end in message.fields(start, stop, {2}):
        if number == 1 and not end:
            dtype = _DTYPES.get(value, "")
        elif number == 2:
            axes = [_axis(message, first, last) for kind, first, last in message.fields(value, end, {1}) if kind == 1]
    return dtype, axes


def _axis(message: Message, start: int, stop: int) -> str | int:
    axis: str | int = ""
    for number, value, end in message.fields(start, stop, {2}):
        if number == 1 and not end:
            axis = value
        elif number == 2:
            axis = message.text(value, end)
    return axis
