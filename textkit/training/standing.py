"""Where a training stands, and what it keeps of that in the run's folder: the best weights, and checkpoints to go on from.

A checkpoint holds the whole state of a training: on the CPU, a training that goes on from one ends with the same bits as one
that was never interrupted. In a team only the leader writes. Knows no model and no order of events.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from textkit.corpora.corpus import Corpus
from textkit.guard import blaming
from textkit.training import checkpoint
from textkit.training.descent import FULL_BATCH_PIECE, Descent, Learner, OwnUpdate
from textkit.training.distributed.parallel import Alone
from textkit.training.events import Event, Progress, Saved
from textkit.training.feeding import Feed
from textkit.training.optim import learning_rate
from textkit.training.position import Diverged, Meter, Position, check_finite
from textkit.training.run import Run

if TYPE_CHECKING:
    import torch


class Standing:
    """A training in progress: its network, its learner and its position in the data."""

    def __init__(
        self,
        run: Run,
        corpus: Corpus,
        dev: Corpus | None,
        test: Corpus | None,
        device: torch.device,
        threads: int,
        team: Alone,
    ) -> None:
        self.run, self.corpus, self.dev, self.test, self.team = run, corpus, dev, test, team
        self.plugin, self.training, self.device = run.plugin, run.training, device
        self.position = Position()
        self.meter = Meter(self.position)
        with blaming(self.plugin, "network"):
            self.network = run.new_network().to(device)
        team.align(self.network)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.learner = self._new_learner(threads)
        whole = self.training.batch_size == 0 and isinstance(self.learner, Descent)
        self.feed = Feed(run, corpus, FULL_BATCH_PIECE if whole else self.training.batch_size, device, team)
        self._began = self._saved = time.monotonic()
        self._told = -1  # the update whose norms were reported last
        run.facts.update(device=str(device), processes=team.size, threads=threads, parameters=self.parameters)
        run.save()

    def _new_learner(self, threads: int) -> Learner:
        if self.plugin.update is not None:
            return OwnUpdate(self.plugin, self.plugin.update, self.network, self.run.config, threads)
        if self.plugin.fit is None:
            return Descent(self.plugin, self.network, self.training, self.device, self.team)
        return Learner()

    def _show(self) -> Iterator[Event]:
        """Reads the losses that may still be on the device; one that is not finite ends the training here."""
        at = self.position
        if self.meter.waiting:
            try:
                read = self.meter.read()
            except Diverged:
                if self.team.leads:
                    raise
                return  # the leader reads the same loss and raises
            yield Progress(
                epoch=at.epoch, step=at.step, steps=self.steps, examples=at.examples, words=at.words,
                seconds=self._seconds(), **read,
            )  # fmt: skip

    def _keep(self) -> None:
        if self.team.leads:
            self._check_finite()
            checkpoint.save_network(self.network, self.run.weights)

    @property
    def steps(self) -> int:
        return self.position.steps(self.training, self.learner.group)

    @property
    def _together(self) -> bool:
        """Whether all processes stand at the same place: between two groups."""
        return self.team.alone or not self.learner.batches

    def _seconds(self) -> float:
        return self.position.seconds + time.monotonic() - self._began

    def _save_in_time(self, updated: bool = False) -> Iterator[Event]:
        every = self.training.checkpoint_steps
        due = updated and every and self.position.step % every == 0
        due = due or time.monotonic() - self._saved >= self.training.checkpoint_seconds
        if self._together and self.team.any(due):
            yield from self._save()

    def _save(self) -> Iterator[Event]:
        yield from self._show()  # first: a loss that is not finite must not get into a checkpoint
        position = {**asdict(self.position), "seconds": self._seconds()}
        states = self.team.gather(checkpoint.random_state())
        if self.team.leads:
            self._check_finite()
            checkpoint.save_checkpoint(self.run.checkpoint, self.network, self.learner.state(), position, states)
        self._saved = time.monotonic()
        yield Saved(self.position.step, self.run.checkpoint)

    def _go_on(self) -> None:
        if not self.run.checkpoint.exists():
            return
        learner, position, random = checkpoint.load_checkpoint(self.run.checkpoint, self.network, self.team.rank)
        self.learner.load(learner)
        for key, value in position.items():
            setattr(self.position, key, value)
        if random is not None:
            checkpoint.set_random_state(random)

    def _begin_again(self) -> str:
        """Loads the best weights of a run that was complete; returns the line to show."""
        at, training = self.position, self.training
        checkpoint.load_network(self.network, self.run.weights)
        self.learner = self._new_learner(self.run.facts["threads"])  # its average begins with these weights
        for key, value in (self.run.again or {}).items():
            setattr(at, key, value)
        best = f" (those of update {at.best_step:,})" if at.best is not None else ""
        return (
            f"going on from the best weights{best} after {at.epoch} epochs, to {training.epochs}"
            f"{f' or update {training.max_steps:,}' if training.max_steps else ''}; optimizer and schedule start afresh"
            f" (learning_rate={training.learning_rate:g}, {training.schedule})"
        )

    def _check_finite(self) -> None:
        check_finite(self.network, self.position.step, self._rate(-1))

    def _rate(self, ahead: int = 0) -> float:
        """The learning rate of the next update; with `ahead` -1, of the last one."""
        at = self.position
        return learning_rate(self.training, max(at.step - at.first_step + ahead, 0), max(self.steps - at.first_step, 0))
