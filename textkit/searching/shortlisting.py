"""The graphs of a translator's shortlist, loaded: what the steps of a batch need of it. A GPU does without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.searching.shortlist import shortlisted
from textkit.serving.session import Session, of_model
from textkit.task import NEXT

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

_OF_LINES = ("allowed", "outside")  # what each line has of its own; the rest belongs to the whole batch


class Shortlisting:
    """Gathers, for each batch, the columns of the last product that its lines need."""

    def __init__(self, bundle: Bundle, threads: int | None) -> None:
        self._bundle = bundle
        self._lists = Session(bundle.graph("shortlist"), "cpu", 1)
        shared = [port.name for port in bundle.manifest.ports("step")[1] if port.name.startswith("shared.")]
        self._gather = Session(bundle.graph("step"), "cpu", threads, outputs=shared)

    def of_batch(self, source: np.ndarray, source_mask: np.ndarray) -> dict[str, Any]:
        """source i64[line, source], source_mask bool[line, source] -> what a step takes, by port. Raises TextkitError where a
        line would have no word."""
        with of_model(self._bundle.folder):
            allowed = self._lists.run({"source": source, "source_mask": source_mask})["allowed"]
            if allowed.shape[0] != len(source) or allowed.ndim != 2 or not allowed.any(1).all():
                raise TextkitError("the graph 'shortlist' allows a line no word")
            short = shortlisted(allowed)
            shared = self._gather.run({"shortlist": short.words})
        gathered = {name.removesuffix(NEXT): array for name, array in shared.items()}
        return {**gathered, "shortlist": short.words, "allowed": short.allowed, "outside": short.outside}


def of_rows(memory: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """What `of_batch` gave for a batch, for the lines `rows` alone."""
    return {name: value[rows] if name in _OF_LINES else value for name, value in memory.items()}
