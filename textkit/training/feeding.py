"""The batches that a plugin makes of a run's data, epoch by epoch, and how many there are. Knows no network and no loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from textkit.corpora.corpus import Corpus
from textkit.guard import blamed, blaming, checked
from textkit.training.checkpoint import random_state_kept
from textkit.training.events import Event, Stage
from textkit.training.optim import needs_total
from textkit.training.position import Position
from textkit.training.run import Run


class Feed:
    """The batches of `corpus`, of `size` examples each if the plugin heeds it."""

    def __init__(self, run: Run, corpus: Corpus, size: int) -> None:
        self.run, self.corpus, self.size = run, corpus, size
        self.plugin = run.plugin

    def batches(self, number: int, start: int) -> Iterator[Any]:
        """The batches of epoch `number` from batch `start` on."""
        epoch = self.run.epoch(number, start, self.size)
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
