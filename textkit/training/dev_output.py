"""A sample of what a model makes of the dev data, as one line of a terminal. Knows text and columns, no model and no screen.

A sample comes from a plugin's Score: parts with `|||` between them, such as source, output and reference.
"""

from __future__ import annotations

import unicodedata

COLUMNS = 80
_BAR = " ||| "


def fit(sample: str, columns: int = COLUMNS) -> str:
    """The sample in at most `columns` columns: parts that are too long are cut to like widths and end in an ellipsis.

    Columns that a short part does not need go to the others. Control characters, which could steer a terminal, become spaces.
    """
    shown = "".join(letter if letter.isprintable() else " " for letter in sample)
    parts = [" ".join(part.split()) for part in shown.split("|||")]
    room = columns - len(_BAR) * (len(parts) - 1)
    if room < len(parts):  # no part would have a column
        return cut(_BAR.join(parts), columns)
    widths = {at: width(part) for at, part in enumerate(parts)}
    for left, at in zip(range(len(parts), 0, -1), sorted(widths, key=widths.__getitem__), strict=True):
        parts[at] = cut(parts[at], room // left)
        room -= width(parts[at])
    return _BAR.join(parts)


def cut(text: str, columns: int) -> str:
    """The text, or its beginning and an ellipsis, in at most `columns` columns."""
    if width(text) <= columns:
        return text
    taken, kept = 0, []
    for letter in text:
        taken += _columns(letter)
        if taken > columns - 1:
            break
        kept.append(letter)
    return "".join(kept).rstrip() + "…" if columns > 0 else ""


def width(text: str) -> int:
    """The columns of a terminal that `text` takes: two for a wide letter (Unicode annex 11), none for a combining one."""
    return sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
