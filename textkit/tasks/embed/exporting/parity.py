"""Checks that `embed` graphs compute what they should, against the same arithmetic written a second time, in numpy.

A bundle is written only where every case agrees. Knows no plugin and no torch: the exporter passes a function that gives
the vectors of ids (rows of a table, or a network's output), and the pooling over them is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.corpora.batching import padded
from textkit.errors import TextkitError
from textkit.exporting.parity import BATCH, CASE_TOKENS, MORE, RAGGED, SAMPLE, UNSEEN, Case, refuse
from textkit.tasks.embed.exporting.graph import SIF_A
from textkit.tasks.embed.task import OWN, POOLING, PORT
from textkit.text.rule import TextRule

if TYPE_CHECKING:
    from textkit.serving.session import Session

TOLERANCE = 1e-5  # of the largest number in a case's rows; sums of f32 in another order differ by about 1e-6 of it
# ids i64[line, token], weight f32[line, token] -> f32[line, token, dim], or the model's own f32[line, dim]
Rows = Callable[[np.ndarray, np.ndarray], np.ndarray]


def pooled(
    rows: np.ndarray,
    ids: np.ndarray,
    weight: np.ndarray,
    pool: int,
    normalize: bool,
    probability: np.ndarray | None = None,
    component: np.ndarray | None = None,
    own: np.ndarray | None = None,
) -> np.ndarray:
    """What the graph's pooling half computes, in f64: rows f32[line, token, dim] -> f64[line, dim].

    `own`: the model's own vectors f32[line, dim].
    """
    rows, weight = rows.astype(np.float64), weight.astype(np.float64)
    if PORT[pool] == OWN:
        assert own is not None
        vectors = np.where((weight > 0).any(axis=1, keepdims=True), own.astype(np.float64), 0)
    elif PORT[pool] == "max":
        vectors = np.zeros((rows.shape[0], rows.shape[2]))
        for line, real in enumerate(weight > 0):
            if real.any():
                vectors[line] = rows[line, real].max(axis=0)
    else:
        if PORT[pool] == "sif" and probability is not None:
            weight = weight * SIF_A / (SIF_A + probability.astype(np.float64)[ids])
        total = weight.sum(axis=1, keepdims=True)
        vectors = np.einsum("lt,ltd->ld", weight, rows) / np.where(total == 0, 1, total)
        if PORT[pool] == "sif" and component is not None:
            direction = component.astype(np.float64)
            vectors = vectors - np.outer(vectors @ direction, direction)
    if normalize:
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.where(length == 0, 1, length)
    return vectors


def first_component(
    rows: Rows, rule: TextRule, sample: Sequence[str], probability: np.ndarray | None, limit: int = 0
) -> np.ndarray | None:
    """The direction f32[dim] that the SIF vectors of `sample` share: their first right singular vector, not centred
    (Arora et al. 2017, algorithm 1). None where there is nothing to take it from."""
    longest = min(limit or CASE_TOKENS, CASE_TOKENS)
    moments: np.ndarray | None = None
    lines = sorted(sample, key=len)  # lines of one length need no padding, which a network computes as well
    for start in range(0, len(lines), BATCH):
        ids, weight = padded(rule, lines[start : start + BATCH], longest)
        vectors = pooled(rows(ids, weight), ids, weight, POOLING.index("sif"), False, probability)
        moments = vectors.T @ vectors if moments is None else moments + vectors.T @ vectors
    if moments is None or not np.isfinite(moments).all() or not moments.any():
        return None
    _, directions = np.linalg.eigh(moments)
    return directions[:, -1].astype(np.float32)


def check(
    session: Session, rows: Rows, batches: Sequence[Case], probability: Any, component: Any, own: Rows | None = None
) -> dict[str, Any]:
    """Compares graph and reference in every case with each pooling, normalised and not. Returns figures for the manifest.

    `own`: gives the model's own vectors of lines, if it has any.

    Raises TextkitError with the worst figure where they disagree, are not numbers or differ in shape.
    """
    worst, where, lines = 0.0, "", 0
    for case in batches:
        if case.name == MORE:
            continue
        lines += len(case.ids)
        expected = rows(case.ids, case.weight)
        vectors = own(case.ids, case.weight) if own else None
        for pool, name in enumerate(PORT if own else POOLING):
            plain = pooled(expected, case.ids, case.weight, pool, False, probability, component, vectors)
            # Normalising a vector that cancelled to almost nothing magnifies rounding: such vectors are not compared.
            sound = _has_length(plain, expected) | ~(case.weight > 0).any(axis=1)
            lengths = np.linalg.norm(plain, axis=1)
            for normalize in (False, True):
                wanted = pooled(expected, case.ids, case.weight, pool, normalize, probability, component, vectors)
                difference = _compare(
                    session, case, pool, normalize, wanted, expected, sound | (not normalize), lengths
                )
                if difference > worst:
                    worst, where = difference, f"{name}{', normalised' * normalize}, case {case.name!r}"
    refuse(worst, TOLERANCE, where)
    return {"max_relative": worst, "tolerance": TOLERANCE, "lines": lines}


def _compare(
    session: Session,
    case: Case,
    pool: int,
    normalize: bool,
    vectors: np.ndarray,
    tokens: np.ndarray,
    sound: np.ndarray,
    lengths: np.ndarray,
) -> float:
    """The largest relative difference in both outputs; `sound` bool[line]: the lines whose vector is compared.

    `lengths` f64[line]: those of the vectors before normalising, which divides the rounding by them as well.
    """
    given = session.run(feeds(case, pool, normalize))
    if given["vector"].shape != vectors.shape or given["tokens"].shape != tokens.shape:
        return float("inf")
    if not np.isfinite(given["vector"]).all():
        return float("inf")
    real = case.weight > 0
    # Relative to the rows, not to the vectors: rows can cancel, and then a vector is nothing but rounding.
    scale = float(np.abs(tokens[real]).max(initial=0))
    difference = given["vector"] - vectors
    if normalize:
        difference = difference * np.where(lengths > 0, np.minimum(lengths, scale), scale)[:, None]  # [line, dim]
    return max(
        _difference(difference[sound], np.zeros_like(difference[sound]), scale),
        _difference(given["tokens"][real], tokens[real], scale),
    )


def check_padding(session: Session, batches: Sequence[Case], pool: int = 0) -> None:
    """Raises TextkitError where a line's vector depends on the padding behind it, because batches would change results."""
    for case in batches:
        if case.name not in (RAGGED, UNSEEN):
            continue
        given = session.run(feeds(case, pool, False))
        together, scale = given["vector"], float(np.abs(given["tokens"]).max(initial=0))
        for line, length in enumerate((case.weight > 0).sum(axis=1)):
            alone = Case(
                "alone", case.ids[line : line + 1, : max(1, length)], case.weight[line : line + 1, : max(1, length)]
            )
            difference = _difference(session.run(feeds(alone, pool, False))["vector"][0], together[line], scale)
            if difference > TOLERANCE:
                raise TextkitError(
                    f"the vector of a line changes by {difference:.2g} of its largest number when the line is padded, "
                    f"{TOLERANCE:.0e} is allowed: the network must leave tokens of weight 0 out; nothing was written"
                )


