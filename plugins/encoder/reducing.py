"""A smaller encoder out of a larger one: some of its layers, tokens, and units of its feed-forward networks. numpy only.

Layers are taken at even distances, the first and the last among them, as Sanh et al. 2019 (arXiv 1910.01108) begin a student.
Units are those with the largest weights before and behind them (magnitude pruning, Li et al. 2017, arXiv 1608.08710).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

_LAYER = re.compile(r"(encoder\.tokens\.layers\.)(\d+)(\..*)")


def layers_taken(there: int, wanted: int) -> list[int]:
    """Which of `there` layers the `wanted` ones begin as."""
    if wanted >= there:
        return list(range(there))
    if wanted == 1:
        return [0]
    return [round(at * (there - 1) / (wanted - 1)) for at in range(wanted)]


def with_layers(weights: Mapping[str, np.ndarray], wanted: int) -> dict[str, np.ndarray]:
    """The weights of an encoder with at most `wanted` of its layers, numbered anew."""
    numbers = {int(found[2]) for name in weights if (found := _LAYER.fullmatch(name))}
    place = {old: new for new, old in enumerate(layers_taken(len(numbers), wanted))}
    kept = {}
    for name, value in weights.items():
        found = _LAYER.fullmatch(name)
        if found is None:
            kept[name] = value
        elif int(found[2]) in place:
            kept[f"{found[1]}{place[int(found[2])]}{found[3]}"] = value
    return kept


def with_units(weights: Mapping[str, np.ndarray], wanted: int) -> dict[str, np.ndarray]:
    """The weights of a transformer with at most `wanted` units in each feed-forward network (`inner`, `outer`)."""
    kept = dict(weights)
    for name in weights:
        if not name.endswith(".inner.weight") or len(weights[name]) <= wanted:
            continue
        layer = name.removesuffix("inner.weight")
        inner, outer = weights[name], weights[f"{layer}outer.weight"]  # [unit, dim], [dim, unit]
        size = np.linalg.norm(inner, axis=1) * np.linalg.norm(outer, axis=0)
        best = np.sort(np.argsort(-size, kind="stable")[:wanted])
        kept |= {name: inner[best], f"{layer}inner.bias": weights[f"{layer}inner.bias"][best]}
        kept[f"{layer}outer.weight"] = outer[:, best]
    return kept
