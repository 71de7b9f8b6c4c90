"""Files of an index that only grow: numbers in rows of one width, and texts with their ends. Knows no meaning of them.

How much of a file counts is said elsewhere, in the manifest, when it is on the disk. What lies behind that was written by a
process that did not come to its end; the next writer cuts it off.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textkit.errors import TextkitError


class NumbersFile:
    """Rows of `width` numbers of one type, to read."""

    def __init__(self, path: Path, kind: Any, width: int, count: int) -> None:
        """Raises TextkitError where the file holds fewer than `count` rows."""
        self.path, self.count = path, count
        self._type, self._width = np.dtype(kind), width
        self._bytes = self._type.itemsize * width
        self._file = _Opened(path, count * self._bytes)

    def read(self, start: int, stop: int) -> np.ndarray:
        """The rows from `start` to `stop` - 1, [row, width]."""
        rows = np.empty((max(0, stop - start), self._width), self._type)
        self.read_into(start, rows)
        return rows

    def read_into(self, start: int, rows: np.ndarray) -> None:
        """Fills `rows` [row, width] with those from `start` on."""
        if rows.size:
            self._file.read_into(rows.reshape(-1).view(np.uint8).data, start * self._bytes)

    def some(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The rows of these numbers, [row, width]."""
        found = np.empty((len(rows), self._width), self._type)
        data, size = found.reshape(-1).view(np.uint8).data, self._bytes
        for at, row in enumerate(rows.tolist() if isinstance(rows, np.ndarray) else rows):
            self._file.read_into(data[at * size : (at + 1) * size], row * size)
        return found

    def close(self) -> None:
        self._file.close()


class TextsFile:
    """Texts, to read."""

    def __init__(self, path: Path, count: int) -> None:
        """Raises TextkitError where the file holds fewer than `count` texts."""
        self.path, self.count = path, count
        self._ends = NumbersFile(ends_of(path), "<u8", 1, count)
        self._size = int(self._ends.read(count - 1, count)[0, 0]) if count else 0
        self._file = _Opened(path, self._size)

    def read(self, start: int, stop: int) -> list[str]:
        """The texts from `start` to `stop` - 1."""
        if stop <= start:
            return []
        ends = self._ends.read(max(0, start - 1), stop)[:, 0].tolist()
        if not start:
            ends.insert(0, 0)
        if ends != sorted(ends) or ends[-1] > self._size:
            raise TextkitError(f"{self.path}: damaged: its texts do not lie one behind the other")
        data = bytearray(ends[-1] - ends[0])
        self._file.read_into(memoryview(data), ends[0])
        whole = bytes(data)
        try:
            return [whole[a - ends[0] : b - ends[0]].decode() for a, b in zip(ends[:-1], ends[1:], strict=True)]
        except UnicodeDecodeError:
            raise TextkitError(f"{self.path}: damaged: holds bytes that are no UTF-8") from None

    def __getitem__(self, at: int) -> str:
        return self.read(at, at + 1)[0]

    def close(self) -> None:
        self._ends.close()
        self._file.close()


class NumbersAppended:
    """Rows of numbers, to append to; those behind the first `count` are cut off."""

    def __init__(self, path: Path, kind: Any, width: int, count: int) -> None:
        self.count = count
        self._type = np.dtype(kind)
        self._file = _for_appending(path, count * self._type.itemsize * width)

    def append(self, rows: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(rows, self._type).data)
        self.count += len(rows)

    def sync(self) -> None:
        _sync(self._file)

    def close(self) -> None:
        self._file.close()


class TextsAppended:
    """Texts, to append to; those behind the first `count` are cut off."""

    def __init__(self, path: Path, count: int) -> None:
        size = 0
        if count:
            reader = NumbersFile(ends_of(path), "<u8", 1, count)
            size = int(reader.read(count - 1, count)[0, 0])
            reader.close()
        self._ends = NumbersAppended(ends_of(path), "<u8", 1, count)
        self._file = _for_appending(path, size)
        self._size = size

    @property
    def count(self) -> int:
        return self._ends.count

    def append(self, texts: Sequence[str]) -> None:
        data = [text.encode("utf-8", "replace") for text in texts]
        ends = np.cumsum([len(text) for text in data], dtype=np.uint64) + np.uint64(self._size)
        self._file.write(b"".join(data))
        self._ends.append(ends[:, None])
        self._size = int(ends[-1]) if len(ends) else self._size

    def sync(self) -> None:
        _sync(self._file)
        self._ends.sync()

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            self._ends.close()


def ends_of(path: Path) -> Path:
    return path.with_name(path.name + ".ends")


class _Opened:
    """A file that is read at any place; it is closed when nothing needs it any more."""

    def __init__(self, path: Path, size: int) -> None:
        self._fd = -1
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            what = "damaged index" if isinstance(error, FileNotFoundError) else "cannot be read"
            raise TextkitError(f"{path}: {what}: {error.strerror or error}") from error
        if os.fstat(self._fd).st_size < size:
            raise self._too_short()

    def _too_short(self) -> TextkitError:
        return TextkitError(f"{self._path}: damaged index: the file is shorter than its manifest says")

    def read_into(self, into: memoryview, offset: int) -> None:
        done = 0
        if self._fd < 0:
            raise TextkitError(f"{self._path}: cannot be read: the index is closed")
        try:
            while done < len(into):
                count = _read_at(self._fd, into[done:] if done else into, offset + done)
                if not count:
                    raise self._too_short()
                done += count
        except OSError as error:
            raise TextkitError(f"{self._path}: cannot be read: {error.strerror or error}") from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    __del__ = close


def _read_at(fd: int, into: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(fd, [into], offset)
    os.lseek(fd, offset, os.SEEK_SET)  # Windows
    data = os.read(fd, len(into))
    into[: len(data)] = data
    return len(data)


def _for_appending(path: Path, size: int) -> Any:
    file = open(path, "ab", buffering=1 << 20)  # noqa: SIM115  closed with the writer
    if file.tell() < size:
        file.close()
        raise TextkitError(f"{path}: damaged index: the file is shorter than its manifest says")
    file.truncate(size)
    file.seek(size)
    return file


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
