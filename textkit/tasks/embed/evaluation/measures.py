"""Measures a model of the task `embed` on files of test data. Knows the callable of the task and no command line."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from textkit.evaluation.result import Result
from textkit.tasks.embed.evaluation import analogies, data, judged, retrieval, similarity
from textkit.tasks.embed.evaluation.vocabulary import Vocabulary
from textkit.tasks.embed.task import QUERY

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder


class Evaluator:
    """A model, and its vocabulary once it is needed."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.embedder)

    def __call__(
        self,
        path: str | os.PathLike[str],
        metric: str | None = None,
        restrict: int = analogies.RESTRICT,
        known_only: bool = False,
        columns: Sequence[str] | None = None,
        delimiter: str | None = None,
    ) -> Result:
        """The figure for the data in `path`.

        `metric` (one of data.METRICS): what it is for, where its lines should not decide; `columns` and `delimiter`: as
        data.read takes them. Raises TextkitError naming the file, and the line where one is at fault.
        """
        metric, read = data.read(path, metric, columns, delimiter, lambda line: self.vocabulary.cells(line))
        name = os.fspath(path)
        if not isinstance(read, similarity.Pairs):
            vocabulary = self.vocabulary
            find = vocabulary.finder(restrict)
            return analogies.evaluate(read, vocabulary.table, find, restrict, name, vocabulary.upper)
        if metric == similarity.WORDS:
            return similarity.evaluate_words(read, self.vocabulary.vectors, known_only, name)
        return similarity.evaluate_sentences(read, self.embedder, name)

    def retrieval(
        self,
        files: Sequence[str],
        metrics: Sequence[str] = (),
        columns: Sequence[str] | None = None,
        modes: Sequence[str] = (retrieval.MEANING,),
    ) -> Iterator[Result]:
        """The figures of judged retrieval: `files` are corpus, queries and qrels, or one file of pairs query<tab>document.

        `metrics`: some of task.RETRIEVAL, or () for all; `columns`: those of the pairs; `modes`: some of
        retrieval.MODES. Errors are those of judged.read.
        """
        read = judged.read(*files) if len(files) > 1 else judged.read_pairs(files[0], *(columns or ()))
        queries = self.embedder
        if self.embedder.two_sided:
            queries = copy.copy(self.embedder)  # which has loaded no graph yet
            queries.side = QUERY
        searched = retrieval.Searched(read, self.embedder, queries)
        for mode in modes:
            yield from retrieval.results(read, searched(mode), metrics, mode)
