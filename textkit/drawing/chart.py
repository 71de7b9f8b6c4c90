"""Draws curves as a picture, by matplotlib (the extra `plot`): a panel for each run, side by side.

Knows the results of training/inspecting.py, and no network. Users' names are drawn as they are, even with a `$`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from textkit.training.inspecting import Gradients, Norms

COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:olive")
# Lines and markers tell curves apart even without colours. The colours are Okabe and Ito's, for eyes that see no red
# or no green.
STYLES = (
    ("#0072B2", "-", "o"), ("#D55E00", "--", "s"), ("#009E73", "-.", "^"), ("#CC79A7", ":", "D"),
    ("#E69F00", "-", "v"), ("#56B4E9", "--", "P"), ("#8C6D31", "-.", "X"), ("0.45", ":", "*"),
)  # fmt: skip
_MARKS = 12  # on a curve, at most
_ACROSS = 4  # panels, at most
_WIDE, _HIGH = 4.0, 3.4  # inches of a panel
_OTHERS = "0.75"  # grey
_NOTHING = 1e-20  # a gradient below it has vanished, and must not squeeze the others on the axis
_GRID = {"color": "0.9", "linewidth": 0.6}


def gradients(runs: Mapping[str, Gradients]) -> Figure:
    """The gradient's norm against how far back it has come. All panels have one scale, and show the other runs in grey."""
    from matplotlib.figure import Figure

    across = min(len(runs), _ACROSS)
    down = -(-len(runs) // across)
    figure = Figure(figsize=(_WIDE * across + 0.6, _HIGH * down + 0.5), layout="constrained")
    grid = list(figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
    names = dict.fromkeys(part for found in runs.values() for part in found.parts)
    colours = dict(zip(names, _colours(len(names)), strict=True))
    for axes, (name, found) in zip(grid, runs.items(), strict=False):
        others = [other for key, other in runs.items() if key != name]
        for at, other in enumerate(others):
            _curve(axes, other.norm, color=_OTHERS, linewidth=1.2, label="the other runs" if not at else None)
        for part, norm in found.parts.items() if len(found.parts) > 1 else ():
            _curve(axes, norm, color=colours[part], linewidth=1.2, label=part)
        _curve(axes, found.norm, color="black", linewidth=2.0, label="whole state")
        axes.set_yscale("log")
        axes.set_title(name, fontsize=10, parse_math=False)
        axes.grid(**_GRID)
        axes.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.08), frameon=False)
        axes.set_ylim(bottom=max(axes.get_ylim()[0], _NOTHING))
        axes.tick_params(labelsize=8, labelbottom=True)
    for axes in grid[len(runs) :]:
        axes.set_visible(False)
    chunks = max(found.chunks for found in runs.values())
    figure.supxlabel(f"lag: tokens back from the last one (mean of {chunks} chunks)", fontsize=9)
    figure.supylabel("norm of d loss / d state (nats per unit of state)", fontsize=9)
    return figure


