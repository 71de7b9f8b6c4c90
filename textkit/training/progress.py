"""Shows a training to whoever watches it: a live display on a terminal, plain lines elsewhere, nothing if it is to be quiet.

Everything goes to stderr. Knows events, and not how they come about.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any

from textkit.corpora.pair_batches import left_out
from textkit.training.dev_output import COLUMNS, fit
from textkit.training.events import Done, EpochDone, Event, Progress, Scored, Stage, Started, Stopped

PLAIN_SECONDS = 10.0  # between two plain lines inside an epoch
PACE_SECONDS = 10.0  # over which speed is measured
WORTH_STEPS, WORTH_SECONDS = 8, 3.0  # measured before a time left is shown
_NAME = "textkit: "  # begins each line
_EXAMPLES = 3  # at most, of a dev score


class Silence:
    """Shows nothing. The other displays derive from it: each is a context manager whose `show` takes every event."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def show(self, event: Any) -> None:
        pass

    def tell(self, text: str) -> None:
        """Shows a line that belongs to no event."""


class Throughput:
    """The speed and the time left, measured over the last PACE_SECONDS.

    The first updates compile, allocate and warm up, so they say nothing about later ones. The time left is shown once
    WORTH_STEPS updates over WORTH_SECONDS after them are measured, or a tenth of the updates is done.
    """

    def __init__(self, started: Started) -> None:
        self._began = started.step
        self._marks: deque[Started | Progress] = deque([started])

    def figures(self, now: Progress) -> list[str]:
        """Words a second, or examples where words are not counted; the time left, if the number of updates is known."""
        while len(self._marks) > 1 and now.seconds - self._marks[1].seconds >= PACE_SECONDS:
            self._marks.popleft()
        since = self._marks[0]
        self._marks.append(now)
        if len(self._marks) == 2 and isinstance(since, Started) and now.step > since.step:
            self._marks.popleft()
        seconds, steps = now.seconds - since.seconds, now.step - since.step
        words, examples = now.words - since.words, now.examples - since.examples
        figures = []
        if seconds > 0 and max(words, examples) > 0:
            figures.append(f"{_short((words or examples) / seconds)} {'words' if words else 'examples'}/s")
        measured = isinstance(since, Progress) and steps >= WORTH_STEPS and seconds >= WORTH_SECONDS
        far = now.step - self._began >= 0.1 * (now.steps - self._began)
        if now.steps and steps > 0 and (measured or far):
            figures.append(f"{clock(max(now.steps - now.step, 0) * seconds / steps)} left")
        return figures


class Lines(Silence):
    """Plain lines: at the start, after each epoch and dev score, every PLAIN_SECONDS in between, and at the end."""

    def __init__(self, folder: str) -> None:
        self.folder, self.unit = folder, ""
        self._last = time.monotonic()
        self._throughput: Throughput | None = None
        self._epochs = 0

    def show(self, event: Event) -> None:
        if isinstance(event, Started):
            self.begun(event)
        if isinstance(event, Progress) and self._throughput is not None:
            throughput = self._throughput.figures(event)
            if time.monotonic() - self._last >= PLAIN_SECONDS:
                self._last = time.monotonic()
                self.say(
                    ", ".join([_epoch(event, self._epochs), _updates(event), *_figures(event, self.unit), *throughput])
                )
        elif line := sentence(event, self.folder, self.unit):
            self.say(line)
            for example in _examples(event):
                self.say(fit(example, COLUMNS - len(_NAME)))

    def begun(self, event: Started) -> None:
        """Takes the beginning of a training, without a line."""
        self._throughput, self._epochs, self.unit = Throughput(event), event.epochs, event.unit

    def tell(self, text: str) -> None:
        self.say(text)

    def say(self, text: str) -> None:
        with suppress(OSError, ValueError, AttributeError):  # stderr is closed: nobody reads it
            sys.stderr.write(f"{_NAME}{text}\n")
            sys.stderr.flush()


