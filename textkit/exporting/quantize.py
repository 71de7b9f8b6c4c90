"""Stores tables in fewer bytes, as half precision or as 8-bit integers with a scale, and limits what that may cost.

Uses numpy alone: quantize_graph.py lowers graphs. Knows no plugin and no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from textkit.errors import TextkitError, UsageError, nearest

PRECISIONS = {"fp32": 4, "fp16": 2, "int8": 1}  # bytes per number
# A bundle is written only if the cosine of each sample line's vector with the full-precision one is at least this.
# A network of many layers loses most with a line of one word: all-MiniLM-L6-v2 has .989 there, and .997 with sentences.
WORST_COSINE: Mapping[str, float] = {"fp16": 0.9999, "int8": 0.98}
HALF_MAX = 65504.0  # the largest half-precision number
CHUNK = 1 << 14  # rows worked on at once, so that a table near 2 GB is not held twice as f32


def store(table: np.ndarray, precision: str) -> dict[str, np.ndarray]:
    """A table f32[id, dim] as `table_graph` takes it: `table` as f32, f16 or i8, and for i8 also `scale` f32[id].

    Each row of an int8 table has its own scale, its largest absolute value / 127, so that rare words (short vectors) keep
    as many steps as frequent ones. Raises TextkitError where half precision cannot hold a number.
    """
    if precision == "fp32":
        return {"table": np.ascontiguousarray(table, np.float32)}
    if precision == "fp16":
        largest = float(max(table.max(initial=0), -table.min(initial=0)))
        if largest > HALF_MAX:
            raise TextkitError(f"--precision fp16 holds numbers up to {HALF_MAX:.0f}, this model has {largest:.3g}")
        return {"table": table.astype(np.float16)}
    if precision == "int8":
        largest_of_row = np.maximum(table.max(axis=1, initial=0), -table.min(axis=1, initial=0))
        scale = (largest_of_row / 127).astype(np.float32)
        steps = np.empty(table.shape, np.int8)
        for start in range(0, len(table), CHUNK):
            part = slice(start, start + CHUNK)
            steps[part] = np.rint(table[part] / np.where(scale[part] == 0, 1, scale[part])[:, None])
        return {"table": steps, "scale": scale}
    raise UsageError(f"--precision {precision}: unknown{nearest(precision, PRECISIONS)}")


def rows(stored: Mapping[str, np.ndarray], ids: np.ndarray) -> np.ndarray:
    """The vectors f32[..., dim] of ids i64[...] as the stored table gives them back."""
    found = stored["table"][ids].astype(np.float32)
    return found * stored["scale"][ids][..., None] if "scale" in stored else found


def refuse_deviation(precision: str, figures: Mapping[str, Any]) -> None:
    """Raises TextkitError where the lower precision costs more than WORST_COSINE allows."""
    least = WORST_COSINE.get(precision)
    if least is not None and not figures["worst_cosine"] >= least:
        raise TextkitError(
            f"--precision {precision} turns a line's vector to a cosine of {figures['worst_cosine']:.4f} with the "
            f"full-precision one, {least} is the least allowed: nothing was written"
        )
