"""What the command line may do because the process is its own: bound memory, say how its threads take turns, and end on a
signal, whatever is running.

Python heeds a signal between two of its own instructions. While the main thread is inside a library (onnxruntime loads or
runs a graph, a tokenizer cuts a line), or waits for a thread that is, it hears no signal. A separate thread hears it, asks
the libraries to stop, and ends the process where that does not help. Programs that import textkit get none of this.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

GRACE = 0.5  # seconds in which a computation may come to its end by itself
_PATIENCE = 1.0  # seconds more, once it was asked to stop
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]

model_bytes = 0  # of the largest model opened; a graph may take memory in proportion
_last: Callable[[], None] | None = None  # called last; None: the process is not the command line's
_stops: list[Callable[[], None]] = []
_handlers: dict[int, Any] = {}  # ours, by signal
_heard: set[int] = set()  # signals whose handler has run
_pipe: tuple[int, int] = (-1, -1)
_thread: threading.Thread | None = None


def own(last: Callable[[], None] = lambda: None) -> None:
    """Makes the process the command line's. Called in the main thread, when the signal handlers are in place.

    `last`: removes what is unfinished, before the process is ended by force.
    """
    global _last, _pipe
    if _last is not None or not hasattr(os, "register_at_fork"):
        return
    _pipe = os.pipe()
    os.set_blocking(_pipe[1], False)
    try:
        signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False)
    except ValueError:  # not the main thread
        return
    os.register_at_fork(after_in_child=_leave_alone)
    for number in _ENDING:
        if callable(handler := signal.getsignal(number)):
            _handlers[number] = _marking(handler)
            signal.signal(number, _handlers[number])
    _last = last


def is_own() -> bool:
    """Whether this is a process of the command line."""
    return _last is not None


def take_short_turns() -> None:
    """Has Python's lock change hands ten times as often, for a filter whose reading and computing threads take turns with it.
    Turns of 5 ms, the default, cost embed and classify a tenth of their time."""
    sys.setswitchinterval(0.0005)


def own_threads_alone() -> None:
    """Has numpy multiply matrices in the thread that asks for it, for a verb whose own threads share the work: numpy's would
    only stand in their way. Has an effect in the command line's own process, before numpy is imported for the first time."""
    if is_own():
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def guard() -> None:
    """Called before a library computes: starts the thread that hears signals besides the main thread."""
    global _thread
    if _last is not None and _thread is None:
        _thread = threading.Thread(target=_hear, name="textkit-signals", daemon=True)
        _thread.start()


def on_signal(stop: Callable[[], None]) -> None:
    """Registers `stop`, which asks a library to give up what it computes. It is called in another thread."""
    _stops.append(stop)


def _marking(handler: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
    def marked(number: int, frame: Any) -> Any:
        _heard.add(number)
        return handler(number, frame)

    return marked


def _leave_alone() -> None:
    """Keeps the signals of a forked process out of its parent's pipe. It will soon have its own handlers."""
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)


def _hear() -> None:
    while True:
        for number in os.read(_pipe[0], 64):
            # A verb with its own handlers (a training that ends at its next checkpoint) gets the time it needs.
            if number in _handlers and signal.getsignal(number) is _handlers[number]:
                _end(number)


def _end(number: int) -> None:
    """Ends the process, unless the main thread's handler ran and the process goes on."""
    time.sleep(GRACE)
    for stop in _stops:
        stop()
    late = time.monotonic() + _PATIENCE
    while number not in _heard or _waits_for_a_thread():
        if time.monotonic() > late:
            with suppress(Exception):
                (_last or (lambda: None))()
            os._exit(128 + number)
        time.sleep(0.05)


def _waits_for_a_thread() -> bool:
    """Whether the main thread is on its way out and waits for another thread to end first."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_code.co_filename == threading.__file__ and frame.f_code.co_name in ("join", "_shutdown"):
            return True
        frame = frame.f_back
    return False
