"""What hybrid search asks of the rows of an index, for one query: ranking.hybrid.Rows, of an index's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from textkit.retrieval.exact import cosines, units
from textkit.retrieval.storing.contents import Contents
from textkit.retrieval.words import Words

_ROWS_AT_ONCE = 4096


class Evidence:
    """The rows of an index for one query, whose vector is `vector` f64[dim]; `depth`: the most rows that words find."""

    def __init__(self, contents: Contents, words: Words, vector: np.ndarray, depth: int) -> None:
        self._contents, self._words, self._vector, self._depth = contents, words, vector, depth

    @property
    def count(self) -> int:
        return self._contents.manifest.rows

    def text(self, row: int) -> str:
        return self._contents.text(row)

    def frequency(self, term: str) -> int:
        return self._words.frequency(term)

    def cosines(self, rows: Sequence[int]) -> list[float]:
        found: list[float] = cosines_of(self._contents, np.array(rows, np.int64), self._vector).tolist()
        return found

    def vectors(self, rows: Sequence[int]) -> np.ndarray:
        return units(self._contents.vectors.some(rows)).astype(np.float32)

    def said(self, weights: Mapping[str, float]) -> list[tuple[int, float]]:
        return living(self._contents, self._words.weighted(weights, self._depth))


def cosines_of(contents: Contents, rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """f64[row], a bounded number of rows at a time."""
    parts = [
        cosines(contents.vectors.some(rows[at : at + _ROWS_AT_ONCE]), vector)
        for at in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def living(contents: Contents, found: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Those of `found` whose rows count."""
    there = contents.living([row for row, _ in found])
    return [hit for hit, lives in zip(found, there, strict=True) if lives]
