"""Approximate search for large indexes: graphs of usearch (HNSW; Malkov and Yashunin 2018), one for each half a million rows.

A graph is a file that is mapped into memory when it is searched. It is never changed: rows that are added later get graphs of
their own, and rows that have none yet are searched exactly. Graphs only choose candidates; their cosines are computed from the
rows.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from textkit import temporary
from textkit.errors import TextkitError, told
from textkit.retrieval.exact import MOST, Ranges, quantised
from textkit.retrieval.storing.contents import Contents

FROM = 1_000_000  # rows up to which everything is searched exactly
ROWS = 500_000  # of a graph
# Graphs of half a million lines with 16, 64 and 512 found .936 of the ten best (1.2 million lines, en-words, 1,000 queries). In
# one of 120,000 these found .978, and what stands here .998: building takes twice as long, a query 4 ms a graph instead of 2.
_LINKS, _BUILDING, _SEARCHING = 32, 128, 1024
_AT_ONCE = 2048  # rows that are added between two looks at signals


@cache
def engine() -> Any:
    """usearch's class of indexes; None where it is not installed."""
    if importlib.util.find_spec("usearch") is None:
        return None
    import onnxruntime  # noqa: F401  usearch 2.26 shows its symbols to all: onnxruntime, imported after it, ends the process
    from usearch.index import Index

    return Index


def missing(rows: int, parts: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """The ranges of rows that should have a graph and have none; none where there are few rows."""
    covered = parts[-1]["stop"] if parts else 0
    if rows <= FROM:
        return []
    return [(start, start + ROWS) for start in range(covered, rows - ROWS + 1, ROWS)]


def build(contents: Contents, start: int, stop: int, threads: int, path: Path, show: Callable[[int], None]) -> int:
    """Writes the graph of the rows from `start` to `stop` - 1, and returns its bytes. Rows of zeros are not in it."""
    index = engine()(
        ndim=contents.manifest.model.dim, metric="cos", dtype="i8", connectivity=_LINKS, expansion_add=_BUILDING,
    )  # fmt: skip
    for first in range(start, stop, _AT_ONCE):
        rows, inverse = contents.read_vectors(first, min(stop, first + _AT_ONCE))
        some = np.flatnonzero(inverse)
        index.add(some + first, rows[some], threads=threads)
        show(first + len(rows))
    part = path.with_name(path.name + ".part")
    with temporary.held(part):
        index.save(str(part))
        with open(part, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(part, path)
    return path.stat().st_size


class Graphs:
    """The graphs of an index, mapped."""

    def __init__(self, folder: Path, parts: Sequence[Mapping[str, Any]], dim: int) -> None:
        """Raises TextkitError where a graph is missing, or is not the file that was written."""
        self.stop: int = parts[-1]["stop"]
        self._graphs: list[Any] = []
        for part in parts:
            path = folder / part["file"]
            if not path.is_file() or path.stat().st_size != part["bytes"]:
                raise TextkitError(f"{path}: damaged index: the graph is missing, or of another size")
            try:
                graph = engine().restore(str(path), view=True)
            except Exception as error:
                raise TextkitError(f"{path}: damaged index: {told(error)}") from error
            if graph is None or graph.ndim != dim:
                raise TextkitError(f"{path}: damaged index: is no graph of its vectors")
            self._graphs.append(graph)

    def candidates(self, queries: np.ndarray, most: int, dead: Ranges) -> list[np.ndarray]:
        """For each query f64[query, dim], rows i64 below `stop` among which its best `most` are, as a rule."""
        whole, _ = quantised(queries.astype(np.float32))
        lost = sum(stop - start for start, stop in dead if start < self.stop)
        wanted = int(most * (1 + min(1.0, lost / max(1, self.stop - lost)))) + MOST // 8
        found: list[list[np.ndarray]] = [[] for _ in queries]
        for graph in self._graphs:
            graph.expansion_search = max(_SEARCHING, 2 * wanted)
            matches = graph.search(whole, min(wanted, len(graph)), threads=1)
            keys, counts = np.atleast_2d(matches.keys), np.atleast_1d(getattr(matches, "counts", len(matches)))
            for rows, row_keys, count in zip(found, keys, counts, strict=True):
                rows.append(row_keys[: int(count)].astype(np.int64))
        return [_without(np.concatenate(rows), dead) for rows in found]


def _without(rows: np.ndarray, dead: Ranges) -> np.ndarray:
    for start, stop in dead:
        rows = rows[(rows < start) | (rows >= stop)]
    return rows
