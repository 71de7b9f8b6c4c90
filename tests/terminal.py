"""What a program writes, while it runs."""

from __future__ import annotations

import os
import subprocess
import threading


def written_to(end: int) -> bytes:
    """All that is written to a pseudo-terminal until its other side is closed. `end` is our side; it is closed, too."""
    shown = b""
    while True:
        try:
            part = os.read(end, 1 << 16)
        except OSError:  # what Linux answers when the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(end)
    return shown


def heard_until(process: subprocess.Popen[str], words: str, seconds: float = 60) -> list[str]:
    """The lines of standard error up to the one with `words`. A process that never says them is killed, and the test fails."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    heard = []
    for line in process.stderr:
        heard.append(line)
        if words in line:
            timer.cancel()
            return heard
    timer.cancel()
    raise AssertionError(f"{words!r} was never said:\n{''.join(heard)}")