def deviation(session: Session, rows: Rows, batches: Sequence[Case], own: Rows | None = None) -> dict[str, Any]:
    """How far the line vectors (mean, or the model's own) of a graph of lower precision are from the model's, over the lines
    of real text, or over all cases where there are none.

    `max_abs` is in the vectors' unit, `max_relative` relative to the largest number, `worst_cosine` that of a line's vectors.
    """
    largest, scale, cosine, lines = 0.0, 0.0, 1.0, 0
    pool = PORT.index(OWN) if own else 0
    for case in [case for case in batches if case.name in (SAMPLE, MORE)] or batches:
        expected = rows(case.ids, case.weight)
        vectors = own(case.ids, case.weight) if own else None
        wanted = pooled(expected, case.ids, case.weight, pool, False, own=vectors)
        got = session.run(feeds(case, pool, False))["vector"].astype(np.float64)
        if not np.isfinite(got).all():
            raise TextkitError("the graph of lower precision gives what is not a number: nothing was written")
        largest = max(largest, float(np.abs(got - wanted).max(initial=0)))
        scale = max(scale, float(np.abs(wanted).max(initial=0)))
        sound = _has_length(wanted, expected)
        lines += int(sound.sum())
        lengths = np.linalg.norm(got[sound], axis=1) * np.linalg.norm(wanted[sound], axis=1)
        cosines = (got[sound] * wanted[sound]).sum(axis=1) / np.maximum(lengths, 1e-300)
        cosine = min(cosine, float(cosines.min(initial=1)))
    return {
        "max_abs": largest,
        "max_relative": largest / scale if scale else 0.0,
        "worst_cosine": cosine,
        "lines": lines,
    }


def feeds(case: Case, pool: int, normalize: bool) -> dict[str, np.ndarray]:
    """The inputs of a graph of the task `embed`."""
    return {"ids": case.ids, "weight": case.weight, "pool": np.array(pool), "normalize": np.array(normalize)}


def _has_length(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Which lines bool[line] have a vector that is not tiny beside the numbers it was summed from."""
    scale = np.abs(rows).max(axis=(1, 2), initial=0)
    return np.linalg.norm(vectors, axis=1) > 1e-3 * scale


def _difference(got: np.ndarray, wanted: np.ndarray, scale: float) -> float:
    """The largest difference in units of `scale`; infinite where one of them is not a number."""
    difference = float(np.abs(got - wanted).max(initial=0) / max(scale, 1e-30))
    return difference if np.isfinite(difference) else float("inf")
