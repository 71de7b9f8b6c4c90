"""Measures a classifier on labelled lines: what is right, what is confused, how sure it is, and whether it notices lines that
none of its labels is for. Knows the callable of the task and no file; measures.py has the formulas.

Lines without a label that the model knows count in no other figure: they are out of scope, and a good model is less sure of
them. So figures are of the other lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from textkit.errors import TextkitError, quoted
from textkit.tasks.classify.evaluation import measures
from textkit.tasks.classify.evaluation.measures import PerLabel
from textkit.tasks.classify.serving.answers import Classified

if TYPE_CHECKING:
    from textkit.tasks.classify.corpus import Labelled
    from textkit.tasks.classify.serving.classifier import Classifier
    from textkit.tasks.classify.serving.heads import Head

WINDOW = 1024  # lines


@dataclass(frozen=True)
class Report:
    """The figures. `used` of `total` lines were measured; `unknown` have labels, but none that the model knows.

    `accuracy`: the share of lines whose label is right, or all of whose labels are. `per_label`: of each label of the model;
    `answered` and `right` i64[label]: how many lines were given it, and rightly. `wanted`, `given` i64[line]: the labels of the
    lines that were measured, -1 where none was given; empty where a line may have several labels. `reliability` and
    `uncalibrated` f64[3, bin]: as measures.reliability gives them, with the model's temperature and without. `auroc`: how well
    the confidence tells lines in scope from the `outside` ones that are not; NaN where there are none. `outlier_auroc`: how
    well their familiarity does; NaN where the model does not state it.
    """

    head: Head
    used: int
    total: int
    unknown: int
    accuracy: float
    per_label: PerLabel
    answered: np.ndarray
    right: np.ndarray
    wanted: np.ndarray
    given: np.ndarray
    reliability: np.ndarray
    uncalibrated: np.ndarray
    outside: int
    auroc: float
    outlier_auroc: float

    @property
    def present(self) -> np.ndarray:
        """The numbers of the labels that are wanted or given somewhere."""
        return np.flatnonzero(self.per_label.support + self.answered)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the labels that are `present`."""
        return float(self.per_label.f1[self.present].mean()) if len(self.present) else float("nan")

    @property
    def micro_f1(self) -> float:
        """The F1 of all labels of all lines together."""
        both = float(self.per_label.support.sum() + self.answered.sum())
        return 2 * float(self.right.sum()) / both if both else float("nan")

    def confusions(self) -> list[tuple[int, int, int]]:
        """(wanted, given, lines) of each pair of labels that was confused, the most lines first; -1 where none was given."""
        size = len(self.head.labels) + 1
        pairs, counts = np.unique(self.wanted * size + self.given % size, return_counts=True)
        found = []
        for at in np.argsort(-counts, kind="stable").tolist():
            wanted, given = divmod(int(pairs[at]), size)
            if wanted != given:
                found.append((wanted, given if given < size - 1 else -1, int(counts[at])))
        return found

    def shares(self, labels: Sequence[int]) -> np.ndarray:
        """The share of the lines of each of `labels` (down) that was given each of them (across), f64[label, label]."""
        place = np.full(len(self.head.labels) + 1, -1)
        place[labels] = np.arange(len(labels))
        wanted, given = place[self.wanted], place[self.given]  # the last place is that of no label (-1)
        both = (wanted >= 0) & (given >= 0)
        size = len(labels)
        counts = np.bincount(wanted[both] * size + given[both], minlength=size * size).reshape(size, size)
        support = np.maximum(self.per_label.support[list(labels)], 1)
        found: np.ndarray = counts / support[:, None]
        return found


def evaluated(classifier: Classifier, lines: Iterable[list[Labelled]], out_of_scope: str | None = None) -> Report:
    """The figures of the first head of `classifier`. `out_of_scope`: the label of lines that none of the model's labels is for;
    None: lines whose labels the model does not know are taken for such.

    If the model itself has the label `out_of_scope`, its confidence is that in the likeliest of the others. Raises TextkitError
    where no line can be measured.
    """
    head, counts = classifier.head, _Counts(classifier.head, out_of_scope)
    for some in _windows(lines, min(WINDOW, classifier.lines_at_once)):
        counts.add(some, classifier.answer([line.text for line in some]))
    if not counts.used:
        known = ", ".join(map(quoted, head.labels[:10]))
        raise TextkitError(f"none of {counts.total:,} lines has a label that the model knows: it knows {known}")
    return counts.report()


def _windows(lines: Iterable[list[Labelled]], size: int) -> Iterator[list[Labelled]]:
    held: list[Labelled] = []
    for block in lines:
        held += block
        whole = len(held) - len(held) % size
        for begin in range(0, whole, size):
            yield held[begin : begin + size]
        del held[:whole]
    if held:
        yield held


