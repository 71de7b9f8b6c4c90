"""How familiar a line is: the share of lines that a model was tried on which look at most as much like its labels.

This is not how likely a label is, but whether the line is of a kind with the others. A line that no label is for may have
a likely one, because the others are even less likely, but its highest logit is low (Hendrycks et al. 2022, arXiv 1911.11132).
The share is a conformal p-value (Bates et al. 2023), but for the + 1 that makes up for few lines: of lines like the others,
about the share P has one below P. numpy only.
"""

from __future__ import annotations

import numpy as np

from textkit.tasks.classify.task import QUANTILES


def scores(logits: np.ndarray, several: bool) -> np.ndarray:
    """How much each line looks like a label, f[line], from f[line, label]: the highest logit. Where one label holds, a softmax
    leaves open from where logits are counted; then from their mean."""
    if not logits.size:
        return np.zeros(len(logits), logits.dtype)
    highest: np.ndarray = logits.max(1)
    return highest if several else highest - logits.mean(1)


def quantiles(scores: np.ndarray) -> np.ndarray:
    """f32[QUANTILES], ascending; NaN where there is no line."""
    if not len(scores):
        return np.full(QUANTILES, np.nan, np.float32)
    return np.quantile(scores.astype(np.float64), np.linspace(0, 1, QUANTILES)).astype(np.float32)


def shares(scores: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """The share of the lines that `typical`, their quantiles, are of, which have at most each score: f32[line]."""
    found: np.ndarray = np.interp(scores, typical, np.linspace(0, 1, len(typical)), left=0.0, right=1.0)
    return found.astype(np.float32)
