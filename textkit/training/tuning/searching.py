"""A search over the options of a plugin, within a budget of time: it trains one trial after another and keeps the best run.

What is tried is the plugin's business (its `space`) and that of proposing.py. A trial is an ordinary training in a folder
beside RUN. The best one so far lies in RUN at every moment, so that nothing that ends the process loses it. The seed decides
which options come, given the scores; the time decides how many trials there are, and when a long one is cut short.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from textkit import temporary
from textkit.durable import naming, replace_file
from textkit.errors import TextkitError, UsageError
from textkit.plugin import Plugin
from textkit.training.effects import has_score, without_effect
from textkit.training.events import Done, Progress, Scored, Stage, Started
from textkit.training.preparing import parts
from textkit.training.recipe import Plan, Recipe, plan, with_beginning
from textkit.training.run import Run
from textkit.training.trainer import train
from textkit.training.tuning.events import SearchEvent, TrialBegan, TrialDone, Tuned
from textkit.training.tuning.proposing import Proposals, Values, space_of
from textkit.training.tuning.trials import MB, Trial, alike, checked_mb, estimated_bytes, hopeless, ranked, table

FIRST, LATER = 1 / 2, 1 / 4  # of the budget: the most time for the first trial, and for each later one
SPARE = 5  # good trials whose runs are kept until a real export has shown which of them fits
LOWERED = 8  # times that one proposal is made smaller
FAILURES = 3  # trials in a row that fail end the search

Export = Callable[[Run, Path], Path]  # writes the model of a run in int8 into a folder


def tune(
    folder: Path,
    recipe: Recipe,
    budget: float,
    export: Export,
    max_mb: float | None = None,
    device: str = "auto",
    threads: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[SearchEvent]:
    """Searches for `budget` seconds by `clock`, or until `stop` returns true; the run in `folder` is then the best one.

    Yields the events of each training between those of its trial; the last event is Tuned. `max_mb` bounds the size of the
    model that `export` writes, in 10^6 bytes. Raises UsageError for a plugin without a space, TextkitError where the first
    trial fails, or no trial fits.
    """
    max_mb = checked_mb(max_mb)
    recipe = with_beginning(recipe)
    planned = plan(folder, recipe)
    if type(planned.plugin).space is Plugin.space:
        raise UsageError(f"--budget: {planned.plugin.name} has no search over its options (a plugin's method space)")
    if not has_score(planned.plugin):
        raise TextkitError(f"plugin {planned.plugin.name!r}: has a space, and no score to compare trials by")
    with ExitStack() as stack:
        with naming(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            workplace = stack.enter_context(temporary.beside(folder, folder=True))
        yield from Search(
            folder, workplace, recipe, planned, budget, export, max_mb, device, threads, stop, clock
        ).run()


class Search:
    """One search. `run` yields its events."""

    def __init__(
        self,
        folder: Path,
        workplace: Path,
        recipe: Recipe,
        planned: Plan,
        budget: float,
        export: Export,
        max_mb: float | None,
        device: str,
        threads: int | None,
        stop: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.folder, self.workplace, self.recipe, self.plan = folder, workplace, recipe, planned
        self.export, self.most = export, None if max_mb is None else max_mb * MB
        self.budget, self.stop, self.clock = budget, stop, clock
        self.driven: dict[str, Any] = {"device": device, "threads": threads}
        self.plugin = planned.plugin
        self.proposals = Proposals(self.plugin, planned.options, planned.training, planned.given, planned.seed)
        self.trials: list[Trial] = []
        self.places: dict[int, Path] = {}  # where the run of each trial is that may still be the one to keep
        self.kept: Trial | None = None  # whose run is in `folder`
        self.began = clock()
        self._free_epochs = "epochs" not in planned.given and "epochs" not in without_effect(self.plugin)
        self._first: Run | None = None
        self._lowered = self._failed = 0
        self._dev_lines = 0

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.budget - (self.clock() - self.began)

    @property
    def best(self) -> Trial | None:
        """The trial with the best score so far."""
        return next(iter(ranked(self.trials)), None)

    def run(self) -> Iterator[SearchEvent]:
        """Tries options until the time is over, or there is nothing left to try."""
        values: Values | None = self.proposals.base
        self.proposals.seen(self.proposals.base)
        while values is not None:
            trial = yield from self._try(values)
            self.trials.append(trial)
            self._keep()
            yield TrialDone(trial, trial is self.kept)
            values = self._next(trial)
        reason = "stopped" if self.stop() else "budget" if self._late() else "exhausted"
        size = 0
        if self.most is not None:
            size = yield from self._fitting(self.most)
        if self.kept is None:
            raise TextkitError("no trial has a dev score")
        yield Tuned(self.kept, len(self.trials), self.clock() - self.began, reason, self.folder, size)

    def _try(self, values: Values) -> Generator[SearchEvent, None, Trial]:
        """Trains with these options, as long as it is worth it."""
        trial = Trial(len(self.trials) + 1, values, self.proposals.changed(values))
        options, training = self.proposals.begun(values)
        place = self.workplace / str(trial.number)
        run = replace(self.plan, options=options, training=training).begun(place, self.recipe, self._first)
        self._first = self._first or run
        self.places[trial.number] = place
        began = self.clock()
        ends = began + min(self.left, self.budget * (LATER if self.trials else FIRST))
        yield TrialBegan(trial.number, trial.changed, self.left, run)
        events = train(
            run, run.corpus, run.dev_corpus, enough=lambda: self.stop() or self.clock() >= ends, **self.driven
        )
        try:
            steps = 0
            for event in events:
                yield event
                if isinstance(event, (Started, Progress)):
                    steps = event.steps or steps
                if isinstance(event, Started):
                    trial.bytes = estimated_bytes(run)
                    if not self.trials:
                        self._enter(run)
                    if self.most is not None and trial.bytes > self.most:
                        trial.end = "size"
                        break
                elif isinstance(event, Scored):
                    trial.epochs = event.epoch
                    share = min(1.0, event.step / steps if steps else event.epoch / training.epochs)
                    trial.note(share, share * training.epochs, event.score)
                    self._measure(trial, event, run)
                    if hopeless(trial, self.best):
                        trial.end = "worse"
                        break
                elif isinstance(event, Done):
                    trial.end, trial.epochs = event.reason, run.facts.get("epochs", trial.epochs)
            self._failed = 0
        except TextkitError as error:
            self._failed += 1
            if not self.trials or self._failed >= FAILURES:
                raise
            trial.end, trial.error = "failed", str(error)
        finally:
            events.close()  # type: ignore[attr-defined]  # a generator, which holds a lock on the run
        trial.seconds = self.clock() - began
        return trial

    def _enter(self, run: Run) -> None:
        """Asks the plugin what to try: once it is known how many lines there are."""
        space = space_of(self.plugin, run.facts["lines"])
        if space is not None:
            self.proposals.enter(space)

    def _measure(self, trial: Trial, event: Scored, run: Run) -> None:
        if not self._dev_lines:
            dev = parts(run, run.corpus, run.dev_corpus)[1]
            assert dev is not None  # there was a dev score
            self._dev_lines = sum(len(block) for block in dev.blocks())
        if event.seconds > 0:
            trial.rate = max(trial.rate, self._dev_lines / event.seconds)

    def _next(self, trial: Trial) -> Values | None:
        """The options of the next trial; None if the search is over."""
        if self.stop() or self._late():
            return None
        if trial.end == "size" and self.most is not None and self._lowered < LOWERED:
            self._lowered += 1
            if lowered := self.proposals.smaller(dict(trial.values), self.most / trial.bytes, self._fitted):
                return lowered
        self._lowered = 0
        if trial.number == 1 and trial.end == "enough":  # once more, with an end that it reaches
            shorter = self._fitted(dict(trial.values))
            if not self.proposals.seen(shorter):
                return shorter
        return self.proposals.next([dict(one.values) for one in ranked(self.trials)], self._fitted)

    def _late(self) -> bool:
        """Whether the time left is too short for a trial: below half of what the best took, and a tenth of the budget."""
        least = self.budget / 10
        if self.best is not None:
            least = min(least, self.best.seconds / 2)
        return self.left <= least

    def _fitted(self, values: Values) -> Values:
        """`values` with as many epochs as fit in a trial's time at the pace of the best, so that its schedule ends in time."""
        known = self.best or self.trials[-1]
        if self._free_epochs and known.epochs:
            fit = int(min(self.left, self.budget * LATER) / max(known.seconds / known.epochs, 1e-9))
            values = {**values, "epochs": max(1, min(values["epochs"], fit))}
        return values

    def _keep(self) -> None:
        """Puts the best run in its place, removes those that are out of the question, and writes the table."""
        order = ranked(self.trials)
        near = alike(order)
        staying = {one.number for one in [*near, *order[: SPARE if self.most is not None else 0]]}
        if near and near[0] is not self.kept:
            self._place(near[0])
        for number in [number for number in self.places if number not in staying]:
            temporary.remove(self.places.pop(number))
        self._record()

    def _place(self, trial: Trial) -> None:
        """Puts the run of a trial at `folder`; the run that was there goes back to the workplace."""
        place, before = self.places[trial.number], self.kept
        if before is None:
            if self.folder.exists():
                raise UsageError(f"-o {self.folder}: exists; give another folder")
            with naming(self.folder):
                place.rename(self.folder)
        else:
            with naming(self.folder):
                temporary.put(place, self.folder)
            back = self.workplace / str(before.number)
            if place.exists():
                place.rename(back)
                self.places[before.number] = back
            else:  # the system cannot swap folders
                del self.places[before.number]
        self.places[trial.number] = self.folder
        self.kept = trial

    def _record(self) -> None:
        """Writes the trials into the run that is kept: run.json, and trials.tsv to read."""
        if self.kept is None:
            return
        run = Run.open(self.folder)
        run.trials = [trial.row() for trial in self.trials]
        run.facts["search"] = {
            "budget_seconds": self.budget, "max_mb": None if self.most is None else self.most / MB,
            "trials": len(self.trials), "kept": self.kept.number, "seconds": round(self.clock() - self.began, 3),
            "options": self.kept.row()["options"],
        }  # fmt: skip
        run.save()
        replace_file(self.folder / "trials.tsv", table(self.trials, self.kept).encode())

    def _fitting(self, most: float) -> Generator[SearchEvent, None, int]:
        """Exports the run that is kept, or the next best where that is too large; returns the bytes of the model."""
        order = ranked(self.trials)
        near = alike(order)
        for trial in [*near, *(one for one in order if one not in near)]:
            if trial.number not in self.places:
                continue
            yield Stage(f"exporting trial {trial.number} in int8, to see its size")
            trial.bytes = self._exported(self.places[trial.number])
            if trial.bytes <= most:
                if trial is not self.kept:
                    self._place(trial)
                self._record()
                return trial.bytes
            trial.end = "size"
        if self.kept is not None:
            temporary.remove(self.folder)
        least = min((one.bytes for one in self.trials if one.bytes), default=0)
        raise TextkitError(
            f"--max-mb {most / MB:g}: none of {len(self.trials)} trials fits; the smallest has {least / MB:.2g} MB in int8"
        )

    def _exported(self, place: Path) -> int:
        folder = self.workplace / "int8"
        try:
            self.export(Run.open(place), folder)
            return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        finally:
            shutil.rmtree(folder, ignore_errors=True)