class _Counts:
    """Adds up the figures, window by window."""

    def __init__(self, head: Head, out_of_scope: str | None) -> None:
        self.head, self.out_of_scope = head, out_of_scope
        labels = len(head.labels)
        self.used = self.total = self.unknown = self.exact = 0
        self.right, self.support, self.answered = (np.zeros(labels, np.int64) for _ in range(3))
        self.reliability, self.uncalibrated = (np.zeros((3, measures.BINS)) for _ in range(2))
        self.wanted: list[np.ndarray] = [np.zeros(0, np.int64)]
        self.given: list[np.ndarray] = [np.zeros(0, np.int64)]
        self.inside: list[np.ndarray] = [np.zeros(0, np.float32)]  # confidences of lines in scope
        self.outside: list[np.ndarray] = [np.zeros(0, np.float32)]
        self.usual: list[np.ndarray] = [np.zeros(0, np.float32)]  # the familiarity of lines in scope
        self.strange: list[np.ndarray] = [np.zeros(0, np.float32)]

    def add(self, lines: Sequence[Labelled], answers: Classified) -> None:
        numbers = [[self.head.numbers.get(label, -1) for label in line.labels] for line in lines]
        unknown = np.array([bool(of_line) and max(of_line) < 0 for of_line in numbers])
        out = unknown if self.out_of_scope is None else np.array([self.out_of_scope in line.labels for line in lines])
        self.total += len(lines)
        self.unknown += int(unknown.sum())
        known = ~unknown
        if not self.head.several:
            known &= np.array([len(of_line) == 1 for of_line in numbers])
        self.used += int(known.sum())
        confidence = self._confidence(answers)
        self.inside.append(confidence[known & ~out])
        self.outside.append(confidence[out])
        if answers.familiarity is not None:
            self.usual.append(answers.familiarity[known & ~out])
            self.strange.append(answers.familiarity[out])
        uncalibrated = self.head.probabilities(answers.logits, 1.0)
        uncalibrated[~answers.seen] = answers.probabilities[~answers.seen]
        if self.head.several:
            self._add_several(numbers, known, answers, uncalibrated)
        else:
            wanted = np.array([of_line[0] if len(of_line) == 1 else -1 for of_line in numbers], np.int64)
            self._add_single(wanted[known], known, answers, uncalibrated)

    def _confidence(self, answers: Classified) -> np.ndarray:
        if self.out_of_scope not in self.head.numbers:
            return answers.confidence
        others = answers.probabilities.copy()
        others[:, self.head.numbers[str(self.out_of_scope)]] = 0
        found: np.ndarray = others.max(1)
        return found

    def _add_single(self, wanted: np.ndarray, known: np.ndarray, answers: Classified, uncalibrated: np.ndarray) -> None:
        given, likeliest = answers.numbers[known], answers.likeliest[known]
        labels = len(self.head.labels)
        hit = wanted[wanted == given]
        self.exact += len(hit)
        for total, some in ((self.right, hit), (self.support, wanted), (self.answered, given[given >= 0])):
            total += np.bincount(some, minlength=labels)
        self.wanted.append(wanted)
        self.given.append(given)
        self.reliability += measures.reliability(answers.confidence[known], wanted == likeliest)
        self.uncalibrated += measures.reliability(uncalibrated[known].max(1), wanted == likeliest)

    def _add_several(
        self, numbers: Sequence[Sequence[int]], known: np.ndarray, answers: Classified, uncalibrated: np.ndarray
    ) -> None:
        wanted = np.zeros(answers.probabilities.shape, bool)
        for at, of_line in enumerate(numbers):
            wanted[at, [number for number in of_line if number >= 0]] = True
        wanted, given = wanted[known], answers.holds[known]
        self.exact += int((wanted == given).all(1).sum())
        for total, some in ((self.right, wanted & given), (self.support, wanted), (self.answered, given)):
            total += some.sum(0)
        self.reliability += measures.reliability(answers.probabilities[known].ravel(), wanted.ravel())
        self.uncalibrated += measures.reliability(uncalibrated[known].ravel(), wanted.ravel())

    def report(self) -> Report:
        inside, outside, usual, strange = map(np.concatenate, (self.inside, self.outside, self.usual, self.strange))
        return Report(
            self.head, self.used, self.total, self.unknown, self.exact / self.used,
            measures.of_counts(self.right, self.support, self.answered), self.answered, self.right,
            np.concatenate(self.wanted), np.concatenate(self.given), self.reliability, self.uncalibrated,
            len(outside), measures.auroc(inside, outside), measures.auroc(usual, strange),
        )  # fmt: skip
