"""The highest numbers among the vectors of a line's words, where a word may have several ids.

The graph's own maximum is over ids, but such a word is one vector, the weighted sum of those of its ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from textkit.serving.padding import word_starts
from textkit.text.rule import Encoded

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder


def max_of_words(encoded: Encoded, starts: np.ndarray, lengths: np.ndarray, embedder: Embedder) -> np.ndarray:
    """The vector f32[line, dim] of each line of the flat ids, which begin at `starts` and have `lengths` > 0 ids."""
    vectors = np.zeros((len(starts), embedder.dim), np.float32)
    begins = word_starts(encoded)

    def run(part: np.ndarray) -> None:
        places, weighted = embedder.weighted(encoded, starts[part], lengths[part])
        firsts = np.cumsum(lengths[part]) - lengths[part]  # where each line begins in `weighted`
        begin = begins[places]
        begin[firsts] = True
        words = np.add.reduceat(weighted, np.flatnonzero(begin), axis=0)  # [word, dim]
        vectors[part] = np.maximum.reduceat(words, np.cumsum(begin)[firsts] - 1, axis=0)

    embedder.spread(run, lengths)
    return vectors
