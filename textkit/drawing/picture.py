"""Draws weights as a picture, by matplotlib (the extra `plot`): one heat map, or one for each head of each layer.

Knows no model. It opens no window and keeps no state of matplotlib's: the same weights give the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from textkit.errors import TextkitError, UsageError, pip_install

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
DPI = 150
_CELL, _LETTER = 0.32, 0.085  # inches of a word's column, and of a letter of a label
_MOST = 40.0  # inches of a side
_BAR = 2.4  # inches, the longest bar of colours
_BOXES = "Last Resort"  # comes with matplotlib, and draws a box for any character
_MAP = "Blues"
# Metadata that could differ between files of the same weights, and is left out.
_SAME = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def refuse(path: str, option: str = "-o") -> None:
    """Raises UsageError for a name without a picture's suffix, and TextkitError if matplotlib is not installed."""
    if PurePath(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"{option} {path}: ends with none of {', '.join(SUFFIXES)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise TextkitError(f"a picture needs matplotlib, which is not installed: {pip_install('plot')}") from error


def write(
    stream: BinaryIO, path: str, source: Sequence[str], target: Sequence[str], weights: np.ndarray, title: str = ""
) -> str:
    """Draws weights [target, source] or [layer, head, target, source] to `stream`, in the format that `path` ends with.

    Returns the characters that no font on this machine has; they are drawn as boxes.
    """
    figure = one if weights.ndim == 2 else every
    return save(stream, path, "".join((*source, *target)), lambda: figure(source, target, weights, title))


def save(stream: BinaryIO, path: str, text: str, draw: Callable[[], Figure]) -> str:
    """Writes the figure that `draw` makes, with fonts for `text`. Returns the characters that no font has."""
    import warnings

    from matplotlib import rc_context

    families, missing = fonts(text)
    kind = PurePath(path).suffix.lower()[1:]
    with rc_context({"font.family": families, "svg.hashsalt": "textkit", "axes.unicode_minus": False}):
        figure = draw()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"(?s)Glyph .* missing")
            figure.savefig(
                stream,
                format=kind,
                dpi=DPI,
                bbox_inches="tight",
                pad_inches=0.12,
                metadata=_SAME[kind],
                facecolor="white",
            )
    return missing


def one(source: Sequence[str], target: Sequence[str], weights: np.ndarray, title: str) -> Figure:
    """A heat map with its words and a colour bar."""
    from matplotlib.figure import Figure

    left, above = (_LETTER * max(map(len, words)) for words in (target, source))
    cell = min(_CELL, (_MOST - left - 2) / len(source), (_MOST - above - 1) / len(target))
    wide, high = cell * len(source), cell * len(target)
    figure = Figure(figsize=(wide + left + 1.2, high + above + 0.6))
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, 0.1 / height, wide / width, high / height))
    image = _heatmap(axes, weights, float(weights.max()) or 1.0)
    _label(axes, source, target, min(10.0, 72 * cell * 0.8))
    long = min(high, _BAR)
    bar = figure.add_axes(((left + wide + 0.15) / width, (0.1 + high - long) / height, 0.14 / width, long / height))
    figure.colorbar(image, bar).outline.set_visible(False)
    bar.tick_params(labelsize=8, length=2)
    if title:
        axes.set_xlabel(title, fontsize=9, color="0.35", labelpad=6, parse_math=False)
    return figure


def every(source: Sequence[str], target: Sequence[str], weights: np.ndarray, title: str) -> Figure:
    """A heat map for each head (across) of each layer (down); only the outer ones have words beside them."""
    from matplotlib.figure import Figure

    layers, heads = weights.shape[:2]
    cell = min(_CELL * 0.6, (_MOST - 2) / heads / (len(source) + 1), (_MOST - 2) / layers / (len(target) + 1))
    wide, high = (max(0.9, cell * len(words)) for words in (source, target))
    left, above, gap = _LETTER * max(map(len, target)), _LETTER * max(map(len, source)) + 0.3, 0.16
    figure = Figure(figsize=(left + heads * (wide + gap) + 0.8, above + layers * (high + gap) + 0.5))
    width, height = figure.get_size_inches()
    size = min(7.0, 72 * cell * 0.8)
    for layer in range(layers):
        for head in range(heads):
            x, y = left + head * (wide + gap), height - above - (layer + 1) * high - layer * gap
            axes = figure.add_axes((x / width, y / height, wide / width, high / height))
            image = _heatmap(axes, weights[layer, head], 1.0)
            _label(axes, source if not layer else (), target if not head else (), size)
            if layer == layers - 1:
                axes.set_xlabel(f"head {head + 1}", fontsize=8)
            if head == heads - 1:
                axes.yaxis.set_label_position("right")
                axes.set_ylabel(f"layer {layer + 1}", fontsize=8, rotation=270, va="bottom")
    bottom = height - above - layers * high - (layers - 1) * gap
    x, long = left + heads * (wide + gap) + 0.3, min(high, _BAR)
    bar = figure.add_axes((x / width, bottom / height, 0.14 / width, long / height))
    figure.colorbar(image, bar, ticks=[0, 0.5, 1]).outline.set_visible(False)
    bar.tick_params(labelsize=7, length=2)
    if title:
        figure.text((left + (heads * (wide + gap) - gap) / 2) / width, (bottom - 0.38) / height, title,
                    fontsize=9, color="0.35", ha="center", va="top", parse_math=False)  # fmt: skip
    return figure


def _heatmap(axes: Any, weights: np.ndarray, top: float) -> Any:
    image = axes.imshow(weights, cmap=_MAP, vmin=0, vmax=top, aspect="auto", interpolation="nearest")
    axes.set_xticks(np.arange(weights.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(weights.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.6)
    axes.tick_params(which="both", length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return image


def _label(axes: Any, source: Sequence[str], target: Sequence[str], size: float) -> None:
    """Writes source words above, slanted, and target words on the left. A `$` is a dollar, not the start of a formula."""
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(source)), source, fontsize=size, rotation=45, ha="left", rotation_mode="anchor",
                    parse_math=False)  # fmt: skip
    axes.set_yticks(range(len(target)), target, fontsize=size, parse_math=False)


def fonts(text: str) -> tuple[list[str], str]:
    """The fonts that `text` needs, in the order in which characters are looked up, and the characters that no font has."""
    from matplotlib import font_manager

    families = ["DejaVu Sans"]  # comes with matplotlib
    missing = _left(set(text) - {" "}, font_manager.findfont(families[0]))
    if not missing:
        return families, ""
    for entry in sorted(font_manager.fontManager.ttflist, key=_likely):
        if entry.name in families or entry.name.startswith(_BOXES):
            continue
        left = _left(missing, entry.fname)
        if left < missing:
            families.append(entry.name)
            missing = left
        if not missing:
            break
    return families, "".join(sorted(missing))


def _likely(entry: Any) -> tuple[bool, bool, str]:
    """A sort key: upright and plain fonts come first, and among them those of many scripts."""
    plain = entry.style == "normal" and entry.weight in (400, "normal", "regular", "book")
    return not plain, not any(part in entry.name for part in ("CJK", "Noto Sans", "Unicode", "WenQuanYi")), entry.name


def _left(characters: Iterable[str], file: str) -> set[str]:
    """The characters that a font lacks."""
    from matplotlib.ft2font import FT2Font

    try:
        known = FT2Font(file).get_charmap()
    except (OSError, RuntimeError):
        return set(characters)
    return {character for character in characters if ord(character) not in known}
