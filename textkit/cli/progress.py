"""Shows on stderr, to a person, how far a filter has come: lines, their rate, the share of the input, the time left.

The length of the input is known where it is files. What has been read of a file counts in its own bytes, compressed ones
where it is compressed. A filter reads ahead of what it writes, so the share of the bytes read is multiplied by the share
of their records that are done.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textkit.streams.lines import Reader

_FIRST = 1.0  # seconds before anything is shown
_WORTH = 2.0, 0.01  # seconds, and the share done, before the time left is worth showing


@dataclass
class Input:
    """What has been read. `total`: the bytes of all files; None where one of them is a pipe or a terminal."""

    total: int | None = None
    read: int = 0  # bytes of files that were read to their end
    records: int = 0
    _reader: Reader | None = None

    def measure(self, files: Sequence[str]) -> None:
        """Finds how much there is to read, "-" being stdin."""
        total = 0
        for file in files:
            try:
                where = sys.stdin.fileno() if file == "-" else file
                about = os.stat(where)
                if not stat.S_ISREG(about.st_mode):
                    return
                begun = os.lseek(where, 0, os.SEEK_CUR) if isinstance(where, int) else 0
            except (OSError, ValueError, AttributeError):  # stdin is closed, or there is none
                return
            total += max(0, about.st_size - begun)
        self.total = total

    def opens(self, reader: Reader) -> None:
        """Notes the file that is read from now on."""
        if self._reader is not None:
            self.read += self._reader.taken
        self._reader = reader

    def share(self, done: int) -> float | None:
        """The share of the input that `done` records are, from 0 to 1; None where it cannot be known."""
        taken = self.read + (self._reader.taken - self._reader.waiting if self._reader is not None else 0)
        if not self.total or not taken or not self.records:
            return None
        return min(1.0, done / self.records * min(1.0, taken / self.total))


def line(done: int, seconds: float, share: float | None) -> str:
    """The line shown after `seconds`."""
    said = f"{done:,} lines, {done / seconds:,.0f} lines/s"
    if share is None:
        return said
    said += f", {int(100 * share)} %"
    least_seconds, least_share = _WORTH
    if seconds >= least_seconds and least_share <= share < 1:
        said += f", {clock(seconds * (1 - share) / share)} left"
    return said


def clock(seconds: float) -> str:
    """0:07, 12:34, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def shown(source: Input) -> Iterator[Callable[[int], None]]:
    """A display to be called with the number of records done; it appears after _FIRST seconds."""
    begun = time.monotonic()
    display: Any = None

    def show(done: int) -> None:
        nonlocal display
        seconds = time.monotonic() - begun
        if seconds < _FIRST:
            return
        if display is None:
            from rich.console import Console
            from rich.status import Status

            display = Status("", console=Console(stderr=True, highlight=False))
            display.start()
        display.update(line(done, seconds, source.share(done)))

    try:
        yield show
    finally:
        if display is not None:
            display.stop()
