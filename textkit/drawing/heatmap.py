"""Draws weights as a heat map of characters, for a terminal: target words down, source words across. Knows no model.

Source words stand side by side over their columns if all fit into the width; otherwise each runs from top to bottom, in
several blocks if even that is too wide. A wide character takes two cells of a terminal, and a combining one takes none.
"""

from __future__ import annotations

import io
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from rich.text import Text

SHADES = " .:-=+*#%@"
# From dark blue to cream in equal steps (YlGnBu of colorbrewer2.org): light means much, also to eyes that see no red.
RAMP = ((8, 29, 88), (34, 94, 168), (29, 145, 192), (65, 182, 196), (127, 205, 187), (199, 233, 180), (255, 255, 217))
# The same for a terminal that has only 256 colours. The nearest to RAMP would be grey in between.
RAMP_256 = (17, 18, 25, 31, 37, 79, 115, 151, 187, 230)
_LABEL, _HEAD = 24, 16  # the most cells of a target word, the most lines of a source word
_GRADIENT = 16  # cells of the legend's colours


@dataclass(frozen=True)
class Screen:
    """What is written to: the cells of a line, the style (color, shades or numbers), and rich's name for the colours."""

    width: int = 80
    style: str = "numbers"
    colors: Literal["256", "truecolor"] | None = None

    @classmethod
    def of_stdout(cls, style: str | None = None) -> Screen:
        """What stdout can show: colours on a terminal that has enough, shades on any other (or if NO_COLOR is set), and numbers
        where there is no terminal. `style` overrides this."""
        from rich.console import Console

        console = Console(file=sys.stdout)
        many = {"256", "truecolor"}
        seen = console.is_terminal and not console.is_dumb_terminal
        if style is None:
            colored = seen and console.color_system in many and not console.no_color
            style = "color" if colored else "shades" if console.is_terminal else "numbers"
        width = max(20, shutil.get_terminal_size((80, 24)).columns)
        return cls(width, style, "256" if console.color_system == "256" else "truecolor")


