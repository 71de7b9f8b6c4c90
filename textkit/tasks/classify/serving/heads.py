"""The questions that a model of the task `classify` answers: their labels, and how logits become probabilities.

A model states them as `heads` in its manifest. Knows no graph and no text; numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from textkit.errors import TextkitError, UsageError, nearest, quoted
from textkit.tasks.classify.serving.probabilities import sigmoid, softmax
from textkit.tasks.classify.task import QUANTILES

_THRESHOLD = 0.5  # of a label of several, where the model states none
_LEAST = 1e-6  # a temperature; anything smaller would make what is not a number of logits


@dataclass(frozen=True, eq=False)
class Head:
    """One question about a line. `labels`: what may be answered, in the order of its probabilities.

    `columns`: its logits among those of the graph. `several`: any number of labels may hold at once; otherwise one does.
    `thresholds` f32[label]: the probability from which each label of several holds. `nothing`: the number of the label of a
    line of which the model sees nothing; -1: such a line has no label. `typical`: the quantiles of the scores of familiarity.py
    on lines that the model was tried on; None: not known. `order` i64[column] and `starts` i64[label]: which columns each label
    adds up, where some labels stand for finer ones. `numbers`: label or finer label -> number of the label.
    """

    name: str
    labels: tuple[str, ...]
    columns: slice
    several: bool = False
    temperature: float = 1.0
    thresholds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    nothing: int = -1
    typical: np.ndarray | None = None
    order: np.ndarray | None = None
    starts: np.ndarray | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)

    def bounds(self, threshold: float | None) -> np.ndarray:
        """The probability from which each label of several holds, f32[label]. `threshold`: instead of the model's own."""
        if threshold is None:
            return self.thresholds
        return np.where(np.isinf(self.thresholds), self.thresholds, np.float32(threshold))

    def probabilities(self, logits: np.ndarray, temperature: float | None = None) -> np.ndarray:
        """logits f[line, column] -> f[line, label]. `temperature`: instead of the model's own."""
        scaled = logits / logits.dtype.type(self.temperature if temperature is None else temperature)
        found = sigmoid(scaled) if self.several else softmax(scaled)
        if self.order is not None and self.starts is not None:
            found = np.add.reduceat(found[:, self.order], self.starts, axis=1)
        if found.shape[1] < len(self.labels):  # the label of nothing is none of the graph's
            found = np.concatenate([found, np.zeros((len(found), 1), found.dtype)], axis=1)
        return found

    def likeliest(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The label of each line's highest logit, i64[line], and the lines in which another label may be likelier, because it
        adds up several columns. For a head of which one label holds and some labels stand for finer ones."""
        assert self.order is not None
        assert self.starts is not None
        sizes = np.diff(self.starts, append=len(self.order))
        label_of = np.empty(len(self.order), np.int64)
        label_of[self.order] = np.repeat(np.arange(len(sizes)), sizes)
        highest = logits.argmax(1)
        best = np.take_along_axis(logits, highest[:, None], 1)[:, 0]
        near = np.zeros(len(logits), bool)
        for label in np.flatnonzero(sizes > 1).tolist():
            columns = self.order[self.starts[label] : self.starts[label] + sizes[label]]
            # n columns together are at most n times as likely as the likeliest of them; 0.01 covers what is rounded.
            near |= logits[:, columns].max(1) + self.temperature * (np.log(sizes[label]) + 0.01) >= best
        return label_of[highest], np.flatnonzero(near)


def heads_of(facts: Sequence[Mapping[str, Any]], fine: bool, where: object) -> list[Head]:
    """The heads that a manifest states. `fine`: answer finer labels themselves instead of the coarse ones they belong to.

    Raises TextkitError, which begins with `where`, if what is stated does not fit together.
    """
    if not facts:
        raise TextkitError(f"{where}: its manifest states no head")
    heads, begin = [], 0
    for stated in facts:
        heads.append(_head(stated, begin, fine, f"{where}: head {quoted(stated['name'])}"))
        begin += len(stated["labels"])
    return heads


def chosen(heads: Sequence[Head], name: str | None) -> Head:
    """The head of that name, or the first. Raises UsageError for an unknown name, with the nearest one."""
    if name is None:
        return heads[0]
    for head in heads:
        if head.name == name:
            return head
    names = [head.name for head in heads if head.name]
    raise UsageError(f"--head {name}: unknown{nearest(name, names) or '; the model has one head, which has no name'}")


def _head(stated: Mapping[str, Any], begin: int, fine: bool, where: str) -> Head:
    labels: list[str] = list(stated["labels"])
    several, coarse = stated["several"], stated.get("coarse") or {}
    if not labels:
        raise TextkitError(f"{where}: has no label")
    if len(set(labels)) < len(labels):
        raise TextkitError(f"{where}: a label occurs twice")
    if several and coarse:
        raise TextkitError(f"{where}: 'coarse' is for a head of which exactly one label holds")
    thresholds = stated.get("thresholds")
    if thresholds is not None and len(thresholds) != len(labels):
        raise TextkitError(f"{where}: states {len(thresholds)} thresholds for {len(labels)} labels")
    targets = [label if fine else coarse.get(label, label) for label in labels]
    found = list(dict.fromkeys(targets))
    place = {label: at for at, label in enumerate(found)}
    order = starts = None
    if len(found) < len(labels):
        of_columns = np.array([place[target] for target in targets])
        order = np.argsort(of_columns, kind="stable")
        starts = np.searchsorted(of_columns[order], np.arange(len(found)))
    limits = np.full(len(found), _THRESHOLD) if thresholds is None else np.array(thresholds)
    nothing = stated.get("nothing", "")
    if nothing and nothing not in place:
        place[nothing] = len(found)
        found.append(nothing)
        limits = np.append(limits, np.inf)  # no line has it by its logits
    typical = stated.get("typical")
    if typical is not None and (len(typical) != QUANTILES or sorted(typical) != list(typical)):
        raise TextkitError(f"{where}: 'typical' is not {QUANTILES} ascending numbers")
    numbers = {**place, **{label: place[target] for label, target in zip(labels, targets, strict=True)}}
    return Head(
        stated["name"], tuple(found), slice(begin, begin + len(labels)), several, max(_LEAST, stated["temperature"]),
        limits.astype(np.float32), place[nothing] if nothing else -1,
        None if typical is None else np.array(typical), order, starts, numbers,
    )  # fmt: skip
