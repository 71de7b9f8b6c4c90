"""Opens the files of a model's folder with suspicion. Knows no contents."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from textkit.bundle.manifest import FILE
from textkit.bundle.places import package_folder
from textkit.errors import TextkitError

_LARGE = 1 << 26  # bytes; a larger file is checked for being sparse


def open_regular(folder: Path, name: str, most: int, size: int | None = None) -> int:
    """A descriptor of a regular file in `folder` that has at most `most` bytes, and exactly `size` where that is given."""
    path = folder / name
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.is_symlink():
            raise TextkitError(f"{path}: is a link; a model may hold only regular files")
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise TextkitError(f"{path}: missing{', so this is no model' if name == FILE else ''}") from None
    except OSError as error:
        raise TextkitError(f"{path}: {error.strerror}") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise TextkitError(f"{path}: not a regular file")
        if facts.st_nlink > 1 and folder.parent.resolve() != package_folder():  # some installers link what they install
            raise TextkitError(f"{path}: is a hard link; a model may hold only files of its own (cp makes one)")
        if facts.st_size > most:
            raise TextkitError(f"{path}: {facts.st_size} bytes; at most {most} are read")
        if size is not None and facts.st_size != size:
            raise TextkitError(f"{path}: damaged or cut off: {facts.st_size} bytes, where {FILE} states {size}")
        if facts.st_size > _LARGE and _is_hollow(descriptor, facts.st_size):
            raise TextkitError(f"{path}: is a sparse file: the disk holds hardly any of its {facts.st_size} bytes")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_hollow(descriptor: int, size: int) -> bool:
    """Whether the disk holds less than a sixteenth of a file. Holes take no room on a disk, but they do in memory."""
    if not hasattr(os, "SEEK_DATA"):
        return False
    at = held = 0
    try:
        for _ in range(1000):  # a file in more pieces than this is not hollow
            start = os.lseek(descriptor, at, os.SEEK_DATA)
            at = os.lseek(descriptor, start, os.SEEK_HOLE)
            held += at - start
            if held >= size // 16 or at >= size:
                break
        else:
            return False
    except OSError as error:  # ENXIO: only a hole is left; others: the file system reports no holes
        if error.errno != errno.ENXIO:
            return False
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return held < size // 16


def read_file(folder: Path, name: str, most: int, size: int | None = None) -> bytes:
    """The bytes of a file that passes the checks of `open_regular`."""
    with open(open_regular(folder, name, most, size), "rb") as stream:
        # A read of n bytes allocates n bytes at once, so this asks for one more than `size`, not than `most`.
        data = stream.read((most if size is None else min(size, most)) + 1)
    if len(data) > most or (size is not None and len(data) != size):
        raise TextkitError(f"{folder / name}: changed while it was read")
    return data
