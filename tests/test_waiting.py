"""Waiting for a file to be readable: a signal in the instant before is not missed, and nothing stays changed."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from textkit.streams import waiting
from textkit.streams.lines import Reader
from textkit.streams.waiting import wait_readable


class Heard(Exception):
    pass


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


@pytest.fixture
def handler():
    """A handler by which SIGUSR1 raises Heard."""

    def hear(number, frame):
        raise Heard

    before = signal.signal(signal.SIGUSR1, hear)
    yield
    signal.signal(signal.SIGUSR1, before)


def late(seconds, act):
    thread = threading.Timer(seconds, act)
    thread.start()
    return thread


def test_bytes_and_the_end_of_a_file_end_the_wait(pipe):
    thread = late(0.05, lambda: os.write(pipe[1], b"x"))
    wait_readable(pipe[0])
    assert os.read(pipe[0], 9) == b"x"
    thread.join()
    thread = late(0.05, lambda: os.close(pipe[1]))
    wait_readable(pipe[0])
    assert os.read(pipe[0], 9) == b""
    thread.join()


def test_a_signal_that_interrupts_no_system_call_ends_it(pipe, handler):
    """Another thread takes the signal, so that this thread's call goes on, as if the signal came just before the call."""
    began = time.monotonic()
    taken = late(0.05, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGUSR1))
    guard = late(5, lambda: os.write(pipe[1], b"x"))
    with pytest.raises(Heard):
        wait_readable(pipe[0])
    assert time.monotonic() - began < 4
    guard.cancel()
    for thread in (taken, guard):
        thread.join()


def test_a_signal_whose_handler_returns_does_not_end_it(pipe):
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    threads = [late(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR1)), late(0.2, lambda: os.write(pipe[1], b"x"))]
    began = time.monotonic()
    wait_readable(pipe[0])
    assert time.monotonic() - began > 0.15
    assert heard == [signal.SIGUSR1]
    signal.signal(signal.SIGUSR1, before)
    for thread in threads:
        thread.join()


def test_whoever_wants_to_be_told_of_signals_is_told_and_stays(pipe):
    theirs = os.pipe()
    for end in theirs:
        os.set_blocking(end, False)
    before = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    first = signal.set_wakeup_fd(theirs[1])
    thread = late(0.05, lambda: (os.kill(os.getpid(), signal.SIGUSR1), time.sleep(0.1), os.write(pipe[1], b"x")))
    try:
        wait_readable(pipe[0])
        assert os.read(theirs[0], 9) == bytes([signal.SIGUSR1])
    finally:
        assert signal.set_wakeup_fd(first) == theirs[1]
        signal.signal(signal.SIGUSR1, before)
        thread.join()
        for end in theirs:
            os.close(end)


def test_in_another_thread_it_is_the_read_that_waits(pipe):
    done = []
    thread = threading.Thread(target=lambda: done.append(wait_readable(pipe[0])))
    thread.start()
    thread.join(5)
    assert done == [None]


def test_a_child_has_its_own_pipe(pipe):
    os.write(pipe[1], b"x")
    wait_readable(pipe[0])
    mine = waiting._own_pipe()
    child = os.fork()
    if not child:
        os._exit(waiting._own_pipe() == mine)
    assert os.waitpid(child, 0)[1] == 0


def test_a_file_is_never_waited_for(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"a\n" * 1000)
    monkeypatch.setattr("textkit.streams.lines.wait_readable", lambda descriptor: 1 / 0)
    with Reader(tmp_path / "file", 16) as reader:
        assert sum(map(len, reader)) == 1000
