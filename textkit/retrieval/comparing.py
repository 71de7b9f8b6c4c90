"""How alike two texts are: the cosine of their vectors, by a model of the task `embed`. Knows no file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from textkit.serving import open_model

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder


class Comparer:
    """Pairs of texts to cosines. A model with two sides takes the first text for a query and the second for a document."""

    def __init__(self, model: Any = None, device: str = "auto", threads: int | None = None) -> None:
        """`model`: a name, a folder or a Bundle; None: the default. Raises UsageError for an unknown model, TextkitError for
        one that is damaged or of another task."""
        self.embedder = cast("Embedder", open_model(model, task="embed", device=device, threads=threads))
        self._queries = self.embedder
        if self.embedder.two_sided:
            of = self.embedder.bundle
            self._queries = cast("Embedder", open_model(of, task="embed", device=device, threads=threads, side="query"))

    @property
    def counts(self) -> tuple[int, int]:
        """How many texts so far had more tokens than the model takes, and how many had no token that it knows."""
        sides = (self.embedder, self._queries) if self._queries is not self.embedder else (self.embedder,)
        return sum(side.long_lines for side in sides), sum(side.unknown_lines for side in sides)

    def load(self) -> str:
        """Loads the graphs, so that a damaged model is known before anything is read. Returns the device."""
        device: str = self._queries.session.device
        return self.embedder.session.device or device

    def encode(self, one: Sequence[str], other: Sequence[str]) -> Any:
        """The texts of some pairs as ids, the first half of the work."""
        if self._queries is self.embedder:
            return len(one), (self.embedder.encode([*one, *other]),)
        return len(one), (self._queries.encode(one), self.embedder.encode(other))

    def cosines(self, encoded: Any) -> np.ndarray:
        """The cosine of each pair, f64[pair], from -1 to 1, the second half of the work. That of a text without a vector is
        0."""
        count, parts = encoded
        if len(parts) == 1:
            vectors = self.embedder.vectors(parts[0])
            one, other = vectors[:count], vectors[count:]
        else:
            one, other = self._queries.vectors(parts[0]), self.embedder.vectors(parts[1])
        return cosines(one, other)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The cosine of each row of `one` with that of `other`, f64[row]; that of a zero row is 0.

    Sums are made in f64, row by row, so that they do not depend on how many rows there are.
    """
    one, other = one.astype(np.float64), other.astype(np.float64)
    dots = (one * other).sum(axis=1)
    lengths = np.sqrt((one * one).sum(axis=1) * (other * other).sum(axis=1))
    return np.clip(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0), -1.0, 1.0)
