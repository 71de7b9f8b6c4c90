"""How much of the machine other processes use, which decides how threads wait for each other.

Threads that share a computation wait for each other many times in a second. Libraries let them spin for some milliseconds
first, because waking a thread takes longer. Where another process needs the processor, the thread that is waited for is not
running, and the one that spins keeps it from being run. On 2 processors beside one busy process, a training took six times as
long as with threads that sleep, and serving 1.3 to 2.6 times. On a machine of one's own, sleeping costs a tenth.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

_ENOUGH = 0.05  # seconds; the system counts in hundredths
_begun: tuple[float, float, float] | None = None  # when; seconds of processors used by all, and by this process


def watch() -> None:
    """Begins to count. The command line calls it when it starts; in other programs nothing is known of the neighbours."""
    global _begun
    _begun = _now()


def others() -> float:
    """The processors that other processes, or other machines on the same hardware, have used since `watch`; 0.0: unknown."""
    if _begun is None or (now := _now()) is None:
        return 0.0
    seconds, used, own = (after - before for after, before in zip(now, _begun, strict=True))
    return max(0.0, used - own) / seconds if seconds >= _ENOUGH else 0.0


def crowded(threads: int) -> bool:
    """Whether `threads` threads would have to share processors with other processes."""
    return threads > 1 and threads + others() > (os.cpu_count() or 1) + 0.5


def _now() -> tuple[float, float, float] | None:
    with suppress(OSError, ValueError, IndexError), open("/proc/stat", encoding="ascii") as lines:  # Linux
        user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, lines.readline().split()[1:9])
        ticks = user + nice + system + irq + softirq + steal
        return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time()
    return None
