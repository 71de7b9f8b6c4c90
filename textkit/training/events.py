"""What happens in a training, as the trainer yields it; whoever drives the training decides what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit.plugin import Score

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Stage:
    """Something slow begins: loading PyTorch, reading the data, counting batches, compiling kernels."""

    text: str


@dataclass(frozen=True)
class Started:
    """The loop begins, at `step` of `steps` updates (0: not known yet)."""

    epoch: int
    epochs: int
    step: int
    steps: int
    examples: int  # done so far, and the words and seconds of them
    words: int
    seconds: float
    device: str
    parameters: int  # numbers in the network
    unit: str = ""  # what a perplexity is per: word, token


@dataclass(frozen=True)
class Progress:
    """Some batches are done: `loss` and `detail` are means over those since the last Progress, counts are totals."""

    epoch: int
    step: int
    steps: int  # updates in the whole training; 0: not known yet
    loss: float | None
    weight: float  # what the loss is a mean of
    learning_rate: float
    examples: int
    words: int
    seconds: float  # spent training, over all resumed parts
    detail: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EpochDone:
    """A pass over the data is done; `loss` is its mean loss."""

    epoch: int
    step: int
    loss: float | None
    seconds: float
    norms: Mapping[str, float] = field(default_factory=dict)  # of each parameter; empty if reported at this step before


@dataclass(frozen=True)
class Scored:
    """The dev score was taken; `best`: better than all before, and its weights are kept."""

    epoch: int
    step: int
    score: Score
    best: bool
    averaging: bool = False  # nt-asgd: from here on the mean of the weights is scored and kept
    norms: Mapping[str, float] = field(default_factory=dict)  # as in EpochDone
    seconds: float = field(default=0.0, compare=False)  # that taking it took; the same training takes its own time


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on the disk."""

    step: int
    path: Path


@dataclass(frozen=True)
class Stopped:
    """Somebody asked to stop. `saved`: a checkpoint holds all that was done."""

    step: int
    saved: bool
    kept: bool = False  # whether there is an earlier checkpoint


@dataclass(frozen=True)
class Done:
    """The training is complete. `facts` are the run's.

    `reason`: epochs, max_steps, patience, fit or enough, for what ended it; complete, if it had ended before.
    """

    reason: str
    facts: Mapping[str, Any]


Event = Stage | Started | Progress | EpochDone | Scored | Saved | Stopped | Done
