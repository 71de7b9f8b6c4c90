"""Near-duplicates of rows: what a reference of a few lines finds, whatever the blocks, the threads and the width."""

from __future__ import annotations

import numpy as np
import pytest

from textkit.errors import TextkitError
from textkit.retrieval.duplicates import near
from textkit.retrieval.duplicates.finding import kept, kept_of_pairs, order_of, pairs
from textkit.retrieval.duplicates.near import Near, unit


def rows(count: int, dim: int, seed: int, near_share: float = 0.3) -> np.ndarray:
    """Random rows, a share of which are another row with some noise of various strengths."""
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((count, dim)) * np.geomspace(1, 0.05, dim)
    copies = np.flatnonzero(rng.random(count) < near_share)
    noise = rng.standard_normal((len(copies), dim)) * np.geomspace(1, 0.05, dim) * rng.uniform(0, 0.9, (len(copies), 1))
    found[copies] = found[rng.integers(0, count, len(copies))] + noise
    return found.astype(np.float32)


def reference(vectors: np.ndarray, threshold: float) -> tuple[list[int], list[float]]:
    """What is kept, said as the documentation says it."""
    matrix = vectors.astype(np.float64)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    cosines = np.round((matrix @ matrix.T) / np.where(lengths @ lengths.T > 0, lengths @ lengths.T, 1), 6)
    of: list[int] = []
    similarity: list[float] = []
    for row in range(len(vectors)):
        before = [other for other in range(row) if of[other] == other and cosines[row, other] >= threshold]
        best = max(before, key=lambda other: (cosines[row, other], -other), default=row)
        of.append(best)
        similarity.append(cosines[row, best] if best != row else 1.0)
    return of, similarity


@pytest.mark.parametrize("threshold", [0.3, 0.8, 0.97])
@pytest.mark.parametrize(("count", "dim"), [(1, 8), (700, 12), (1300, 64)])
def test_what_is_kept_is_what_the_definition_says(count: int, dim: int, threshold: float) -> None:
    vectors = rows(count, dim, seed=count)
    of, similarity = kept(vectors, np.arange(count), threshold, 1, lambda done: None)
    expected, alike = reference(vectors, threshold)
    assert of.tolist() == expected
    np.testing.assert_allclose(similarity, alike, atol=2e-6)
    if count == 1300:
        assert 0.02 < np.mean(of != np.arange(count)) < 1


def test_a_short_row_is_used_where_it_helps_and_its_bound_holds() -> None:
    vectors = unit(rows(3000, 96, seed=2))
    found = Near(vectors, 0.9)
    assert found._short.shape[1] < 96
    assert (found._short @ found._short.T >= vectors @ vectors.T - 1e-5).all()


def test_nothing_depends_on_blocks_threads_or_width(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = rows(1200, 48, seed=3)
    order = np.random.default_rng(4).permutation(1200)
    results = []
    for block, tile, widths, dense, threads in (
        (1024, (512, 2048), near._WIDTHS, 0.02, 1),
        (300, (133, 277), (16,), 0.02, 3),
        (4096, (512, 300), (), 0.0, 2),
    ):
        for name, value in (("_BLOCK", block), ("_TILE", tile), ("_WIDTHS", widths), ("_DENSE", dense)):
            monkeypatch.setattr(near, name, value)
        found = [np.concatenate(part) for part in zip(*pairs(vectors, 0.7, threads, lambda done: None), strict=True)]
        results.append([*kept(vectors, order, 0.7, threads, lambda done: None), *found])
    for other in results[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(results[0], other, strict=True))


@pytest.mark.parametrize("threshold", [0.6, 0.85])
def test_the_same_is_kept_by_pairs_that_were_found_at_a_lower_threshold(threshold: float) -> None:
    vectors = rows(1100, 24, seed=5)
    found = [np.concatenate(part) for part in zip(*pairs(vectors, 0.6, 1, lambda done: None), strict=True)]
    assert (found[1] < found[0]).all()
    for order in (np.arange(1100), np.random.default_rng(6).permutation(1100)):
        direct = kept(vectors, order, threshold, 1, lambda done: None)
        again = kept_of_pairs((found[0], found[1], found[2]), order, threshold)
        assert np.array_equal(direct[0], again[0])
        assert np.array_equal(direct[1], again[1])


def test_near_to_a_dropped_row_alone_is_no_reason_to_drop() -> None:
    """A chain: 0 and 20 and 40 degrees. The first drops the second, which would have dropped the third."""
    angles = np.radians([0, 20, 40])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    of, similarity = kept(vectors, np.arange(3), 0.9, 1, lambda done: None)
    assert of.tolist() == [0, 0, 2]
    assert similarity[1] == pytest.approx(np.cos(angles[1]), abs=1e-6)
    of, _ = kept(vectors, np.array([1, 0, 2]), 0.9, 1, lambda done: None)  # the middle one first
    assert of.tolist() == [1, 1, 1]


def test_zero_rows_are_near_to_nothing_and_equal_rows_have_one() -> None:
    vectors = np.array([[0, 0], [3, 4], [0, 0], [6, 8], [-3, -4]], np.float32)
    of, similarity = kept(vectors, np.arange(5), 0.01, 1, lambda done: None)
    assert of.tolist() == [0, 1, 2, 1, 4]
    assert similarity[3] == 1


def test_thousands_of_rows_that_are_all_near_take_no_square() -> None:
    vectors = np.ones((12_000, 16), np.float32) + np.random.default_rng(7).random((12_000, 16), np.float32) * 0.01
    of, _ = kept(vectors, np.arange(12_000), 0.9, 1, lambda done: None)
    assert not of.any()


def test_too_many_pairs_for_a_report_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "MOST_PAIRS", 10_000)
    vectors = np.ones((300, 8), np.float32)
    with pytest.raises(
        TextkitError, match="^more than 10,000 pairs are at least 0.9 alike; a higher --threshold has fewer$"
    ):
        list(pairs(vectors, 0.9, 2, lambda done: None))
    assert not kept(vectors, np.arange(300), 0.9, 2, lambda done: None)[0].any()


def test_the_longest_comes_first_and_of_equal_lengths_the_first() -> None:
    assert order_of(["a", "ccc", "bb", "ddd"], "longest").tolist() == [1, 3, 2, 0]
    assert order_of(["a", "ccc"], "first").tolist() == [0, 1]


def test_no_rows() -> None:
    of, _ = kept(np.empty((0, 4), np.float32), np.arange(0), 0.9, 1, lambda done: None)
    assert len(of) == 0
    assert [len(part[0]) for part in pairs(np.empty((0, 4), np.float32), 0.9, 1, lambda done: None)] == []
