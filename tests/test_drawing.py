"""Places drawn from distributions, compared with sums in float64 over all places, one number at a time."""

from __future__ import annotations

import numpy as np
import pytest

from textkit.searching.drawing import draw

ALMOST_ONE = float(np.nextafter(1, 0))


def plain(logprob: np.ndarray, number: float, temperature: float, top_k: int, top_p: float) -> tuple[int, float]:
    """The place of one distribution on which a number falls, and how far the nearest border is, as a share of the whole."""
    order = np.argsort(-logprob, kind="stable")
    weight = np.exp((logprob - logprob.max()) / temperature)
    if top_k:
        weight[order[top_k:]] = 0
    if top_p < 1:
        before = np.cumsum(weight[order]) - weight[order]
        weight[order[before >= top_p * weight.sum()]] = 0
    summed = np.cumsum(weight) / weight.sum()
    return int(np.searchsorted(summed, number, side="right")), float(np.abs(summed - number).min())


@pytest.mark.parametrize("size", [3, 255, 256, 257, 9_000])
@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1, 0, 1), (0.7, 0, 1), (1, 0, 0.6), (1.5, 0, 0.97), (3, 0, 0.999), (1, 700, 1), (1, 300, 0.8), (1, 9_000, 1)],
)
def test_the_place_that_a_number_falls_on(size: int, temperature: float, top_k: int, top_p: float) -> None:
    random = np.random.default_rng(size)
    logprob = random.normal(scale=3, size=(4, 2, size)).astype(np.float32)
    logprob[:, :, random.integers(0, size, size // 3)] = -np.inf
    logprob[..., size // 2] = 0
    numbers = random.random((4, 2))
    found = draw(logprob, numbers, temperature, top_k, top_p)
    compared = 0
    for row, sample in np.ndindex(4, 2):
        given = logprob[row, sample].astype(np.float64)
        wanted, distance = plain(given, numbers[row, sample], temperature, top_k, top_p)
        if distance > 1e-6:
            compared += 1
            assert found[row, sample] == wanted
        alone = draw(
            logprob[row : row + 1, sample : sample + 1], numbers[None, row, None, sample], temperature, top_k, top_p
        )
        assert alone[0, 0] == found[row, sample]  # whatever is beside it
    assert compared >= 4


def tried(logprob: np.ndarray, numbers: np.ndarray, temperature: float, top_k: int, top_p: float) -> tuple[int, float]:
    """The place to which several numbers lead, and how close the closest decision was."""
    order, nearest = np.argsort(-logprob, kind="stable"), 1.0
    for number in numbers[:-1]:
        place, distance = plain(logprob, number, temperature, top_k, 1)
        weight = np.exp((logprob[order] - logprob.max()) / temperature)
        weight[top_k or len(weight) :] = 0
        before = (np.cumsum(weight) - weight)[list(order).index(place)] / weight.sum()
        nearest = min(nearest, distance, abs(before - top_p))
        if before < top_p:
            return place, nearest
    place, distance = plain(logprob, numbers[-1], temperature, top_k, top_p)
    return place, min(nearest, distance)


@pytest.mark.parametrize("size", [3, 257, 3_000])
@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(1, 0, 0.6), (1.5, 0, 0.97), (3, 0, 0.3), (1, 200, 0.8), (0.5, 0, 1e-3)]
)
def test_the_place_that_several_numbers_lead_to(size: int, temperature: float, top_k: int, top_p: float) -> None:
    random = np.random.default_rng(size)
    logprob = random.normal(scale=3, size=(6, 3, size)).astype(np.float32)
    logprob[:, :, random.integers(0, size, size // 3)] = -np.inf
    logprob[..., size // 2] = 0
    numbers = random.random((6, 3, 4))
    found = draw(logprob, numbers, temperature, top_k, top_p)
    compared = 0
    for row, sample in np.ndindex(6, 3):
        wanted, distance = tried(
            logprob[row, sample].astype(np.float64), numbers[row, sample], temperature, top_k, top_p
        )
        if distance > 1e-5:
            compared += 1
            assert found[row, sample] == wanted
        given = logprob[row : row + 1, sample : sample + 1], numbers[row : row + 1, sample : sample + 1]
        assert draw(*given, temperature, top_k, top_p)[0, 0] == found[row, sample]  # whatever is beside it
    assert compared >= 9


@pytest.mark.parametrize(
    "numbers", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
def test_however_many_numbers_the_distribution_is_the_same(numbers: int) -> None:
    """Of 0.4, 0.3, 0.2 and 0.1 the first two reach 0.6; of two that are equally likely the first is kept."""
    count = 20_000
    uniform = np.random.default_rng(1).random((count, 1, numbers))
    for shares, top_p, wanted in (
        ([0.1, 0.3, 0.2, 0.4], 0.6, [0, 3 / 7, 0, 4 / 7]),
        ([0.4, 0.3, 0.3], 0.69, [4 / 7, 3 / 7, 0]),
        ([0.3, 0.4, 0.3], 0.71, [0.3, 0.4, 0.3]),
        ([0.25, 0.25, 0.25, 0.25], 0.5, [0.5, 0.5, 0, 0]),
    ):
        logprob = np.tile(np.log(np.array(shares, np.float32)), (count, 1, 1))
        found = np.bincount(draw(logprob, uniform, 1, 0, top_p)[:, 0], minlength=len(shares)) / count
        assert found == pytest.approx(wanted, abs=0.015)  # more than four standard deviations
        assert (found > 0).tolist() == [share > 0 for share in wanted]


def test_samples_of_one_distribution() -> None:
    logprob = np.array([[[np.log(0.1), np.log(0.2), -np.inf, np.log(0.7)]]], np.float32)
    numbers = np.array([[0, 0.05, 0.15, 0.29, 0.31, ALMOST_ONE]])
    assert draw(logprob, numbers).tolist() == [[0, 0, 1, 1, 3, 3]]


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (0, 0.5), (400, 1.0)])
@pytest.mark.parametrize("size", [5, 5_000])
def test_what_may_not_be_drawn_never_is(top_k: int, top_p: float, size: int) -> None:
    logprob = np.full((1, 1, size), -np.inf, np.float32)
    logprob[0, 0, [1, size - 2]] = -1
    found = draw(logprob, np.array([[0, 0.2, 0.6, ALMOST_ONE]]), 1, top_k, top_p)[0]
    assert found.tolist() == ([1, 1, 1, 1] if top_p < 1 else [1, 1, size - 2, size - 2])
    tries = np.array([[[0.6, 0.2], [0.2, 0.6], [ALMOST_ONE, 0], [0, ALMOST_ONE]]])
    if top_p < 1:
        assert draw(logprob, tries, 1, top_k, top_p)[0].tolist() == [1, 1, 1, 1]
    nothing = np.full((1, 1, size), -np.inf, np.float32)
    draw(nothing, np.array([[0.5]]), 1, top_k, top_p)  # nothing may be drawn: no error
    draw(nothing, np.array([[[0.5, 0.5]]]), 1, top_k, 0.5)


def test_places_as_likely_as_each_other_come_in_their_order() -> None:
    logprob = np.full((1, 1, 6_000), -1, np.float32)
    logprob[0, 0, 4_000] = 0
    numbers = np.array([[0, ALMOST_ONE]])
    assert draw(logprob, numbers, top_k=1_000)[0].tolist() == [0, 4_000]
    # Kept are the first 999 and place 4,000, whose weight is e times theirs: 0.99 * (999 + e) = 991.7.
    assert draw(logprob, np.array([[0.99]]), top_k=1_000) == 991
    logprob[0, 0, 4_000] = -1
    assert draw(logprob, numbers, top_k=1_000)[0].tolist() == [0, 999]
    assert draw(logprob, numbers, top_p=0.5)[0].tolist() == [0, 2_999]
    assert draw(logprob, numbers, top_k=1_000, top_p=0.1)[0].tolist() == [0, 99]
    assert draw(logprob, numbers, top_p=1e-300)[0].tolist() == [0, 0]


@pytest.mark.parametrize("temperature", [1e-300, 1e-9])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_a_temperature_near_nothing_is_the_likeliest(temperature: float, top_p: float) -> None:
    logprob = np.random.default_rng(0).normal(size=(1, 1, 5_000)).astype(np.float32)
    assert draw(logprob, np.array([[0.9]]), temperature, 0, top_p) == logprob.argmax()
    assert draw(logprob, np.array([[0.9]]), 0) == logprob.argmax()


def test_few_places() -> None:
    logprob = np.log(np.array([[[0.5, 0.3, 0.2]]], np.float32))
    numbers = np.array([[0.49, 0.51, 0.81]])
    assert draw(logprob, numbers).tolist() == [[0, 1, 2]]
    assert draw(logprob, numbers, top_p=0.6).tolist() == [[0, 0, 1]]  # of 0.8: 0.625 and 0.375
    assert draw(logprob, numbers, top_k=1).tolist() == [[0, 0, 0]]
    assert draw(logprob, numbers, temperature=0).tolist() == [[0, 0, 0]]
    logprob[0, 0, 0] = -np.inf  # top-k counts only what may be drawn
    assert draw(logprob, numbers, top_k=1).tolist() == [[1, 1, 1]]
