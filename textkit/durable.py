"""Writes files that are whole or not there: beside their place, synced to disk, renamed. Knows nothing of their contents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from textkit.errors import TextkitError
from textkit.temporary import held


def replace_file(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Puts `content` (bytes, or a function that writes a file) at `path`; the old file stays until the new is on the disk.

    Where it cannot be written (a full disk, say), raises TextkitError naming the file, and leaves nothing beside it.
    """
    part = path.with_name(path.name + ".part")
    with naming(path), held(part):
        part.write_bytes(b"" if callable(content) else content)
        if callable(content):
            mode = part.stat().st_mode  # as the user's umask has it; some writers make a file for its owner only
            content(part)
            part.chmod(mode)
        sync(part)
        os.replace(part, path)
        sync(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turns an OSError raised inside, such as that of a full disk, into a TextkitError that names `path`."""
    try:
        yield
    except OSError as error:
        raise TextkitError(f"{path}: cannot be written: {error.strerror or error}") from error


def sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
