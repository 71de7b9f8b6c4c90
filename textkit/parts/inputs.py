"""Tells whether the input of a part is what it was when the part was made. Knows no output."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from textkit.errors import TextkitError
from textkit.parts.plan import Part, Plan
from textkit.parts.sources import Source
from textkit.streams.lines import Reader


def changed_inputs(plan: Plan, found: Sequence[Source]) -> frozenset[str]:
    """The files that were written to since they were cut.

    Raises TextkitError for one in which a part no longer begins with a line.
    """
    before = {source.path: source.changed for source in plan.sources}
    changed = frozenset(source.path for source in found if source.changed != before.get(source.path))
    for span in (span for part in plan.parts for span in part.spans if span.path in changed):
        if span.start and not span.packed and span.groups is None and _byte_before(span.path, span.start) != b"\n":
            raise TextkitError(f"{span.path}: has changed since it was cut into parts; give another folder")
    return changed


def input_hash(part: Part) -> str:
    """The SHA-256 of a part's input, as a run reads it; "" where it cannot be read."""
    digest = hashlib.sha256()
    try:
        for span in part.spans:
            with Reader.of(span) as reader:
                reader.also = digest.update
                for _ in reader.chunks():
                    pass
    except TextkitError:
        return ""
    return digest.hexdigest()


def _byte_before(path: str, at: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return os.pread(file.fileno(), 1, at - 1)
    except OSError as error:
        raise TextkitError(f"{path}: cannot be read: {error.strerror}") from error
