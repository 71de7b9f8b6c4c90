"""What the checks of graphs that are searched over have in common: how much they try, and how they measure a difference.

Knows no task, no plugin and no graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from textkit.searching.drawing import Draw

TOLERANCE = 1e-4  # of the largest number in an output; float32 through 12 layers differs by about 1e-6 of it
CHECKED = 24  # lines of real text compared with the modules
MEASURED = 64  # lines of real text that a lower precision is measured on
BATCH = 8
LONGEST = 128  # tokens of the longest line of a check
# The beam of the step before that each beam continues: one to three, straight on, crossed and repeated, fewer, more.
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


def draw_of(shape: tuple[int, ...], vocab: int, at: int) -> Draw:
    """The Draw of step `at`: uniform numbers of all sizes, the largest or a tiny one first, and some words barred."""
    random = np.random.default_rng(at)
    uniform = 1 - random.random(shape, np.float32) ** (1 + at % 3)
    uniform.flat[0] = (1.0, 1e-12)[at % 2]
    bias = np.where(random.random(vocab) < 0.3, -np.inf, random.normal(size=vocab)).astype(np.float32)
    bias[random.integers(vocab)] = 0.0
    return Draw(uniform, np.array((1.0, 0.6, 2.5)[at % 3], np.float32), bias)


def feeds(token: np.ndarray, parent: np.ndarray, k: int, draw: Draw | None = None) -> dict[str, np.ndarray]:
    """The inputs that every step takes. Without `draw` a word is drawn that nobody looks at."""
    if draw is None:
        draw = Draw(np.ones(token.shape, np.float32), np.array(1, np.float32), np.zeros(1, np.float32))
    drawing = {"uniform": draw.uniform, "temperature": draw.temperature, "bias": draw.bias}
    return {"token": token, "parent": parent, "k": np.array(k), **drawing}


def drawn_apart(given: Mapping[str, np.ndarray], draw: Draw) -> float:
    """The largest distance of a uniform number from the interval of the word that it drew, in the cumulative distribution that
    the step's log-probabilities make; infinite for a word that may not be drawn, or whose log-probability is another."""
    logprob = given["logprob"].astype(np.float64)
    weight = (logprob + draw.bias) / float(draw.temperature)
    weight = np.exp(weight - weight.max(-1, keepdims=True))
    weight /= weight.sum(-1, keepdims=True)
    drawn = given["drawn_id"][..., None]
    if drawn.min() < 0 or drawn.max() >= logprob.shape[-1]:
        return float("inf")
    share, end, own = (np.take_along_axis(part, drawn, -1)[..., 0] for part in (weight, np.cumsum(weight, -1), logprob))
    if not share.all() or not np.array_equal(own, given["drawn_logprob"]):
        return float("inf")
    return max(0.0, float(np.maximum(draw.uniform - end, end - share - draw.uniform).max()))


def difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference relative to the largest number; infinite where shapes differ or a difference is not finite."""
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
