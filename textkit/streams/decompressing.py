"""Decompresses gzip and zstandard as the bytes come, and passes a pause (b"") on. Knows no lines."""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from textkit.errors import TextkitError

_MOST = 1 << 18  # the most bytes given at once
_STEP = 1024


class Compressed(Protocol):
    """The file that the bytes come from: its name, and how many of the bytes read are still to be decompressed."""

    name: str
    waiting: int


class _Mark:
    """Removes a byte order mark from the beginning of bytes that come in parts."""

    def __init__(self) -> None:
        self._held: bytes | None = b""

    def __call__(self, part: bytes, last: bool) -> bytes:
        if self._held is None:
            return part
        self._held += part
        if not last and len(self._held) < len(BOM_UTF8) and BOM_UTF8.startswith(self._held):
            return b""
        part, self._held = self._held.removeprefix(BOM_UTF8), None
        return part


def inflate(raw: Iterator[bytes], file: Compressed) -> Iterator[bytes]:
    """gzip: any number of members, zero padding after the last."""
    name = file.name
    decoder = zlib.decompressobj(wbits=31)
    started = False  # inside a member
    mark = _Mark()
    try:
        for data in raw:
            if not data:
                yield b""
            while data:
                if not started:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    started, mark = True, _Mark()
                out = decoder.decompress(data, _MOST)
                data = decoder.unconsumed_tail
                file.waiting = len(data)
                out = mark(out, decoder.eof)
                if out:
                    yield out
                if decoder.eof:
                    data = decoder.unused_data
                    decoder, started = zlib.decompressobj(wbits=31), False
    except zlib.error as error:
        raise TextkitError(f"{name}: damaged gzip data: {error}") from error
    if started:
        raise TextkitError(f"{name}: truncated gzip data")


def unzstd(raw: Iterator[bytes], file: Compressed) -> Iterator[bytes]:
    """zstandard: any number of frames."""
    name = file.name
    try:
        import zstandard
    except ImportError:
        raise TextkitError(f"{name}: zstandard files need the package zstandard (pip install zstandard)") from None

    started = False  # inside a frame
    mark = _Mark()
    decoder: Any = None
    try:
        for data in raw:
            if not data:
                yield b""
            while data:
                if not started:
                    decoder, started, mark = zstandard.ZstdDecompressor().decompressobj(), True, _Mark()
                # In small steps: nothing limits what one step gives, and a kilobyte can stand for 32 MB.
                out = mark(decoder.decompress(data[:_STEP]), decoder.eof)
                data = (decoder.unused_data if decoder.eof else b"") + data[_STEP:]
                file.waiting = len(data)
                for at in range(0, len(out), _MOST):
                    yield out[at : at + _MOST]
                started = not decoder.eof
    except zstandard.ZstdError as error:
        raise TextkitError(f"{name}: damaged zstandard data: {error}") from error
    if started:
        raise TextkitError(f"{name}: truncated zstandard data")


def whole_lines(own: Iterator[bytes], behind: Callable[[], Iterator[bytes]], begun: bool) -> Iterator[bytes]:
    """The lines of some members, decompressed: without the line that the members before have `begun`, and with the end of the
    last one. `own`: what the members hold; `behind`: gives what follows, for as far as it is read.

    A line that begins where the next member does is among them, because only who decompresses knows where lines begin.
    """
    if begun:
        for data in own:
            if cut := data.find(b"\n") + 1:
                if cut < len(data):
                    yield data[cut:]
                break
        else:
            return
    yield from own
    for data in behind():
        if cut := data.find(b"\n") + 1:
            yield data[:cut]
            return
        yield data
