"""The words that the lines of a batch may hold, as a step graph with a shortlist takes them.

The columns of the projection that any line of a batch needs are gathered once. A step multiplies by these, and takes of each
line's logits those of its own words. So a line's words and their probabilities are the same in any batch, to the last bit: they
stand in the order of their ids, followed by padding, and a vector unit adds up as many at a time as divide _GROUP. numpy only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_GROUP = 64  # words: padding beyond a multiple of this many changes no sum
_FEWEST = 128  # words: onnxruntime adds up products with 64 columns or fewer in another order


class Shortlisted(NamedTuple):
    """`words` i64[word]: the ids that any line may hold. `allowed` i64[line, choice]: the places in `words` of those that each
    line may hold; `outside` f32[line, choice]: 0, and -inf behind the line's last."""

    words: np.ndarray
    allowed: np.ndarray
    outside: np.ndarray


def shortlisted(allowed: np.ndarray) -> Shortlisted:
    """allowed bool[line, vocab] -> the words of the batch and of each line."""
    some: np.ndarray = np.asarray(allowed.any(0))
    if (missing := min(_FEWEST, len(some)) - int(some.sum())) > 0:
        some[np.flatnonzero(~some)[:missing]] = True  # no line may have these
    words = np.flatnonzero(some)
    of_lines = allowed[:, words]  # [line, word]
    counts = of_lines.sum(1)
    width = -(-max(1, int(counts.max(initial=1))) // _GROUP) * _GROUP
    inside = np.arange(width) < counts[:, None]  # [line, choice]
    places = np.zeros(inside.shape, np.int64)
    places[inside] = of_lines.nonzero()[1]
    return Shortlisted(words, places, np.where(inside, np.float32(0), np.float32(-np.inf)))
