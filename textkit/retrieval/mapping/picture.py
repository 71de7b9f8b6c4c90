"""Draws a map as a picture, by matplotlib (the extra `plot`). Knows no model and no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from textkit.drawing.picture import save
from textkit.retrieval.mapping.maps import Column, Map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours of the page's script.
PALETTE = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#2aa198", "#d4a017", "#ff7fa5", "#9c755f", "#5d69b1", "#8cc152",
    "#d37295", "#3ba3d8", "#c0603f", "#7b61c4", "#4aa37c", "#e06fcb", "#a3862b", "#6b8ba4", "#b5495b",
)  # fmt: skip
_REST = "#c3c6cb"
_SIDE = 8.0  # inches
_LISTED = 20  # kinds in the legend
_LONG = 28  # characters of a name in the legend


def write(stream: BinaryIO, path: str, found: Map, title: str, column: Column, labels: bool) -> str:
    """Draws to `stream`, in the format that `path` ends with. Returns the characters that no font on this machine has."""
    shown = "".join((title, column.name, *column.names, *(found.names if labels else ())))
    return save(stream, path, shown, lambda: _figure(found, title, column, labels))


def _figure(found: Map, title: str, column: Column, labels: bool) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIDE + 2.6, _SIDE))
    axes = figure.add_axes((0.01, 0.02, _SIDE / (_SIDE + 2.6), 0.93))
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_title(title, loc="left", fontsize=13, parse_math=False)
    size = float(np.clip(24000 / max(len(found), 1), 1.5, 40))
    if column.values is None:
        _kinds(axes, found, column, size)
    else:
        _scale(figure, axes, found, column, size)
    if labels:
        _names(axes, found)
    return figure


def _kinds(axes: Any, found: Map, column: Column, size: float) -> None:
    assert column.codes is not None
    sizes = np.bincount(column.codes[column.codes >= 0], minlength=len(column.names))
    tints = np.array([*PALETTE])[column.codes % len(PALETTE)]
    tints = np.where(column.codes < 0, _REST, tints)
    order = np.argsort(column.codes >= 0, kind="stable")  # what is of no kind lies below
    axes.scatter(*found.places[order].T, s=size, c=tints[order], alpha=0.75, linewidths=0)
    listed = [(name, PALETTE[at % len(PALETTE)], int(sizes[at])) for at, name in enumerate(column.names[:_LISTED])]
    if more := len(column.names) - len(listed):
        listed.append((f"and {more:,} more", "none", int(sizes[_LISTED:].sum())))
    if rest := int(np.count_nonzero(column.codes < 0)):
        listed.append((column.rest, _REST, rest))
    for name, color, count in listed:
        cut = name if len(name) <= _LONG else name[: _LONG - 1] + "…"
        axes.scatter([], [], s=36, c=color, label=f"{cut}  {count:,}", linewidths=0)
    if listed:
        legend = axes.legend(
            title=column.name, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8, alignment="left"
        )
        for text in (*legend.get_texts(), legend.get_title()):
            text.set_parse_math(False)


def _scale(figure: Figure, axes: Any, found: Map, column: Column, size: float) -> None:
    assert column.values is not None
    told = ~np.isnan(column.values)
    axes.scatter(*found.places[~told].T, s=size, c=_REST, alpha=0.75, linewidths=0)
    drawn = axes.scatter(*found.places[told].T, s=size, c=column.values[told], cmap="viridis", alpha=0.8, linewidths=0)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.4, pad=0.02, anchor=(0, 1))
    bar.set_label(column.name, parse_math=False)
    bar.outline.set_visible(False)


def _names(axes: Any, found: Map) -> None:
    """The name of each cluster at its middle, the largest first; one that would cover another is left out."""
    import matplotlib.patheffects as effects

    taken: list[tuple[float, float, float]] = []
    for at, name in enumerate(found.names):
        x, y = np.median(found.places[found.clusters == at], axis=0)
        half = 0.0055 * len(name)
        if any(abs(x - other[0]) < half + other[2] and abs(y - other[1]) < 0.024 for other in taken):
            continue
        taken.append((x, y, half))
        axes.text(
            x, y, name, ha="center", va="center", fontsize=8.5, weight="bold", color="#1d1f23", parse_math=False,
            path_effects=[effects.withStroke(linewidth=2.5, foreground="white")], clip_on=False,
        )  # fmt: skip
