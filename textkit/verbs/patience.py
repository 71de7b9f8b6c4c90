"""What a signal does to a training: it stops the training after an update, or at once if nothing would be lost.

Python handles a signal between two of its own steps. A step in compiled code (numba's compiler, a tokenizer's training, a batch
of a kernel) may take minutes, so a thread waits for signals as well. Within a second it tells the user what will happen, and it
ends the process if Python itself does not get to it. That breaks nothing: each file of a run is whole or absent.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from textkit import signals, temporary

PROMPT_SECONDS = 0.7  # that Python has to end in its own way


class Patience:
    """Handles Ctrl-C, SIGTERM and SIGHUP while a training runs.

    Once the loop runs, the first signal asks it to stop and write a checkpoint. A signal before that, or a second one, ends the
    process. A signal that the process was started to ignore (nohup) stays ignored.

    `say` is called at once when the loop will stop. `give_up` tidies up and reports what is kept, if the process must be ended
    from outside Python's main thread. One of several processes (not `alone`) gets a Ctrl-C twice, from the terminal and from
    the launcher that got it too, so signals within TWICE_SECONDS count as one.
    """

    TWICE_SECONDS = 3.0

    def __init__(
        self,
        alone: bool = True,
        say: Callable[[], None] = lambda: None,
        give_up: Callable[[], None] = lambda: None,
    ) -> None:
        self.gentle = False
        self.asked = 0  # the signal that asked to stop; 0: none
        self._alone, self._say, self._give_up = alone, say, give_up
        self._when = 0.0
        self._over = threading.Event()
        self._told = threading.Event()
        self._pipe: tuple[int, int] | None = None

    def __enter__(self) -> Patience:
        heeded = [number for number in signals.ASKING if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._take) for number in heeded}
        if self._alone and threading.current_thread() is threading.main_thread():
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[1], False)
            self._wakened = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(self._pipe[0], frozenset(heeded)), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        if self._pipe is not None:
            signal.set_wakeup_fd(self._wakened)
            os.close(self._pipe[1])  # ends the thread, which closes the other end
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def settle(self) -> None:
        """Waits until the thread has said that the loop will stop. Call it before the end is reported, which then is last."""
        if self.asked and self._pipe is not None:
            self._told.wait(PROMPT_SECONDS)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.asked and not self._alone and time.monotonic() - self._when < self.TWICE_SECONDS:
            return
        if self.asked or not self.gentle:
            signals.raise_for(number)
        self.asked, self._when = number, time.monotonic()

    def _watch(self, end: int, heeded: frozenset[int]) -> None:
        with suppress(OSError):
            while numbers := os.read(end, 64):
                for number in heeded.intersection(numbers):
                    if self.gentle and not self._told.is_set():
                        self._say()
                        self._told.set()
                    elif not self._over.wait(PROMPT_SECONDS):
                        self._give_up()
                        temporary.clear()
                        os._exit(128 + number)
            os.close(end)
