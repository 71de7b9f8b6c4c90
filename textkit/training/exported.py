"""What the exporter of every task gives, and what all ask first. Knows no task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textkit.errors import UsageError, nearest
from textkit.manifest import is_name
from textkit.training import quantize

TOKEN_LIMIT = 1 << 16  # of a model without one of its own: a line of more tokens is split or cut when served


@dataclass(frozen=True)
class Exported:
    """Graphs that compute what they should, the manifest's limits, and the figures that say so."""

    graphs: Mapping[str, bytes]
    limits: Mapping[str, int]
    parity: Mapping[str, Any]
    dim: int | None = None


def check_precision(precision: str) -> None:
    """Raises UsageError for a precision there is not."""
    if precision not in quantize.PRECISIONS:
        raise UsageError(f"--precision {precision}: unknown{nearest(precision, quantize.PRECISIONS)}")


def checked_name(folder: Path, name: str | None) -> str:
    """The model's name: the one given, or the folder's."""
    found = folder.resolve().name if name is None else name
    if not is_name(found):
        which = f"-o {folder}: its last part cannot name a model, give a --name" if name is None else f"--name {name}"
        raise UsageError(f"{which}: use letters, digits, '.', '_', '+' and '-', at most 100")
    return found
