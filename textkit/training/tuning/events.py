"""What happens in a search, as it yields it, between the events of its trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit.training.events import Event
from textkit.training.tuning.trials import Trial

if TYPE_CHECKING:
    from textkit.training.run import Run


@dataclass(frozen=True)
class TrialBegan:
    """A search trains a model with other options; the events of that training follow.

    `changed`: the options that differ from what the search began with. `left`: seconds of the budget.
    """

    number: int
    changed: Mapping[str, Any]
    left: float
    run: Run


@dataclass(frozen=True)
class TrialDone:
    """A trial has ended; `best`: it is the one that would be kept if the search ended now."""

    trial: Trial
    best: bool


@dataclass(frozen=True)
class Tuned:
    """The search is over, and the run of `best` lies in `folder`.

    `reason`: budget, exhausted (nothing is left to try) or stopped. `checked`: the bytes of its export in int8; 0 without a
    bound on them.
    """

    best: Trial
    trials: int
    seconds: float
    reason: str
    folder: Path
    checked: int = 0


SearchEvent = Event | TrialBegan | TrialDone | Tuned
