"""Which labels a data set has, head by head, and what is said where two sets have others. Knows no file and no model."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from textkit.errors import TextkitError, TextkitWarning, quoted

LabelSets = dict[str, Counter[str]]  # head -> how many lines have each label

_MOST = 1 << 17  # labels: of more, a training says itself what is wrong
_NAMED = 5  # labels in a message


def add(found: LabelSets, head: str, every: Iterable[tuple[str, ...]]) -> None:
    """Counts the labels of lines of a head."""
    found.setdefault(head, Counter()).update(chain.from_iterable(every))


def compare(where: object, dev: LabelSets, known: Mapping[str, Collection[str]]) -> None:
    """Raises TextkitError, which begins with `where`, if no label of `dev` is `known`, so that nothing can be measured; warns
    of labels and heads that are not, because their lines are wrong whatever is learnt."""
    if sum(map(len, (*dev.values(), *known.values()))) > _MOST:
        return
    heads = [head for head in dev if head in known]
    for head in heads:
        learnt, there = known[head], dev[head]
        strange = [label for label in sorted(there) if label not in learnt]
        of_head = f" of {quoted(head)}" if head else ""
        if not there:
            raise TextkitError(f"{where}: no line{of_head} has a label")
        if len(strange) == len(there):
            raise TextkitError(
                f"{where}: none of its labels{of_head} is in the data to learn from: {listed(strange)}; "
                f"that has {listed(sorted(learnt))}"
            )
        if strange:
            lacks = f"{len(strange):,} of {len(there):,} labels{of_head} are not in the data to learn from"
            text = f"{where}: {lacks}, so their lines count as wrong: {listed(strange)}"
            warnings.warn(TextkitWarning(text), stacklevel=2)
    if not heads:
        raise TextkitError(
            f"{where}: has no line of a head to learn: {listed(sorted(dev))}, not {listed(sorted(known))}"
        )
    if left := sorted(set(dev) - set(heads)):
        text = f"{where}: heads that are not in the data to learn from are left out: {listed(left)}"
        warnings.warn(TextkitWarning(text), stacklevel=2)


def tell_lost(where: object, whole: LabelSets, learnt: Mapping[str, Collection[str]]) -> None:
    """Warns of labels that no line to learn from has, because the split took all of theirs."""
    lost = sorted({label for head, counts in whole.items() for label in counts if label not in learnt.get(head, ())})
    if lost:
        text = f"the split 70/20/10 left no line to learn from of {listed(lost)}; give --dev FILE to train on all lines"
        warnings.warn(TextkitWarning(f"{where}: {text}"), stacklevel=2)


def too_few(where: object, labels: int) -> TextkitError:
    """The error where there is nothing to choose: no label, or one."""
    return TextkitError(f"{where}: has one label, and two are the least" if labels else f"{where}: no line has a label")


def listed(labels: Sequence[str]) -> str:
    """Some labels, with how many more there are."""
    shown = ", ".join(map(quoted, labels[:_NAMED]))
    return f"{shown} and {len(labels) - _NAMED:,} more" if len(labels) > _NAMED else shown
