"""Starts the processes of a training on this machine, passes signals on to them, and ends them together.

What torchrun does for one machine and one try, and with the same variables, but that nothing is imported from the current
folder, that the processes meet in a file rather than at a port another program may take first, that the exit code is
theirs, and that an error is one line. Knows no training, and no torch.
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
DESERTED = 75  # exit code of a process that has nothing to say: another has ended
_GRACE = 30.0  # seconds that the others have to end by themselves once one has failed
_PAUSE = 0.05  # seconds between two looks
_MOST_ASKED = 2  # signals that are passed on; one more kills


def launch(count: int, words: Sequence[str]) -> int:
    """Runs `textkit WORDS` as `count` processes of one training. The exit code: 0, or that of the first that failed.

    Raises TextkitError where one was killed, and so had no chance to say why.
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
    # A session of its own: what a terminal sends reaches it once, through this process.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "textkit", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def _passing_signals(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[Callable[[], None]]:
    """Signals that end this process go to the children instead, and end it through them. Gives what is to be called when
    there is one child more: it is sent what came before."""
    came: list[tuple[int, int]] = []  # signals, and how many children there were

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
    """Waits until all have ended. The rank and the code of the one that failed first, not of those that it took along."""
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
                # One that was asked to stop is ahead of the others, which are stopping: the first writes a checkpoint.
                if code and code not in stopping:
                    deadline = deadline or time.monotonic() + _GRACE
                    if code != DESERTED:  # else the one that has ended is about to say why
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
