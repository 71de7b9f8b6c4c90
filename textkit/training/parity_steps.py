"""What the checks of graphs that are searched over have in common: how much is tried, and how a difference is taken.

Knows no task, no plugin and no graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TOLERANCE = 1e-4  # of the largest number in an output; float32 through 12 layers differs by about 1e-6 of it
CHECKED = 24  # lines of real text compared with the modules
MEASURED = 64  # lines of real text that a lower precision is measured on
BATCH = 8
LONGEST = 128  # tokens of the longest line of a check
# Which beam of the step before each beam continues: from one to three, straight on, crossed and repeated, fewer, more.
PARENTS: Sequence[Sequence[int]] = (
    (0, 0, 0),
    (0, 1, 2),
    (2, 0, 0),
    (1, 2, 1),
    (2, 0),
    (1, 0),
    (0, 1, 1, 0),
    (3, 3, 0, 2),
)


def difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference beside the largest number; infinite where shapes differ or one is not a number."""
    if got.shape != wanted.shape:
        return float("inf")
    if got.dtype == bool or np.issubdtype(got.dtype, np.integer):
        return 0.0 if np.array_equal(got, wanted) else float("inf")
    got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    apart = got != wanted  # infinities in the same place do not differ
    scale = max(1e-30, float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0)))
    with np.errstate(invalid="ignore"):
        largest = float(np.abs(got - wanted)[apart].max(initial=0)) / scale
    return largest if np.isfinite(largest) else float("inf")