class Live(Silence):
    """One line that rich redraws; what is worth keeping is printed above it."""

    def __init__(self, folder: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
        from rich.table import Column

        self.folder, self.unit = folder, ""
        self._throughput: Throughput | None = None
        self._epochs = 0
        self._score: list[str] = []
        self._rich = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=12),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=Console(stderr=True),
            transient=True,
            expand=True,
        )
        self._task: Any = None

    def __enter__(self) -> Live:
        self._rich.start()
        self._task = self._rich.add_task("", total=None, figures="")
        return self

    def __exit__(self, *exception: object) -> None:
        self._rich.stop()

    def describe(self, text: str) -> None:
        """Puts `text` at the beginning of the line."""
        self._rich.update(self._task, description=text)

    def scored(self, event: Scored) -> None:
        """Takes a dev score, which stands in the line from here on."""
        self._score = [f"dev {figure(event.score.name, event.score.value, self.unit)}"]

    def tell(self, text: str) -> None:
        self._rich.console.show_cursor(True)
        self._rich.console.print(f"{_NAME}{text}", markup=False, highlight=False, soft_wrap=True)

    def show(self, event: Event) -> None:
        if isinstance(event, Stage):
            self._rich.update(self._task, description=event.text)
            return
        if isinstance(event, Started):
            self._throughput, self._epochs, self.unit = Throughput(event), event.epochs, event.unit
            self._rich.update(self._task, description="training", total=event.steps or None, completed=event.step)
        if isinstance(event, Scored):
            self.scored(event)
        if isinstance(event, Progress) and self._throughput is not None:
            # The most useful figures come first, because the line is cut at the terminal's edge.
            first, *rest = _figures(event, self.unit) or [""]
            figures = [*self._throughput.figures(event)[::-1], first, *self._score, *rest]
            self._rich.update(
                self._task, description=_epoch(event, self._epochs), total=event.steps or None,
                completed=event.step, figures=", ".join(filter(None, figures)),
            )  # fmt: skip
        elif line := sentence(event, self.folder, self.unit):
            self._rich.console.print(f"{_NAME}{line}", markup=False, highlight=False, soft_wrap=True)
            columns = min(COLUMNS, self._rich.console.width)
            for example in _examples(event):
                line = "  " + fit(example, columns - 2)
                self._rich.console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def sentence(event: Event, folder: str, unit: str = "") -> str:
    """The line for an event that is worth one; '' for other events."""
    if isinstance(event, Stage):
        return event.text
    if isinstance(event, Started):
        again = f"going on after update {event.step:,}, " if event.step else ""
        return f"{again}training {f'{event.parameters:,} parameters ' if event.parameters else ''}on {event.device}"
    if isinstance(event, EpochDone):
        with_loss = "" if event.loss is None else f", loss {event.loss:.4g}"
        return f"epoch {event.epoch} done: {event.step:,} updates{with_loss}, {clock(event.seconds)}"
    if isinstance(event, Scored):
        averaging = "; from here on the mean of the weights counts" if event.averaging else ""
        return f"dev {figure(event.score.name, event.score.value, unit)}{' (best so far)' if event.best else ''}{averaging}"
    if isinstance(event, Stopped):
        return stopping(event, folder)
    if isinstance(event, Done):
        if event.reason == "complete":
            return (
                f"{folder}: the training is complete already; export it with: textkit export-onnx {folder} -o DIR;"
                " more epochs (--set epochs=N) or another rate (--set learning_rate=X) beside --resume go on with it"
            )
        why = {"patience": " (no better dev score)", "max_steps": " (max_steps)", "enough": " (its time)"}.get(
            event.reason, ""
        )
        loss = event.facts.get("loss")
        figures = "" if loss is None else f", loss {loss:.4g}"
        for key in ("dev", "test"):
            if score := event.facts.get(f"{key}_score"):
                figures += f", {key} {figure(score['name'], score['value'], unit)}"
        return f"trained in {clock(event.facts['seconds'])}{why}{figures}{_left_out(event)}; the run is {folder}"
    return ""


def stopping(event: Stopped, folder: str) -> str:
    """The line for a training that somebody stopped: what is kept of it, and the command that goes on with it."""
    again = f"textkit train -o {folder} --resume"
    if event.saved:
        return f"stopped after update {event.step:,}; go on with: {again}"
    if event.kept:
        return f"stopped; the last checkpoint is kept, go on with: {again}"
    return f"stopped; begin again with: {again}"


def figure(name: str, value: float, unit: str = "") -> str:
    """A figure with its significant digits: `loss 1.234`; for a perplexity with its unit: `perplexity 87.3 a word`."""
    plain = name.replace("_", " ")
    if not name.endswith("perplexity"):
        return f"{plain} {value:.4g}"
    if name == "word_perplexity":
        plain, unit = "perplexity", "word"
    return f"{plain} {value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}{f' a {unit}' if unit else ''}"


def display(folder: str, interactive: bool, quiet: bool) -> Silence:
    """The display for whoever is there."""
    if quiet:
        return Silence()
    return Live(folder) if interactive else Lines(folder)


def _left_out(event: Done) -> str:
    """The end of a line that counts the pairs not learnt from; '' if there are none."""
    counts = event.facts.get("pairs") or {}
    gone = sum(counts.values()) - counts.get("kept", 0)
    return f"; {gone:,} of {gone + counts['kept']:,} pairs were left out ({left_out(counts)})" if gone else ""


def _examples(event: Event) -> tuple[str, ...]:
    return event.score.examples[:_EXAMPLES] if isinstance(event, Scored) else ()


def _epoch(event: Progress, epochs: int) -> str:
    return f"epoch {event.epoch + 1}/{epochs}"


def _updates(event: Progress) -> str:
    if not event.steps:
        return f"update {event.step:,}"
    steps = max(event.steps, event.step)  # with chunks of random lengths, epochs differ by a few updates
    return f"update {event.step:,}/{steps:,} ({event.step / steps:.0%})"


def _figures(event: Progress, unit: str) -> list[str]:
    figures = {} if event.loss is None else {"loss": event.loss}
    figures |= event.detail
    if event.learning_rate:
        figures["rate"] = event.learning_rate
    return [figure(key, value, unit) for key, value in figures.items()]


def _short(number: float) -> str:
    for least, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= least:
            return f"{number / (1e3 if letter == 'k' else least):.3g}{letter}"
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"


def clock(seconds: float) -> str:
    """A time as people write it: `8.2 s`, `1:02:03`."""
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}"
