"""Vectors out: text, JSON lines, .npy and raw f32, to a stream or a file. Knows no model.

One record for each record in. One that could not be used (`Block.problems`) is a null record: zeros as numbers, null as
JSON, so that line n of the output belongs to record n of the input.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from textkit.columns import Block
from textkit.decimals import EXACT_DIGITS, format_decimals
from textkit.errors import TextkitError

HEADER = 128  # bytes of a .npy header, room for any number of rows

ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
LINE_ENDS = str.maketrans({"\n": "\\n", "\r": "\\r"})

Tokens = list[list[tuple[str, np.ndarray]]]


def text_of(block: Block, vectors: np.ndarray) -> bytes:
    """A line each: the numbers with one space between, as fastText's print-sentence-vectors writes them (`%.5g`)."""
    return format_decimals(vectors)


def jsonl_of(block: Block, vectors: np.ndarray, key: str = "embedding") -> bytes:
    """An object each: the record's own fields, then `key`, nine digits a number, which give every f32 back."""
    numbers = format_decimals(vectors, EXACT_DIGITS, ", ").split(b"\n")
    return b"".join(
        b"%b%b}\n" % (opened(block, at, key), b"null" if at in block.problems else b"[%b]" % numbers[at])
        for at in range(len(block))
    )


def f32_of(block: Block, vectors: np.ndarray) -> memoryview:
    """Little-endian f32, row after row."""
    return np.ascontiguousarray(vectors, "<f4").reshape(-1).view(np.uint8).data


def tokens_text_of(block: Block, tokens: Tokens) -> bytes:
    """A line each: `token number number ...` for each token, tabs between tokens; \\t, \\n, \\r where a token has one."""
    numbers = _numbers(tokens)
    lines = [
        b"\t".join([_bytes(token.translate(ESCAPES)) + b" " + next(numbers) for token, _ in line]) for line in tokens
    ]
    return b"".join(line + b"\n" for line in lines)


def tokens_jsonl_of(block: Block, tokens: Tokens, key: str = "tokens") -> bytes:
    """An object each: the record's own fields, then `key`, a list of {"token", "embedding"}."""
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


def opened(block: Block, at: int, key: str) -> bytes:
    """The beginning of record `at` as an object, its own fields first, up to `"key": `.

    What cannot be used has a field "error" as well, and what could be read of it.
    """
    value: Any = None
    fields: Any = {"text": block.texts[at]} if block.fields is None and at not in block.problems else {}
    start = b""
    if block.fields is not None:
        fields = block.fields[at]
        if isinstance(fields, tuple):  # a JSON line: its source as it stands
            source, value = fields
            fields = {}
            if value:
                start = _bytes(source.strip()[:-1].rstrip()) + b", "
    if block.fields is None and key in fields:
        fields = {f"source_{key}": fields[key]}
    if at in block.problems:
        taken = {*fields, *(value or ()), key}
        fields = fields | {"error" if "error" not in taken else "textkit_error": block.problems[at]}
    if fields:
        start = (start or b"{") + json_bytes(fields)[1:-1] + b", "
    return b"%b%b: " % (start or b"{", json_bytes(key))


def json_bytes(value: Any) -> bytes:
    """`value` as JSON, in one line."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can spell
        return json.dumps(value).encode()


def number(value: float) -> str:
    """Six digits: more than a batch can change."""
    return f"{value:.6g}"


def rounded(value: float) -> float | None:
    """JSON has no infinity: null, of a model that gives no numbers."""
    return float(number(value)) if math.isfinite(value) else None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def npy_header(rows: int, dim: int) -> bytes:
    """The header of a .npy file, version 1.0, of f32[rows, dim]: always HEADER bytes."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}"
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + text.ljust(HEADER - 11).encode() + b"\n"


class Npy:
    """Writes rows as a .npy file: the header last, by seeking back; where that cannot be, rows wait in a temporary file."""

    def __init__(self, out: BinaryIO, dim: int) -> None:
        self._out, self._dim, self._rows = out, dim, 0
        self._start = _position(out)
        self._spool: Any = None
        if self._start is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        else:
            out.write(npy_header(0, dim))

    def __enter__(self) -> Npy:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._spool is not None:
            self._spool.close()

    def write(self, rows: memoryview) -> None:
        self._rows += len(rows) // (4 * self._dim)
        (self._spool or self._out).write(rows)

    def finish(self) -> None:
        header = npy_header(self._rows, self._dim)
        if self._spool is None:
            end = self._out.seek(0, os.SEEK_CUR)
            self._out.seek(self._start or 0)
            self._out.write(header)
            self._out.seek(end)
            return
        self._out.write(header)
        self._spool.seek(0)
        while part := self._spool.read(1 << 20):
            self._out.write(part)


def _position(out: BinaryIO) -> int | None:
    """Where `out` stands, None where it cannot go back there and write."""
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


@contextmanager
def output_file(path: str) -> Iterator[BinaryIO]:
    """`path` to write to: a temporary sibling that is renamed to it at the end, and removed where something fails.

    What is no regular file (/dev/null, a named pipe) is written to as it is. Raises TextkitError naming `path`.
    """
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise TextkitError(f"{path}: is a directory")
    try:
        if os.path.exists(target) and not os.path.isfile(target):
            with open(target, "wb") as stream:
                yield stream
            return
        sibling = os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.{os.getpid()}.tmp")
        try:
            with open(sibling, "xb") as stream:
                if os.path.exists(target):
                    os.chmod(sibling, os.stat(target).st_mode & 0o7777)
                yield stream
            os.replace(sibling, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(sibling)
            raise
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TextkitError(f"{path}: cannot be written: {error.strerror or error}") from error


Formatter = Callable[[Block, Any], Any]  # gives bytes, or what writes as bytes
FORMATTERS: dict[str, Formatter] = {"text": text_of, "jsonl": jsonl_of, "npy": f32_of, "f32": f32_of}
TOKEN_FORMATTERS: dict[str, Formatter] = {"text": tokens_text_of, "jsonl": tokens_jsonl_of}
