"""Writes a part's file so that it is whole or not there, on the disk before its mark says so. Knows no plan."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from textkit.durable import naming, sync
from textkit.errors import TextkitError
from textkit.temporary import beside


class Unwritable(TextkitError):
    """What is written finds no room or no permission: the next part would not either."""


class PartFile(io.BufferedWriter):
    """A part's file while it is written; once it is in its place, `size` is its length and `hexdigest` its SHA-256."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "wb"), 1 << 20)
        self.size, self.hexdigest = 0, ""
        self._sha256 = hashlib.sha256()
        self._in_order = True

    def write(self, data: Any) -> int:
        self._sha256.update(data)
        return super().write(data)

    def seekable(self) -> bool:
        self._in_order = False  # whoever asks goes back to write the header
        return True

    def sync(self, path: Path) -> None:
        """Has all bytes on the disk."""
        self.flush()
        os.fsync(self.fileno())
        self.size = os.fstat(self.fileno()).st_size
        if self._in_order:
            self.hexdigest = self._sha256.hexdigest()
        else:
            with open(path, "rb") as file:
                self.hexdigest = hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def part_file(path: Path) -> Iterator[PartFile]:
    """A stream to write `path` with, beside its place; at the end it is synced to the disk and put there.

    What killed runs left beside it stays: a run sweeps once (marks.sweep). Raises Unwritable naming `path`.
    """
    try:
        with beside(path, swept=True) as sibling:
            file = PartFile(sibling)
            try:
                yield file
                file.sync(sibling)
            finally:
                _closed(file)
            os.replace(sibling, path)
        sync(path.parent)
    except OSError as error:
        raise Unwritable(f"{path}: cannot be written: {error.strerror or error}") from error


def _closed(file: PartFile) -> None:
    try:
        file.close()
    except OSError:  # a full disk has no room for what is buffered; the error that ends the part is the one to report
        file.raw.close()


def put(path: Path, content: bytes) -> None:
    """Puts `content` at `path`, on the disk. Two processes may do so at a time: one of the two is there, whole."""
    with part_file(path) as file:
        file.write(content)


def put_once(path: Path, content: bytes) -> None:
    """The same, unless something is there already: of several processes the first one's content stays."""
    try:
        with naming(path), beside(path) as sibling:
            with open(sibling, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(sibling, path)
            except FileExistsError:
                return
            except OSError:  # a file system without hard links
                if not path.exists():
                    os.replace(sibling, path)
        sync(path.parent)
    except TextkitError as error:
        raise Unwritable(str(error)) from error
