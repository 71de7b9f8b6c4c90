"""Shows a search to whoever watches it: a line for each trial, and on a terminal the training that is going on below them."""

from __future__ import annotations

from textkit.training.events import Progress, Scored, Stage, Started
from textkit.training.progress import Lines, Live, Silence, clock, figure
from textkit.training.tuning.events import SearchEvent, TrialBegan, TrialDone, Tuned
from textkit.training.tuning.trials import MB, Trial, typed


class TrialLines(Lines):
    """Plain lines: of each trial one at its end, and one every PLAIN_SECONDS before that."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._trial = 0

    def show(self, event: SearchEvent) -> None:
        if isinstance(event, TrialBegan):
            self._trial = event.number
        elif isinstance(event, (TrialDone, Tuned)):
            self._trial = 0
            self.say(said(event))
        elif isinstance(event, Started):
            self.begun(event)
        elif isinstance(event, Progress) or (isinstance(event, Stage) and self._trial <= 1):
            super().show(event)

    def say(self, text: str) -> None:
        super().say(f"trial {self._trial}: {text}" if self._trial else text)


class LiveTrials(Live):
    """One line that is redrawn, of the training that is going on; the trials before it are printed above."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._head = ""

    def show(self, event: SearchEvent) -> None:
        if isinstance(event, TrialBegan):
            self._head = f"trial {event.number}, {clock(max(event.left, 0.0))} left"
            self._score = []
            self.describe(self._head)
        elif isinstance(event, (TrialDone, Tuned)):
            self.tell(said(event))
        elif isinstance(event, (Started, Progress)):
            super().show(event)
            self.describe(self._head)
        elif isinstance(event, Scored):
            self.scored(event)
        elif isinstance(event, Stage):
            super().show(event)


def said(event: TrialDone | Tuned) -> str:
    """The line for a trial that has ended, or for the end of the search."""
    if isinstance(event, TrialDone):
        best = ", the best so far" if event.best else ""
        options = typed(event.trial.changed) or "no option changed"
        return f"trial {event.trial.number}: {_outcome(event.trial)}{best}; {options}"
    why = {"stopped": "stopped", "exhausted": "nothing is left to try"}.get(event.reason, "the time is over")
    size = f", {_size(event.checked)} exported in int8" if event.checked else ""
    return (
        f"{why}: {event.trials} trial{'s' * (event.trials != 1)} in {clock(event.seconds)}; the best is trial"
        f" {event.best.number}, {_score(event.best)}{size}; the run is {event.folder}, with all trials in trials.tsv"
    )


def display(folder: str, interactive: bool, quiet: bool) -> Silence:
    """The display for whoever is there."""
    if quiet:
        return Silence()
    return LiveTrials(folder) if interactive else TrialLines(folder)


def _outcome(trial: Trial) -> str:
    if trial.end == "failed":
        return f"failed ({trial.error})"
    if trial.end == "size":
        return f"too large, {_size(trial.bytes)} in int8"
    figures = [_score(trial), f"{_size(trial.bytes)} in int8"]
    if trial.rate:
        figures.append(f"{trial.rate:,.0f} lines/s")
    figures.append(clock(trial.seconds))
    why = {"worse": "ended early as clearly worse", "enough": "its time was over"}.get(trial.end)
    return ", ".join([*figures, *([why] if why else [])])


def _score(trial: Trial) -> str:
    return "no score" if trial.score is None else figure(trial.score.name, trial.score.value)


def _size(size: int) -> str:
    return f"{size / MB:.3g} MB"
