"""Logistic regression on vectors and on sparse features of lines, solved by L-BFGS. Light: numpy at the top, no torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from textkit.tasks.classify.evaluation import measures

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from torch import Tensor

    from textkit_plugins.encoder.ngrams import Tfidf

_FOLDS = 5
_MANY = 3000  # lines from which one fold judges: another would say the same, and take as long again
_ENOUGH = 1e-4  # of a search: it ends where a step lowers the loss by less
_NOT_COMPILED = "__dynamo_disable"  # where torch keeps a function that its compiler leaves out
_STEPS = 100  # of a search, in the folds as at the end: the temperature of the one must fit the other


class Solved:
    """Logistic regression on vectors f32[line, width]: `wanted` i64[line], or f32[line, label] with `several`.

    `features`: more that is known of the lines. Their weights are penalised as those of the vectors are. The last `more` lines
    are learnt from in every fold, and judged in none.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        wanted: np.ndarray,
        count: np.ndarray,
        several: bool,
        labels: int,
        features: Tfidf | None = None,
        more: int = 0,
    ) -> None:
        self.judged = len(vectors) - more
        self.vectors, self.count, self.several = vectors.astype(np.float32), count.astype(np.float32), several
        self.tfidf = features
        self.target = wanted.astype(np.float32) if several else measures.one_hot(wanted, labels).astype(np.float32)
        self.folds = 0

    def solve(self, strength: float) -> np.ndarray:
        """The weights of vectors, those of features, and biases that are best for all lines, side by side f32[label, width +
        feature + 1]; biases are not penalised."""
        return self._best(strength, slice(None), None if self.tfidf is None else self.tfidf.of_all())

    def _best(self, strength: float, rows: np.ndarray | slice, features: csr_matrix | None) -> np.ndarray:
        """The solution for the `rows`. `features`: those of all lines.

        Every search begins with zeros. One that began with the solution for another strength would have to take a first step
        along the gradient, and may end there, because that step hardly lowers the loss. Nor would its weights be as far from
        their end as those of the last search, for which the temperature is meant. It is torch's L-BFGS, because scipy's, which
        can have bounds, took twice as long as all products.
        """
        import torch

        vectors, target, count = (torch.from_numpy(x[rows]) for x in (self.vectors, self.target, self.count))
        features = None if features is None else features[rows]
        turned = None if features is None else features.T.tocsr()
        labels, width = target.shape[1], vectors.shape[1]
        size = width + (0 if features is None else features.shape[1]) + 1
        share = (count / count.sum())[:, None]
        # Labels come last: sparse products like it so.
        every = torch.zeros(size, labels)
        slope = every.grad = torch.zeros_like(every)

        @torch.no_grad()
        def loss() -> float:
            logits = torch.addmm(every[-1], vectors, every[:width])
            if features is not None:
                logits += torch.from_numpy(features @ every[width:-1].numpy())
            given, each = _likely(logits, target, self.several)
            given.sub_(target).mul_(share)
            torch.mm(vectors.T, given, out=slope[:width])
            if turned is not None:
                slope[width:-1] = torch.from_numpy(turned @ given.numpy())
            slope[-1] = given.sum(0)
            slope[:-1].add_(every[:-1], alpha=strength)
            return float((each * share[:, 0]).sum()) + strength * float(every[:-1].square().sum()) / 2

        _spare_the_compiler()
        search = torch.optim.LBFGS(
            [every], max_iter=_STEPS, tolerance_grad=0, tolerance_change=_ENOUGH, history_size=10, line_search_fn="strong_wolfe"
        )  # fmt: skip
        search.step(loss)
        solution: np.ndarray = every.numpy().T
        return solution

    def _logits(self, solution: np.ndarray, rows: np.ndarray, features: csr_matrix | None) -> np.ndarray:
        """What a solution says of the `rows`, f[line, label]."""
        width = self.vectors.shape[1]
        found: np.ndarray = self.vectors[rows] @ solution[:, :width].T + solution[:, -1]
        if features is not None:
            found += features[rows] @ np.ascontiguousarray(solution[:, width:-1].T)
        return found

    def chosen(self, strengths: Sequence[float], seed: int) -> tuple[float, np.ndarray, np.ndarray]:
        """The strength under which lines are likeliest by the folds that have not seen them; which lines these are i64[line],
        and their logits under it. Nor were their n-grams counted in a fold that judges them.

        Each strength is judged with the temperature that fits it best, because a weak penalty gives good order and too much
        confidence, and the served probabilities are divided by that temperature.
        """
        place = np.random.default_rng(seed).permutation(self.judged)
        # Dealt out label by label, so that every fold has lines of every label that has enough.
        place = place[np.argsort(self.target[place].argmax(1), kind="stable")]
        self.folds = min(_FOLDS, len(place))
        fold = np.full(len(self.vectors), -1)
        fold[place] = np.arange(len(place)) % max(1, self.folds)
        judges = range(self.folds if len(place) < _MANY else 1)
        lines = np.flatnonzero((fold >= 0) & (fold < len(judges)))
        best, strength, kept = np.inf, strengths[0], np.zeros_like(self.target[lines])
        learnt = [np.flatnonzero(fold != number) for number in judges]
        features = [None if self.tfidf is None else self.tfidf.learnt_from(some) for some in learnt]
        for tried in strengths:
            logits = np.zeros_like(self.target)
            for number in judges:
                inside = np.flatnonzero(fold == number)
                found = self._best(tried, learnt[number], features[number])
                logits[inside] = self._logits(found, inside, features[number])
            loss = self._unlikely(logits[lines], self.target[lines])
            if loss >= best:  # stronger penalties only go on from here
                break
            best, strength, kept = loss, tried, logits[lines]
        return strength, lines, kept

    def _unlikely(self, logits: np.ndarray, target: np.ndarray) -> float:
        wanted = target > 0.5 if self.several else target.argmax(1)
        scaled = logits.astype(np.float64) / measures.temperature(logits, wanted, self.several)
        if self.several:
            return float((np.logaddexp(0, scaled) - target * scaled).sum(1).mean())
        return float(-(target * np.log(np.maximum(measures.softmax(scaled), 1e-300))).sum(1).mean())


def _spare_the_compiler() -> None:
    """Has an optimizer begin without torch's compiler. The optimizer imports it only to be left out of what is compiled;
    nothing is compiled here, and the import takes 1.5 s, a fifth of a training from eight lines of each label."""
    import torch

    begins = getattr(torch.optim.Optimizer.add_param_group, "__wrapped__", None)
    if begins is not None and "torch._dynamo" not in sys.modules and not hasattr(begins, _NOT_COMPILED):
        setattr(begins, _NOT_COMPILED, begins)


def _likely(logits: Tensor, target: Tensor, several: bool) -> tuple[Tensor, Tensor]:
    """Probabilities f32[line, label], in the place of `logits` or not, and how unlikely the targets are f32[line]."""
    import torch

    if several:
        each = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)
        return logits.sigmoid_(), each
    log = torch.log_softmax(logits, 1)
    each = -(target * log).sum(1)
    return log.exp_(), each
