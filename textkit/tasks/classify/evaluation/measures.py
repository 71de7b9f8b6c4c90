"""How right and how sure a classifier is: F1 (van Rijsbergen 1979), calibration (Guo et al. 2017, Platt 1999), AUROC (Hanley
and McNeil 1982). numpy only.

Labels are numbers from 0; -1 stands for a label that the model does not know, which no answer of its can match.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from textkit.evaluation.correlation import ranks
from textkit.tasks.classify.serving.probabilities import sigmoid as sigmoid
from textkit.tasks.classify.serving.probabilities import softmax as softmax

BINS = 15  # of equal width, as Guo et al. 2017 have them
_FEW = 5  # lines with a label: with fewer, its own threshold would be chance
_GOLDEN = (5**0.5 - 1) / 2
_MOST_LOG = 5.0  # a temperature lies between exp(-5) and exp(5)
_NEAR = 1e-3  # how exactly its logarithm is looked for


class PerLabel(NamedTuple):
    """Figures of each label, [label]: `support` i64 counts the lines that have it."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def per_label(wanted: np.ndarray, given: np.ndarray) -> PerLabel:
    """Precision, recall and F1 of each label from bool[line, label]; 0 where nothing was given or wanted."""
    return of_counts((wanted & given).sum(0), wanted.sum(0), given.sum(0))


def of_counts(right: np.ndarray, support: np.ndarray, answered: np.ndarray) -> PerLabel:
    """The same from counts i64[label]: how many lines have each label and were given it, have it, were given it."""
    precision = right / np.maximum(answered, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + answered, 1)
    return PerLabel(precision, recall, f1, support)


def macro_f1(wanted: np.ndarray, given: np.ndarray) -> float:
    """The mean F1 of the labels that are wanted or given somewhere, from bool[line, label]; NaN if there are none."""
    present = wanted.any(0) | given.any(0)
    return float(per_label(wanted, given).f1[present].mean()) if present.any() else float("nan")


def one_hot(labels: np.ndarray, size: int) -> np.ndarray:
    """i64[line] -> bool[line, size]; nothing for -1."""
    hot: np.ndarray = labels[:, None] == np.arange(size)
    return hot


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """What a diagram of reliability shows, f64[3, bin]: for each bin of confidences (equally wide; the upper border belongs to
    it) the number of answers, the sum of their confidences, and the number of right ones. Sums of parts of the data add up."""
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    weights = (np.ones(len(place)), confidence.astype(np.float64), right.astype(np.float64))
    return np.stack([np.bincount(place, of_each, bins) for of_each in weights])


def calibration_error_of(sums: np.ndarray) -> float:
    """The expected calibration error of what `reliability` gives: how far, on average, the share of right answers is from the
    confidence, bin by bin; NaN for no answers."""
    count = sums[0].sum()
    return float(np.abs(sums[2] - sums[1]).sum() / count) if count else float("nan")


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """The expected calibration error of answers."""
    return calibration_error_of(reliability(confidence, right, bins))


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The probability that a random one of `positive` is larger than one of `negative`, where equal ones count half. It is the
    area under the receiver's operating characteristic. NaN where there are none of either."""
    if not len(positive) or not len(negative):
        return float("nan")
    places = ranks(np.concatenate([positive, negative]))[: len(positive)]
    pairs = len(positive) * len(negative)
    return float((places.sum() - len(positive) * (len(positive) + 1) / 2) / pairs)


def temperature(logits: np.ndarray, wanted: np.ndarray, several: bool) -> float:
    """The number to divide `logits` f[line, label] by, so that the data is likeliest (Guo et al. 2017, section 4.2).

    `wanted`: i64[line] if one label holds, bool[line, label] if `several` may. 1 where there is nothing to learn from.

    Where each of n answers is right, the likeliest data has them all certain, but the next may be wrong. So the mean
    confidence is at most (n + 1) / (n + 2), the rule of succession (as in Platt 1999, section 2.2).
    """
    logits = np.asarray(logits, np.float64)
    if not several:
        known = wanted >= 0
        logits, wanted = logits[known], wanted[known]
    if not len(logits):
        return 1.0

    def loss(log: float) -> float:
        scaled = logits / np.exp(log)
        if several:  # log(1 + exp(x)) - x * wanted
            return float((np.logaddexp(0, scaled) - scaled * wanted).mean())
        high = scaled.max(1)
        total = high + np.log(np.exp(scaled - high[:, None]).sum(1))
        return float((total - scaled[np.arange(len(scaled)), wanted]).mean())

    def too_sure(log: float) -> bool:
        scaled = logits / np.exp(log)
        sure = sigmoid(np.abs(scaled)) if several else softmax(scaled).max(1)
        return bool(sure.mean() > (sure.size + 1) / (sure.size + 2))

    low, high = _lowest(loss), _MOST_LOG
    if not too_sure(low):
        return float(np.exp(low))
    while high - low > _NEAR:
        middle = (low + high) / 2
        low, high = (middle, high) if too_sure(middle) else (low, middle)
    return float(np.exp(high))


def _lowest(loss: Callable[[float], float]) -> float:
    """Where `loss`, which has one valley, is lowest between -_MOST_LOG and _MOST_LOG, by golden sections (Kiefer 1953)."""
    low, high = -_MOST_LOG, _MOST_LOG
    one, other = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_one, at_other = loss(one), loss(other)
    while high - low > _NEAR:
        if at_one <= at_other:
            high, other, at_other = other, one, at_one
            one = high - _GOLDEN * (high - low)
            at_one = loss(one)
        else:
            low, one, at_one = one, other, at_other
            other = low + _GOLDEN * (high - low)
            at_other = loss(other)
    return (low + high) / 2


def thresholds(probability: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The probability from which to give each label so that its F1 is highest, f64[label], from [line, label] of both.

    A label that few lines have takes the threshold that is best for all labels together.
    """
    common = _best_threshold(probability.ravel(), wanted.ravel())
    return np.array(
        [
            _best_threshold(probability[:, at], wanted[:, at]) if wanted[:, at].sum() >= _FEW else common
            for at in range(probability.shape[1])
        ]
    )


def _best_threshold(probability: np.ndarray, wanted: np.ndarray) -> float:
    if not wanted.any():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order].astype(np.float64)
    right = np.cumsum(wanted[order])
    f1 = 2 * right / (np.arange(1, len(ranked) + 1) + wanted.sum())
    f1[:-1][ranked[1:] == ranked[:-1]] = -1  # lines that are equally likely are given the label together
    at = int(np.argmax(f1))
    below = ranked[at + 1] if at + 1 < len(ranked) else 0.0
    return float((ranked[at] + below) / 2)  # halfway to the next line, which is not given it
