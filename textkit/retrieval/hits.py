"""What a search finds. Knows no index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Mode = Literal["hybrid", "meaning", "words"]
MODES: tuple[str, ...] = get_args(Mode)


@dataclass(frozen=True)
class Hit:
    """A passage that a search found.

    `file`: as it is reached from the current folder, an absolute path where it lies elsewhere, '-' for stdin. `line`: the first
    line of the passage, from 1. `score`: by meaning the cosine, by words BM25, by both the fused scores, 1 for what is
    best by all. `fields`: the record's own, None where records have none. `cosine`, `bm25`: what each side gave, None where it
    gave nothing; `ranks`: the place in each ranking, from 1. `spans`: where the words of `text` that match lie.
    """

    file: str
    line: int
    text: str
    score: float
    fields: Any = None
    cosine: float | None = None
    bm25: float | None = None
    ranks: dict[str, int] = field(default_factory=dict)
    spans: tuple[tuple[int, int], ...] = ()
    row: int = -1

    @property
    def words(self) -> list[str]:
        """The words of the text that the query has too, in any of their forms."""
        return list(dict.fromkeys(self.text[start:end] for start, end in self.spans))
