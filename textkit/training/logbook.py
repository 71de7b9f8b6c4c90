"""Logs a training for machines to read later: metrics.jsonl in the run, and TensorBoard events. Knows no loop and no screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from textkit.errors import TextkitError, pip_install
from textkit.training.events import Done, EpochDone, Event, Progress, Scored, Started
from textkit.training.run import Run


class Logbook:
    """Writes events as they come; `Progress` at most once in the run's log_seconds, with the mean loss of those in between.

    When a training goes on from a checkpoint, the lines written after that checkpoint are removed: they will come again.
    """

    def __init__(self, run: Run, tensorboard: bool = False) -> None:
        self.path = run.folder / "metrics.jsonl"
        self._every = run.training.log_seconds
        self._held: list[Progress] = []
        self._last = float("-inf")
        self._board_folder = run.folder / "tensorboard" if tensorboard else None
        self._writer_class = _summary_writer() if tensorboard else None
        self._board: Any = None

    def write(self, event: Event) -> None:
        """Takes any event. TextkitError where the file cannot be written."""
        if isinstance(event, Started):
            self._begin(event)
        elif isinstance(event, Progress):
            self._held.append(event)
            if event.seconds - self._last >= self._every:
                self._progress()
        elif isinstance(event, (EpochDone, Scored, Done)):
            self._progress()
            self._other(event)

    def close(self) -> None:
        """Writes the events that are held back, and closes TensorBoard's file."""
        self._progress()
        if self._board is not None:
            self._board.close()

    def _begin(self, event: Started) -> None:
        kept = []
        if self.path.exists():
            kept = [line for line in self.path.read_text("utf-8").splitlines() if _step(line) <= event.step]
        _write(self.path, "w", "".join(f"{line}\n" for line in kept if event.step))
        self._last = event.seconds
        if self._writer_class is not None:
            self._board = self._writer_class(str(self._board_folder), purge_step=event.step + 1)

    def _progress(self) -> None:
        held, self._held = self._held, []
        if not held:
            return
        last = held[-1]
        self._last = last.seconds
        weight = sum(event.weight for event in held if event.loss is not None)
        loss = sum(event.loss * event.weight for event in held if event.loss is not None) / weight if weight else None
        record = {
            "event": "progress", "epoch": last.epoch, "step": last.step, "loss": loss,
            "learning_rate": last.learning_rate, "examples": last.examples, "words": last.words,
            "seconds": round(last.seconds, 3), **last.detail,
        }  # fmt: skip
        self._line(record)
        self._scalars(last.step, {"loss": loss, "learning_rate": last.learning_rate, **last.detail})

    def _other(self, event: EpochDone | Scored | Done) -> None:
        if isinstance(event, EpochDone):
            record = {"event": "epoch", "epoch": event.epoch, "step": event.step, "loss": event.loss}
            self._line({**record, "seconds": round(event.seconds, 3), **_norms(event)})
        elif isinstance(event, Scored):
            score = {event.score.name: event.score.value, **event.score.detail}
            record = {"event": "score", "epoch": event.epoch, "step": event.step, **score, "best": event.best}
            record |= ({"averaging": True} if event.averaging else {}) | _norms(event)
            self._line(record | ({"examples": list(event.score.examples)} if event.score.examples else {}))
            self._scalars(event.step, {f"dev/{key}": value for key, value in score.items()})
        elif event.reason != "complete":
            self._line({"event": "done", "step": event.facts.get("steps", 0), "reason": event.reason})

    def _line(self, record: dict[str, Any]) -> None:
        _write(self.path, "a", json.dumps(record) + "\n")

    def _scalars(self, step: int, values: dict[str, float | None]) -> None:
        if self._board is not None:
            for name, value in values.items():
                if value is not None:
                    self._board.add_scalar(name, value, step)


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TextkitError(f"--tensorboard: needs the extra: {pip_install('tensorboard')}") from None
    return SummaryWriter


def _norms(event: EpochDone | Scored) -> dict[str, Any]:
    return {"norms": dict(event.norms)} if event.norms else {}


def _step(line: str) -> float:
    """The update that a line is about; infinite for a line that was cut off."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _write(path: Path, mode: str, text: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise TextkitError(f"{path}: {error.strerror}") from error
