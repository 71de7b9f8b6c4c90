"""What makes probabilities of a head's logits, fitted to lines that it has not learnt, and how good these are.

Light: no torch at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.tasks.classify.evaluation import measures
from textkit.tasks.classify.serving import familiarity

if TYPE_CHECKING:
    from textkit_plugins.encoder.classification import Head


def calibrate(head: Head, logits: np.ndarray, wanted: np.ndarray) -> None:
    """Sets the temperature of a head, the thresholds of several labels, how far the probabilities are then from the share of
    right answers, and how familiar lines are.

    `logits` f[line, label]; `wanted` i64[line], -1 for an unknown label, or f32[line, label] where several may hold.
    """
    import torch

    before = _error(head, _probabilities(head, logits, 1.0), wanted)
    head.temperature.fill_(measures.temperature(logits, wanted, head.several))
    probability = _probabilities(head, logits, float(head.temperature))
    if head.several:
        head.thresholds.copy_(torch.from_numpy(measures.thresholds(probability, wanted > 0.5)))
    head.calibration.copy_(torch.tensor([before, _error(head, probability, wanted)]))
    known = logits if head.several else logits[wanted >= 0]
    head.typical.copy_(torch.from_numpy(familiarity.quantiles(familiarity.scores(known, head.several))))


def measured(head: Head, logits: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """The expected calibration error of a head, `ece`; where several labels may hold, `accuracy` and `macro-f1`, too."""
    probability = _probabilities(head, logits, float(head.temperature))
    found = {"ece": _error(head, probability, wanted)}
    if head.several:
        right, given = wanted > 0.5, probability >= head.thresholds.cpu().numpy()
        found |= {"accuracy": float((given == right).all(1).mean()), "macro-f1": measures.macro_f1(right, given)}
    return found


def of_answers(wanted: np.ndarray, answers: np.ndarray, labels: int) -> dict[str, float]:
    """`accuracy` and `macro-f1` where one of the `labels` holds. `wanted` and `answers` i64[line]; what is wanted is -1 where
    no answer can be right."""
    counted = (wanted[wanted == answers], wanted[wanted >= 0], answers)
    right, support, answered = (np.bincount(numbers, minlength=labels) for numbers in counted)
    present = support + answered > 0
    f1 = measures.of_counts(right, support, answered).f1[present]
    return {"accuracy": float((answers == wanted).mean()), "macro-f1": float(f1.mean())}


def _probabilities(head: Head, logits: np.ndarray, temperature: float) -> np.ndarray:
    return (measures.sigmoid if head.several else measures.softmax)(logits / temperature)


def _error(head: Head, probability: np.ndarray, wanted: np.ndarray) -> float:
    """The expected calibration error of the likeliest labels, or of all where several may hold."""
    if head.several:
        return measures.calibration_error(probability.ravel(), wanted.ravel() > 0.5)
    return measures.calibration_error(probability.max(1), probability.argmax(1) == wanted)


def head_facts(head: Head, name: str, labels: Sequence[str]) -> dict[str, Any]:
    """What the manifest says of a head."""
    before, after = (float(value) for value in head.calibration)
    facts: dict[str, Any] = {
        "name": name, "labels": list(labels), "several": head.several, "temperature": float(head.temperature),
    }  # fmt: skip
    if head.several:
        facts["thresholds"] = [float(value) for value in head.thresholds]
    if before >= 0:  # it was measured
        facts["calibration_error"] = {"before": before, "after": after}
    if head.typical.isfinite().all():
        facts["typical"] = [round(float(value), 4) for value in head.typical]
    return facts
