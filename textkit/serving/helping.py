"""Processes that share the windows of a stream, where most of the work is Python's and numpy's. Knows no model and no task.

Python computes in one thread at a time. Where a graph is light (a bag of n-grams), most of a line's time goes into turning text
into ids, and a second thread gains a third at most. There, processes help: each has the model, takes a window of records,
and gives back the bytes to be written. What is written is the same, because a line's answer depends on nothing but the line.
They start only when a stream has kept this process busy for a while. This process works beside them, and does without one
that is killed.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import IO, Any, Protocol

from textkit.serving.stream import staged

BUSY = 0.1  # seconds of work without a pause after which helpers start; a start takes them three times as long
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from textkit.serving.helping import serve; serve()"
_GONE = (OSError, EOFError, pickle.UnpicklingError, ValueError)  # what the end of a process looks like in its pipes


class Work(Protocol):
    """What is done with a window: a callable that can be pickled. `counts` adds up what its messages at the end need."""

    counts: tuple[int, ...]

    def __call__(self, item: Any, /) -> Any: ...


class Helpers:
    """`work`, shared by `count` processes, this one among them: a callable for as many threads. Close it at the end."""

    def __init__(self, work: Work, count: int) -> None:
        self.work, self.count = work, count
        self._idle: SimpleQueue[_Helper | None] = SimpleQueue()  # None stands for this process
        self._idle.put(None)
        self._helpers: list[_Helper] = []
        self._busy = 0.0
        self._closed = False
        self._here = threading.Lock()  # held while this process works: its threads would only hinder each other
        self._counts: list[tuple[int, ...]] = []  # the helpers', for each window; appending is safe among threads

    def __call__(self, item: Any) -> Any:
        """The result of `work`, here or in another process. Raises what `work` raises."""
        helper = self._idle.get()
        if helper is not None:
            try:
                result, counts, error = helper.ask(item)
            except _GONE:  # it was killed: its window is done here
                if self._closed:
                    raise
                return self._done_here(item)
            else:
                self._idle.put(helper)
                self._counts.append(counts)
                if error is not None:
                    raise error
                return result
        try:
            return self._done_here(item)
        finally:
            self._idle.put(None)

    def _done_here(self, item: Any) -> Any:
        with self._here:
            begun = time.perf_counter()
            result = self.work(item)
            self._busy += time.perf_counter() - begun
            if self._busy > BUSY and not self._helpers:
                self._start()
        return result

    def paused(self) -> None:
        """Says that the input pauses: who types, or waits for a slow source, needs no helper."""
        self._busy = 0.0

    def close(self) -> None:
        """Ends the processes, and adds what they counted to what `work` did."""
        self._closed = True
        for helper in self._helpers:
            helper.end()
        self.work.counts = tuple(map(sum, zip(self.work.counts, *self._counts, strict=True)))
        self._counts = []

    def _start(self) -> None:
        work = pickle.dumps(self.work, pickle.HIGHEST_PROTOCOL)
        with suppress(OSError):  # no process or memory to spare: this process does all
            for _ in range(self.count - 1):
                helper = _Helper()
                self._helpers.append(helper)
                helper.starting = threading.Thread(target=self._await, args=(helper, work), name="textkit-helper")
                helper.starting.start()

    def _await(self, helper: _Helper, work: bytes) -> None:
        with suppress(*_GONE):
            helper.begin(work)
            self._idle.put(helper)


class _Helper:
    """One process, which works for one thread at a time. `starting`: the thread that waits until it is ready."""

    starting: threading.Thread | None = None

    def __init__(self) -> None:
        # A process group of its own: Ctrl-C at a terminal reaches the command alone, which ends its helpers.
        group = None if os.name == "nt" else 0
        command = [sys.executable, "-c", _PROGRAM, *sys.path]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, process_group=group
        )
        assert self._process.stdin
        assert self._process.stdout
        self._pipes = self._process.stdin, self._process.stdout

    def begin(self, work: bytes) -> None:
        """Returns when the process is ready. Raises one of _GONE where it ended."""
        self._send(work)
        if self._receive() is not None:
            raise EOFError

    def ask(self, item: Any) -> tuple[Any, tuple[int, ...], Exception | None]:
        """The result, what was counted, and what was raised. Raises one of _GONE where the process ended."""
        self._send(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
        return self._receive()

    def end(self) -> None:
        self._process.kill()  # it holds nothing that could be lost
        self._process.wait()
        if self.starting is not None:
            self.starting.join()
        for pipe in self._pipes:
            with suppress(OSError):  # what was to be sent to it is lost as well
                pipe.close()

    def _send(self, data: bytes) -> None:
        _write(self._pipes[0], data)

    def _receive(self) -> Any:
        return pickle.loads(_read(self._pipes[1]))


def shared(items: Iterable[Any], work: Work, count: int) -> Iterator[Any]:
    """What `work` makes of each item, in order, by up to `count` processes. None among `items` is a pause, as for `staged`."""
    helpers = Helpers(work, count)

    def told() -> Iterator[Any]:
        for item in items:
            if item is None:
                helpers.paused()
            yield item

    try:
        yield from staged(told(), [helpers], count, side_by_side=count)
    finally:
        helpers.close()


def serve() -> None:
    """The other process's side: reads the work, says that it is ready, and answers until its input ends."""
    from textkit import process

    inward, outward = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)  # what a library prints must not come between the answers
    process.own()
    with suppress(EOFError, BrokenPipeError):
        work: Work = pickle.loads(_read(inward))
        ready: Callable[[], None] = getattr(work, "load", lambda: None)
        ready()
        _write(outward, pickle.dumps(None))
        while True:
            _write(outward, _answer(work, _read(inward)))


def _answer(work: Work, data: bytes) -> bytes:
    work.counts = tuple(0 for _ in work.counts)
    result: Any = None
    error: Exception | None = None
    try:
        result = work(pickle.loads(data))
    except Exception as caught:
        error = caught
    return pickle.dumps((result, work.counts, error), pickle.HIGHEST_PROTOCOL)


def _write(stream: IO[bytes], data: bytes) -> None:
    stream.write(len(data).to_bytes(8, "little"))
    stream.write(data)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes:
    size = int.from_bytes(_exactly(stream, 8), "little")
    return _exactly(stream, size)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
