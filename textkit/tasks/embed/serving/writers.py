"""Writes vectors as text, JSON lines, .npy and raw f32, to a stream or a file. Knows no model.

There is one output record for each input record. One that could not be used (`Block.problems`) gives a null record, zeros as
numbers and null as JSON, so that line n of the output belongs to record n of the input.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from textkit.streams.columns import Block
from textkit.streams.decimals import EXACT_DIGITS, format_decimals
from textkit.streams.escaping import escaped
from textkit.streams.records import json_bytes, opened

HEADER = 128  # bytes of a .npy header, room for any number of rows

Tokens = list[list[tuple[str, np.ndarray]]]


def text_of(block: Block, vectors: np.ndarray) -> bytes:
    """One line each: the numbers separated by one space, as fastText's print-sentence-vectors writes them (`%.5g`)."""
    return format_decimals(vectors)


def jsonl_of(block: Block, vectors: np.ndarray, key: str = "embedding") -> bytes:
    """One object each: the record's own fields, then `key` with nine digits per number, which preserve every f32."""
    numbers = format_decimals(vectors, EXACT_DIGITS, ", ").split(b"\n")
    return b"".join(
        b"%b%b}\n" % (opened(block, at, key), b"null" if at in block.problems else b"[%b]" % numbers[at])
        for at in range(len(block))
    )


def table_of(block: Block, vectors: np.ndarray, key: str = "embedding") -> Any:
    """A pyarrow Table: the records' own columns, then `key`, lists of fixed size; null for a record that could not be used."""
    from textkit.streams import arrow

    return arrow.table_of(block, {key: arrow.vectors(vectors, list(block.problems))})


def f32_of(block: Block, vectors: np.ndarray) -> memoryview:
    """Little-endian f32, row after row."""
    return np.ascontiguousarray(vectors, "<f4").reshape(-1).view(np.uint8).data


def tokens_text_of(block: Block, tokens: Tokens) -> bytes:
    """One line each: `token number number ...` for each token, tabs between tokens; tokens are `escaped`."""
    numbers = _numbers(tokens)
    lines = [
        b"\t".join([_bytes(escaped(token, tabs=True)) + b" " + next(numbers) for token, _ in line]) for line in tokens
    ]
    return b"".join(line + b"\n" for line in lines)


def tokens_jsonl_of(block: Block, tokens: Tokens, key: str = "tokens") -> bytes:
    """One object each: the record's own fields, then `key`, a list of {"token", "embedding"}."""
    numbers = _numbers(tokens, EXACT_DIGITS, ", ")
    lines = []
    for at, line in enumerate(tokens):
        cells = [b'{"token": %b, "embedding": [%b]}' % (json_bytes(token), next(numbers)) for token, _ in line]
        value = b"null" if at in block.problems else b"[%b]" % b", ".join(cells)
        lines.append(b"%b%b}\n" % (opened(block, at, key), value))
    return b"".join(lines)


def _numbers(tokens: Tokens, *form: Any) -> Iterator[bytes]:
    """The numbers of each token's vector as `format_decimals` writes them."""
    vectors = [vector for line in tokens for _, vector in line]
    return iter(format_decimals(np.array(vectors, np.float32), *form).split(b"\n") if vectors else ())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def npy_header(rows: int | None, dim: int) -> bytes:
    """The header of a .npy file, version 1.0, of f32[rows, dim]: always HEADER bytes. `rows` None: one that does not load."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}"
    if rows is None:
        text = "this file was cut short before the number of its rows was known"
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + text.ljust(HEADER - 11).encode() + b"\n"


class Npy:
    """Writes rows as a .npy file whose header says how many there are, or does not load.

    Where `out` can be rewound, the header is written last. Otherwise (a pipe) rows wait in a temporary file. However the
    writing ends, the result is a valid file of the rows that it has, unless the process is killed.
    """

    def __init__(self, out: BinaryIO, dim: int) -> None:
        self._out, self._dim, self._rows = out, dim, 0
        self._start = _position(out)
        self._spool: Any = None
        if self._start is None:
            with _spooling():
                self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        else:
            out.write(npy_header(None, dim))

    def __enter__(self) -> Npy:
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        """Finishes the file, also after an error, with the rows that were done."""
        try:
            if kind is None:
                self._finish()
                return
            with contextlib.suppress(OSError):  # the first error is the one to report
                self._finish()
        finally:
            if self._spool is not None:
                with contextlib.suppress(OSError):  # the disk may have no room for what it has buffered
                    self._spool.close()

    def write(self, rows: memoryview) -> None:
        count = len(rows) // (4 * self._dim)
        if self._spool is None:
            self._rows += count  # first, because a write that fails may have written a part
            self._out.write(rows)
            return
        with _spooling():
            self._spool.write(rows)
        self._rows += count

    def _finish(self) -> None:
        if self._start is None:
            with _spooling():
                self._spool.seek(0)
            self._out.write(npy_header(self._rows, self._dim))
            left = 4 * self._dim * self._rows
            while left:
                with _spooling():
                    part = self._spool.read(min(left, 1 << 20))
                self._out.write(part)
                left -= len(part)
            return
        try:
            self._out.flush()
        finally:  # on a full disk the file has the whole rows that found room
            end = os.lseek(self._out.fileno(), 0, os.SEEK_CUR)
            there = end - self._start - HEADER
            if there >= 0:
                os.lseek(self._out.fileno(), self._start, os.SEEK_SET)
                os.write(self._out.fileno(), npy_header(min(self._rows, there // (4 * self._dim)), self._dim))
                os.lseek(self._out.fileno(), end, os.SEEK_SET)


@contextmanager
def _spooling() -> Iterator[None]:
    """Makes OSErrors of the temporary file say where it is."""
    try:
        yield
    except OSError as error:
        error.filename = f"a temporary file in {tempfile.gettempdir()}"
        raise


def _position(out: BinaryIO) -> int | None:
    """The position of `out`, None where it cannot go back there and write."""
    try:
        if not out.seekable():
            return None
        with contextlib.suppress(ImportError):  # not on Windows
            import fcntl

            if fcntl.fcntl(out.fileno(), fcntl.F_GETFL) & os.O_APPEND:  # `>> file`: every write goes to the end
                return None
        return out.tell()
    except OSError:
        return None


Formatter = Callable[[Block, Any], Any]  # gives bytes, or an object that is written as bytes
FORMATTERS: dict[str, Formatter] = {"text": text_of, "jsonl": jsonl_of, "npy": f32_of, "f32": f32_of}
TOKEN_FORMATTERS: dict[str, Formatter] = {"text": tokens_text_of, "jsonl": tokens_jsonl_of}
