"""Measures how well a model finds the documents that answer a query: nDCG@10, recall@10 and @100, mean reciprocal rank.

All of the corpus is searched, exactly, by cosine; a model with two sides embeds queries by its graph `query`. Documents of
equal score come in the descending order of their ids, as trec_eval puts them. A text that has no vector, because it is blank or
has no known word, is not found, and finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

_NDCG_AT, _RECALL_AT = 10, (10, 100)

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


def ranked(judged: Judged, documents: Embed, queries: Embed) -> Rankings:
    """The rankings of the queries that were judged, by the cosine of vectors; at most DEPTH documents each."""
    names = sorted(judged.documents, reverse=True)  # ties stay in this order
    table = unit(np.array(documents([judged.documents[name] for name in names]), np.float32))
    having = table.any(axis=1)
    names, table = [names[row] for row in np.flatnonzero(having).tolist()], table[having]
    asked = list(judged.grades)
    vectors = np.asarray(queries([judged.queries[query] for query in asked]), np.float32)
    best = nearest(table, vectors, DEPTH)
    return {
        query: [names[row] for row, _ in found] if vector.any() else []
        for query, vector, found in zip(asked, vectors, best, strict=True)
    }


def results(judged: Judged, rankings: Rankings, metrics: Sequence[str] = (), by: str = "") -> Iterator[Result]:
    """The means over all queries that were judged, as trec_eval -c has them. A query that found nothing counts as 0.

    `metrics`: some of RETRIEVAL, or () for all. `by`: how documents were found, where it is not by the model alone.
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
    detail = {"documents": len(judged.documents), "by": by or "meaning"}
    for (metric, name), figures in values.items():
        if not metrics or metric in metrics:
            named = f"{name}/{by}" if by else name
            silent = sum(not len(ranking) for ranking in found)
            yield Result(named, float(np.mean(figures)), len(found), len(judged.queries), silent, detail=dict(detail))
