"""Tells what became of a file since it was indexed: the same bytes, more of them, or others. Knows no index."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

from textkit.retrieval.sources import STDIN
from textkit.retrieval.storing.contents import Extent

_CHUNK = 1 << 20
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True)
class Print:
    """A file's size and hash, and whether it begins with what was there before and a whole line of it."""

    size: int
    sha256: str
    grew: bool


def printed(path: str, last: Extent | None) -> Print:
    """The print of a regular file. `last`: what is known of it."""
    whole, grew = hashlib.sha256(), False
    size = 0
    with open(path, "rb", buffering=0) as stream:
        head = b""
        ending = b""
        while data := stream.read(_CHUNK):
            head = head or data[:4]
            if last is not None and not grew and last.size <= size + len(data) and last.size > size:
                part = data[: last.size - size]
                begun = whole.copy()
                begun.update(part)
                ending = part[-1:]
                grew = begun.hexdigest() == last.sha256 and ending == b"\n" and not head.startswith(_PACKED)
            whole.update(data)
            size += len(data)
    return Print(size, whole.hexdigest(), grew)


def is_lasting(name: str) -> bool:
    """Whether a name is that of a file or a folder that can be read again."""
    if name == STDIN:
        return False
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return True  # it is gone, and was there
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
