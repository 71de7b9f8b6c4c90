"""What the checks of all tasks have in common: the lines that they try, and how they run a graph. Knows no task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from textkit.corpora.batching import padded
from textkit.errors import TextkitError
from textkit.text.rule import TextRule

if TYPE_CHECKING:
    from textkit.serving.session import Session

SAMPLES = 1024  # lines of real text that deviations are measured on
# Lines that a served model may meet though no training line was like them. The blank ones have no token at all.
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
CHECKED = 128  # lines of real text that are compared in full
BATCH = 64  # lines of real text in one case
RAGGED, UNSEEN, SAMPLE, MORE = "ragged", "unseen words", "sample", "more of the sample"  # names of cases
CASE_TOKENS = 512  # longest line of a check: the cost of attention grows with its square


@dataclass(frozen=True)
class Case:
    """One batch: ids i64[line, token] and weight f32[line, token], 0 for padding."""

    name: str
    ids: np.ndarray
    weight: np.ndarray


def cases(rule: TextRule, sample: Sequence[str], limit: int = 0) -> Iterator[Case]:
    """Batches of many shapes: one token, long, ragged, blank lines, unseen words, and `sample` lines of real text.

    `limit`: the longest line the model takes; 0 for any.
    """
    longest = min(limit or CASE_TOKENS, CASE_TOKENS)
    random = np.random.default_rng(0)
    for lines, tokens in ((1, 1), (1, 7), (3, 1), (5, 17), (2, longest)):
        tokens = min(tokens, longest)
        ids = random.integers(0, len(rule), (lines, tokens))
        weight = random.choice(np.array([1, 1, 0.5, 0.25], np.float32), (lines, tokens))
        yield Case(f"{lines} x {tokens}", ids, weight)
    ids = random.integers(0, len(rule), (6, min(9, longest)))
    ragged = np.arange(ids.shape[1]) < np.array([ids.shape[1], 1, 0, 3, 0, 2])[:, None]
    yield Case(RAGGED, np.where(ragged, ids, 0), ragged.astype(np.float32))
    yield Case("blank", np.zeros((2, 1), np.int64), np.zeros((2, 1), np.float32))
    yield Case(UNSEEN, *padded(rule, STRANGE, longest))
    for start in range(0, min(len(sample), SAMPLES), BATCH):
        name = SAMPLE if start < CHECKED else MORE
        yield Case(name, *padded(rule, sample[start : min(start + BATCH, SAMPLES)], longest))


def load(graph: bytes) -> Session:
    """The graph as a check runs it: on the CPU, where results repeat, with one thread."""
    from textkit.serving.session import Session

    return Session(graph, device="cpu", threads=1)


def refuse(worst: float, tolerance: float, where: str) -> None:
    """Raises TextkitError where a graph differs by more than the tolerance from its model."""
    if worst > tolerance:
        raise TextkitError(
            f"the exported graph differs from the model by {worst:.2g} of its largest number, {tolerance:.0e} is "
            f"allowed ({where}): nothing was written"
        )
