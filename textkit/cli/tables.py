"""Plain tables for a person and JSON for a machine, on stdout, without colours. Knows nothing of what they show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO


def write_table(stream: BinaryIO, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, two spaces apart, under their heads. Nothing where there are no rows."""
    lines = [list(head), *([printable(cell) for cell in row] for row in rows)]
    if len(lines) == 1:
        return
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        stream.write(f"{text}\n".encode("utf-8", "replace"))


def write_json(stream: BinaryIO, value: Any) -> None:
    """One indented JSON value and a newline. ASCII alone, so that no terminal and no encoding is in its way."""
    stream.write(json.dumps(value, indent=2).encode() + b"\n")


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor: what a stranger's model says of itself is shown as text."""
    return "".join(character if character.isprintable() else "?" for character in text)
