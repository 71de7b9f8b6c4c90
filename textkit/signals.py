"""What a signal that ends the process raises, so that nothing is left behind on the way out. Knows no command.

SIGINT, SIGTERM, SIGHUP and SIGQUIT are one kind: what was done is flushed, temporaries are removed, the exit code is 128
and the number. A signal that is ignored when the process begins stays ignored (nohup; SIGINT of a job in the background).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from os import _exit  # which a stranger's module may find replaced
from types import FrameType

_TOGETHER = 1.0  # seconds in which two different signals are one event: a terminal and whoever started us, say
ASKING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]  # a training to stop
ENDING = [*ASKING, *([signal.SIGQUIT] if hasattr(signal, "SIGQUIT") else [])]

_first: tuple[int, float] | None = None  # the signal that ends this process, and when it came


class Interrupted(KeyboardInterrupt):
    """SIGINT came: no KeyboardInterrupt that some library raised for reasons of its own."""


class Ended(SystemExit):
    """Another signal that ends the process came; `code` is the exit code."""


def heed() -> None:
    """From here on each of the signals raises its exception in the main thread, but those that are ignored."""
    with suppress(ValueError):  # not the main thread
        for number in ENDING:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, _end)


def leave() -> None:
    """From here on the signals end the process at once: nothing is left to be ended well."""
    with suppress(ValueError):
        for number in ENDING:
            if callable(signal.getsignal(number)):
                signal.signal(number, lambda number, frame: _exit(128 + number))


def clear() -> None:
    """Removes this process' temporaries, where there may be any: what makes them is not imported for --help."""
    if temporary := sys.modules.get("textkit.temporary"):
        temporary.clear()


def raise_for(number: int) -> None:
    """Raises the exception of a signal."""
    if number == signal.SIGINT:
        raise Interrupted
    raise Ended(128 + number)


def is_behind(error: BaseException | None) -> bool:
    """Whether a signal is behind `error`: an extension module that one meets while importing makes an ImportError of it."""
    return cause(error) is not None


def cause(error: BaseException | None) -> BaseException | None:
    """The exception of a signal behind `error`: itself, what caused it, or what it was raised in the handling of."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, (KeyboardInterrupt, Ended)):
            return error
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _end(number: int, frame: FrameType | None) -> None:
    """The first signal raises its exception; one more ends the process at once: what is flushed may have nobody to read it."""
    global _first
    if _first is None:
        _first = (number, time.monotonic())
        raise_for(number)
    if number == _first[0] or time.monotonic() - _first[1] > _TOGETHER:
        clear()
        with suppress(OSError):
            os.write(2, b"\x1b[?25h" if os.isatty(2) else b"")  # a display may have hidden the cursor
        _exit(128 + number)
