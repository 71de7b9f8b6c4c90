"""Keeps stdout for data: what libraries print goes to stderr, and write errors name their file. Light to import."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from textkit.errors import TextkitError
from textkit.streams.waiting import wait_writable

STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")  # what -o may call it; see protected_stdout
BUFFER = 1 << 16  # bytes held back before they reach a pipe or a file; the streams flush when their input pauses


class _Stream(io.BufferedWriter):
    """A buffered stdout or stderr whose failed writes name their file. Where the file is non-blocking, a write waits for it.

    A signal in the midst of a write leaves nothing out and repeats nothing: what the buffer has not taken yet goes out with
    the next flush. The data therefore reaches the buffer in pieces that it takes whole or not at all, and the pieces taken
    are counted without a Python instruction in between, where a signal would be heeded. The waiting is not done in a FileIO
    with its own `write`: after a signal there, the buffer would take the bytes for unwritten and write them again.
    """

    def __init__(self, descriptor: int, name: str = "stdout", closefd: bool = True) -> None:
        super().__init__(io.FileIO(descriptor, "wb", closefd=closefd), BUFFER)
        self._name = name
        self._rest: list[memoryview] = []

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        self._rest += [view[at : at + BUFFER] for at in range(0, len(view), BUFFER)]
        self._push()
        return len(view)

    def flush(self) -> None:
        self._push()
        with self._errors():
            while True:
                try:
                    return super().flush()
                except BlockingIOError:
                    self._wait()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with self._errors():
            return super().seek(offset, whence)

    def _push(self) -> None:
        """Gives the buffer what it has not taken yet."""
        write = super().write
        with self._errors():
            while self._rest:
                taken: list[int] = []
                try:
                    taken.extend(map(write, self._rest))
                except BlockingIOError as error:
                    first = self._rest[len(taken)]
                    self._rest = [first[error.characters_written :], *self._rest[len(taken) + 1 :]]
                    self._wait()
                except OSError:
                    self._rest = []  # a full disk has no room for the next piece either
                    raise
                except BaseException:
                    self._rest = self._rest[len(taken) :]
                    raise
                else:
                    self._rest = []

    def _wait(self) -> None:
        wait_writable(self.fileno())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = self._name
            raise


def name_stdout() -> None:
    """Replaces sys.stdout with a stream whose errors name stdout, and which escapes characters that its encoding lacks.

    Replaces sys.stderr as well: it may be non-blocking too, and what is said there must not be lost.
    """
    if sys.stdout is not None:
        sys.stdout = io.TextIOWrapper(
            _Stream(1, closefd=False), sys.stdout.encoding, "backslashreplace", line_buffering=sys.stdout.isatty()
        )
    if sys.stderr is not None:
        stderr = _Stream(2, "stderr", closefd=False)
        sys.stderr = io.TextIOWrapper(stderr, sys.stderr.encoding, "backslashreplace", line_buffering=True)


@contextmanager
def protected_stdout() -> Iterator[BinaryIO]:
    """The real stdout as a binary file, while fd 1 points at stderr: whatever a library prints is kept out of the data.

    What was written is flushed at the end, after an exception as well; a failed write raises OSError.
    """
    if sys.stdout is None:  # then fd 1 may belong to any file opened since
        raise TextkitError("stdout is closed")
    sys.stdout.flush()
    stream = _Stream(os.dup(1))
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
    with suppress(Exception):  # what C libraries hold back goes to stderr too, where the platform allows it
        import ctypes

        ctypes.CDLL(None).fflush(None)
    os.dup2(stream.fileno(), 1)
