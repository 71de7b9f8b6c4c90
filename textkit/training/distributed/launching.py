"""Starts the processes of a training on this machine, passes signals on to them, and ends them together.

It does what torchrun does for one machine and one try, with the same environment variables, except that nothing is imported
from the current folder; the processes meet in a file, not at a port, which another program may take first; the exit code is
that of the processes; and an error is one line. Knows no training, and no torch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from textkit.errors import TextkitError
from textkit.signals import ASKING, ENDING

MEETING = "TEXTKIT_MEETING"  # the file at which the processes meet
DESERTED = 75  # exit code of a process that ended because another did, and has nothing to add
_GRACE = 30.0  # seconds that the others have to end by themselves once one has failed
_PAUSE = 0.05  # seconds between two checks of the processes
_MOST_ASKED = 2  # signals that are passed on; the next one kills


def launch(count: int, words: Sequence[str]) -> int:
    """Runs `textkit WORDS` as `count` processes of one training; returns 0, or the exit code of the first that failed.

    Raises TextkitError if no process could say why: a signal ended one, or they lost each other.
    """
    with tempfile.TemporaryDirectory(prefix="textkit-") as folder:
        children: list[subprocess.Popen[bytes]] = []
        with _passing_signals(children) as catch_up:
            try:
                for rank in range(count):
                    children.append(_started(rank, count, os.path.join(folder, "meeting"), words))
                    catch_up()
                failed = _watched(children)
            finally:
                for child in children:
                    child.kill()
                    child.wait()
    if failed is None:
        return 0
    rank, code = failed
    if code < 0:
        with suppress(ValueError):
            raise TextkitError(f"process {rank + 1} of {count} was ended by {signal.Signals(-code).name}")
    if code == DESERTED:
        raise TextkitError("the processes of this training have lost contact with each other")
    return code if code > 0 else 1


def _started(rank: int, count: int, meeting: str, words: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count),
        MEETING: meeting, "PYTHONSAFEPATH": "1",
    }  # fmt: skip
    # In a session of its own, it gets a terminal's signals once: through this process.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "textkit", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def _passing_signals(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[Callable[[], None]]:
    """Passes signals that would end this process on to its children, which then end it.

    Yields the function to call after each new child has started: it sends the child the signals that came before.
    """
    came: list[tuple[int, int]] = []  # each signal, and how many children there were

    def pass_on(number: int, frame: FrameType | None) -> None:
        came.append((number if len(came) < _MOST_ASKED else signal.SIGKILL, len(children)))
        for child in children:
            child.send_signal(came[-1][0])

    def catch_up() -> None:
        for number, there in list(came):
            if there < len(children):
                children[-1].send_signal(number)

    heeded = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, pass_on) for number in heeded}
    try:
        yield catch_up
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watched(children: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int] | None:
    """Waits until all have ended; returns rank and exit code of the first that failed, not of those that it took along."""
    failures: list[tuple[int, int]] = []
    stopping = {128 + number for number in ASKING}
    deadline: float | None = None
    left = set(range(len(children)))
    while left:
        for rank in sorted(left):
            code = children[rank].poll()
            if code is not None:
                left.discard(rank)
                failures += [(rank, code)] if code else []
                # A child that was asked to stop is only ahead: the others are stopping too, and the leader writes a checkpoint.
                if code and code not in stopping:
                    deadline = deadline or time.monotonic() + _GRACE
                    if code != DESERTED:  # otherwise the one that has ended is about to say why
                        _send(children, left, signal.SIGTERM)
        if deadline is not None and time.monotonic() > deadline:
            _send(children, left, signal.SIGKILL)
        if left:
            time.sleep(_PAUSE)
    said = [failure for failure in failures if failure[1] != DESERTED]
    return next(iter([*said, *failures]), None)


def _send(children: Sequence[subprocess.Popen[bytes]], ranks: set[int], number: int) -> None:
    for rank in ranks:
        children[rank].send_signal(number)