def draw(source: Sequence[str], target: Sequence[str], weights: np.ndarray, screen: Screen, title: str = "") -> str:
    """The lines of a heat map of weights [target, source]; "" if there are no words."""
    from rich.cells import cell_len, set_cell_size
    from rich.console import Console

    if not source or not target:
        return ""
    rows, heads = [_clean(word) for word in target], [_clean(word) for word in source]
    widest = min(max(map(cell_len, rows)), _LABEL, screen.width // 3)
    labels = [set_cell_size(_cut(word, widest), widest) + " " for word in rows]
    top = float(weights.max()) or 1.0
    with io.StringIO() as text:
        console = Console(file=text, width=screen.width, force_terminal=True, no_color=False, highlight=False,
                          color_system=screen.colors if screen.style == "color" else None)  # fmt: skip
        for lines in _blocks(heads, labels, weights, top, screen, screen.width - widest - 1):
            for line in lines:
                console.print(line, no_wrap=True, overflow="ignore", crop=False)
        console.print(_legend(title, top, screen), no_wrap=True, overflow="ignore", crop=False)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _blocks(
    heads: list[str], labels: list[str], weights: np.ndarray, top: float, screen: Screen, room: int
) -> list[list[Text]]:
    """The lines of each block; `room`: the cells of a line that are left for its columns."""
    from rich.cells import cell_len

    least = {"color": 2, "shades": 2, "numbers": 4}[screen.style]
    gap = screen.style != "numbers"  # numbers have their gap on the left
    widths = [max(cell_len(head) + 1, least + gap) for head in heads]
    if sum(widths) - gap <= room:
        return [_block(_across(heads, widths, labels, screen), widths, labels, weights, top, screen)]
    least += least == 2 and 3 * len(heads) <= room  # three cells are easier to read
    count = -(-len(heads) * least // room)  # blocks
    size = -(-len(heads) // count)
    blocks = []
    for start in range(0, len(heads), size):
        part, widths = heads[start : start + size], [least] * size
        head = _down(part, least, labels, screen)
        blocks.append(_block(head, widths[: len(part)], labels, weights[:, start : start + size], top, screen))
    return blocks


def _across(heads: list[str], widths: list[int], labels: list[str], screen: Screen) -> list[str]:
    """Source words side by side."""
    from rich.cells import cell_len, set_cell_size

    if screen.style == "numbers":
        cells = [" " * (width - cell_len(head)) + head for head, width in zip(heads, widths, strict=True)]
    else:
        cells = [set_cell_size(head, width) for head, width in zip(heads, widths, strict=True)]
    return [" " * cell_len(labels[0]) + "".join(cells)]


def _down(heads: list[str], width: int, labels: list[str], screen: Screen) -> list[str]:
    """Source words from top to bottom, each ending just above its column, which is `width` cells wide."""
    from rich.cells import cell_len

    stacks = []
    for head in heads:
        stack = _clusters(head)
        stacks.append(stack if len(stack) <= _HEAD else [*stack[: _HEAD - 1], "…"])
    height = max(map(len, stacks))
    lines = []
    for line in range(height):
        text = " " * cell_len(labels[0])
        for stack in stacks:
            at = line - (height - len(stack))
            cluster = stack[at] if at >= 0 else ""
            free = width - cell_len(cluster)
            before = free if screen.style == "numbers" else free // 2
            text += " " * before + cluster + " " * (free - before)
        lines.append(text)
    return lines


def _block(
    head: list[str], widths: list[int], labels: list[str], weights: np.ndarray, top: float, screen: Screen
) -> list[Text]:
    from rich.text import Text

    lines = [Text(line) for line in head]
    for label, row in zip(labels, weights.tolist(), strict=True):
        line = Text(label)
        for weight, width in zip(row, widths, strict=True):
            if screen.style == "color":
                line.append(" " * width, f"on {_color(weight / top, screen)}")
            elif screen.style == "shades":
                shade = SHADES[round(max(0.0, min(1.0, weight / top)) * (len(SHADES) - 1))]
                line.append(shade * (width - 1 if width > 2 else width) + " " * (width > 2))
            else:
                percent = f"{100 * weight:.0f}"
                line.append(("." if percent in ("0", "-0") else percent).rjust(width))
        lines.append(line)
    return lines


def _legend(title: str, top: float, screen: Screen) -> Text:
    from rich.text import Text

    line = Text(f"{title}  " if title else "")
    if screen.style == "numbers":
        return line.append("in percent")
    line.append("0% ")
    if screen.style == "color":
        for at in range(_GRADIENT):
            line.append(" ", f"on {_color(at / (_GRADIENT - 1), screen)}")
    else:
        line.append(f"'{SHADES}'")
    return line.append(f" {100 * top:.0f}%")


def _color(share: float, screen: Screen) -> str:
    """The colour of a weight that is `share` of the largest, for rich."""
    share = max(0.0, min(1.0, share))
    if screen.colors == "256":
        return f"color({RAMP_256[round(share * (len(RAMP_256) - 1))]})"
    place = share * (len(RAMP) - 1)
    at = min(int(place), len(RAMP) - 2)
    mixed = (round(a + (b - a) * (place - at)) for a, b in zip(RAMP[at], RAMP[at + 1], strict=True))
    return f"rgb({','.join(map(str, mixed))})"


def _clean(word: str) -> str:
    """`word` without characters that move a cursor or change the direction of writing."""
    shown = "".join(c for c in word if unicodedata.category(c) != "Cf")
    return "".join(c if c.isprintable() or c == " " else "?" for c in shown) or "?"


def _cut(word: str, cells: int) -> str:
    from rich.cells import cell_len, set_cell_size

    return word if cell_len(word) <= cells else set_cell_size(word, cells - 1) + "…"


def _clusters(word: str) -> list[str]:
    """The characters of a word, each with its combining characters."""
    from rich.cells import cell_len

    found: list[str] = []
    for character in word:
        if found and not cell_len(character):
            found[-1] += character
        else:
            found.append(character)
    return found
