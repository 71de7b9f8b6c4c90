"""Rank correlation in numpy: Spearman's rho with ties averaged. Knows no model."""

from __future__ import annotations

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value f64[n], 1 for the smallest; equal values share the mean of their ranks."""
    order = np.argsort(values, kind="stable")
    ordered = np.asarray(values)[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))  # of each group of equal values
    ends = np.append(starts[1:], len(ordered))
    found = np.empty(len(ordered))
    found[order] = np.repeat((starts + 1 + ends) / 2, ends - starts)
    return found


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rho: Pearson's r of the ranks. NaN where it is not defined: fewer than two values, or all equal."""
    return pearson(ranks(np.asarray(one, np.float64)), ranks(np.asarray(other, np.float64))) if len(one) else np.nan


def pearson(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's r; NaN for fewer than two values, and where either side is constant."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if len(one) < 2:
        return float("nan")
    one, other = one - one.mean(), other - other.mean()
    scale = np.sqrt((one @ one) * (other @ other))
    return float(np.clip(one @ other / scale, -1, 1)) if scale > 0 else float("nan")
