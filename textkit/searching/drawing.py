"""Draws from distributions: finds the place of [row, beam, :] that a random number in [0, 1) falls on. Knows no model; numpy.

A vocabulary has tens of thousands of places for every token, so they are not sorted. Only places near the number drawn, or
near the end of top-p, are looked at one by one. The result for a row depends on that row alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COLDEST = 1e-30  # the least temperature to divide by
_LOWEST = np.finfo(np.float32).min
_BLOCK = 256  # places whose weights are added up together
_BUCKETS, _FINE = 1024, 32  # top-p adds up places within 1/32 nat of each other, down to 32 nats below the likeliest


@dataclass(frozen=True)
class Draw:
    """What a step graph draws tokens by, in proportion to exp((logprob + bias) / temperature) over the whole vocabulary.

    `uniform` f32[row, beam] has a number in (0, 1] for each beam, `temperature` f32[] is above 0, and `bias` f32[vocab] is
    -inf for the ids that may not be drawn. `share` f32[]: draws only from the fewest likeliest that make it up (top-p);
    `uniform` is then f32[row, beam, number], as in `draw`. `top_k`: draws only from so many likeliest (0: all), and the share
    is that of these. For several steps there is a further axis, `uniform` [step, ...].
    """

    uniform: np.ndarray
    temperature: np.ndarray
    bias: np.ndarray
    share: np.ndarray | None = None
    top_k: int = 0


def draw(
    logprob: np.ndarray, uniform: np.ndarray, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> np.ndarray:
    """A place i64[row, sample] for each number of `uniform` f64[row, sample], in proportion to exp(logprob / temperature).

    Places are drawn from the `top_k` likeliest (0: all), and of these from the fewest likeliest that make up `top_p`. Among
    equally likely places the first are kept. logprob f32[row, beam, place] is -inf where nothing may be drawn; it has one
    beam for all samples, or one for each.

    For top-p there may be several numbers for each sample, `uniform` f64[row, sample, number]. Each number but the last draws
    from all places, and its place is taken if the likelier ones make up less than `top_p`. The last number draws from the
    places that top-p leaves. The distribution is the same, and the end of top-p seldom has to be found.
    """
    if temperature == 0:
        return np.broadcast_to(logprob.argmax(2), uniform.shape[:2])
    size = logprob.shape[2]
    weight = _weights(logprob, temperature)
    if 0 < top_k < size:
        _keep_likeliest(weight[:, :, :size], top_k)
    if top_p == 1:
        return _by_blocks(weight, uniform)
    return _of_share(weight, uniform.reshape(*uniform.shape[:2], -1), top_p)


def _weights(logprob: np.ndarray, temperature: float) -> np.ndarray:
    """The weights f32[row, beam, place], 1 for the likeliest place, padded with zeros to whole blocks."""
    rows, beams, size = logprob.shape
    weight = np.empty((rows, beams, -(-size // _BLOCK) * _BLOCK), np.float32)
    weight[:, :, size:] = 0
    of_place = weight[:, :, :size]
    largest = np.maximum(logprob.max(2, keepdims=True), _LOWEST)  # finite even where all are -inf
    np.subtract(logprob, largest, out=of_place, dtype=np.float32)
    if temperature != 1:
        with np.errstate(over="ignore"):
            of_place /= np.float32(max(temperature, COLDEST))
    np.exp(of_place, out=of_place)
    return weight


def _keep_likeliest(weight: np.ndarray, count: int) -> None:
    """Sets the weight of all but the `count` likeliest places of each row and beam to 0."""
    least = -np.partition(-weight, count - 1, axis=2)[:, :, count - 1, None]  # the weight of the last place that stays
    weight[weight < least] = 0
    for row, beam in np.argwhere((weight >= least).sum(2) > count):  # ties with the last: the first stay
        one = weight[row, beam]
        like = np.flatnonzero(one == least[row, beam])
        one[like[count - np.count_nonzero(one > least[row, beam]) :]] = 0


def _of_share(weight: np.ndarray, uniform: np.ndarray, share: float) -> np.ndarray:
    """A place i64[row, sample] from the fewest likeliest that have `share` of the weight; uniform f64[row, sample, number]."""
    found = np.zeros(uniform.shape[:2], np.int64)
    row, left = np.arange(len(found)), np.ones(found.shape, bool)  # the samples that still lack a place
    last = uniform.shape[2] - 1
    for at in range(last + 1):
        if at == last:
            _keep_share(weight, share)
        place = _by_blocks(weight, uniform[:, :, at])
        taken = left if at == last else left & _among(weight, place, share)
        found[row] = np.where(taken, place, found[row])
        left = left & ~taken
        going = left.any(1)
        if not going.any():
            break
        if not going.all():
            row, left, weight, uniform = row[going], left[going], weight[going], uniform[going]
    return found


def _among(weight: np.ndarray, place: np.ndarray, share: float) -> np.ndarray:
    """Whether places i64[row, sample] are among the fewest likeliest that have `share` of the weight."""
    found = np.zeros(place.shape, bool)
    every = np.arange(len(place))
    for sample in range(place.shape[1]):
        of_place = weight[:, min(sample, weight.shape[1] - 1)]  # [row, place]
        own = of_place[every, place[:, sample]]
        wanted = share * of_place.sum(1).astype(np.float64)
        up_to = np.where(of_place >= own[:, None], of_place, 0).sum(1)  # with all equally likely places
        found[:, sample] = up_to - own < wanted
        for row in np.flatnonzero(~found[:, sample]):  # some of the equally likely places may come after it
            one, at = of_place[row], place[row, sample]
            as_likely = np.count_nonzero(one[:at] == own[row])
            before = one[one > own[row]].sum(dtype=np.float64) + as_likely * float(own[row])
            found[row, sample] = before < wanted[row]
    return found


def _keep_share(weight: np.ndarray, share: float) -> None:
    """Sets the weight of all but the fewest likeliest places that have `share` of it to 0 (Holtzman et al. 2020)."""
    rows, beams, _ = weight.shape
    with np.errstate(divide="ignore"):
        below = np.log(weight) * np.float32(-_FINE)  # how far below the likeliest, in 1/_FINE nat
    bucket = np.fmin(below, np.float32(_BUCKETS - 1)).astype(np.int64)  # NaN falls into the last
    flat = bucket + np.arange(rows * beams).reshape(rows, beams, 1) * _BUCKETS
    summed = np.cumsum(
        np.bincount(flat.ravel(), weight.ravel(), rows * beams * _BUCKETS).reshape(rows, beams, _BUCKETS), axis=2
    )
    wanted = share * summed[:, :, -1]  # [row, beam]
    last = np.minimum((summed < wanted[:, :, None]).sum(2), _BUCKETS - 1)  # the bucket in which it is reached
    weight[bucket > last[:, :, None]] = 0
    for row, beam in np.ndindex(rows, beams):
        at = int(last[row, beam])
        among = np.flatnonzero(bucket[row, beam] == at)
        among = among[np.argsort(-weight[row, beam, among], kind="stable")]
        of_each = weight[row, beam, among].astype(np.float64)
        before = np.cumsum(of_each) - of_each + (summed[row, beam, at - 1] if at else 0)
        gone = before >= wanted[row, beam]
        gone[:1] &= at > 0  # the likeliest place stays, however sums are rounded
        weight[row, beam, among[gone]] = 0


def _by_blocks(weight: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """The place that each number falls on: first its block, by the sums of blocks, then the place, by the sums within it."""
    rows, beams, size = weight.shape
    by_block = weight.reshape(rows, beams, size // _BLOCK, _BLOCK)
    of_block = by_block.sum(3)
    ends = np.cumsum(of_block, axis=2, dtype=np.float64)  # [row, beam, block]
    mark = uniform * ends[:, :, -1]  # [row, sample]
    block = _first_beyond(ends, mark, of_block)
    row = np.arange(rows)[:, None]
    beam = np.arange(block.shape[1]) if beams > 1 else np.zeros(block.shape[1], np.int64)
    within = by_block[row, beam, block]  # [row, sample, place]
    rest = mark - ends[row, beam, block] + of_block[row, beam, block]
    return block * _BLOCK + _first_beyond(np.cumsum(within, axis=2, dtype=np.float64), rest, within)


def _first_beyond(summed: np.ndarray, mark: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The first place whose sum is beyond the mark, [row, sample]; where rounding leaves none, the last that has weight."""
    found = (summed <= mark[:, :, None]).sum(2)
    if (found == weight.shape[2]).any():
        last = weight.shape[2] - 1 - (weight[:, :, ::-1] > 0).argmax(2)
        found = np.minimum(found, np.where(weight.any(2), last, 0))
    return found
