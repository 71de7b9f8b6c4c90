"""Lines in, an answer a line out, with a model whose graph takes a batch of lines: what a new task's callable derives from.

Batches by length, padding, blank lines, lines that are too long, threads, devices and pickling are given. Imports no torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from textkit.errors import TextkitError, UsageError
from textkit.serving.opened import OpenModel
from textkit.serving.padding import padded
from textkit.serving.session import Session
from textkit.serving.stream import batches

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

BATCH_TOKENS = 4096  # padded


class LineModel(OpenModel[Any]):
    """An OpenModel; the graph loads when used.

    A subclass names its `task` and the `graph` that is run, whose inputs are `ids` i64[line, token] and `weight`
    f32[line, token] (0 for padding) and those that `more_inputs` gives. `long_lines` counts the lines so far that had more
    tokens than the model takes (`limits.tokens` of its manifest): they are cut.
    """

    graph: ClassVar[str]
    loaded = ("_session",)

    def __init__(
        self,
        model: str | Path | Bundle | None = None,
        device: str = "auto",
        threads: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        """`model`: a name, a folder or a Bundle; None: the default. `batch_tokens`: the largest batch, padding and all.

        Raises UsageError for an unknown model, TextkitError for a model that is damaged or of another task.
        """
        if batch_tokens < 1:
            raise UsageError(f"batch_tokens={batch_tokens}: must be at least 1")
        self.open(model)
        self.device, self.threads, self.batch_tokens = device, threads, batch_tokens
        self.limit: int = self.bundle.manifest.limits["tokens"]
        self.long_lines = 0
        self._session: Session | None = None

    @abstractmethod
    def answers(self, outputs: Mapping[str, np.ndarray], lengths: np.ndarray) -> Sequence[Any]:
        """What the graph gave for a batch, as an answer for each of its lines; `lengths` i64[line] in tokens."""

    @abstractmethod
    def answer_to_nothing(self) -> Any:
        """The answer to a line without a token: a blank one never reaches the graph."""

    def more_inputs(self) -> Mapping[str, np.ndarray]:
        """Inputs of the graph that are the same for every batch."""
        return {}

    def result(self, line: str, answer: Any) -> Any:
        """What is given for `line`."""
        return answer

    def answer(self, lines: Sequence[str], first: int = 0) -> list[Any]:
        found: list[Any] = [None] * len(lines)
        told = [at for at, line in enumerate(lines) if line and not line.isspace()]
        encoded = self.bundle.rule.encode([lines[at] for at in told])
        starts = np.cumsum(encoded.lengths) - encoded.lengths
        self.long_lines += int((encoded.lengths > self.limit).sum())
        lengths = np.minimum(encoded.lengths, self.limit)
        some = np.flatnonzero(lengths)
        for batch in batches(lengths[some], self.batch_tokens):
            rows = some[batch]
            feeds, _ = padded(encoded, starts[rows], lengths[rows], self.limit)
            answers = self.answers(self._run({**feeds, **self.more_inputs()}), lengths[rows])
            for row, answer in zip(rows.tolist(), answers, strict=True):
                found[told[row]] = answer
        return [
            self.result(line, self.answer_to_nothing() if answer is None else answer)
            for line, answer in zip(lines, found, strict=True)
        ]

    @property
    def session(self) -> Session:
        """The graph, loaded. `session.device` is where it really runs."""
        if self._session is None:
            self._session = Session(self.bundle.graph(self.graph), self.device, self.threads)
        return self._session

    def _run(self, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        try:
            return self.session.run(feeds)
        except TextkitError as error:
            raise TextkitError(f"{self.bundle.folder}: {error}") from error
