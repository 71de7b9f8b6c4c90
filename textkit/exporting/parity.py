"""What the checks of every task have in common: the lines they are tried on, and how a graph is run. Knows no task."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textkit.serving.session import Session

SAMPLES = 1024  # lines of real text that deviations are measured on
# What text meets that no training line may have held. The blank ones have no token at all.
STRANGE = (
    "",
    "   ",
    "xqzzvkw qqqjjj",
    "naïve Ünïcödé ΑΒΓ",
    "日本語 中文",
    "\U0001f600 \U0001f468\u200d\U0001f469",
    "e\u0301te\u0301",
    "\x00 \x07",
)


def load(graph: bytes) -> Session:
    """The graph as a check runs it: on the CPU, where results repeat, with one thread."""
    from textkit.serving.session import Session

    return Session(graph, device="cpu", threads=1)
