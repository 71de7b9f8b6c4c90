"""Stores weights in fewer bytes: half precision, or whole numbers of 8 bits with a scale.

Measured deviation is parity.py's business; here are the ways to store. Knows no plugin and no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from textkit.errors import TextkitError, UsageError, nearest

PRECISIONS = ("fp32", "fp16", "int8")
# The least cosine between a sample line's vector and the full-precision one with which a bundle is still written.
WORST_COSINE: Mapping[str, float] = {"fp16": 0.9999, "int8": 0.99}


def store(table: np.ndarray, precision: str) -> dict[str, np.ndarray]:
    """A table f32[id, dim] as `table_graph` takes it: `table` as f32, f16 or i8; for i8 `scale` f32[id] beside it.

    Each row of an int8 table has its own scale, its largest number / 127, so that rare words (short vectors) keep as
    many steps as frequent ones. Raises TextkitError where half precision cannot hold a number.
    """
    if precision == "fp32":
        return {"table": np.ascontiguousarray(table, np.float32)}
    if precision == "fp16":
        largest = float(np.abs(table).max(initial=0))
        if largest > np.finfo(np.float16).max:
            raise TextkitError(f"--precision fp16 holds numbers up to 65504, this model has {largest:.3g}")
        return {"table": table.astype(np.float16)}
    if precision == "int8":
        scale = np.abs(table).max(axis=1, initial=0).astype(np.float32) / np.float32(127)
        steps = np.rint(table / np.where(scale == 0, 1, scale)[:, None])
        return {"table": steps.astype(np.int8), "scale": scale}
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