def weights(runs: Mapping[str, Norms]) -> Figure:
    """The norms of the weights over the training, and below them the loss and the dev score."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=((_WIDE + 1.6) * len(runs) + 0.4, 2 * _HIGH), layout="constrained")
    grid = figure.subplots(2, len(runs), squeeze=False, sharex="col")
    for (above, below), (name, found) in zip(grid.T, runs.items(), strict=True):
        by_epoch = len(set(found.epoch.tolist())) == len(found.epoch)
        x = found.epoch if by_epoch else found.update
        groups = spoken(grouped(found.parameters, found.norm))
        if len(groups) > 1:
            for at, (part, norm) in enumerate(groups.items()):
                above.plot(x, norm, label=part, linewidth=1.2, **_style(at, len(x)))
        above.plot(x, found.whole, "-", color="black", linewidth=2.2, label="all weights")
        above.set_yscale("log")
        above.set_title(name, fontsize=10, parse_math=False)
        above.set_ylabel("norm of weights (Euclidean)", fontsize=9)
        _losses(below, x, found)
        below.set_xlabel("epochs done" if by_epoch else "updates done", fontsize=9)
        below.xaxis.get_major_locator().set_params(integer=True)
        for axes in (above, below):
            if found.best is not None:
                axes.axvline(x[found.best], color="0.5", linestyle=":", linewidth=1.2)
            axes.grid(**_GRID)
            axes.tick_params(labelsize=8)
            axes.tick_params(labelsize=7, axis="y", which="minor")
        above.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, handlelength=4)
    return figure


def _losses(axes: Any, x: np.ndarray, found: Norms) -> None:
    """Draws the loss on the left, the dev score on the right, and a legend of both."""
    lines = axes.plot(x, found.loss, label="training loss", **_style(0, len(x)))
    axes.set_ylabel("loss", fontsize=9)
    if not np.isnan(found.dev_loss).all():
        lines += axes.plot(x, found.dev_loss, label="dev loss", **_style(2, len(x)))
    if found.name:
        right = axes.twinx()
        lines += right.plot(x, found.score, label=f"dev {found.name}", **_style(1, len(x)))
        right.set_ylabel(f"dev {found.name}", fontsize=9, parse_math=False)
        right.tick_params(labelsize=8)
    if found.best is not None:
        lines.append(axes.axvline(x[found.best], color="0.5", linestyle=":", linewidth=1.2, label="best dev score"))
    axes.legend(lines, [line.get_label() for line in lines], fontsize=7, ncols=len(lines), handlelength=3, loc="lower center",
                bbox_to_anchor=(0.5, 1), frameon=False)  # fmt: skip


def grouped(names: Sequence[str], norms: np.ndarray, most: int = len(COLOURS)) -> dict[str, np.ndarray]:
    """The norms of at most `most` groups of parameters, from `norms` f64[row, parameter].

    Parameters with the same beginning of their names' paths are a group; the beginning is as long as `most` allows. If even
    the shortest makes too many groups, the smaller ones are one group, `others`.
    """
    depths = range(max(name.count(".") for name in names) + 1, 0, -1)
    paths = [[".".join(name.split(".")[:depth]) for name in names] for depth in depths]
    keys = next((path for path in paths if len(set(path)) <= most), paths[-1])
    squares: dict[str, np.ndarray] = {}
    for at, key in enumerate(keys):
        square = norms[:, at] ** 2
        squares[key] = squares[key] + square if key in squares else square
    if len(squares) > most:
        order = sorted(squares, key=lambda key: -squares[key][-1])
        rest = [squares.pop(key) for key in order[most - 1 :]]
        squares["others"] = sum(rest[1:], rest[0])
    return {key: np.sqrt(square) for key, square in squares.items()}


# Plain words for parts of parameters' names. Other parts are shown without underscores and dots.
_NAMES = {
    "weight_ih": "input matrix", "weight_hh": "recurrent matrix", "bias_ih": "input bias", "bias_hh": "recurrent bias",
    "qkv": "queries, keys, values", "project_weight": "output matrix", "project_bias": "output bias",
    "centre": "centre vectors", "context": "context vectors", "centre_bias": "centre biases", "context_bias": "context biases",
}  # fmt: skip


def spoken(groups: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The groups under plain names: `encoder_layers.0.layer` is encoder layer 1. Paths stay where names would clash."""
    names = [name_of(path) for path in groups]
    return {
        path if names.count(name) > 1 else name: norm for (path, norm), name in zip(groups.items(), names, strict=True)
    }


def name_of(path: str) -> str:
    """The plain name of a parameter or a part of a network, from its path: the layer, counted from 1, and the matrix."""
    said: list[str] = []
    parts = [part for part in path.split(".") if part != "layer"]  # a wrapper of torch's layers
    for at, part in enumerate(parts):
        stem, cut, number = part.rpartition("_l")
        if cut and number.removesuffix("_reverse").isdecimal():  # torch's own names: weight_ih_l0_reverse
            part = stem
            said += ["backwards"] if number.endswith("_reverse") else []
        if part.isdecimal():
            if said:
                said[-1] = f"{said[-1].removesuffix('s')} {int(part) + 1}"
            else:
                said.append(str(int(part) + 1))
        elif part == "weight":
            before = parts[at - 1] if at else ""
            said += ["scale"] if before.endswith("norm") else [] if before.endswith("embedding") else ["matrix"]
        else:
            said.append(_NAMES.get(part, part.replace("_", " ")))
    return " ".join(said)


def _style(at: int, points: int) -> dict[str, Any]:
    """Colour, line and marker of curve number `at`. The markers are far enough apart to let the line be seen."""
    colour, line, marker = STYLES[at % len(STYLES)]
    every = max(1, -(-points // _MARKS))
    return {
        "color": colour, "linestyle": line, "marker": marker, "markersize": 5, "markevery": (at % every, every),
    }  # fmt: skip


def _colours(count: int) -> list[str]:
    return [COLOURS[at % len(COLOURS)] for at in range(count)]


def _curve(axes: Any, norm: np.ndarray, **options: Any) -> None:
    """Draws a curve that ends where the gradient has vanished altogether, because a logarithmic axis has no zero."""
    axes.plot(np.arange(len(norm)), np.where(norm > 0, norm, np.nan), **options)
