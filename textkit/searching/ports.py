"""The ports of the graphs that are searched over. Every task with a `step` graph has them in its signature."""

from __future__ import annotations

from textkit.task import Port

# What travels from step to step. `state.*` belongs to a line, or in a step to each of its beams; `cache.*` belongs to
# all beams of a line.
TRAVELS = ("state.", "cache.")
OF_LINES = (Port("state.*", "", ("line",)), Port("cache.*", "", ("line",)))
WORD = (
    Port("token", "int64", ("line", "beam")),
    Port("parent", "int64", ("line", "beam")),
    Port("k", "int64"),
    Port("uniform", "float32", ("line", "beam"), optional="drawing"),
    Port("temperature", "float32", optional="drawing"),
    Port("bias", "float32", ("vocab",), optional="drawing"),
)
BEFORE = (Port("state.*", "", ("line", "from")), Port("cache.*", "", ("line",)))
AFTER = (Port("state.*", "", ("line", "beam")), Port("cache.*", "", ("line",)))
CHOICE = (
    Port("top_id", "int64", ("line", "beam", "k")),
    Port("top_logprob", "float32", ("line", "beam", "k")),
    Port("logprob", "float32", ("line", "beam", "vocab")),
    Port("drawn_id", "int64", ("line", "beam"), optional="drawing"),
    Port("drawn_logprob", "float32", ("line", "beam"), optional="drawing"),
)
