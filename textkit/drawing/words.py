"""Colours the words of a line by their weights, for a terminal: blue for what speaks for something, orange for what speaks
against it, stronger for more. Knows no model."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textkit.drawing.heatmap import Screen

# Five steps from pale to strong (Blues and Oranges of colorbrewer2.org), which eyes that see no red tell apart, too. A colour
# stands behind the word, and the letters are black or white, so that they can be read on a terminal of any colour.
_FOR = ((222, 235, 247), (158, 202, 225), (107, 174, 214), (49, 130, 189), (8, 81, 156))
_AGAINST = ((254, 230, 206), (253, 190, 133), (253, 141, 60), (230, 85, 13), (166, 54, 3))
# The same for a terminal that has only 256 colours.
_FOR_256, _AGAINST_256 = (195, 153, 74, 32, 25), (230, 222, 208, 166, 130)
_PALE = 3  # of the steps, whose letters are black
_LEAST = 0.1  # of the largest weight: a word of less is not coloured


def colored(text: str, spans: Sequence[tuple[int, int, float]], screen: Screen) -> str:
    """`text` with a colour behind each span (start, stop, weight), relative to the largest weight. Characters that a terminal
    would obey are shown as `?`."""
    from rich.console import Console
    from rich.text import Text

    shown = Text("".join(character if character.isprintable() else "?" for character in text))
    top = max((abs(weight) for _, _, weight in spans), default=0.0)
    for start, stop, weight in spans:
        if top and math.isfinite(weight) and abs(weight) >= _LEAST * top:
            step = min(len(_FOR) - 1, int(abs(weight) / top * len(_FOR)))
            letters = "black" if step < _PALE else "bright_white"
            shown.stylize(f"{letters} on {_color(step, weight > 0, screen)}", start, stop)
    with io.StringIO() as stream:
        console = Console(
            file=stream, width=len(text) + 1, force_terminal=True, no_color=False, highlight=False,
            color_system=screen.colors,
        )  # fmt: skip
        console.print(shown, end="", soft_wrap=True)
        return stream.getvalue()


def _color(step: int, speaks_for: bool, screen: Screen) -> str:
    if screen.colors == "256":
        return f"color({(_FOR_256 if speaks_for else _AGAINST_256)[step]})"
    return f"rgb({','.join(map(str, (_FOR if speaks_for else _AGAINST)[step]))})"
