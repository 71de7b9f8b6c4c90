"""Checks that the graph of a fastText classifier computes what it should: the same arithmetic a second time, in numpy.

Knows no file and no bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.exporting.parity import MORE, SAMPLE, cases, refuse
from textkit.interop.fasttext.graph import CERTAIN, END, STEP, Parts
from textkit.interop.fasttext.quantised import Quantised
from textkit.interop.fasttext.tree import Tree
from textkit.text.fasttext import FastText

if TYPE_CHECKING:
    from textkit.serving.session import Session

TOLERANCE = 1e-5  # of the largest logit of a case, or of 1


def proven(session: Session, parts: Parts, rule: FastText, sample: Sequence[str]) -> dict[str, Any]:
    """Compares the graph with the same arithmetic in numpy, over batches of many shapes. Raises TextkitError if they differ."""
    worst, where, lines = 0.0, "", 0
    for case in cases(rule, sample):
        if case.name == MORE:
            continue
        given = session.run({"ids": case.ids, "weight": case.weight})
        logits, importance = _computed(parts, case.ids, case.weight)
        lines += len(case.ids)
        scale = max(1.0, float(np.abs(logits).max(initial=0)))
        off = _apart(parts, given["logits"], logits).max(initial=0) / scale
        off = float(np.maximum(off, np.abs(given["importance"] - importance).max(initial=0)))
        if not off <= worst:
            worst, where = (off if np.isfinite(off) else float("inf")), f"case {case.name!r}"
    refuse(worst, TOLERANCE, where)
    return {"max_relative": worst, "tolerance": TOLERANCE, "lines": lines}


def deviation(session: Session, parts: Parts, rule: FastText, sample: Sequence[str]) -> dict[str, Any]:
    """How far the graph of lower precision is from the model: the largest difference in a logit, relative to the largest one,
    over the lines of real text, or over all cases where there are none."""
    every = list(cases(rule, sample))
    worst, scale, lines = 0.0, 1e-30, 0
    for case in [case for case in every if case.name in (SAMPLE, MORE)] or every:
        given = session.run({"ids": case.ids, "weight": case.weight})["logits"]
        logits, _ = _computed(parts, case.ids, case.weight)
        worst = max(worst, float(_apart(parts, given, logits).max(initial=0)))
        scale = max(scale, float(np.abs(logits).max(initial=0)))
        lines += len(case.ids)
        if not np.isfinite(given).all():
            raise TextkitError("the graph of lower precision gives what is not a number: nothing was written")
    return {"max_relative": worst / scale, "lines": lines}


def _computed(parts: Parts, ids: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the graph should give, in f64: logits [line, label], where those of sigmoids are not rounded to steps, and
    importance [line, token]."""
    rows = parts.rows.row(ids.ravel()) if isinstance(parts.rows, Quantised) else parts.rows[ids.ravel()]
    rows = rows.reshape(*ids.shape, -1).astype(np.float64)
    total = weight.sum(1, dtype=np.float64, keepdims=True)
    importance = weight / np.where(total == 0, 1, total)
    output = parts.output.row(slice(None)) if isinstance(parts.output, Quantised) else parts.output
    with np.errstate(invalid="ignore"):  # where rows are infinite the caller sees that nothing is right
        scores = np.einsum("lt,ltd->ld", importance, rows) @ output.astype(np.float64).T
    if parts.tree is None:
        return scores, importance
    return _log_probability(parts.tree, scores), importance


def _log_probability(tree: Tree, scores: np.ndarray) -> np.ndarray:
    """The log-probabilities of labels from the scores of inner nodes [line, node], level by level from the root."""
    labels, root = tree.labels, len(tree.parent) - 1
    children = np.empty((labels - 1, 2), np.int64)  # of each inner node
    children[tree.parent[:root] - labels, tree.right[:root].astype(np.int64)] = np.arange(root)
    logs = np.zeros((len(scores), root + 1))
    level = np.array([root])
    while len(level):
        for side, sign in ((0, 1), (1, -1)):
            turn = -np.logaddexp(0, sign * scores[:, level - labels])
            logs[:, children[level - labels, side]] = logs[:, level] + turn
        level = children[level - labels].ravel()
        level = level[level >= labels]
    return logs[:, :labels]


def _apart(parts: Parts, given: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How far logits are from those wanted, f64[line, label]; those of sigmoids may be up to a step below.

    NaN where one of them is no number.
    """
    logits = given.astype(np.float64)
    with np.errstate(invalid="ignore"):
        if not parts.sigmoids:
            return np.abs(logits - wanted)
        inside = np.maximum(logits - wanted, wanted - STEP - logits)
    beyond = np.where(logits > 0, END - wanted, wanted + END)
    return np.maximum(np.where(np.abs(logits) == CERTAIN, beyond, inside), 0)
