"""Lines in: files or stdin, plain, gzip or zstandard, as blocks of lines. Knows no columns, no model and no output.

The rules of a line: the text is UTF-8, or what --encoding says; a byte order mark at the start of a file, a gzip member or
a zstandard frame is dropped; invalid bytes become U+FFFD and are counted; a line ends at `\\n` alone (`\\r\\n` is accepted;
U+2028 and NUL are text); a last line without a newline counts.

Bytes come from the file descriptor by os.read, never from Python's buffered stdin, so that it is known when the next
read would wait. A filter can therefore answer a person at once and still make full batches of a file. Where a read would
wait, textkit.streams.waiting waits for it, so that a signal is always heeded.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol

from textkit.errors import TextkitError, no_such_file
from textkit.streams.span import Span
from textkit.streams.waiting import is_readable, wait_readable

BLOCK = 1 << 18  # bytes asked for by one read
GZIP = b"\x1f\x8b"
ZSTANDARD = b"\x28\xb5\x2f\xfd"
_BINARY_HEAD = 8192  # a NUL among this many first bytes makes a training file binary


class Lines(Protocol):
    """What gives blocks of lines: a Reader, or what stands before one."""

    name: str
    keeps_returns: bool

    def __iter__(self) -> Iterator[list[str]]: ...


class Reader:
    """One file, or stdin for None. Iterating gives blocks of whole lines, list[str] without their line ends.

    An empty block says that nothing can be read just now: a caller that holds lines back should release them. Raises
    TextkitError naming the file for one that is missing, a directory, unreadable, or damaged in its compression, and for a
    closed stdin.
    """

    def __init__(self, path: str | os.PathLike[str] | None, block: int = BLOCK) -> None:
        self.path = self.name = "stdin" if path is None else os.fspath(path)
        self.encoding = "UTF-8"
        self.invalid = 0  # lines so far with bytes that are invalid in the encoding
        self.keeps_returns = False  # whether a carriage return before the end of a line stays: in quotes it is text
        self.lines = 0  # lines given so far
        self.taken = 0  # bytes of the file read so far, compressed if it is
        self.waiting = 0  # those of them that are still to be decompressed
        self.also: Callable[[bytes], object] | None = None  # is given all bytes read, such as a hash
        self._block = block
        self._owned = path is not None
        self._fd = standard_input() if path is None else _open(self.name)
        mode = os.fstat(self._fd).st_mode
        if stat.S_ISDIR(mode):
            self.close()
            raise TextkitError(f"{self.name}: is a directory")
        self._regular = stat.S_ISREG(mode)
        self._span: Span | None = None  # the piece of the file that is read; None: all of it
        self._left: int | None = None  # bytes of it that are still to be read

    @classmethod
    def of(cls, span: Span, block: int = BLOCK) -> Reader:
        """A reader of the lines of a piece of a file."""
        reader = cls(span.path, block)
        reader.name, reader.lines = span.name, span.lines or 0
        if not span.whole:
            reader._span, reader._left = span, span.stop - span.start
            os.lseek(reader._fd, span.start, os.SEEK_SET)
        return reader

    @property
    def begins(self) -> bool:
        """Whether the file is read from its beginning."""
        return self._span is None or not self._span.start

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        if self._owned and self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def __iter__(self) -> Iterator[list[str]]:
        held: list[bytes] = []  # the beginning of a line whose end has not come yet
        first = self.begins  # a byte order mark further on is text
        for data in self._utf8():
            cut = data.rfind(b"\n") + 1
            if not cut:
                if data:
                    held.append(data)
                else:
                    yield []
                continue
            whole = b"".join([*held, data[:cut]])
            held = [data[cut:]] if cut < len(data) else []
            yield self._split(whole.removeprefix(BOM_UTF8) if first else whole)
            first = False
        rest = b"".join(held)
        rest = rest.removeprefix(BOM_UTF8) if first else rest
        if rest:
            yield self._split(rest + b"\n")

    def _utf8(self) -> Iterator[bytes]:
        """The file's bytes as UTF-8. Raises TextkitError where they are UTF-16 or UTF-32 and --encoding does not say so."""
        from textkit.streams.encoding import Decoder, chosen, foreign

        encoding = chosen()
        if encoding is not None and encoding not in ("utf-8", "utf-8-sig"):
            decoder = Decoder(encoding)
            self.encoding = encoding
            for data in decoder(self.chunks()):
                if decoder.invalid:  # at most this many lines hold such bytes
                    self.invalid, decoder.invalid = self.invalid + min(decoder.invalid, data.count(b"\n") + 1), 0
                yield data
            return
        head = b"" if encoding is None and self.begins else None
        for data in self.chunks():
            if data and head is not None:
                head += data
                if head in (b"\xff", b"\xfe"):  # half a byte order mark
                    continue
                found, data, head = foreign(head), head, None
                if found:
                    raise TextkitError(f"{self.name}: is {found[:6].upper()}, not UTF-8; --encoding {found} reads it")
            yield data
        if head:
            yield head

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes, decompressed; b"" before a read that would wait."""
        if self._span is not None:
            yield from self._pieces(self._span) if self._span.packed else self._raw()
            return
        yield from self._whole()

    def _pieces(self, span: Span) -> Iterator[bytes]:
        from textkit.streams.decompressing import inflate, unzstd, whole_lines

        expand = unzstd if os.pread(self._fd, 4, 0) == ZSTANDARD else inflate

        def behind() -> Iterator[bytes]:
            self._left = None
            return expand(self._raw(), self)

        return whole_lines(expand(self._raw(), self), behind, bool(span.start))

    def _whole(self) -> Iterator[bytes]:
        head = b""
        while not head or any(len(head) < len(magic) and magic.startswith(head) for magic in (GZIP, ZSTANDARD)):
            data = self._read(self._ready())
            if not data:
                break
            head += data
        raw = chain([head] if head else [], self._raw())
        if not head.startswith((GZIP, ZSTANDARD)):
            yield from raw
            return
        from textkit.streams.decompressing import inflate, unzstd

        yield from inflate(raw, self) if head.startswith(GZIP) else unzstd(raw, self)

    def _raw(self) -> Iterator[bytes]:
        while True:
            ready = self._ready()
            if not ready:
                yield b""
            data = self._read(ready)
            if not data:
                return
            yield data

    def _read(self, ready: bool) -> bytes:
        try:
            while True:
                if not ready:
                    wait_readable(self._fd)
                try:
                    data = os.read(self._fd, self._block if self._left is None else min(self._block, self._left))
                    if self._left is not None:
                        if self._left and not data:
                            raise TextkitError(f"{self.name}: is shorter than it was when it was cut into parts")
                        self._left -= len(data)
                    self.taken += len(data)
                    if self.also is not None:
                        self.also(data)
                    return data
                except BlockingIOError:  # a non-blocking file, and another process was quicker
                    ready = False
                    time.sleep(0.001)
        except OSError as error:
            raise TextkitError(f"{self.name}: cannot be read: {error.strerror}") from error

    def _ready(self) -> bool:
        """Whether a read would return at once: with bytes, or with the end of the input."""
        return self._regular or is_readable(self._fd)

    def _split(self, data: bytes) -> list[str]:
        """The lines of `data`, which ends with a newline."""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("utf-8", "replace")
            self.invalid += sum(not _is_utf8(line) for line in data.split(b"\n"))
        if "\r" in text and not self.keeps_returns:
            text = text.replace("\r\n", "\n")
        lines = text.split("\n")
        lines.pop()
        self.lines += len(lines)
        return lines


def read_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """The lines of a training file, blank ones too.

    Raises TextkitError naming the file where it is missing, a directory, damaged, empty, or binary (a NUL in the first
    8 KiB).
    """
    return chain.from_iterable(read_blocks(path))


def read_blocks(path: str | os.PathLike[str], block: int = BLOCK) -> Iterator[list[str]]:
    """The lines of `read_lines` in lists, one list for each block of `block` bytes."""
    with Reader(path, block) as reader:
        yield from text_blocks(reader)


def text_blocks(reader: Reader) -> Iterator[list[str]]:
    """The blocks of `reader` that hold lines. Raises TextkitError where they are no text, as `read_lines` does."""
    seen = 0  # characters looked at, which are at least as many bytes
    for lines in reader:
        if seen < _BINARY_HEAD and lines:
            head = "\n".join(lines)[: _BINARY_HEAD - seen]
            if "\0" in head:
                raise TextkitError(f"{reader.name}: is binary, not text")
            seen += len(head)
        if lines:
            yield lines
    if not reader.lines:
        raise TextkitError(f"{reader.name}: is empty")


def standard_input() -> int:
    """The file descriptor of stdin. Raises TextkitError where it is closed."""
    if sys.stdin is None:  # then fd 0 may belong to any file opened since
        raise TextkitError("stdin is closed")
    return sys.stdin.fileno()


def _open(name: str) -> int:
    try:
        return os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise TextkitError(no_such_file(name)) from None
    except IsADirectoryError:
        raise TextkitError(f"{name}: is a directory") from None
    except (OSError, ValueError) as error:
        if os.path.isdir(name):  # Windows reports a missing permission
            raise TextkitError(f"{name}: is a directory") from error
        raise TextkitError(f"{name}: cannot be opened: {getattr(error, 'strerror', None) or error}") from error


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def check_readable(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Raises TextkitError for the first of `paths` that cannot be read, so that no work is done before one is missed.

    Opens nothing: opening a named pipe and closing it again would kill the process that writes to it.
    """
    for path in (os.fspath(given) for given in paths):
        if not os.path.exists(path):
            raise TextkitError(no_such_file(path))
        if os.path.isdir(path):
            raise TextkitError(f"{path}: is a directory")
        if not os.access(path, os.R_OK):
            raise TextkitError(f"{path}: cannot be opened: Permission denied")
