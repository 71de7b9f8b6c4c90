"""How far a slow filter reads ahead: as far as it gets in a short while. Knows no verb; light to import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textkit.streams.columns import Block

SECONDS = 2.0  # the time a window of lines should take: output is written that often, and Ctrl-C loses no more
FEWEST, MOST = 64, 4096  # lines of a window


class AdaptiveWindow:
    """The number of lines to read ahead: as many as take about SECONDS. More make better batches but delay the output."""

    def __init__(self, lines: int | None) -> None:
        self.fixed = lines is not None
        self.lines = lines or FEWEST

    def took(self, lines: int, seconds: float) -> None:
        if not self.fixed and lines >= self.lines // 2:
            aim = int(SECONDS * lines / max(seconds, 1e-6))
            self.lines = max(FEWEST, min(MOST, aim, 4 * self.lines))

    def joined(self, small: Iterable[Block | None]) -> Iterator[Block | None]:
        """Joins the windows `small` into larger ones; a pause, None, ends one."""
        from textkit.streams.columns import Block

        held: list[Block] = []
        for block in small:
            if block is not None:
                held.append(block)
            if held and (block is None or sum(map(len, held)) >= self.lines):
                yield Block.joined(held)
                held = []
            if block is None:
                yield None
        if held:
            yield Block.joined(held)
