"""Where a training stands and when it ends, and the losses that are still on the device. Knows no loop.

Losses are read several at a time, so that the training does not wait for a GPU after every batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError
from textkit.plugin import Score, Training
from textkit.training.outcome import Outcome

if TYPE_CHECKING:
    import torch


_OF_LOSS = ("perplexity", "word_perplexity")  # numbers for any text, unless the training has diverged


class Diverged(TextkitError):
    """A loss, a weight or a dev score is no longer finite."""


def check_finite(network: torch.nn.Module, step: int, rate: float) -> None:
    """Raises Diverged, with the update and its learning rate, if a parameter holds a value that is not finite."""
    import torch

    for name, parameter in network.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise Diverged(f"training diverged: {name} is not finite after update {step} (learning_rate={rate:g})")


def check_score(score: Score, step: int, rate: float) -> None:
    """Raises Diverged if a dev score, or a figure beside it, is infinite, or if a perplexity among them is NaN.

    Any other figure may be NaN, as the correlation of constant values is.
    """
    for name, value in {score.name: score.value, **score.detail}.items():
        if isinstance(value, float) and (math.isinf(value) or (math.isnan(value) and name in _OF_LOSS)):
            said = "is no number" if math.isnan(value) else "is infinite"
            raise Diverged(f"training diverged: the dev {name} after update {step} {said} (learning_rate={rate:g})")


@dataclass
class Position:
    """Where a training stands: all of it goes into a checkpoint."""

    epoch: int = 0
    batch: int = 0  # batches of this epoch done
    step: int = 0  # updates done
    epoch_batches: int = 0  # batches an epoch; 0: not known yet
    examples: int = 0
    words: int = 0
    seconds: float = 0.0
    loss: float = 0.0  # of this epoch, a weighted sum
    weight: float = 0.0  # of this epoch, the sum of the weights
    last_loss: float | None = None  # the mean of the last whole epoch
    best: float | None = None  # the best dev score
    best_step: int = 0
    best_detail: dict[str, Any] = field(default_factory=dict)  # of the best: name, value, what was logged beside it
    scored_step: int = -1  # the update at which the last dev score was taken
    waited: int = 0  # dev scores since the best
    first_epoch: int = 0  # where the schedule began: above 0 in a run that was complete and goes on
    first_step: int = 0

    def end(self, training: Training) -> str:
        """Why the training is at its end: patience, max_steps or epochs; '' while it is not."""
        if training.patience and self.waited >= training.patience:
            return "patience"
        if training.max_steps and self.step >= training.max_steps:
            return "max_steps"
        return "epochs" if self.epoch >= training.epochs else ""

    def steps(self, training: Training, group: int) -> int:
        """Updates in the whole training, each of `group` batches (0: of a whole epoch); 0 if that is not known yet."""
        updates = math.ceil(self.epoch_batches / group) if group else 1
        total = self.first_step * bool(updates) + updates * (training.epochs - self.first_epoch)
        return min(total or training.max_steps, training.max_steps or total)

    def end_epoch(self) -> None:
        self.epoch_batches = self.epoch_batches or self.batch
        self.last_loss = self.mean_loss()
        self.epoch, self.batch, self.loss, self.weight = self.epoch + 1, 0, 0.0, 0.0

    def mean_loss(self) -> float | None:
        """The mean loss of this epoch so far, or of the one before if this one has just begun."""
        return self.loss / self.weight if self.weight else self.last_loss

    def take(self, score: Score) -> bool:
        """Records a dev score; returns whether it is the best so far. NaN never is."""
        better = self.best is None or (score.value > self.best if score.higher_is_better else score.value < self.best)
        if math.isnan(score.value) or not better:
            self.waited += 1
            return False
        self.best, self.best_step, self.waited = score.value, self.step, 0
        self.best_detail = {"name": score.name, "value": score.value, **score.detail}
        return True


class Meter:
    """Holds the outcomes of batches until they are read, and updates the counts and the epoch's loss of a Position."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.waiting: list[tuple[int, float, Outcome]] = []  # update, learning rate, what came of the batch
        self.shown = time.monotonic()

    def add(self, outcome: Outcome, learning_rate: float) -> None:
        self.position.examples += outcome.examples
        self.position.words += outcome.words
        self.waiting.append((self.position.step + 1, learning_rate, outcome))

    def read(self) -> dict[str, Any]:
        """What waited: its mean `loss` with its `weight`, the last `learning_rate`, and the means of the rest as `detail`.

        Raises Diverged, with the update and its learning rate, for a loss that is not finite.
        """
        total, weight = 0.0, 0.0
        sums: dict[str, list[float]] = {}
        waiting = [outcome for *_, outcome in self.waiting]
        numbers = iter(_numbers([part for each in waiting for part in (each.loss, each.weight, *each.detail.values())]))
        for step, rate, outcome in self.waiting:
            loss, weighs = next(numbers), next(numbers)
            if loss is not None:
                if not math.isfinite(loss):
                    raise Diverged(f"training diverged: the loss of update {step} is {loss} (learning_rate={rate:g})")
                total += loss * weighs
                weight += weighs
                self.position.loss += loss * weighs  # one by one: the sum must not depend on when it is read
                self.position.weight += weighs
            for key in outcome.detail:
                sums.setdefault(key, []).append(next(numbers))
        rate = self.waiting[-1][1]
        self.waiting.clear()
        self.shown = time.monotonic()
        detail = {key: sum(values) / len(values) for key, values in sums.items()}
        return {"loss": total / weight if weight else None, "weight": weight, "learning_rate": rate, "detail": detail}


def _numbers(things: Sequence[Any]) -> list[Any]:
    """Numbers and scalar tensors as floats, None as None. What is on a GPU comes in one copy, which is waited for once."""
    there = [thing for thing in things if getattr(thing, "is_cuda", False)]
    copied: Iterator[float] = iter(())
    if there:
        import torch

        copied = iter(torch.stack([thing.detach().double() for thing in there]).tolist())
    found = []
    for thing in things:
        on_gpu = getattr(thing, "is_cuda", False)
        found.append(next(copied) if on_gpu else None if thing is None else float(thing))
    return found
