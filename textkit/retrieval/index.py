"""An index, for searching: `textkit.Index`. Reads files, writes none, and runs nothing that an index names.

The rows that a query is nearest to are found exactly up to a million rows, and beyond that with usearch where it is installed.
Their cosines are then computed from the rows themselves, in an order that depends on no batch, so that one query gets the same
answer alone and among ten thousand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np

from textkit.arguments import of_arguments
from textkit.errors import TextkitError
from textkit.retrieval.analysis import matched, terms
from textkit.retrieval.asking import asked
from textkit.retrieval.context import beside
from textkit.retrieval.evidence import Evidence, cosines_of, living
from textkit.retrieval.exact import candidates, ranked, units
from textkit.retrieval.graphs import Graphs, engine
from textkit.retrieval.hits import Hit, Mode
from textkit.retrieval.models import Embedding, found_again
from textkit.retrieval.ranking import hybrid
from textkit.retrieval.storing.contents import WORDS, Contents
from textkit.retrieval.words import Words

DEPTH = 100  # of the rankings that are fused, if k is not larger
THRESHOLD = 0.5  # the least cosine of a hit where only hits count and no other is said
_AT_ONCE = 256  # queries


class Index:
    """An index that `textkit index` made. `index.search(query)` gives its hits, the best first."""

    def __init__(
        self, path: str | os.PathLike[str], device: str = "auto", threads: int | None = None, model: Any = None,
        names: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """`model`: an open Embedding or a Bundle where the caller has it already. `names`: what files are called, by path.

        Raises TextkitError for a folder that is no index, for a damaged one, and for one of a newer textkit.
        """
        self._contents = Contents(Path(path))
        self.path = Path(path)
        self._device, self._threads, self._model = device, threads, model
        self._names = names or {}
        self._here = os.getcwd()
        self._paths: dict[int, str] = {}  # of extents

    @classmethod
    def make(
        cls, path: str | os.PathLike[str], files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        model: Any = None, input: str | None = None,
        column: str | None = None, delimiter: str | None = None, device: str = "auto", threads: int | None = None,
    ) -> Index:  # fmt: skip
        """Makes an index of `files` (and folders; one may be given alone), or brings the one at `path` up to date, and opens
        it; see `textkit index`.

        `files` empty: those that the index has been given before. `input`: lines, tsv, csv, jsonl or paragraphs.
        Raises UsageError for options other than those that the index was made with, and TextkitError for another model, a
        damaged index, and files that cannot be read.
        """
        from textkit.retrieval.updating import Update, Wanted

        names = [files] if isinstance(files, str | os.PathLike) else files
        wanted = Wanted(
            model, input, None if column is None else str(column), delimiter, device=device, threads=threads
        )
        with of_arguments():
            Update(Path(path), wanted).run([os.fspath(file) for file in names] or None)
        return cls(path, device, threads)

    def __len__(self) -> int:
        """The number of passages."""
        return len(self._contents)

    @property
    def model(self) -> str:
        """The name of the model that the passages were embedded with."""
        return self._contents.manifest.model.name

    @property
    def files(self) -> list[str]:
        """The files that passages are from, as hits name them."""
        dead = set(self._contents.manifest.dead)
        paths = [each.path for at, each in enumerate(self._contents.extents()) if at not in dead]
        return [self._named(path) for path in dict.fromkeys(paths)]

    def look_over(self) -> None:
        """Looks for damage where it is seen without reading all vectors and texts. Raises TextkitError for it."""
        self._contents.look_over()
        if len(self):
            self._words  # noqa: B018  # opened, as a search does

    def close(self) -> None:
        """Closes the files of the index."""
        self._contents.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @overload
    def search(  # type: ignore[overload-overlap]  # a str is a Sequence[str] too
        self, queries: str, k: int | None = ..., mode: Mode = ..., threshold: float | None = ...
    ) -> list[Hit]: ...
    @overload
    def search(
        self, queries: Sequence[str], k: int | None = ..., mode: Mode = ..., threshold: float | None = ...
    ) -> list[list[Hit]]: ...
    def search(
        self, queries: str | Sequence[str], k: int | None = 10, mode: Mode = "hybrid", threshold: float | None = None
    ) -> list[Hit] | list[list[Hit]]:
        """The hits of a query, the best first; of a list of queries, a list of hits for each.

        `k`: at most so many hits; None: all that are above the threshold (0.5 where none is said; by words, all that have a
        word). `mode`: by `meaning` (cosines of vectors), by `words` (BM25), or `hybrid`, both fused. `threshold`: the least
        cosine of a hit (by words, the least BM25 score); a passage that has every word of the query is a hit of hybrid search
        as well. A blank query has no hits.

        Raises UsageError for an unknown mode, k below 1 and what is no text or no number, and TextkitError where the model is
        not to be had.
        """
        what = asked(queries, k, mode, threshold)
        found: list[list[Hit]] = []
        for start in range(0, len(what.queries), _AT_ONCE):
            found += self._answers_now(what.queries[start : start + _AT_ONCE], what.k, what.mode, what.threshold)
        return found[0] if what.single else found

    def _answers_now(
        self, queries: Sequence[str], k: int | None, mode: Mode, threshold: float | None
    ) -> list[list[Hit]]:
        """The answers, from a new set of rows where a writer has taken away the one that was opened."""
        try:
            return self._answers(queries, k, mode, threshold)
        except TextkitError:
            if self._contents.data.exists():
                raise
            self._contents = Contents(self.path)
            self._paths.clear()
            self.__dict__.pop("_words", None)
            self.__dict__.pop("_graphs", None)
            return self._answers(queries, k, mode, threshold)

    def _answers(self, queries: Sequence[str], k: int | None, mode: Mode, threshold: float | None) -> list[list[Hit]]:
        least = threshold if threshold is not None else THRESHOLD if k is None and mode != "words" else None
        there = [at for at, query in enumerate(queries) if query.strip()]
        answers: list[list[Hit]] = [[] for _ in queries]
        if not there or not len(self):
            return answers
        some = [queries[at] for at in there]
        k = None if k is None else min(k, self._contents.manifest.rows)  # any number may be asked for
        depth = None if least is not None or k is None else max(DEPTH, k)
        by_meaning: list[tuple[np.ndarray, np.ndarray]] | None = None
        vectors = None
        if mode != "words":
            self._embedding.begin()
            encoded = self._embedding.encode(some)
            if mode == "hybrid":
                self._words  # noqa: B018  # opened while the graph is being loaded
            vectors = units(self._embedding.vectors(encoded))
            by_meaning = self._nearest(vectors, depth, -1.0 if least is None else least)
        for place, at in enumerate(there):
            meaning = by_meaning[place] if by_meaning is not None else None
            vector = None if vectors is None else vectors[place]
            answers[at] = self._hits(queries[at], vector, meaning, k, mode, least, depth)
        return answers

    @cached_property
    def _embedding(self) -> Embedding:
        if isinstance(self._model, Embedding):
            return self._model
        facts = self._contents.manifest.model
        made = Embedding(self._model or found_again(facts, self.path), self._device, self._threads, side="query")
        if made.facts.digest != facts.digest:
            raise TextkitError(
                f"{self.path}: was made with the model {facts.name!r} ({facts.digest[:12]}), not with "
                f"{made.facts.name!r} ({made.facts.digest[:12]}); -m is not needed"
            )
        if made.facts.dim != facts.dim:
            raise TextkitError(f"{self.path}: damaged: its vectors are not those of its model {facts.name!r}")
        return made

    @cached_property
    def _graphs(self) -> Graphs | None:
        """What finds candidates in a large index; None where everything is looked at."""
        manifest = self._contents.manifest
        if not manifest.parts or engine() is None:
            return None
        return Graphs(self.path, manifest.parts, manifest.model.dim)

    @cached_property
    def _words(self) -> Words:
        return Words(self._contents.data / WORDS)

    def _nearest(self, vectors: np.ndarray, depth: int | None, least: float) -> list[tuple[np.ndarray, np.ndarray]]:
        """The rows nearest to each query f64[query, dim], with their cosines."""
        contents = self._contents
        begun: list[np.ndarray] = []
        first = 0
        if depth is not None and self._graphs is not None:
            first = self._graphs.stop
            begun = self._graphs.candidates(vectors, depth, contents.dead)
        lists = list(
            candidates(contents.read_vectors, first, contents.manifest.rows, vectors, depth, least, contents.dead)
        )
        if begun:
            lists = [np.append(near, rest) for near, rest in zip(begun, lists, strict=True)]
        return [
            ranked(rows, cosines_of(contents, rows, vector), depth, least)
            for rows, vector in zip(map(np.sort, lists), vectors, strict=True)
        ]

    def _hits(
        self, query: str, vector: np.ndarray | None, meaning: tuple[np.ndarray, np.ndarray] | None, k: int | None, mode: Mode,
        least: float | None, depth: int | None,
    ) -> list[Hit]:  # fmt: skip
        """The hits of one query."""
        rankings: dict[str, list[tuple[int, float]]] = {}
        if meaning is not None:
            rankings["meaning"] = list(zip(meaning[0].tolist(), meaning[1].tolist(), strict=True))
        wanted = terms(query) if mode != "meaning" else []
        if mode != "meaning":
            rankings |= self._by_words(query, wanted, mode, least, depth)
        ranks = {name: {row: at for at, (row, _) in enumerate(each, 1)} for name, each in rankings.items()}
        scores = {name: dict(each) for name, each in rankings.items()}
        if mode == "hybrid" and vector is not None:
            rows = Evidence(self._contents, self._words, vector, depth or DEPTH)
            found = hybrid.fused(query, scores, rows, widen=least is None)
        else:
            found = rankings[mode]
        return [
            self._hit(
                row, score, scores.get("meaning", {}).get(row), scores.get("words", {}).get(row),
                {name: places[row] for name, places in ranks.items() if row in places}, set(wanted),
            )
            for row, score in found[:k]
        ]  # fmt: skip

    def _by_words(
        self, query: str, wanted: Sequence[str], mode: Mode, least: float | None, depth: int | None
    ) -> dict[str, list[tuple[int, float]]]:
        """The rankings by words: of all the query's terms, and in hybrid search of those that name something."""
        everything = self._contents.manifest.rows
        every = mode == "hybrid" and least is not None
        most = everything if depth is None else depth
        found = {"words": living(self._contents, self._words.search(wanted, most, every))}
        if mode == "words":
            if least is not None and depth is None:
                found["words"] = [hit for hit in found["words"] if hit[1] >= least]
            return found
        rare = hybrid.naming(query, self._words.frequency, everything)
        if rare and not every:
            found["names"] = living(self._contents, self._words.search(rare, most))
        return found

    def _hit(
        self, row: int, score: float, cosine: float | None, bm25: float | None, ranks: dict[str, int], wanted: set[str]
    ) -> Hit:
        text = self._contents.text(row)
        path = self._path(self._contents.extent_of(row))
        spans = tuple(matched(text, wanted)) if wanted and (bm25 is not None or "names" in ranks) else ()
        return Hit(
            self._named(path), self._contents.line(row), text, score, self._contents.fields(row), cosine, bm25, ranks, spans,
            row,
        )  # fmt: skip

    def _path(self, extent: int) -> str:
        """The file of an extent."""
        if extent not in self._paths:
            self._paths[extent] = self._contents.extent(extent).path
        return self._paths[extent]

    def _named(self, path: str) -> str:
        if path in self._names:
            return self._names[path]
        inside = self._here.rstrip("/") + "/"
        return path[len(inside) :] if path.startswith(inside) else path

    def around(self, hit: Hit, before: int, after: int) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        """The (line, text) of the lines before and behind a hit, as the index has them; blank lines come as ''.

        Where files were read as paragraphs, or records take several lines, these are the passages before and behind.
        """
        return beside(self._contents, hit, -1, before), beside(self._contents, hit, 1, after)
