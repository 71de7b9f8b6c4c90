"""Exact search in int8 rows, against a search that computes everything at once."""

from __future__ import annotations

import numpy as np
import pytest

from textkit.retrieval.exact import candidates, cosines, inverse_lengths, quantised, ranked, units


def rows_of(count: int, dim: int = 24, seed: int = 1) -> np.ndarray:
    rows, _ = quantised(np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32))
    return rows


def found(rows: np.ndarray, queries: np.ndarray, most: int | None, least: float = -1.0, dead=()):
    inverse = inverse_lengths(rows)
    lists = candidates(lambda a, b: (rows[a:b], inverse[a:b]), 0, len(rows), queries, most, least, dead)
    return [ranked(some, cosines(rows[some], query), most, least) for some, query in zip(lists, queries, strict=True)]


def reference(rows: np.ndarray, query: np.ndarray, dead=()) -> tuple[np.ndarray, np.ndarray]:
    score = cosines(rows, query)
    assert score == pytest.approx(units(rows) @ query, abs=1e-12)
    for start, stop in dead:
        score[start:stop] = -9
    order = np.lexsort((np.arange(len(rows)), -score))
    order = order[score[order] > -9]
    return order, score[order]


def test_quantised_by_hand() -> None:
    rows, inverse = quantised(np.array([[3, -4, 0], [0, 0, 0], [0.5, 0.25, 0]], np.float32))
    assert rows.tolist() == [[95, -127, 0], [0, 0, 0], [127, 64, 0]]
    assert inverse == pytest.approx([1 / np.hypot(95, 127), 0, 1 / np.hypot(127, 64)])
    assert quantised(np.zeros((0, 3), np.float32))[0].shape == (0, 3)
    assert not quantised(np.array([[np.nan, 1]], np.float32))[0].any()


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 5000, 20_000])
@pytest.mark.parametrize("most", [1, 10, 300, 50_000])
def test_the_best_are_found(count: int, most: int) -> None:
    rows, queries = rows_of(count), units(rows_of(3, seed=2))
    for (got, score), query in zip(found(rows, queries, most), queries, strict=True):
        order, scores = reference(rows, query)
        assert got.tolist() == order[:most].tolist()
        assert score == pytest.approx(scores[:most], abs=1e-12)


def test_many_queries_at_once_answer_as_one_does() -> None:
    rows, queries = rows_of(9000), units(rows_of(600, seed=2))
    together = found(rows, queries, 5)
    for at in (0, 255, 256, 257, 599):
        alone = found(rows, queries[at : at + 1], 5)[0]
        assert alone[0].tolist() == together[at][0].tolist()
        assert alone[1].tolist() == together[at][1].tolist()  # to the last bit


def test_equal_rows_come_in_their_order() -> None:
    rows = np.repeat(rows_of(1), 10_000, axis=0)
    rows[5000:] = -rows[5000:]
    got, score = found(rows, units(rows[:1]), 20)[0]
    assert got.tolist() == list(range(20))
    assert score == pytest.approx(1)


def test_rows_that_are_left_out_and_the_least_score() -> None:
    rows, queries = rows_of(9000), units(rows_of(2, seed=3))
    dead = [(0, 10), (250, 270), (4000, 8999)]
    for (got, score), query in zip(found(rows, queries, None, 0.3, dead), queries, strict=True):
        order, scores = reference(rows, query, dead)
        assert got.tolist() == order[scores >= 0.3].tolist()
        assert score.min() >= 0.3
    assert found(rows, queries, 7, 2.0)[0][0].tolist() == []


def test_rows_of_zeros() -> None:
    rows = np.zeros((300, 4), np.int8)
    rows[7] = [1, 2, 3, 4]
    got, score = found(rows, units(rows[7:8]), 3)[0]
    assert got.tolist() == [7, 0, 1]
    assert score.tolist() == pytest.approx([1, 0, 0])
    assert found(rows, np.zeros((1, 4)), 2)[0][1].tolist() == [0, 0]
