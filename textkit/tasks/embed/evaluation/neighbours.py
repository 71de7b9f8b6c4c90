"""Nearest rows of a table by cosine, and analogies over it. Plain arrays in and out: knows no model and no words.

Memory beside the table is bounded: scores are computed for a block of queries and rows at a time, and only the best are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

ROWS = 1 << 16  # rows of the table scored at once
SCORES = 1 << 24  # scores held at once: 64 MB
EPSILON = np.float32(0.001)  # Levy & Goldberg 2014, equation 4: keeps 3CosMul from dividing by zero

Best = list[tuple[int, float]]  # rows and their scores, best first
Scores = Callable[[slice, slice], np.ndarray]  # of queries and of rows -> f32[query, row]


def unit(matrix: np.ndarray) -> np.ndarray:
    """Rows f32[row, dim] at length 1, in the memory of `matrix` where that is f32; a zero row stays zero."""
    matrix = np.asarray(matrix, np.float32)
    for start in range(0, len(matrix), ROWS):
        part = matrix[start : start + ROWS]
        length = np.linalg.norm(part, axis=1, keepdims=True)
        part /= np.where(length == 0, 1, length)
    return matrix


def nearest(
    table: np.ndarray, vectors: np.ndarray, k: int, excluded: Sequence[Sequence[int]] | None = None
) -> list[Best]:
    """For each of `vectors` f32[query, dim] the `k` rows of `table` (unit vectors f32[row, dim]) with the highest cosine.

    `excluded`: for each query the rows that are no answer. Rows of equal cosine come in the table's order. There are fewer
    than `k` where the table has no more.
    """
    queries = unit(np.array(vectors, np.float32))
    return _best(len(table), len(queries), k, excluded, lambda of, rows: queries[of] @ table[rows].T)


def answers(
    table: np.ndarray,
    questions: np.ndarray,
    k: int,
    excluded: Sequence[Sequence[int]] | None = None,
    method: str = "3cosadd",
) -> list[Best]:
    """a is to b as c is to what? `questions` f32[question, 3, dim]: the vectors of a, b, c; otherwise as `nearest`.

    The score of 3cosadd is the cosine with b - a + c of unit vectors (Mikolov et al. 2013, Linguistic regularities,
    section 5). The score of 3cosmul is cos(d, b) cos(d, c) / (cos(d, a) + 0.001), with cosines mapped to 0..1 (Levy &
    Goldberg 2014, equation 4).
    """
    a, b, c = (unit(np.array(questions[:, part], np.float32)) for part in range(3))
    if method == "3cosadd":
        return nearest(table, b - a + c, k, excluded)

    def scores(of: slice, rows: slice) -> np.ndarray:
        to_a, to_b, to_c = ((1 + part[of] @ table[rows].T) / 2 for part in (a, b, c))
        return to_b * to_c / (to_a + EPSILON)

    return _best(len(table), len(questions), k, excluded, scores)


def _best(rows: int, queries: int, k: int, excluded: Sequence[Sequence[int]] | None, scores: Scores) -> list[Best]:
    width = min(rows, ROWS)
    step = max(1, SCORES // max(1, width))
    found: list[Best] = []
    for first in range(0, queries, step):
        of = slice(first, min(first + step, queries))
        kept: list[Best] = [[] for _ in range(of.start, of.stop)]
        for start in range(0, rows, width):
            block = slice(start, min(start + width, rows))
            for best, line, query in zip(kept, scores(of, block), range(of.start, of.stop), strict=True):
                no = [row - start for row in (excluded[query] if excluded else ()) if 0 <= row - start < len(line)]
                line[no] = -np.inf
                best += _top(line, k, start)
        # Blocks come in the table's order and sorting is stable: ties stay in the table's order.
        found += [sorted(best, key=lambda pair: -pair[1])[:k] for best in kept]
    return found


def _top(line: np.ndarray, k: int, start: int) -> Best:
    """The rows and values of the `k` largest of f32[row]; rows are counted from `start`, and -inf is left out."""
    least = np.partition(line, len(line) - k)[len(line) - k] if k < len(line) else -np.inf
    candidates = np.flatnonzero((line >= least) & (line > -np.inf))
    order = candidates[np.argsort(-line[candidates], kind="stable")[:k]]
    return [(start + int(row), float(line[row])) for row in order]
