"""Plain tables for a person and JSON for a machine, on stdout, without colours. Knows nothing of what they show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, BinaryIO

_GAP, _INDENT = "  ", "    "
_ROOM = 24  # cells; in fewer, wrapping the last column is not worthwhile


def write_table(stream: BinaryIO, head: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None) -> None:
    """Columns as wide as their widest cell, two spaces apart, under their heads. Nothing where there are no rows.

    On a terminal `width` cells wide, no line is wider: the last column is wrapped between words, or put below the others
    where too little room is left for it. Where the others do not fit either, a row is a paragraph. A pipe gets one line per
    row.
    """
    lines = [[printable(cell) for cell in row] for row in rows]
    if not lines:
        return
    for line in laid_out([list(head), *lines], width_of(stream) if width is None else width):
        stream.write(f"{line.rstrip()}\n".encode("utf-8", "replace"))


def width_of(stream: IO[Any]) -> int | None:
    """The width, in cells, of the terminal that `stream` writes to; None where it is no terminal."""
    if not stream.isatty():
        return None
    import shutil

    return shutil.get_terminal_size((80, 24)).columns


def laid_out(lines: list[list[str]], width: int | None) -> Iterator[str]:
    """The lines of a table whose heads are the first of `lines`, none wider than `width` cells, where that is not None."""
    widths = [max(map(cells, column)) for column in zip(*lines, strict=True)]
    before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    if width is None or before + widths[-1] <= width:
        yield from (_joined(line, widths) for line in lines)
    elif width - before >= _ROOM:
        for line in lines:
            first, *others = _wrapped(line[-1], width - before) or [""]
            yield _joined([*line[:-1], first], widths)
            yield from (" " * before + other for other in others)
    elif before - len(_GAP) <= width:
        for line in lines:
            yield _joined(line[:-1], widths)
            yield from (_INDENT + part for part in _wrapped(line[-1], width - len(_INDENT)))
    else:
        for line in lines[1:]:  # the heads say nothing where there are no columns
            first, *others = _wrapped(_GAP.join(line[:-1]), width - len(_INDENT))
            yield first
            yield from (_INDENT + part for part in (*others, *_wrapped(line[-1], width - len(_INDENT))))


def _joined(line: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(
        cell + " " * (width - cells(cell)) for cell, width in zip(line, widths[: len(line)], strict=True)
    ).rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of `width` cells; a word wider than a line, such as a path, is left whole."""
    lines: list[str] = []
    for word in text.split():
        if lines and cells(lines[-1]) + 1 + cells(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def cells(text: str) -> int:
    """How many cells of a terminal `text` takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def write_json(stream: BinaryIO, value: Any) -> None:
    """Writes one indented JSON value and a newline, in ASCII, so that no terminal and no encoding is in its way."""
    stream.write(json.dumps(value, indent=2).encode() + b"\n")


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor, so that what a stranger's model says of itself is shown as text."""
    return "".join(character if character.isprintable() else "?" for character in text)
