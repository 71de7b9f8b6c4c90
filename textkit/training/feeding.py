"""The batches that a plugin makes of a run's data, epoch by epoch, and how many there are. Knows no network and no loop."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.corpora.corpus import Corpus
from textkit.guard import blamed, blaming, checked
from textkit.training.checkpoint import random_state_kept
from textkit.training.distributed.parallel import ALONE, Alone
from textkit.training.events import Event, Stage
from textkit.training.optim import needs_total
from textkit.training.position import Position
from textkit.training.prefetching import ahead
from textkit.training.run import Run

if TYPE_CHECKING:
    import torch


class Feed:
    """The batches of `corpus`, of `size` examples each if the plugin heeds it."""

    def __init__(self, run: Run, corpus: Corpus, size: int, device: torch.device, team: Alone = ALONE) -> None:
        self.run, self.corpus, self.size = run, corpus, size
        self.device, self.team = device, team
        self.plugin = run.plugin

    def to_learn(self, at: Position, done: int) -> Generator[Any, None, None]:
        """The batches of the epoch from where it stands; `done`: how many its group already has. To be closed where it is left.

        In a team there may be None in place of batches that other processes learn from. For a GPU they are made ahead.
        """
        turn = None if self.team.alone else (self.team.rank - done) % self.team.size
        batches = self.batches(at.epoch, at.batch, turn)
        return ahead(batches, self.device) if self.device.type == "cuda" else batches

    def batches(self, number: int, start: int, turn: int | None = None) -> Generator[Any, None, None]:
        """The batches of epoch `number` from batch `start` on."""
        epoch = self.run.epoch(number, start, self.size, turn)
        with blaming(self.plugin, "batches"):
            batches = self.plugin.batches(self.corpus, self.run.vocabulary, self.run.config, epoch)
        return blamed(self.plugin, "batches", batches)

    def count(self, at: Position) -> Iterator[Event]:
        """Finds how many batches an epoch has: from the plugin's `steps`, or by counting if the schedule needs the number."""
        training = self.run.training
        if at.epoch_batches:
            return
        if self.plugin.steps is not None:
            yield Stage("reading the data as numbers, to count its batches")
            epoch = self.run.epoch(0, 0, training.batch_size)
            with blaming(self.plugin, "steps"):
                steps = self.plugin.steps(self.corpus, self.run.vocabulary, self.run.config, epoch)
            at.epoch_batches = int(checked(self.plugin, "steps", steps, int, np.integer))
        elif needs_total(training):
            yield Stage("counting the batches of an epoch, for the schedule")
            with random_state_kept():
                at.epoch_batches = sum(1 for _ in self.batches(at.epoch, 0))

    def make_files(self, at: Position) -> None:
        """Has the plugin make what it keeps in the run, before several processes want it."""
        with random_state_kept():
            next(self.batches(at.epoch, at.batch), None)
