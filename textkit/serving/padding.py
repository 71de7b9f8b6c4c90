"""Turns flat ids into the ports of a batch: parts of long lines, padding, the starts of words. numpy only; knows no graph."""

from __future__ import annotations

import numpy as np

from textkit.text.rule import Encoded

# Lines are padded to a multiple of this. Sums are computed in groups of up to 8, by place. If all groups are whole, a
# line's vector is the same to the last bit in every batch, not only to 1e-7. It costs a tenth of the graph's time.
_STEP = 8
SOURCES = 4  # one word's attention over a source is summed in fours; wider groups cost time and change nothing


def whole_groups(longest: int, limit: int, step: int = _STEP) -> int:
    """The width of a batch whose longest line has `longest` tokens: whole groups of `step`, but no padding beyond `limit`."""
    return min(-(-longest // step) * step, max(longest, limit))


def padded(
    encoded: Encoded, starts: np.ndarray, lengths: np.ndarray, limit: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The ports `ids` and `weight` [line, token] for parts of the flat ids, and each token's place among those."""
    width = whole_groups(int(lengths.max()), limit)
    places = starts[:, None] + np.arange(width)  # [line, token]
    if int(lengths.min()) == width:
        weight = np.ones(places.shape, np.float32) if encoded.weight is None else encoded.weight[places]
        return {"ids": encoded.ids[places], "weight": weight}, places
    real = np.arange(width) < lengths[:, None]
    np.minimum(places, len(encoded.ids) - 1, out=places)
    weight = real.astype(np.float32)
    if encoded.weight is not None:
        weight *= encoded.weight[places]
    return {"ids": np.where(real, encoded.ids[places], 0), "weight": weight}, places


def parts(encoded: Encoded, start: int, length: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the parts of a long line begin, and their lengths. No part exceeds `limit`, and words stay whole if they fit."""
    borders = word_starts(encoded)[start : start + length] if encoded.spans is not None else None
    cuts = [0]
    while length - cuts[-1] > limit:
        cut = cuts[-1] + limit
        if borders is not None and not borders[cut]:
            before = np.flatnonzero(borders[cuts[-1] + 1 : cut])
            cut = cuts[-1] + 1 + int(before[-1]) if len(before) else cut
        cuts.append(cut)
    places = np.array(cuts)
    return start + places, np.diff(np.append(places, length))


def word_starts(encoded: Encoded) -> np.ndarray:
    """Whether a word begins at each id, bool[total]."""
    begins = np.ones(len(encoded.ids), bool)
    if encoded.spans is not None:
        spans = encoded.spans[encoded.spans > 0]
        begins[:] = False
        begins[np.cumsum(spans) - spans] = True
    return begins
