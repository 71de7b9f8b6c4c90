"""Learns how much confidence a translation deserves from pairs, and measures it: against chrF, line by line.

A logistic regression with the chrF of each line (Popović 2015) as its target, by Newton's method: the mean confidence of the
lines that it learnt from is their mean chrF. Its coefficients are those of serving/confidence.py. The variance of the tokens'
log-probabilities, how much of the source was attended to, tokens per word and the length itself were tried as well; none of
them raised a correlation by .01.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from textkit.errors import TextkitError
from textkit.evaluation.correlation import pearson, spearman
from textkit.tasks.translate.evaluation import Figure, Test
from textkit.tasks.translate.serving.confidence import Confidence, Known, known
from textkit.tasks.translate.serving.translations import Translation
from textkit.tasks.translate.task import CONFIDENCE

FEWEST = 100  # lines to learn from
_PENALTY = 1e-4  # of squared coefficients, so that they stay finite whatever the lines are
_ROUNDS = 100
_BINS = 10


def line_chrf(translations: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """The chrF of each line by itself, from 0 to 1, f64[line]."""
    from sacrebleu.metrics import CHRF

    chrf = CHRF()
    return np.array(
        [chrf.sentence_score(text, list(some)).score / 100 for text, some in zip(translations, references, strict=True)]
    )


def learnt(tests: Sequence[Test], translations: Sequence[Sequence[Translation]]) -> tuple[Confidence, float]:
    """The confidence that fits the best `translations` of the lines of each of `tests`, and Pearson's correlation with their
    chrF.

    Raises TextkitError for fewer lines than FEWEST.
    """
    sources = [source for test in tests for source in test.sources]
    references = [some for test in tests for some in test.references]
    best = [one for some in translations for one in some]
    if len(best) < FEWEST:
        raise TextkitError(f"{tests[0].name}: {FEWEST} lines are the fewest that a confidence can be learnt from")
    facts = [known(one.logprob, one.length, source, one.text) for one, source in zip(best, sources, strict=True)]
    quality = line_chrf([one.text for one in best], references)
    confidence = fitted(np.array(facts), quality)
    return confidence, pearson(np.array(list(map(confidence, facts))), quality)


def fitted(facts: np.ndarray, quality: np.ndarray) -> Confidence:
    """`facts` f64[line, 2], a Known each; `quality` f64[line], from 0 to 1."""
    ratio = float(np.clip(facts[:, Known._fields.index("longer")].mean(), *_bounds("ratio")))
    columns = np.stack([facts[:, 0], np.minimum(0, facts[:, 1] - ratio)], 1)
    used = [0, 1]
    while True:
        weights = _logistic(np.column_stack([columns[:, used], np.ones(len(columns))]), quality)
        negative = [at for at, weight in zip(used, weights, strict=False) if weight < 0]
        if not negative:
            break
        used = [at for at in used if at not in negative]
    slopes = [0.0, 0.0]
    for at, weight in zip(used, weights, strict=False):
        slopes[at] = float(weight)
    names = ("likelihood", "shortness", "bias")
    values = dict(zip(names, (*slopes, float(weights[-1])), strict=True))
    bounded = {name: round(float(np.clip(value, *_bounds(name))), 6) for name, value in values.items()}
    return Confidence(**bounded, ratio=round(ratio, 6))


def measured(confidence: Confidence | None, test: Test, translations: Sequence[Translation]) -> Figure:
    """Pearson's correlation of confidence with chrF over the lines, from -1 to 1; in detail also Spearman's, the means, and
    how far confidence is from chrF in ten groups of equal size (the expected calibration error)."""
    if confidence is None:
        raise TextkitError("the model states no confidence; textkit calibrate learns it from pairs")
    felt = np.array([one.confidence for one in translations], np.float64)
    quality = line_chrf([one.text for one in translations], test.references)
    figures = {
        "spearman": spearman(felt, quality),
        "calibration_error": _calibration_error(felt, quality),
        "mean_confidence": float(felt.mean()),
        "mean_chrf": float(quality.mean()),
    }
    detail = {name: value if np.isfinite(value) else None for name, value in figures.items()}
    value = pearson(felt, quality)
    count = sum(map(len, test.references))
    return Figure("confidence", value if np.isfinite(value) else 0.0, len(felt), count, "pearson", detail)


def _calibration_error(felt: np.ndarray, quality: np.ndarray) -> float:
    groups = np.array_split(np.argsort(felt, kind="stable"), _BINS)
    return sum(len(group) * abs(felt[group].mean() - quality[group].mean()) for group in groups if len(group)) / len(
        felt
    )


def _logistic(columns: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """The weights f64[column] of the logistic regression; the last column, the bias, is not penalised."""
    weights = np.zeros(columns.shape[1])
    penalty = np.full(len(weights), _PENALTY)
    penalty[-1] = 0
    for _ in range(_ROUNDS):
        guess = 1 / (1 + np.exp(-np.clip(columns @ weights, -500, 500)))
        gradient = columns.T @ (guess - quality) / len(quality) + penalty * weights
        curvature = (columns.T * (guess * (1 - guess))) @ columns / len(quality) + np.diag(penalty + 1e-12)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-10:
            break
    return weights


def _bounds(name: str) -> tuple[float, float]:
    kind = CONFIDENCE.fields[name]
    return kind.least, kind.most
