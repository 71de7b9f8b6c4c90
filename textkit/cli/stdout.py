"""stdout kept for data: what libraries print goes to stderr, and errors of writing say which file it was. Light to import."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from textkit.errors import TextkitError

STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")  # as -o says it; see protected_stdout
BUFFER = 1 << 16  # bytes held back before they reach a pipe or a file; the streams flush when their input pauses


class _Stdout(io.BufferedWriter):
    """A buffered stdout whose failed writes say which file it was.

    Not a FileIO with such a `write`: Ctrl-C between the system's write and the return of a method in Python would have
    the buffer take the bytes for unwritten, and write them again.
    """

    def __init__(self, descriptor: int, closefd: bool = True) -> None:
        super().__init__(io.FileIO(descriptor, "wb", closefd=closefd), BUFFER)

    def write(self, data: Any) -> int:
        with _named():
            return super().write(data)

    def flush(self) -> None:
        with _named():
            super().flush()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with _named():
            return super().seek(offset, whence)


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = "stdout"
        raise


def name_stdout() -> None:
    """Has the errors of sys.stdout say that they are stdout's, and takes characters that its encoding lacks."""
    if sys.stdout is not None:
        sys.stdout = io.TextIOWrapper(
            _Stdout(1, closefd=False), sys.stdout.encoding, "backslashreplace", line_buffering=sys.stdout.isatty()
        )


@contextmanager
def protected_stdout() -> Iterator[BinaryIO]:
    """The real stdout as a binary file, while fd 1 points at stderr: whatever a library prints is kept out of the data.

    What was written is flushed at the end, after an exception as well; a failed write raises OSError.
    """
    if sys.stdout is None:  # then fd 1 may belong to any file opened since
        raise TextkitError("stdout is closed")
    sys.stdout.flush()
    stream = _Stdout(os.dup(1))
    _point_stdout_at_stderr()
    try:
        yield stream
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            stream.flush()
        _restore_stdout(stream)
        with suppress(OSError):
            stream.close()
        raise
    try:
        stream.flush()
    finally:
        _restore_stdout(stream)
        stream.close()


def _point_stdout_at_stderr() -> None:
    try:
        os.dup2(2, 1)
    except OSError:  # stderr is closed
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)


def _restore_stdout(stream: BinaryIO) -> None:
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(Exception):  # what C libraries hold back goes to stderr too, where the platform lets us say so
        import ctypes

        ctypes.CDLL(None).fflush(None)
    os.dup2(stream.fileno(), 1)
