"""Writes the file that `-o` names beside its place, and puts it there whole. Knows nothing of its contents."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from textkit.errors import TextkitError
from textkit.temporary import beside, placed

_DESCRIPTORS = ("/dev/fd/", "/dev/std", "/proc/")


@contextmanager
def output_file(path: str) -> Iterator[BinaryIO]:
    """A stream to write `path` with: a temporary sibling that is renamed to it at the end, and removed where something fails.

    Anything but a regular file (/dev/null, a named pipe), and a file named by its descriptor (/dev/fd/3), is written to
    directly. Raises TextkitError naming `path`.
    """
    if not path or (path.endswith("/") and not os.path.exists(path)):
        raise TextkitError(f"-o {path!r}: names no file")
    try:
        facts = _facts(path)
        if facts and stat.S_ISDIR(facts.st_mode):
            raise TextkitError(f"{path}: is a directory")
        if facts and (not stat.S_ISREG(facts.st_mode) or os.path.abspath(path).startswith(_DESCRIPTORS)):
            with open(path, "wb") as stream:
                yield stream
            return
        target = Path(os.path.realpath(path))
        with beside(target) as sibling:
            with open(sibling, "wb") as stream:
                if facts:
                    with contextlib.suppress(OSError, AttributeError):  # only root may change an owner
                        os.chown(sibling, facts.st_uid, facts.st_gid)
                    os.chmod(sibling, stat.S_IMODE(facts.st_mode))
                yield stream
            os.replace(sibling, target)
            placed.add(target)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TextkitError(f"{path}: cannot be written: {error.strerror or error}") from error


def _facts(path: str) -> os.stat_result | None:
    """The stat of what is at `path`, links followed; None for nothing. Raises OSError for a name that nothing can have."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path)
    with contextlib.suppress(FileNotFoundError):  # finds a name that is too long before the work
        os.lstat(os.path.realpath(path))
    return None
