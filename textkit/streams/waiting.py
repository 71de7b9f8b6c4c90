"""Waits until a file can be read or written, and misses no signal. Knows no lines and no command.

Python heeds a signal between two of its own instructions, or when the signal interrupts a system call. One that comes in
the instant before a blocking read is heeded only when the read returns, which may be never in a filter that waits for a
person. So this module waits for two things: the file, and a pipe that the signal itself writes to.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import suppress

_NAP = 0.01  # seconds to sleep where nothing says when a file can be written

_pipe: tuple[int, int, int] | None = None  # process, read end, write end; never closed: a signal may write any time


def wait_readable(descriptor: int) -> None:
    """Returns when `descriptor` has bytes, its end, or an error to read. An exception from a signal's handler ends the wait.

    Returns at once where there is no poll, and in any thread but the main one, where no handler runs: there the read waits.
    """
    if hasattr(select, "poll"):
        _wait(descriptor, select.POLLIN)


def is_readable(descriptor: int) -> bool:
    """Whether a read would return at once. False where the system does not know."""
    try:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(0))
        return bool(select.select([descriptor], [], [], 0)[0])
    except (OSError, ValueError):  # unknown for this kind of file (pipes on Windows): better a pause too many
        return False


def wait_writable(descriptor: int) -> None:
    """Returns when a non-blocking `descriptor` takes more bytes or is broken. Heeds signals as `wait_readable` does."""
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
    # The handler of an earlier signal runs right here, at the end of the call; a later signal shows in the pipe.
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
    """Empties the pipe, and passes on what was in it to the descriptor that signals were written to before."""
    with suppress(OSError):  # the pipe is empty, or the other one is full
        told = os.read(awake, 4096)
        if other >= 0:
            os.write(other, told)


def _own_pipe() -> tuple[int, int]:
    """This process' pipe; a forked process makes its own."""
    global _pipe
    if _pipe is None or _pipe[0] != os.getpid():
        ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
        _pipe = (os.getpid(), *ends)
    return _pipe[1:]
