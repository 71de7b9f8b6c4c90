"""The file that `-o` names: written beside its place and put there whole. Knows not what it holds."""

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
    """`path` to write to: a temporary sibling that is renamed to it at the end, and removed where something fails.

    What is no regular file (/dev/null, a named pipe), and a file by its descriptor (/dev/fd/3), is written to as it is.
    Raises TextkitError naming `path`.
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
                    with contextlib.suppress(OSError, AttributeError):  # root's alone, where they differ
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
    """What is at `path`, or would be behind it as a link; None for nothing. OSError for a name that nothing can have."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path)
    with contextlib.suppress(FileNotFoundError):  # a name that is too long is found out here, before the work
        os.lstat(os.path.realpath(path))
    return None
