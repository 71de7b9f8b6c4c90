"""Files that are whole or not there: written beside their place, forced to the disk, renamed. Knows not what they hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from textkit.errors import TextkitError
from textkit.temporary import held


def replace_file(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Puts `content` (bytes, or a function that writes a file) at `path`; what was there stays until it is on the disk.

    Raises TextkitError naming the file, and leaves nothing beside it, where it cannot be written: a full disk, say.
    """
    part = path.with_name(path.name + ".part")
    with naming(path), held(part):
        part.write_bytes(b"" if callable(content) else content)
        if callable(content):
            mode = part.stat().st_mode  # as the user's umask has it; some writers make a file for its owner alone
            content(part)
            part.chmod(mode)
        _sync(part)
        os.replace(part, path)
        _sync(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """TextkitError naming `path` for whatever the system does not let be done with it: a write to a full disk, say."""
    try:
        yield
    except OSError as error:
        raise TextkitError(f"{path}: cannot be written: {error.strerror or error}") from error


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # a folder cannot be opened there
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
