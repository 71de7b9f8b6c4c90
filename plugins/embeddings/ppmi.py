"""Positive pointwise mutual information of counted pairs, and the weighting of its SVD. Knows no text; no torch.

Church & Hanks 1990; Bullinaria & Levy 2007; Levy, Goldberg & Dagan 2015 ("the paper" below).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textkit_plugins.embeddings.cooccurrence import Counts

if TYPE_CHECKING:
    import scipy.sparse

_BLOCK_BYTES = 80  # per pair while its PMI is computed: rows, columns, counts, logarithms
_MB = 1 << 20


@dataclass(frozen=True)
class Association:
    """How counts become PPMI."""

    cds: float = 0.75  # context distribution smoothing: context counts are raised to this power
    neg: float = 1.0  # k of the shifted PPMI: log k is subtracted
    keep: np.ndarray | None = None  # f64[word]: the share of a word's occurrences that subsampling keeps; None: all


def kept_share(counts: np.ndarray, t: float) -> np.ndarray | None:
    """The probability with which subsampling at threshold `t` keeps an occurrence, counts i64[word] -> f64[word].

    It is min(1, sqrt(t / f)), where f is the word's share of the text: Mikolov et al. 2013 (arXiv 1310.4546), section 2.3.
    None if t is 0.
    """
    return np.minimum(1.0, np.sqrt(t * counts.sum() / np.maximum(counts, 1))) if t else None


def ppmi(counts: Counts, association: Association, folder: Path, memory_mb: int) -> scipy.sparse.csr_matrix:
    """max(0, log(P(w, c) / (P(w) P_cds(c))) - log k): section 2.1, equation 3 of section 3.2; f32[word, word], on disk.

    Subsampling enters by its expected effect, n(w, c) keep(w) keep(c), and not by random draws ("clean" in the paper). Only
    blocks of the matrix are in memory. Its files, in `folder`, are mapped, so that the system can drop their pages.
    """
    import scipy.sparse

    size = len(counts.starts) - 1
    block = memory_mb * _MB // _BLOCK_BYTES
    keep = association.keep if association.keep is not None else np.ones(size)
    near = np.zeros(size)  # [word]: the summed counts of the word's pairs
    for first, last in counts.blocks(block):
        rows, (columns, values) = counts.rows(first, last), counts.block(first, last)
        near[first:last] = np.bincount(rows - first, values * keep[rows] * keep[columns], last - first)
    smoothed = near**association.cds
    with np.errstate(divide="ignore"):  # log 0 for a word that is near no other, which has no pair to spoil
        log_row = np.log(near) + np.log(association.neg) - np.log(smoothed.sum())  # [word]
        log_column = np.log(smoothed)  # [word]

    starts = np.zeros(size + 1, np.int64)
    paths = folder / "ppmi.columns", folder / "ppmi.values"
    with paths[0].open("wb") as column_file, paths[1].open("wb") as value_file:
        for first, last in counts.blocks(block):
            rows, (columns, values) = counts.rows(first, last), counts.block(first, last)
            pmi = (np.log(values * keep[rows] * keep[columns]) - log_row[rows] - log_column[columns]).astype(np.float32)
            positive = pmi > 0
            column_file.write(columns[positive])
            value_file.write(pmi[positive])
            starts[first + 1 : last + 1] = np.bincount(rows[positive] - first, minlength=last - first)
    starts = np.cumsum(starts)
    if starts[-1] < 1 << 31:
        starts = starts.astype(np.int32)  # otherwise scipy copies the columns to i64
    columns, values = (_mapped(path, dtype) for path, dtype in zip(paths, (np.int32, np.float32), strict=True))
    return scipy.sparse.csr_matrix((values, columns, starts), (size, size))


def _mapped(path: Path, dtype: np.typing.DTypeLike) -> np.ndarray:
    """A file as a read-only array [item]; it may be empty, which numpy.memmap refuses."""
    return np.memmap(path, dtype, "r") if path.stat().st_size else np.empty(0, dtype)


def weigh(vectors: np.ndarray, singular: np.ndarray, eig: float) -> np.ndarray:
    """vectors * singular^eig, [word, dim]: equation 6 of the paper (eig = 0, 0.5 or 1).

    A direction whose singular value is zero up to rounding is noise; it becomes zero for any `eig`.
    """
    sound = singular > singular[0] * np.finfo(np.float32).eps * len(vectors)
    return vectors * np.where(sound, np.where(sound, singular, 1) ** eig, 0).astype(np.float32)
