"""Waits until a file can be read or written, so that no signal is missed. Knows no lines and no command.

Python heeds a signal between two of its own instructions, or when the system call that it is in is interrupted. One that
comes in the instant before a blocking read is heeded only when the read returns: for a filter that waits for a person,
perhaps never. So the wait is for two things, the file and a pipe that the signal itself writes to.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import suppress

_NAP = 0.01  # seconds, where nothing says when a file can be written

_pipe: tuple[int, int, int] | None = (
    None  # process, reading end, writing end; never closed: a signal may write any time
)


def wait_readable(descriptor: int) -> None:
    """Returns when `descriptor` can be read: bytes, its end, or an error are there. What a signal's handler raises ends it.

    In another thread than the main one, where no handler runs, and where there is no poll, it returns at once: then the
    read waits.
    """
    if hasattr(select, "poll"):
        _wait(descriptor, select.POLLIN)


def wait_writable(descriptor: int) -> None:
    """Returns when one that does not block takes more, or is of no use any more. Signals as in `wait_readable`."""
    if not hasattr(select, "poll"):
        time.sleep(_NAP)
    elif threading.current_thread() is threading.main_thread():
        _wait(descriptor, select.POLLOUT)
    else:
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        poll.poll()


def _wait(descriptor: int, event: int) -> None:
    awake, wake = _own_pipe()
    try:
        before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    except ValueError:  # not the main thread
        return
    # A signal from before has its handler run right here, as every call of Python's ends; of a later one the pipe tells.
    try:
        poll = select.poll()
        poll.register(descriptor, event)
        poll.register(awake, select.POLLIN)
        while descriptor not in (ready for ready, _ in poll.poll()):
            _drain(awake, before)
    finally:
        signal.set_wakeup_fd(before)
        _drain(awake, before)


def _drain(awake: int, other: int) -> None:
    """Empties the pipe; whoever had asked to be told of signals is told."""
    with suppress(OSError):  # empty, or the other's is full
        told = os.read(awake, 4096)
        if other >= 0:
            os.write(other, told)


def _own_pipe() -> tuple[int, int]:
    """This process' pipe: one that forked has its own."""
    global _pipe
    if _pipe is None or _pipe[0] != os.getpid():
        ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
        _pipe = (os.getpid(), *ends)
    return _pipe[1:]
