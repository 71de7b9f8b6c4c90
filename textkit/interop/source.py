"""Reads another tool's file from front to back: an exact number of bytes, or lines by the block.

Plain, gzip and zstandard alike. Never holds or allocates more than the file can have. Knows no format.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Callable, Iterator

import numpy as np

from textkit.errors import TextkitError, UsageError
from textkit.streams.lines import Reader

BLOCK = 1 << 20  # bytes asked for by one read
_ASCII = "".join(map(chr, range(128)))
_DEFLATE = 1032  # the most bytes that one byte of a deflate stream can stand for


class Source:
    """A file that is read once. `name` is for messages, `at` counts the bytes consumed so far.

    A method that needs more bytes than the file has raises TextkitError. `encoding`: that of the file's text. If it does not
    spell ASCII as ASCII (UTF-16), the text is turned into UTF-8 on the way, so that the formats see the bytes that they know;
    the attribute `encoding` then says UTF-8.
    """

    def __init__(self, path: str | os.PathLike[str], encoding: str = "utf-8") -> None:
        stdin = os.fspath(path) == "-"
        self._reader = Reader(None if stdin else path, BLOCK)
        self.name = self._reader.name
        self.at = 0
        self.plain = False  # whether the file's size says how many bytes will come
        self._chunks = self._reader.chunks()
        self._buffer = b""
        self._most = None if stdin else self._bound()
        self.encoding = encoding
        if not _spells_ascii(encoding):
            self._chunks = _recoded(self._chunks, encoding)
            self.encoding, self.plain, self._most = "utf-8", False, None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception: object) -> None:
        self._reader.close()

    def _bound(self) -> int | None:
        """The most bytes that can come; None if that is unknown (a pipe, zstandard)."""
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
        """The most bytes that can still come; None if that is unknown."""
        return None if self._most is None else self._most - self.at

    def expect(self, size: int, what: str) -> None:
        """Refuses a `size` that the file cannot hold, before anything is allocated."""
        left = self.left()
        if size < 0 or (left is not None and size > left):
            raise TextkitError(f"{self.name}: promises {what}, which is more than the file holds")

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, or fewer if the file ends. They are not consumed."""
        if len(self._buffer) < size:
            parts, have = [self._buffer], len(self._buffer)
            while have < size and (data := self._chunk()):
                parts.append(data)
                have += len(data)
            self._buffer = b"".join(parts)
        return self._buffer[:size]

    def take(self, size: int, what: str) -> bytes:
        """Exactly `size` bytes. The error for a file that ends early says `what` they are."""
        data = self.peek(size)
        if len(data) < size:
            raise self.short(what)
        self._buffer = self._buffer[size:]
        self.at += size
        return data

    def some(self) -> bytes:
        """The bytes at hand, about a block; b"" at the end."""
        data = self._buffer or self._chunk()
        self._buffer = b""
        self.at += len(data)
        return data

    def give_back(self, data: bytes) -> None:
        """Puts bytes back that were taken; they are read next."""
        self._buffer = data + self._buffer
        self.at -= len(data)

    def fill(self, array: np.ndarray, what: str) -> None:
        """Fills the memory of a contiguous array."""
        if not array.size:
            return
        view = array.data.cast("B")
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

    def blocks(self, size: int, longest: int, number: Callable[[], int]) -> Iterator[bytes]:
        """Whole lines, each with its newline, about `size` bytes at once; a last line without a newline gets one.

        Raises TextkitError, which names the line's number, for a line of more than about `longest` bytes. `number()` is the
        number of the line after the blocks given so far.
        """
        held: list[bytes] = []
        have = since = 0  # bytes in hand, and those after the last newline
        while data := self.some():
            held.append(data)
            have += len(data)
            newline = data.rfind(b"\n")
            since = since + len(data) if newline < 0 else len(data) - newline - 1
            if since > longest:
                line = number() + sum(part.count(b"\n") for part in held)
                raise TextkitError(
                    f"{self.name}: line {line}: is longer than {longest:,} bytes: no word and its numbers"
                )
            if have < size or newline < 0:
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


def _spells_ascii(encoding: str) -> bool:
    """Whether an encoding spells ASCII in ASCII's own bytes, and nothing else. Raises UsageError for no text encoding."""
    try:
        one_by_one = "".join(bytes([code]).decode(encoding) for code in range(128))
        return one_by_one == _ASCII and _ASCII.encode(encoding) == _ASCII.encode()
    except UnicodeError:
        return False
    except (LookupError, ValueError):
        raise UsageError(f"--encoding {encoding[:40]}: is no text encoding that Python knows") from None


def _recoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The same text in UTF-8; bytes that are no text in `encoding` become U+FFFD."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for data in chunks:
        yield decoder.decode(data).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")
