"""`textkit train --budget`: drives a search over options, shows it and logs each trial; returns the right exit code."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit import signals
from textkit.cli.options import Messages
from textkit.errors import UsageError
from textkit.verbs.patience import Patience

if TYPE_CHECKING:
    from textkit.training.run import Run

WAIT = "stopping after this trial's dev score; once more ends it at once"


def run_search(messages: Messages, folder: Path, budget: str, max_mb: float | None, several: bool, **rest: Any) -> None:
    """Searches for as long as `budget` says and leaves the best run in `folder`. A signal that ends the search gives exit code
    128 plus its number; the best run so far is kept then, too.
    """
    from textkit.training.tuning.trials import checked_mb, seconds_of

    refuse(
        rest.pop("resume"), rest.pop("tensorboard"), several or ("RANK" in os.environ and "WORLD_SIZE" in os.environ)
    )
    seconds, most = seconds_of(budget), checked_mb(max_mb)
    driven = {"device": rest.pop("device"), "threads": rest.pop("threads"), "max_mb": most}
    if code := drive(messages, folder, rest, seconds, driven):
        raise SystemExit(code)


def refuse(resume: bool, tensorboard: bool, several: bool) -> None:
    """Raises UsageError for what a search cannot do."""
    for option, on in (("--resume", resume), ("--tensorboard", tensorboard), ("--processes", several)):
        if on:
            why = {
                "--resume": "cannot go on with a search; without --budget it goes on with the run that the search left",
                "--tensorboard": "writes no events of a search",
                "--processes": "a search trains in one process",
            }[option]
            raise UsageError(f"{option}: {why}")


def drive(messages: Messages, folder: Path, rest: dict[str, Any], seconds: float, driven: dict[str, Any]) -> int:
    """Searches, shows and logs; returns exit code 0, or 128 plus the number of the signal that ended the search."""
    from textkit.training.events import Done
    from textkit.training.logbook import Logbook
    from textkit.training.recipe import Recipe
    from textkit.training.tuning.events import TrialBegan, TrialDone, Tuned
    from textkit.training.tuning.searching import tune
    from textkit.training.tuning.trial_lines import display

    begins = not folder.exists()

    def asked() -> bool:
        patience.gentle = True
        return bool(patience.asked)

    def left() -> str:
        if begins and folder.exists():
            return f"stopped; the best run so far is {folder}, with all trials in trials.tsv"
        return f"stopped; nothing was written to {folder}"

    screen = display(str(folder), messages.interactive, messages.quiet)
    book: Logbook | None = None
    with Patience(True, lambda: screen.tell(WAIT), lambda: screen.tell(left())) as patience, screen:
        try:
            for event in tune(folder, Recipe(**rest), seconds, in_int8, stop=asked, **driven):
                if hasattr(event, "run"):
                    book = Logbook(event.run)
                if book is not None and not isinstance(event, TrialBegan | TrialDone | Tuned):
                    book.write(event)
                    book = None if isinstance(event, Done) else book
                if isinstance(event, Tuned):
                    patience.settle()
                screen.show(event)
                if isinstance(event, Tuned) and patience.asked:
                    return 128 + (patience.asked or signal.SIGINT)
        except (KeyboardInterrupt, signals.Ended):
            screen.tell(left())
            raise
    return 0


def in_int8(run: Run, folder: Path) -> Path:
    """The model of a run in int8, only to see how large it is."""
    from textkit.cli.stdout import protected_stdout
    from textkit.exporting.export import export

    with protected_stdout():
        return export(run, folder, "int8")
