"""What a full disk does, for any user: no file may grow beyond some bytes."""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def little_room(most: int) -> Iterator[None]:
    """No file may grow beyond `most` bytes.

    Python would cut the compiled modules that it writes as well, and would later fail to read them, so it writes none.
    """
    limits, handler, written = (
        resource.getrlimit(resource.RLIMIT_FSIZE),
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
        sys.dont_write_bytecode,
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = written
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
