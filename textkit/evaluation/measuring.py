"""What a task provides for `textkit evaluate` to measure its models. Knows no task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

    from textkit.bundle.bundle import Bundle

NOT, PERHAPS, LIKELY, SURE = 0, 1, 2, 3  # how likely data is for a task's models


@dataclass(frozen=True)
class Figures:
    """One measurement as it is written: `record`, its JSON object, and `rows`, its lines of cells."""

    record: Mapping[str, Any]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Question:
    """What a user asks about a model. `options`: the values of the evaluation's own options by name; `note` and `warn` show
    the user a line."""

    model: Bundle
    data: Sequence[str]  # files; "-" is stdin
    metrics: Sequence[str]  # empty if the user names none
    device: str
    threads: int | None
    options: Mapping[str, Any]
    note: Callable[[str], None]
    warn: Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """The `evaluation` of a task's record.

    `measure`: the figures, one after the other. `options`: those of `textkit evaluate` that only models of this task obey;
    `of_metrics`: the metrics that some of these options are for. `several`: which metrics are measured together, True for all
    of the task's. `claims`: how likely the data in these files is for models of the task, from NOT to SURE.
    """

    measure: Callable[[Question], Iterator[Figures]]
    options: Sequence[click.Option] = ()
    of_metrics: Mapping[str, Sequence[str]] = field(default_factory=dict)
    several: bool | Collection[str] = False
    claims: Callable[[Sequence[str]], int] = lambda paths: NOT

    def together(self, metrics: Collection[str]) -> frozenset[str]:
        """Which of the task's `metrics` are measured together."""
        if isinstance(self.several, bool):
            return frozenset(metrics if self.several else ())
        return frozenset(self.several) & frozenset(metrics)
