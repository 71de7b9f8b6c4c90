"""Measures a model of the task `embed` on files of test data. Knows the callable of the task and no command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from textkit.evaluation.result import Result
from textkit.tasks.embed.evaluation import analogies, data, similarity
from textkit.tasks.embed.evaluation.vocabulary import Vocabulary

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
