"""The lines around a hit, as the index has them. Knows no query."""

from __future__ import annotations

from collections.abc import Iterator

from textkit.retrieval.hits import Hit
from textkit.retrieval.storing.contents import Contents


def beside(contents: Contents, hit: Hit, step: int, count: int) -> list[tuple[int, str]]:
    """At most `count` (line, text) before a hit (`step` -1) or behind it (1), in the order of their file.

    Where files were read as lines, a gap between two lines is blank lines, which come as ''.
    """
    by_line = contents.manifest.reading["kind"] == "lines"
    found: list[tuple[int, str]] = []
    last = hit.line
    for row, line in _neighbours(contents, hit.row, step):
        if line == last:  # another part of the same line
            continue
        gap = abs(line - last) - 1 if by_line else 0
        found += [(last + step * (at + 1), "") for at in range(min(gap, count - len(found)))]
        if len(found) >= count:
            break
        found.append((line, contents.text(row)))
        last = line
    while by_line and step < 0 and len(found) < count and last > 1:  # blank lines at the beginning of the file
        last -= 1
        found.append((last, ""))
    return found[::step]


def _neighbours(contents: Contents, row: int, step: int) -> Iterator[tuple[int, int]]:
    """(row, line) of the rows before or behind a row, as long as they are of the same file."""
    number = contents.extent_of(row)
    path = contents.extent(number).path
    row += step
    while 0 <= row < contents.manifest.rows:
        here = contents.extent_of(row)
        if here != number:
            if contents.extent(here).path != path or not contents.living([row])[0]:
                return
            number = here
        yield row, contents.line(row)
        row += step
