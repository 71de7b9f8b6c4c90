"""The training loop. It yields what happens (textkit.training.events) and leaves showing and logging to its caller.

Owns batches and dev scores, and the order in which all happens; knows no model and no optimizer. standing.py has the schedule,
the checkpoints, and going on after an interruption.

In a team (distributed/parallel.py) every process goes through this loop. A decision that depends on a clock or a signal is put
to all processes, between two groups of batches, so that none waits for a step that the others do not take. Only the leader
writes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec

from textkit.corpora.batching import move
from textkit.corpora.corpus import Corpus
from textkit.errors import TextkitError, UsageError
from textkit.guard import blamed, blaming, checked
from textkit.learning import Fit
from textkit.plugin import Score
from textkit.serving.machine import cpus
from textkit.training import checkpoint
from textkit.training.distributed.parallel import ALONE, Alone
from textkit.training.effects import check_options, has_score
from textkit.training.events import Done, EpochDone, Event, Progress, Scored, Stage, Started, Stopped
from textkit.training.norms import weight_norms
from textkit.training.position import Diverged, check_score
from textkit.training.preparing import (
    choose_device,
    learn_vocabulary,
    parts,
    products,
    repeatable,
    set_variables,
    split,
    tell_changes,
)
from textkit.training.run import Run
from textkit.training.standing import Standing

SHOWN_SECONDS = 0.1  # between two Progress events, at least


def train(
    run: Run,
    corpus: Corpus,
    dev: Corpus | None = None,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    team: Alone = ALONE,
    enough: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Trains `run` to its end, or until `stop`, called after every batch, returns true; then it writes a checkpoint.

    Once `enough`, called after every batch too, returns true, the training is complete: it is scored as it stands. Neither
    `fit` nor several processes heed it.

    With `resume` it goes on from whatever stage the run's folder has reached. Raises TextkitError for what a user can
    understand: a corpus too small, a loss that is not finite (the last good checkpoint stays), a full disk.
    """
    plugin, training = run.plugin, run.training
    if run.complete:
        yield Done("complete", run.facts)
        return
    if run.checkpoint.exists() and not resume:
        raise UsageError(f"{run.folder}: holds a training that was interrupted; --resume goes on with it")
    check_options(plugin, training)
    if not team.alone and (plugin.update is not None or plugin.fit is not None):
        raise UsageError(
            f"{plugin.name}: only what is trained by the gradient of a loss is trained in several processes"
        )
    set_variables(threads or max(1, cpus() // team.local_size))
    if "torch" not in sys.modules:
        if find_spec("torch") is None:  # raised before any Stage is shown
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        yield Stage("loading PyTorch")
    where = team.device(choose_device(device, plugin, training))
    threads = threads or run.facts.get("threads") or max(1, cpus() // team.local_size)
    tell_changes(run, threads, team.size)
    with run.locked(), repeatable(where, threads, run.seed, team.rank), products(where, training.precision):
        if team.leads:
            yield from split(run, corpus, dev)
            yield from learn_vocabulary(run, parts(run, corpus, dev)[0])
        team.wait()
        if not team.leads:
            run.refresh()
        learnt, dev, test = parts(run, corpus, dev)
        loop = Loop(run, learnt, dev if has_score(plugin) else None, test, where, threads, team)
        try:
            yield from loop.descend(stop, enough) if plugin.fit is None else loop.fit(plugin.fit, stop)
        except Diverged as error:
            kept = "no checkpoint was written yet"
            if run.checkpoint.exists():
                kept = f"the checkpoint of update {checkpoint.read_header(run.checkpoint)['position']['step']} is kept"
            advice = "" if plugin.update is not None else ", or with clip (--set clip=1)"
            raise TextkitError(f"{error}; {kept}; start again with a lower learning_rate{advice}") from error


class Loop(Standing):
    """One training, from the learnt vocabulary to its end."""

    def descend(self, stop: Callable[[], bool], enough: Callable[[], bool]) -> Iterator[Event]:
        """Trains batch by batch to the end."""
        at = self.position
        ended = False  # by `enough`

        def halt() -> bool:
            nonlocal ended
            ended = ended or enough()
            return ended or stop()

        anew = self.team.share(lambda: self.run.again is not None and not self.run.checkpoint.exists())
        if anew:
            yield Stage(self._begin_again())
        self._go_on()
        if self.team.leads:
            yield from self.feed.count(at)
            if not self.team.alone:
                self.feed.make_files(at)
        at.epoch_batches = self.team.share(lambda: at.epoch_batches)
        self.network.train()
        yield Started(
            at.epoch, self.training.epochs, at.step, self.steps, at.examples, at.words, at.seconds, str(self.device),
            self.parameters, checked(self.plugin, "unit", self.plugin.unit(self.run.vocabulary), str),
        )  # fmt: skip
        yield from self._compiling()
        if anew:  # so that an interruption from here on does not change the result's bits
            yield from self._save()
        elif not at.step and at.scored_step < 0 and self.run.facts.get("begun", {}).get("prepared"):
            yield from self._score()  # what it begins with may be the best
        while not at.end(self.training):
            stopped = yield from self._pass(halt)
            if ended:
                break
            if stopped and not at.end(self.training):
                yield from self._save()
                yield Stopped(at.step, saved=True)
                return
        yield from self._show()
        if at.scored_step != at.step:
            yield from self._score()
        yield from self._finish(at.end(self.training) or "enough")

    def fit(self, fit: Fit, stop: Callable[[], bool]) -> Iterator[Event]:
        """Trains by the plugin's `fit` instead of gradient steps; a fit that was interrupted begins anew."""
        at, run = self.position, self.run
        yield Started(0, 1, 0, 0, 0, 0, 0.0, str(self.device), self.parameters)
        yield from self._compiling()
        with blaming(self.plugin, "fit"):
            logs = fit(self.network, self.corpus, run.vocabulary, run.config, run.epoch(0, 0, 0))
        for log in blamed(self.plugin, "fit", logs):
            checked(self.plugin, "fit, with each yield,", log, Mapping)
            at.step += 1
            at.examples, at.words = int(log.get("examples", at.examples)), int(log.get("words", at.words))
            at.last_loss = at.last_loss if log.get("loss") is None else float(log["loss"])
            detail = {key: float(value) for key, value in log.items() if key not in ("examples", "words", "loss")}
            yield Progress(0, at.step, 0, log.get("loss"), 1, 0.0, at.examples, at.words, self._seconds(), detail)
            if stop():
                yield Stopped(at.step, saved=False)
                return
        yield from self._score()
        yield from self._finish("fit")

    def _compiling(self) -> Iterator[Event]:
        if self.plugin.compiles and self.device.type == "cpu":
            yield Stage("compiling the kernels, or loading them where they are compiled already")

    def _pass(self, stop: Callable[[], bool]) -> Generator[Event, None, bool]:
        """Trains to the end of the epoch, or of the training if that comes first; returns whether `stop` ended it."""
        at, training = self.position, self.training
        with closing(self.feed.to_learn(at, self.learner.batches)) as batches:
            for batch in batches:
                rate = self._rate()
                with blaming(self.plugin, "loss" if self.plugin.update is None else "update"):
                    outcome = self.learner.learn(move(batch, self.device), rate)
                self.meter.add(outcome, rate)
                at.batch += 1
                at.step += outcome.updated
                yield from self._after_batch(outcome.updated)
                if at.end(training):
                    return False
                if self._together and self.team.any(stop()):
                    return True
        if not at.batch:
            names = ", ".join(map(str, self.corpus.paths))
            raise TextkitError(f"{names}: the corpus is too small: {self.plugin.name} made no batch of it")
        if self.learner.batches:  # the last group of the epoch is smaller
            rate = self._rate()
            self.meter.add(self.learner.update(rate), rate)
            at.step += 1
        yield from self._show()
        at.end_epoch()
        yield EpochDone(at.epoch, at.step, at.last_loss, self._seconds(), self._norms())
        if not training.eval_steps:
            yield from self._score()
        yield from self._save_in_time()
        return False

    def _after_batch(self, updated: bool) -> Iterator[Event]:
        """Does what is due: shows progress, takes a dev score, writes a checkpoint."""
        every = self.training.eval_steps
        if time.monotonic() - self.meter.shown >= SHOWN_SECONDS:
            yield from self._show()
        if updated and every and self.position.step % every == 0:
            yield from self._score()
        yield from self._save_in_time(updated)

    def _score(self) -> Iterator[Event]:
        """Takes the dev score, and keeps the weights if it is the best so far."""
        at, dev = self.position, self.dev
        if dev is None:
            return
        yield from self._show()
        began = time.monotonic()
        with self.learner.kept():
            score = self.team.share(lambda: self._score_on(dev))
            seconds = time.monotonic() - began
            at.scored_step = at.step
            if score is not None:
                check_score(score, at.step, self._rate(-1))
            best = score is not None and at.take(score)
            if best:
                self._keep()
        averaging = self._heed(score)
        if score is not None:
            yield Scored(at.epoch, at.step, score, best, averaging, self._norms(), seconds)

    def _norms(self) -> Mapping[str, float]:
        """The norms of the weights in training; empty if this update's were reported already."""
        told, self._told = self._told, self.position.step
        return {} if told == self._told else weight_norms(self.network)

    def _heed(self, score: Score | None) -> bool:
        """Whether this score makes the learner begin to average the weights.

        Until then every score restarts patience, which could otherwise end the training before the averaging begins.
        """
        if not self.learner.waits:
            return False
        self.learner.heed(score)
        self.position.waited = 0
        return not self.learner.waits

    def _score_on(self, corpus: Corpus) -> Score | None:
        import torch

        self.network.eval()
        with checkpoint.random_state_kept(), torch.no_grad(), blaming(self.plugin, "score"):
            score = self.plugin.score(self.network, corpus, self.run.vocabulary, self.run.config)
        self.network.train()
        return checked(self.plugin, "score", score, Score, type(None))

    def _finish(self, reason: str) -> Iterator[Event]:
        """Keeps the weights, scores the test lines with the best ones, and records the results."""
        at, facts = self.position, self.run.facts
        if at.best is None:
            with self.learner.kept():
                self._keep()
        else:
            facts.update(dev_score=at.best_detail, best_step=at.best_step)
            if self.test is not None and self.team.leads:
                yield Stage("scoring the test lines")
                checkpoint.load_network(self.network, self.run.weights)
                score = self._score_on(self.test)
                facts["test_score"] = score and {"name": score.name, "value": score.value, **score.detail}
        facts.update(reason=reason, epochs=at.epoch, steps=at.step, examples=at.examples, words=at.words)
        facts.update(seconds=round(self._seconds(), 3), loss=at.mean_loss())
        self.run.finish()
        self.team.wait()
        yield Done(reason, facts)
