"""How `textkit evaluate` measures the models of a task: what each task that has an evaluation gives. Knows no task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

    from textkit.bundle.bundle import Bundle

NOT, PERHAPS, LIKELY, SURE = 0, 1, 2, 3  # whether data is for a task's models


@dataclass(frozen=True)
class Figures:
    """One measurement as it is written: `record`, its JSON object, and `rows`, its lines of cells."""

    record: Mapping[str, Any]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Question:
    """What somebody wants to know of a model. `options`: the values of the evaluation's own options by name; `note` and
    `warn` say a line to a person."""

    model: Bundle
    data: Sequence[str]  # files; "-" is stdin
    metrics: Sequence[str]  # none where nobody says
    device: str
    threads: int | None
    options: Mapping[str, Any]
    note: Callable[[str], None]
    warn: Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """What a task's record calls its `evaluation`.

    `measure`: the figures, one after the other. `options`: those of `textkit evaluate` that only models of this task obey, and
    `of_metrics` the metrics that some of them are for. `several`: whether more than one metric is measured at a time.
    `claims`: how likely the data in these files is for models of the task, NOT to SURE.
    """

    measure: Callable[[Question], Iterator[Figures]]
    options: Sequence[click.Option] = ()
    of_metrics: Mapping[str, Sequence[str]] = field(default_factory=dict)
    several: bool = False
    claims: Callable[[Sequence[str]], int] = lambda paths: NOT
