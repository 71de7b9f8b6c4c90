"""Tells when files of an index may have changed, by their sizes and times. Whether they did, their hashes say."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from textkit.errors import TextkitError
from textkit.retrieval.sources import Survey, sources
from textkit.retrieval.storing import manifest as manifests


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """(inode, size, time of the last change in ns) of every file that the index in `folder` is of."""
    found: dict[str, tuple[int, int, int]] = {}
    for root in manifests.read(folder).roots:
        with suppress(TextkitError, OSError):  # it is gone, or goes meanwhile
            for source in sources([root], Survey()):
                with suppress(OSError):
                    facts = os.stat(source.name)
                    found[source.name] = facts.st_ino, facts.st_size, facts.st_mtime_ns
    return found
