"""Measures a model of the task `embed` on files of test data. Knows the callable of the task and no command line."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from textkit.evaluation import analogies, data, similarity
from textkit.evaluation.result import Result
from textkit.evaluation.vocabulary import Vocabulary

if TYPE_CHECKING:
    from textkit.serving.embedder import Embedder


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
    ) -> Result:
        """The figure for the data in `path`; `metric` (one of data.METRICS) where its lines are not to decide.

        Raises TextkitError naming the file, and the line where one is at fault.
        """
        metric, read = data.read(path, metric)
        name = os.fspath(path)
        if metric == analogies.METRIC:
            return analogies.evaluate(read, self.vocabulary.table, self.vocabulary.find_folded, restrict, name)
        if metric == similarity.WORDS:
            return similarity.evaluate_words(read, self.vocabulary.vectors, known_only, name)
        return similarity.evaluate_sentences(read, self.embedder, name)
