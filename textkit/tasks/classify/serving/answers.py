"""What is answered about the lines of a window: arrays of it all, and an object for each line that is looked at.

A stream needs only the arrays. Knows no graph and no text; numpy only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import numpy as np

from textkit.tasks.classify.serving import familiarity
from textkit.tasks.classify.serving.heads import Head

_FEW = 4  # if a line has more labels than so many times what is asked for, sorting them all costs more

Share = tuple[int, float | None]  # the number of a label, and its probability


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """What is answered about one line.

    `label`: the likeliest of the labels that hold; "" for a blank line, for one of which the model sees nothing, for one whose
    likeliest label is not likely enough, and where no label of several holds. `probability`: that of `label`, or of the
    likeliest label where there is no `label`; 0 where the model sees nothing. `labels`: all that hold, the likeliest first.
    `probabilities` f32[label]: those of all labels, in the order of Classifier.labels; zeros where the model sees nothing.
    """

    label: str
    probability: float
    labels: tuple[str, ...]
    probabilities: np.ndarray = field(repr=False)
    known: tuple[str, ...] = field(repr=False)  # Classifier.labels

    def top(self, n: int) -> list[tuple[str, float]]:
        """The n likeliest labels with their probabilities, the likeliest first. None where the model sees nothing."""
        order = np.argsort(-self.probabilities, kind="stable")[:n]
        if not self.probability:
            return []
        return [(self.known[at], float(self.probabilities[at])) for at in order.tolist()]


class Classified(Sequence[Classification]):
    """The answers to some lines, in order.

    `logits` f[line, column]: those of the head. `seen` bool[line]: whether the model saw anything of the line; `blank`
    bool[line]: whether it holds only white space.
    """

    def __init__(
        self, head: Head, logits: np.ndarray, seen: np.ndarray, blank: np.ndarray, abstain: float = 0.0,
        threshold: float | None = None, outliers: float = 0.0,
    ) -> None:  # fmt: skip
        self.head, self.logits, self.seen, self.abstain, self.outliers = head, logits, seen, abstain, outliers
        self.bounds = head.bounds(threshold)
        # Lines of which the model sees nothing, though they are not blank, where it has a label for that.
        self.nothing = ~seen & ~blank if head.nothing >= 0 else np.zeros(len(seen), bool)

    def __len__(self) -> int:
        return len(self.seen)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """f32[line, label]; zeros where the model sees nothing, but 1 for the label that stands for that."""
        found = self.head.probabilities(self.logits).astype(np.float32, copy=False)
        if not self.seen.all():
            found[~self.seen] = 0
            found[self.nothing, self.head.nothing] = 1
        return found

    @cached_property
    def scores(self) -> np.ndarray:
        """f[line, label]: what labels are ranked by. It is the logits where they rank as probabilities do, because these take
        longer."""
        return self.logits if self.head.order is None else self.probabilities

    @cached_property
    def likeliest(self) -> np.ndarray:
        """The number of each line's likeliest label, i64[line]; -1 where the model sees nothing and has no label for that."""
        found = self._first() if len(self) else np.zeros(0, np.int64)
        if not self.seen.all():
            found[~self.seen] = -1
            found[self.nothing] = self.head.nothing
        return found

    def _first(self) -> np.ndarray:
        """The number of the label of the highest score, i64[line]."""
        if self.head.order is None or "probabilities" in self.__dict__:
            first: np.ndarray = self.scores.argmax(1)
            return first
        # Only a label that adds up columns can be likelier than that of the highest logit, and only if it comes near.
        found, near = self.head.likeliest(self.logits)
        if len(near):
            found[near] = self.head.probabilities(self.logits[near]).argmax(1)
        return found

    @cached_property
    def confidence(self) -> np.ndarray:
        """The probability of each line's likeliest label, f32[line]; 0 where the model sees nothing."""
        found: np.ndarray = np.take_along_axis(self.probabilities, np.maximum(self.likeliest, 0)[:, None], 1)[:, 0]
        return found

    @cached_property
    def familiarity(self) -> np.ndarray | None:
        """How familiar each line is, f32[line]; None where the model does not say. A line of which it sees nothing, but has a
        label for that, is as familiar as can be."""
        if self.head.typical is None:
            return None
        found = familiarity.shares(familiarity.scores(self.logits, self.head.several), self.head.typical)
        found[~self.seen] = 0
        found[self.nothing] = 1
        return found

    @cached_property
    def left_out(self) -> np.ndarray | None:
        """The lines that get no label because they are not sure or not familiar enough, bool[line]; None: there are none."""
        found = self.confidence < np.float32(self.abstain) if self.abstain else None
        if not self.outliers or self.familiarity is None:
            return found
        strange = self.familiarity < np.float32(self.outliers)
        return strange if found is None else found | strange

    @cached_property
    def numbers(self) -> np.ndarray:
        """The number of each line's label, i64[line]; -1 for none. Of several that hold it is the likeliest."""
        if self.head.several:
            return np.array([found[0] if found else -1 for found in self.holding], np.int64)
        return self.likeliest if self.left_out is None else np.where(self.left_out, -1, self.likeliest)

    @cached_property
    def holds(self) -> np.ndarray:
        """Which labels hold of each line, bool[line, label]."""
        if not self.head.several:
            one: np.ndarray = self.numbers[:, None] == np.arange(len(self.head.labels))
            return one
        found = self.probabilities >= self.bounds
        found[~self.seen] = False
        found[self.nothing, self.head.nothing] = True
        if self.left_out is not None:
            found[self.left_out] = False
        return found

    @cached_property
    def holding(self) -> list[list[int]]:
        """The numbers of the labels that hold of each line, the likeliest first."""
        lines, labels = np.nonzero(self.holds)
        order = np.lexsort((labels, -self.probabilities[lines, labels], lines))
        ends = np.cumsum(np.bincount(lines, minlength=len(self)))[:-1]
        return [found.tolist() for found in np.split(labels[order], ends)] if len(self) else []

    def _ranked(self, n: int) -> np.ndarray:
        """The numbers of the n likeliest labels, i64[line, n]."""
        scores = self.scores
        n = min(n, scores.shape[1])
        if n == 1:
            found = scores.argmax(1)[:, None] if len(self) else np.zeros((0, 1), np.int64)
        elif scores.shape[1] > _FEW * n:
            some = np.sort(np.argpartition(-scores, n - 1, axis=1)[:, :n], axis=1)
            order = np.argsort(-np.take_along_axis(scores, some, 1), axis=1, kind="stable")
            found = np.take_along_axis(some, order, 1)
        else:
            found = np.argsort(-scores, axis=1, kind="stable")[:, :n]
        return found

    def held(self) -> list[list[Share]]:
        """The labels that hold of each line with their probabilities, the likeliest first.

        Where exactly one label holds, each line has one entry: -1 stands for no label, with the probability of the likeliest,
        or None where the model sees nothing.
        """
        if self.head.several:
            shares = self.probabilities
            return [[(one, float(shares[at, one])) for one in found] for at, found in enumerate(self.holding)]
        seen = (self.seen | self.nothing).tolist()
        every = zip(self.numbers.tolist(), self.confidence.tolist(), seen, strict=True)
        return [[(one, share if there else None)] for one, share, there in every]

    def listed(self, n: int) -> list[list[Share]]:
        """The n likeliest labels of each line with their probabilities, the likeliest first, whatever holds. Empty where the
        model sees nothing, and the one label that stands for that where there is one."""
        order = self._ranked(n)
        shares = np.take_along_axis(self.probabilities, order, 1).tolist()
        found = [list(zip(*pair, strict=True)) for pair in zip(order.tolist(), shares, strict=True)]
        for at in np.flatnonzero(~self.seen).tolist():
            found[at] = [(self.head.nothing, 1.0)] if self.nothing[at] else []
        return found

    @overload
    def __getitem__(self, at: int) -> Classification: ...
    @overload
    def __getitem__(self, at: slice) -> list[Classification]: ...
    def __getitem__(self, at: int | slice) -> Classification | list[Classification]:
        if isinstance(at, slice):
            return [self[place] for place in range(len(self))[at]]
        place = range(len(self))[at]  # raises IndexError
        known = self.head.labels
        held = self.holding[place] if self.head.several else [int(self.numbers[place])]
        labels = tuple(known[number] for number in held if number >= 0)
        probabilities = self.probabilities[place]
        shown = held[0] if labels else max(0, int(self.likeliest[place]))
        return Classification(labels[0] if labels else "", float(probabilities[shown]), labels, probabilities, known)

    def __iter__(self) -> Iterator[Classification]:
        return (self[at] for at in range(len(self)))
