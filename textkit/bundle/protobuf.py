"""Walks through the wire format of protobuf in plain Python, with bounds at every step, and writes fields of it.

Knows no message's meaning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
MAX_FIELDS = 1_000_000  # of an ONNX file; a transformer of 24 layers has about 200,000


class Damaged(Exception):
    """Says in a phrase why the bytes are no sound message."""


class Message:
    """Bytes that hold messages within messages. Uses offsets, not slices, so that a field of any size costs nothing."""

    def __init__(self, data: bytes, most: int) -> None:
        """`most`: how many fields are read at most, those of inner messages among them."""
        self.data = data
        self.most = self.fields_left = most
        self.tag = 0  # where the last field yielded begins

    def fields(self, start: int, stop: int, messages: Collection[int]) -> Iterator[tuple[int, int, int]]:
        """The fields of one message: (number, value, 0) for a number, (number, first, last + 1) for bytes.

        `messages`: the fields that must be bytes; another wire type there would hide them from this walk.
        """
        for number, wire, first, last in self.wires(start, stop):
            if wire != BYTES and number in messages:
                raise Damaged("damaged: not a protobuf of a model")
            if wire in (FIXED32, FIXED64):
                yield number, int.from_bytes(self.data[first:last], "little"), 0
            else:
                yield number, first, last

    def wires(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        """The fields with their wire types: (number, VARINT, value, 0), or (number, wire type, first, last + 1)."""
        data, at = self.data, start
        while at < stop:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise Damaged(f"has more than {self.most} fields")
            begin = at
            tag = data[at]
            if tag < 0x80:  # nearly all tags and sizes are one byte, and a call costs as much as the rest of this loop
                at += 1
            else:
                tag, at = self.varint(at, stop, 5)
            number, wire = tag >> 3, tag & 7
            if number == 0:
                raise Damaged("damaged: not a protobuf of a model")
            if wire == VARINT:
                value, at = self.varint(at, stop, 10)
                self.tag = begin
                yield number, wire, value, 0  # nothing ends at 0: a tag stands before it
                continue
            if wire == BYTES:
                if at < stop and data[at] < 0x80:
                    size = data[at]
                    at += 1
                else:
                    size, at = self.varint(at, stop, 5)
            elif wire in (FIXED32, FIXED64):
                size = 4 if wire == FIXED32 else 8
            else:  # groups, which neither ONNX nor SentencePiece has ever had
                raise Damaged("damaged: not a protobuf of a model")
            if size > stop - at:
                raise Damaged("damaged or cut off: a field ends outside its message")
            self.tag = begin
            yield number, wire, at, at + size
            at += size

    def varint(self, at: int, stop: int, longest: int) -> tuple[int, int]:
        """A base-128 number and the offset after it. `longest`: how many bytes protobuf's own reader allows."""
        value = 0
        for shift in range(0, 7 * longest, 7):
            if at >= stop:
                raise Damaged("damaged or cut off: it ends in the middle of a field")
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise Damaged("damaged: a number is too long")

    def packed(self, start: int, stop: int, most: int = MAX_FIELDS) -> list[int]:
        """The numbers of a packed field; at most one more than `most`."""
        numbers: list[int] = []
        while start < stop and len(numbers) <= most:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise Damaged(f"has more than {self.most} fields")
            value, start = self.varint(start, stop, 10)
            numbers.append(value)
        return numbers

    def text(self, start: int, stop: int) -> str:
        """A name: UTF-8, of at most 10,000 bytes."""
        if stop - start > 10_000:
            raise Damaged("has a name of more than 10,000 bytes")
        try:
            return self.data[start:stop].decode("utf-8")
        except UnicodeDecodeError:
            raise Damaged("damaged: a name is not UTF-8") from None


def signed(value: int) -> int:
    """The signed integer behind 64 bits that were read as an unsigned one."""
    return value - (1 << 64) if value >= 1 << 63 else value


def varint_of(value: int) -> bytes:
    """A base-128 number, as protobuf writes it."""
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def head_of(number: int, size: int) -> bytes:
    """What stands before the `size` bytes of a field."""
    return varint_of(number << 3 | BYTES) + varint_of(size)


def bytes_field(number: int, value: bytes) -> bytes:
    """A field of bytes: a text, or a message."""
    return head_of(number, len(value)) + value


def number_field(number: int, value: int) -> bytes:
    """A field of a whole number of 64 bits, signed or not."""
    return varint_of(number << 3 | VARINT) + varint_of(value % (1 << 64))
