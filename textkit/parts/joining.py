"""Joins done parts, in order, into what one run would have written. Knows no model."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from textkit.errors import TextkitError
from textkit.parts.marks import Mark

_BLOCK = 1 << 20


def joined(folder: Path, marks: Sequence[Mark]) -> Iterator[bytes]:
    """The bytes of all parts. Of .npy files the header is one, with the number of all rows.

    Raises TextkitError for a file that is not what was written; what its part gave before is then to be thrown away.
    """
    if marks and marks[0].file.endswith(".npy"):
        yield from _npy(folder, marks)
        return
    if marks and marks[0].file.endswith((".parquet", ".arrow")):
        yield from _tables(folder, marks)
        return
    for mark in marks:
        yield from _checked(folder, mark)


def _tables(folder: Path, marks: Sequence[Mark]) -> Iterator[bytes]:
    """Parquet is written anew, so that its row groups are those of one run. Batches of Arrow stay as they are."""
    from textkit.streams.arrow import batches
    from textkit.streams.arrow_output import ArrowOut

    sink = _Sink()
    with ArrowOut(sink, "parquet" if marks[0].file.endswith(".parquet") else "arrow") as out:
        for mark in marks:
            for _ in _checked(folder, mark):
                pass
            for table in batches(str(folder / mark.file)):
                out.write(table)
                yield from sink.taken()
    yield from sink.taken()


class _Sink:
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def write(self, data: Any) -> None:
        self._held.append(bytes(data))

    def taken(self) -> list[bytes]:
        held, self._held = self._held, []
        return held


def _checked(folder: Path, mark: Mark) -> Iterator[bytes]:
    digest = hashlib.sha256()
    path = folder / mark.file
    with _opened(path) as file:
        while data := file.read(_BLOCK):
            digest.update(data)
            yield data
    if digest.hexdigest() != mark.sha256:
        raise TextkitError(f"{path}: is not as it was written (its sha256 differs); remove it, and run the parts again")


def _npy(folder: Path, marks: Sequence[Mark]) -> Iterator[bytes]:
    rows, lengths = 0, []
    header: dict[str, Any] = {}
    for mark in marks:
        with _opened(folder / mark.file) as file:
            length, header = _header(file, folder / mark.file)
        lengths.append(length)
        rows += header["shape"][0]
    shape = (rows, *header["shape"][1:])
    text = f"{{'descr': {header['descr']!r}, 'fortran_order': False, 'shape': {shape}, }}"
    yield b"\x93NUMPY\x01\x00" + (lengths[0] - 10).to_bytes(2, "little") + text.ljust(lengths[0] - 11).encode() + b"\n"
    for mark, left in zip(marks, lengths, strict=True):
        for data in _checked(folder, mark):
            yield data[left:]
            left = max(0, left - len(data))


def _header(file: BinaryIO, path: Path) -> tuple[int, dict[str, Any]]:
    """The length in bytes of a .npy file's header, version 1.0, and what it says."""
    head = file.read(10)
    length = 10 + int.from_bytes(head[8:10], "little")
    try:
        if head[:8] != b"\x93NUMPY\x01\x00":
            raise ValueError
        return length, ast.literal_eval(file.read(length - 10).decode("ascii").strip())
    except (ValueError, SyntaxError):
        raise TextkitError(f"{path}: is no .npy file of textkit's") from None


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise TextkitError(f"{path}: cannot be read: {error.strerror}") from error
