"""The lines around a hit, as the index has them. Knows no query."""

from __future__ import annotations

from collections.abc import Iterator

from textkit.retrieval.hits import Hit
from textkit.retrieval.sources import STDIN
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
    """(row, line) of the rows before or behind a row, as long as they are of the same file.

    Those of a file that grew may lie behind the rows of others.
    """
    number = contents.extent_of(row)
    line = contents.line(row)
    row += step
    while True:
        while contents.starts[number] <= row < contents.starts[number + 1]:
            line = contents.line(row)
            yield row, line
            row += step
        following = _following(contents, number, step)
        if following is None:
            return
        number = following
        row = contents.starts[number] if step > 0 else contents.starts[number + 1] - 1
        if (contents.line(row) - line) * step < 0:  # another reading of what has no second one, such as a pipe
            return


def _following(contents: Contents, number: int, step: int) -> int | None:
    """The next extent that has rows of the same reading of the same file."""
    path = contents.extent(number).path
    others = contents.extents_of(path)
    if number not in others:  # the hit is of an index before this one
        return None
    at = others.index(number)
    while 0 <= (at := at + step) < len(others):
        earlier = others[at] if step < 0 else others[at - 1]
        if path == STDIN and contents.extent(earlier).done:  # each reading of stdin is another file
            return None
        if contents.starts[others[at]] < contents.starts[others[at] + 1]:
            return others[at]
    return None
