"""Turns flat ids into the ports of a batch: parts of long lines, padding, the starts of words. numpy only; knows no graph."""

from __future__ import annotations

import numpy as np

from textkit.text.rule import Encoded

# Lines are padded to a multiple of this. Sums are computed in groups of up to 8, by place. If all groups are whole, a
# line's vector is the same to the last bit in every batch, not only to 1e-7. It costs a tenth of the graph's time.
STEP = 8
# Attention, and means of tokens that all weigh 1, are summed in fours; wider groups cost time and change nothing.
SOURCES = 4


def whole_groups(longest: int, limit: int, step: int = STEP) -> int:
    """The width of a batch whose longest line has `longest` tokens: whole groups of `step`, but no padding beyond `limit`."""
    return min(-(-longest // step) * step, max(longest, limit))


def step_of(encoded: Encoded, attends: bool) -> int:
    """The groups that lines are padded to, for a graph that `attends` or not."""
    return SOURCES if attends and encoded.weight is None else STEP


def padded(
    encoded: Encoded, starts: np.ndarray, lengths: np.ndarray, limit: int, step: int = STEP
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The ports `ids` and `weight` [line, token] for parts of the flat ids, and each token's place among those."""
    width = whole_groups(int(lengths.max()), limit, step)
    places = starts[:, None] + np.arange(width)  # [line, token]
    if int(lengths.min()) == width:
        weight = np.ones(places.shape, np.float32) if encoded.weight is None else encoded.weight[places]
        return {"ids": encoded.ids[places], "weight": weight}, places
    real = np.arange(width) < lengths[:, None]
    np.minimum(places, len(encoded.ids) - 1, out=places)
    weight = real.astype(np.float32)
    if encoded.weight is not None:
        weight *= encoded.weight.take(places)
    ids = encoded.ids.take(places)
    ids *= real
    return {"ids": ids, "weight": weight}, places


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


def cut(encoded: Encoded, limit: int, around: tuple[int, int]) -> Encoded:
    """The lines with at most `limit` ids each. Of a longer line the beginning is left, and what the rule puts behind each line
    (`around`, see TextRule). Only for rules without spans."""
    too_long = np.flatnonzero(encoded.lengths > limit)
    if not len(too_long):
        return encoded
    behind = around[1] if sum(around) < limit else 0
    ends = np.cumsum(encoded.lengths)
    kept = np.ones(len(encoded.ids), bool)
    for line in too_long.tolist():
        kept[ends[line] - encoded.lengths[line] + limit - behind : ends[line] - behind] = False
    weight = None if encoded.weight is None else encoded.weight[kept]
    return Encoded(encoded.ids[kept], np.minimum(encoded.lengths, limit), weight)


def shortened(encoded: Encoded, limit: int, around: tuple[int, int]) -> tuple[Encoded, np.ndarray, np.ndarray]:
    """The lines with at most `limit` ids each, as `cut` leaves them: where each begins among the ids, and its length.

    Where a rule puts nothing `around` a line, no id is moved."""
    if any(around):
        encoded = cut(encoded, limit, around)
    starts = np.cumsum(encoded.lengths) - encoded.lengths
    return encoded, starts, np.minimum(encoded.lengths, limit)


def places_left(length: int, limit: int, around: tuple[int, int]) -> list[int]:
    """Which ids of a line of `length` ids `cut` leaves, in order."""
    if length <= limit:
        return list(range(length))
    behind = around[1] if sum(around) < limit else 0
    return [*range(limit - behind), *range(length - behind, length)]


def left(words: list[tuple[str, int, int]], limit: int, around: tuple[int, int]) -> list[tuple[str, int, int]]:
    """The tokens of a line, as TextRule.tokens gives them, that `cut` leaves, with their new places."""
    if not any(around):
        return [word for word in words if word[2] <= limit]
    kept = places_left(len(words), limit, around)  # such a rule has an id for each token
    return [(words[place][0], at, at + 1) for at, place in enumerate(kept)]


def shared_parts(
    encoded: Encoded, start: int, length: int, limit: int, around: tuple[int, int]
) -> tuple[Encoded, np.ndarray, np.ndarray, np.ndarray]:
    """The parts of a long line: ids, where each part begins in them and its length, and its weight in the line f64[part].

    Each part gets what the rule puts around a line (`around`, see TextRule), which has no weight in the line.
    """
    if not any(around) or sum(around) >= limit:
        starts, lengths = parts(encoded, start, length, limit)
        weight = np.ones(length) if encoded.weight is None else encoded.weight[start : start + length]
        return encoded, starts, lengths, np.add.reduceat(weight, starts - start, dtype=np.float64)
    before, behind = around
    ids = encoded.ids[start : start + length]
    own = ids[before : length - behind]
    pieces = [own[at : at + limit - before - behind] for at in range(0, len(own), limit - before - behind)]
    laid = [part for piece in pieces for part in (ids[:before], piece, ids[length - behind :])]
    shares = np.fromiter(map(len, pieces), np.int64, len(pieces))
    lengths = shares + before + behind
    return Encoded(np.concatenate(laid), lengths), np.cumsum(lengths) - lengths, lengths, shares.astype(np.float64)
