"""Measures how well a model finds the documents that answer a query: nDCG@10, recall@10 and @100, mean reciprocal rank.

All of the corpus is searched, exactly; a model with two sides embeds queries by its graph `query`. Documents of equal score
come in the descending order of their ids, as trec_eval puts them. A text that has no vector, because it is blank or has no
known word, is not found by meaning, and finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from textkit.evaluation.ranking import DEPTH, ndcg, recall, reciprocal_rank
from textkit.evaluation.result import Result
from textkit.tasks.embed.evaluation.judged import Judged
from textkit.tasks.embed.evaluation.neighbours import nearest, unit
from textkit.tasks.embed.task import QUERY, RETRIEVAL

NDCG, RECALL, MRR = RETRIEVAL
if TYPE_CHECKING:
    from textkit.bundle.manifest import Manifest
    from textkit.retrieval.words import Words

_NDCG_AT, _RECALL_AT = 10, (10, 100)

MODES = MEANING, WORDS, HYBRID = "meaning", "words", "hybrid"  # as textkit.retrieval has them

Found = list[tuple[int, float]]  # rows and their scores, best first
Rankings = Mapping[str, Sequence[str]]  # of each query, by its id: the ids of documents, best first


class Embed(Protocol):
    """Texts -> f32[text, dim]."""

    def __call__(self, lines: list[str], /) -> ArrayLike: ...


def learnt_pairs(manifest: Manifest) -> bool:
    """Whether a model learnt from pairs that belong together: it has a side for queries, or its dev score was an MRR."""
    score: Any = manifest.made
    for key in ("facts", "dev_score", "name"):
        score = score.get(key) if isinstance(score, Mapping) else None
    return QUERY in manifest.graphs or score == MRR


class Searched:
    """The rankings of the queries of a judged set that were judged, at most DEPTH documents each.

    By meaning: the cosine of vectors, of all documents that have one. By words and hybrid: as `textkit search` does it, but
    documents are whole, however long they are, and vectors are not rounded to int8.
    """

    def __init__(self, judged: Judged, documents: Embed, queries: Embed) -> None:
        self.names = sorted(judged.documents, reverse=True)  # rows; ties stay in this order
        self._texts = [judged.documents[name] for name in self.names]
        self._asked = list(judged.grades)
        self._queries = [judged.queries[query] for query in self._asked]
        self._documents, self._embed = documents, queries

    def __call__(self, mode: str) -> Rankings:
        """The rankings by `mode`, one of MODES."""
        if mode == HYBRID:
            found = [self._fused(at) for at in range(len(self._asked))]
        else:
            found = [[row for row, _ in each] for each in (self._near if mode == MEANING else self._said)]
        return {
            query: [self.names[row] for row in rows[:DEPTH]] for query, rows in zip(self._asked, found, strict=True)
        }

    @cached_property
    def _vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of the documents and of the queries."""
        sides = (self._documents, self._texts), (self._embed, self._queries)
        table, asked = (unit(np.array(embed(texts), np.float32)) for embed, texts in sides)
        return table, asked

    @cached_property
    def _near(self) -> list[Found]:
        """Of each query the rows and their cosines."""
        table, asked = self._vectors
        having = np.flatnonzero(table.any(axis=1))
        found = nearest(table[having], asked, DEPTH)
        return [
            [(int(having[row]), cosine) for row, cosine in each] if vector.any() else []
            for vector, each in zip(asked, found, strict=True)
        ]

    @cached_property
    def _words(self) -> Words:
        from textkit.retrieval.words import WordsWriter

        writer = WordsWriter(None)
        writer.add(0, self._texts)
        writer.commit()
        return writer.searched()

    @cached_property
    def _said(self) -> list[Found]:
        """Of each query the rows and their BM25 scores."""
        from textkit.retrieval.analysis import terms

        return [self._words.search(terms(query), DEPTH) for query in self._queries]

    def _fused(self, at: int) -> list[int]:
        from textkit.retrieval.ranking import hybrid

        names = hybrid.naming(self._queries[at], self._words.frequency, len(self.names))
        scores = {
            hybrid.MEANING: dict(self._near[at]),
            hybrid.WORDS: dict(self._said[at]),
            hybrid.NAMES: dict(self._words.search(names, DEPTH)),
        }
        table, asked = self._vectors
        ranking = hybrid.fused(self._queries[at], scores, _Rows(self._texts, self._words, table, asked[at]))
        return [row for row, _ in sorted(ranking, key=lambda found: (-found[1], found[0]))]


class _Rows:
    """The documents of a judged set, for one query: what textkit.retrieval.ranking.hybrid asks of rows."""

    def __init__(self, texts: Sequence[str], words: Words, table: np.ndarray, vector: np.ndarray) -> None:
        self._texts, self._words, self._table, self._vector = texts, words, table, vector

    @property
    def count(self) -> int:
        return len(self._texts)

    def text(self, row: int) -> str:
        return self._texts[row]

    def frequency(self, term: str) -> int:
        return self._words.frequency(term)

    def cosines(self, rows: Sequence[int]) -> list[float]:
        return [float(self._table[row] @ self._vector) for row in rows]

    def vectors(self, rows: Sequence[int]) -> np.ndarray:
        return self._table[list(rows)].astype(np.float32)

    def said(self, weights: Mapping[str, float]) -> Found:
        return self._words.weighted(weights, DEPTH)


def results(judged: Judged, rankings: Rankings, metrics: Sequence[str] = (), mode: str = MEANING) -> Iterator[Result]:
    """The means over all queries that were judged, as trec_eval -c has them. A query that found nothing counts as 0.

    `metrics`: some of RETRIEVAL, or () for all. `mode`: how documents were found.
    """
    grades = [np.array(list(of.values()), np.int64) for of in judged.grades.values()]
    found = [
        np.array([of.get(document, 0) for document in rankings[query]], np.int64) for query, of in judged.grades.items()
    ]
    pairs = list(zip(found, grades, strict=True))
    values = {
        (NDCG, f"{NDCG}@{_NDCG_AT}"): [ndcg(ranking, of, _NDCG_AT) for ranking, of in pairs],
        **{(RECALL, f"{RECALL}@{k}"): [recall(ranking, of, k) for ranking, of in pairs] for k in _RECALL_AT},
        (MRR, MRR): [reciprocal_rank(ranking) for ranking in found],
    }
    detail = {"documents": len(judged.documents), "mode": mode}
    for (metric, name), figures in values.items():
        if not metrics or metric in metrics:
            named = name if mode == MEANING else f"{name}/{mode}"
            silent = sum(not len(ranking) for ranking in found)
            yield Result(named, float(np.mean(figures)), len(found), len(judged.queries), silent, detail=dict(detail))
