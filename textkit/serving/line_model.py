"""The base of a new task's callable: one answer per line, by a model whose graph takes a batch of lines.

It handles batches by length, padding, blank lines, lines that are too long, threads, devices and pickling. Imports no torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from textkit.errors import UsageError
from textkit.serving import BATCH_TOKENS
from textkit.serving.budget import Budget
from textkit.serving.opened import OpenModel
from textkit.serving.padding import padded, shortened
from textkit.serving.session import Session, of_model
from textkit.serving.stream import batches

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle


class LineModel(OpenModel[Any]):
    """An OpenModel that loads its graph on first use.

    A subclass names its `task` and the `graph` to run. The graph's inputs are `ids` i64[line, token], `weight`
    f32[line, token] (0 for padding) and those that `more_inputs` gives. `long_lines` counts the lines so far that had more
    tokens than the model takes (`limits.tokens` of its manifest); such lines are cut.
    """

    graph: ClassVar[str]
    loaded = ("_session", "_budget")

    def __init__(
        self,
        model: str | Path | Bundle | None = None,
        device: str = "auto",
        threads: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        """`model`: a name, a folder or a Bundle; None: the default. `batch_tokens`: the largest batch, padding included.

        Raises UsageError for an unknown model, and TextkitError for one that is damaged or of another task.
        """
        if batch_tokens < 1:
            raise UsageError(f"batch_tokens={batch_tokens}: must be at least 1")
        self.open(model)
        self.device, self.threads, self.batch_tokens = device, threads, batch_tokens
        self.limit: int = self.bundle.manifest.limits["tokens"]
        self.long_lines = 0
        self._session: Session | None = None
        self._budget: Budget | None = None

    @abstractmethod
    def answers(self, outputs: Mapping[str, np.ndarray], lengths: np.ndarray) -> Sequence[Any]:
        """The answer to each line of a batch, from the graph's `outputs`; `lengths` i64[line] are in tokens."""

    @abstractmethod
    def answer_to_nothing(self) -> Any:
        """The answer to a line without a token. A blank line never reaches the graph."""

    def more_inputs(self) -> Mapping[str, np.ndarray]:
        """Inputs of the graph that are the same for every batch."""
        return {}

    def result(self, line: str, answer: Any) -> Any:
        """What the caller gets for `line`."""
        return answer

    def answer(self, lines: Sequence[str], first: int = 0) -> list[Any]:
        found: list[Any] = [None] * len(lines)
        told = [at for at, line in enumerate(lines) if line and not line.isspace()]
        encoded = self.bundle.rule.encode([lines[at] for at in told])
        self.long_lines += int((encoded.lengths > self.limit).sum())
        encoded, starts, lengths = shortened(encoded, self.limit, self.bundle.rule.around)
        some = np.flatnonzero(lengths)

        def run(batch: np.ndarray) -> None:
            rows = some[batch]
            feeds, _ = padded(encoded, starts[rows], lengths[rows], self.limit)
            answers = self.answers(self._run({**feeds, **self.more_inputs()}), lengths[rows])
            for row, answer in zip(rows.tolist(), answers, strict=True):
                found[told[row]] = answer

        # In halves what the memory of a GPU does not hold; later batches are as small.
        if self._budget is None:
            self._budget = Budget(self.batch_tokens)
        run_fitting = self._budget.keeping(run, lengths[some])
        for batch in batches(lengths[some], self._budget.tokens):
            run_fitting(batch)
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
        with of_model(self.bundle.folder):
            return self.session.run(feeds)
