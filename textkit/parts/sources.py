"""The files that are cut into parts: those of the command line, and those of its folders. Reads nothing but their facts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from textkit.errors import TextkitError


@dataclass(frozen=True)
class Source:
    """A file, its size in bytes and when it changed (nanoseconds)."""

    path: str
    size: int
    changed: int


def sources(names: Iterable[str], without: Path | None = None) -> list[Source]:
    """The files `names`. A folder stands for the files in it and in its folders, sorted by name; hidden ones are left out.

    `without`: the folder of the parts, which may lie in one that is read. Raises TextkitError for what is no file.
    """
    found: list[Source] = []
    for name in names:
        before = len(found)
        for path in _walked(name, os.path.realpath(without) if without else None) if os.path.isdir(name) else (name,):
            facts = _facts(path)
            if facts is None:  # a link that leads nowhere: its part says so
                found.append(Source(path, 0, 0))
            elif stat.S_ISREG(facts.st_mode):
                found.append(Source(path, facts.st_size, facts.st_mtime_ns))
            elif path == name:
                raise TextkitError(f"{path}: is no regular file, and only those can be cut into parts")
        if os.path.isdir(name) and len(found) == before:
            raise TextkitError(f"{name}: holds no file")
    return found


def _walked(folder: str, without: str | None) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise TextkitError(f"{error.filename}: cannot be read: {error.strerror}") from error

    paths: list[tuple[str, ...]] = []
    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [
            name for name in folders if name[:1] not in "._" and os.path.realpath(os.path.join(place, name)) != without
        ]
        inside = os.path.relpath(place, folder)
        at = () if inside == os.curdir else tuple(inside.split(os.sep))
        paths += [(*at, name) for name in files if name[:1] not in "._"]
    for path in sorted(paths):
        yield os.path.join(folder, *path)


def _facts(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None
