"""Makes signals that end the process raise exceptions, so that nothing is left behind on the way out. Knows no command.

SIGINT, SIGTERM, SIGHUP and SIGQUIT are treated alike: what was done is flushed, temporaries are removed, and the exit code
is 128 plus the number. A signal that is ignored when the process begins stays ignored (nohup; SIGINT in a background job).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from os import _exit  # strangers.py replaces os._exit for a while
from types import FrameType

_TOGETHER = 1.0  # seconds in which two different signals are one event: of a terminal and of the parent process, say
# These ask a training to stop.
ASKING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
ENDING = [*ASKING, *([signal.SIGQUIT] if hasattr(signal, "SIGQUIT") else [])]

_first: tuple[int, float] | None = None  # the signal that ends this process, and when it came


class Interrupted(KeyboardInterrupt):
    """SIGINT came. A plain KeyboardInterrupt may come from a library that raised it for reasons of its own."""


class Ended(SystemExit):
    """Another signal that ends the process came; `code` is the exit code."""


def heed() -> None:
    """From here on, each of the signals that is not ignored raises its exception in the main thread."""
    with suppress(ValueError):  # not the main thread
        for number in ENDING:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, _end)


def leave() -> None:
    """From here on, the signals end the process at once: nothing is left that needs an orderly end."""
    with suppress(ValueError):
        for number in ENDING:
            if callable(signal.getsignal(number)):
                signal.signal(number, lambda number, frame: _exit(128 + number))


def clear() -> None:
    """Removes this process' temporaries. Without textkit.temporary, which --help does not import, there are none."""
    if temporary := sys.modules.get("textkit.temporary"):
        temporary.clear()


def raise_for(number: int) -> None:
    """Raises the exception of a signal."""
    if number == signal.SIGINT:
        raise Interrupted
    raise Ended(128 + number)


def is_behind(error: BaseException | None) -> bool:
    """Whether a signal is behind `error`: an extension module that it interrupts at its import turns it into an ImportError."""
    return cause(error) is not None


def cause(error: BaseException | None) -> BaseException | None:
    """The exception of a signal behind `error`: itself, its cause, or what was being handled when it was raised."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, (KeyboardInterrupt, Ended)):
            return error
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _end(number: int, frame: FrameType | None) -> None:
    """Raises the exception of the first signal. One more ends the process at once, because nobody may read what is flushed."""
    global _first
    if _first is None:
        _first = (number, time.monotonic())
        raise_for(number)
    if number == _first[0] or time.monotonic() - _first[1] > _TOGETHER:
        clear()
        with suppress(OSError):
            os.write(2, b"\x1b[?25h" if os.isatty(2) else b"")  # a display may have hidden the cursor
        _exit(128 + number)
