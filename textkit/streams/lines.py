"""Lines in: files or stdin, plain, gzip or zstandard, as blocks of lines. Knows no columns, no model and no output.

The rules of a line: UTF-8 (or what --encoding says), a byte order mark at the start of a file is dropped (of a
member of a gzip file, a frame of zstandard), invalid bytes become U+FFFD and are
counted; a line ends at `\\n` alone (`\\r\\n` accepted; U+2028 and NUL are text); a last line without newline counts.

Bytes come from the file descriptor by os.read, never from Python's buffered stdin, so that it is known when the next
read would wait: that is what lets a filter answer a person at once and still give a file full batches. Where a read would
wait, it is waited for in textkit.streams.waiting, so that a signal is always heeded.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from itertools import chain

from textkit.errors import TextkitError
from textkit.streams.waiting import wait_readable

BLOCK = 1 << 18  # bytes asked for by one read
GZIP = b"\x1f\x8b"
ZSTANDARD = b"\x28\xb5\x2f\xfd"
_BINARY_HEAD = 8192  # a NUL in so many first bytes makes a training file binary


class Reader:
    """One file, or stdin for None. Iterating gives blocks of whole lines, list[str] without their line ends.

    An empty block says that nothing can be read just now: whoever holds lines back had better let them go. Raises
    TextkitError naming the file for one that is missing, a directory, unreadable, or damaged in its compression, and for a
    stdin that is closed.
    """

    def __init__(self, path: str | os.PathLike[str] | None, block: int = BLOCK) -> None:
        self.name = "stdin" if path is None else os.fspath(path)
        self.encoding = "UTF-8"
        self.invalid = 0  # lines so far with bytes that are none of the encoding
        self.keeps_returns = False  # whether a carriage return before the end of a line stays: in quotes it is text
        self.lines = 0  # lines given so far
        self.taken = 0  # bytes read so far, as they are in the file
        self.waiting = 0  # of them, those that are still to be decompressed
        self._block = block
        self._owned = path is not None
        self._fd = _stdin() if path is None else _open(self.name)
        mode = os.fstat(self._fd).st_mode
        if stat.S_ISDIR(mode):
            self.close()
            raise TextkitError(f"{self.name}: is a directory")
        self._regular = stat.S_ISREG(mode)

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
        first = True
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
        """The file's bytes as UTF-8. TextkitError where they are UTF-16 or UTF-32 and nobody has said so."""
        from textkit.streams.encoding import Decoder, chosen, foreign

        encoding = chosen()
        if encoding is not None and encoding not in ("utf-8", "utf-8-sig"):
            decoder = Decoder(encoding)
            self.encoding = encoding
            for data in decoder(self.chunks()):
                if decoder.invalid:  # as many lines hold such bytes, or fewer
                    self.invalid, decoder.invalid = self.invalid + min(decoder.invalid, data.count(b"\n") + 1), 0
                yield data
            return
        head = b"" if encoding is None else None
        for data in self.chunks():
            if data and head is not None:
                head += data
                if head in (b"\xff", b"\xfe"):  # half a mark
                    continue
                found, data, head = foreign(head), head, None
                if found:
                    raise TextkitError(f"{self.name}: is {found[:6].upper()}, not UTF-8; --encoding {found} reads it")
            yield data
        if head:
            yield head

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes, decompressed; b"" before a read that would wait."""
        head = b""
        while not head or any(len(head) < len(magic) and magic.startswith(head) for magic in (GZIP, ZSTANDARD)):
            data = self._read(self._ready())
            if not data:
                break
            head += data
        raw = chain([head] if head else [], self._raw())
        if not head.startswith((GZIP, ZSTANDARD)):
            return raw
        from textkit.streams.decompressing import inflate, unzstd

        return inflate(raw, self) if head.startswith(GZIP) else unzstd(raw, self)

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
                    data = os.read(self._fd, self._block)
                    self.taken += len(data)
                    return data
                except BlockingIOError:  # it does not block, and another process was quicker
                    ready = False
                    time.sleep(0.001)
        except OSError as error:
            raise TextkitError(f"{self.name}: cannot be read: {error.strerror}") from error

    def _ready(self) -> bool:
        """Whether a read would return at once: with bytes, or with the end of the input."""
        if self._regular:
            return True
        try:
            if hasattr(select, "poll"):
                poll = select.poll()
                poll.register(self._fd, select.POLLIN)
                return bool(poll.poll(0))
            return bool(select.select([self._fd], [], [], 0)[0])
        except (OSError, ValueError):  # no such thing for this kind of file (pipes on Windows): better early than late
            return False

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
    """As `read_lines`, in lists of whatever number of lines a block of `block` bytes holds."""
    with Reader(path, block) as reader:
        seen = 0  # characters looked at, at least as many bytes
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


def _stdin() -> int:
    if sys.stdin is None:  # then fd 0 may belong to any file opened since
        raise TextkitError("stdin is closed")
    return sys.stdin.fileno()


def _open(name: str) -> int:
    try:
        return os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise TextkitError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise TextkitError(f"{name}: is a directory") from None
    except (OSError, ValueError) as error:
        if os.path.isdir(name):  # what Windows calls a permission
            raise TextkitError(f"{name}: is a directory") from error
        raise TextkitError(f"{name}: cannot be opened: {getattr(error, 'strerror', None) or error}") from error


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def check_readable(paths: Iterable[str | os.PathLike[str]]) -> None:
    """TextkitError for the first of `paths` that cannot be read, so that nothing is done before the last is missed.

    Opens nothing: a named pipe that is opened and closed again would kill whoever writes to it.
    """
    for path in map(os.fspath, paths):
        if not os.path.exists(path):
            raise TextkitError(f"{path}: no such file")
        if os.path.isdir(path):
            raise TextkitError(f"{path}: is a directory")
        if not os.access(path, os.R_OK):
            raise TextkitError(f"{path}: cannot be opened: Permission denied")
