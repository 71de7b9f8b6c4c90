"""What a program writes to a terminal."""

from __future__ import annotations

import os


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
