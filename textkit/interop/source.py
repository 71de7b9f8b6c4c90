"""Another tool's file, read from front to back: exact numbers of bytes, up to a mark, or lines by the block.

Plain, gzip and zstandard alike. Never holds or allocates more than the file can have. Knows no format.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import numpy as np

from textkit.errors import TextkitError
from textkit.lines import Reader

BLOCK = 1 << 20  # bytes asked for by one read
_DEFLATE = 1032  # the most bytes that one byte of a deflate stream can stand for


class Source:
    """`name` for messages, `at` the bytes consumed so far. TextkitError from any method where the file ends early."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        stdin = os.fspath(path) == "-"
        self._reader = Reader(None if stdin else path, BLOCK)
        self.name = self._reader.name
        self.at = 0
        self.plain = False  # whether the file's size says how many bytes will come
        self._chunks = self._reader.chunks()
        self._buffer = b""
        self._most = None if stdin else self._bound()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception: object) -> None:
        self._reader.close()

    def _bound(self) -> int | None:
        """The most bytes that can come, None where nobody knows (a pipe, zstandard)."""
        state = os.stat(self.name)
        if not stat.S_ISREG(state.st_mode):
            return None
        with open(self.name, "rb") as file:
            head = file.read(4)
        if head.startswith(b"\x1f\x8b"):
            return state.st_size * _DEFLATE
        if head == b"\x28\xb5\x2f\xfd":
            return None
        self.plain = True
        return state.st_size

    def left(self) -> int | None:
        """The most bytes that can still come, None where nobody knows."""
        return None if self._most is None else self._most - self.at

    def expect(self, size: int, what: str) -> None:
        """Refuses, before anything is allocated, what the file cannot hold."""
        left = self.left()
        if size < 0 or (left is not None and size > left):
            raise TextkitError(f"{self.name}: promises {what}, which is more than the file holds")

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer where the file ends; they stay to be read."""
        if len(self._buffer) < size:
            parts, have = [self._buffer], len(self._buffer)
            while have < size and (data := self._chunk()):
                parts.append(data)
                have += len(data)
            self._buffer = b"".join(parts)
        return self._buffer[:size]

    def take(self, size: int, what: str) -> bytes:
        """Exactly `size` bytes. `what` they are is named where they do not come."""
        data = self.peek(size)
        if len(data) < size:
            raise self.short(what)
        self._buffer = self._buffer[size:]
        self.at += size
        return data

    def some(self) -> bytes:
        """Whatever is at hand, about a block; b"" at the end."""
        data = self._buffer or self._chunk()
        self._buffer = b""
        self.at += len(data)
        return data

    def give_back(self, data: bytes) -> None:
        """Puts bytes that were taken back in front."""
        self._buffer = data + self._buffer
        self.at -= len(data)

    def fill(self, array: np.ndarray, what: str) -> None:
        """Reads the memory of a contiguous array."""
        view = memoryview(array).cast("B")
        done = 0
        while done < len(view):
            data = self.some()
            if not data:
                raise self.short(what)
            take = min(len(data), len(view) - done)
            view[done : done + take] = data[:take]
            done += take
            if take < len(data):
                self.give_back(data[take:])

    def skip(self, size: int, what: str) -> None:
        while size > 0:
            data = self.some()
            if not data:
                raise self.short(what)
            if len(data) > size:
                self.give_back(data[size:])
            size -= len(data)

    def blocks(self, size: int) -> Iterator[bytes]:
        """Whole lines, each with its newline, about `size` bytes at once; a last line without newline is given one."""
        held: list[bytes] = []
        have = 0
        while data := self.some():
            held.append(data)
            have += len(data)
            if have < size or b"\n" not in data:
                continue
            whole = b"".join(held)
            cut = whole.rfind(b"\n") + 1
            yield whole[:cut]
            held, have = [whole[cut:]], len(whole) - cut
        if rest := b"".join(held):
            yield rest if rest.endswith(b"\n") else rest + b"\n"

    def short(self, what: str) -> TextkitError:
        return TextkitError(f"{self.name}: ends inside {what}: truncated?")

    def _chunk(self) -> bytes:
        """The next bytes of the file; b"" at its end (the reader's own b"" says only that a read would wait)."""
        for data in self._chunks:
            if data:
                return data
        return b""
