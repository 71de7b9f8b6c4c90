"""Vectors to places in the plane, and places to clusters, by libraries of the extra `map`. Knows no text.

Places are those of t-SNE (van der Maaten and Hinton 2008) with the settings that Kobak and Berens (2019) recommend: it begins
with the principal components, so that the large distances mean something too, and its rate grows with the number of rows.
openTSNE was chosen over umap-learn because that compiles its functions in each process: 60 s before the first of 5,000 texts is
placed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from textkit.errors import TextkitError, pip_install

_FEW = 8  # rows; fewer have too few neighbours to be placed by them
_COMPONENTS = 50  # principal components in which neighbours are looked up
_SAMPLE = 20_000  # rows whose principal components are taken
_PERPLEXITY = 30  # about a third of the neighbours that a row is kept near to
_EARLY, _LATE = 150, 300  # steps with neighbours drawn together twelvefold, and without
_SAMPLES = 5  # neighbours that make a place dense
_TREES = 10_000  # rows from which on forces are computed on a grid (FFT) instead of by a tree


def refuse() -> None:
    """Raises TextkitError where the extra is not installed."""
    try:
        import openTSNE  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise TextkitError(f"a map needs {error.name}, which is not installed: {pip_install('map')}") from error


def placed(vectors: np.ndarray, seed: int) -> np.ndarray:
    """A place for each row of f32[row, dim], f32[row, 2]: rows that are alike are near each other.

    The same rows and seed give the same places: one thread computes them, because several add numbers in any order. They were
    no faster either where other processes need the processors, and took three times the time of theirs.
    """
    reduced = _components(vectors)
    if len(reduced) < _FEW:
        return reduced[:, :2]
    from openTSNE import TSNEEmbedding, affinity, initialization

    near = affinity.PerplexityBasedNN(
        reduced, perplexity=min(_PERPLEXITY, (len(reduced) - 1) / 3), n_jobs=1, random_state=seed,
        method="exact" if len(reduced) < 1000 else "annoy",
    )  # fmt: skip
    begin = initialization.rescale(np.ascontiguousarray(reduced[:, :2], np.float64))
    method = "fft" if len(reduced) >= _TREES else "bh"
    places = TSNEEmbedding(begin, near, negative_gradient_method=method, n_jobs=1, random_state=seed)
    places.optimize(n_iter=_EARLY, exaggeration=12, momentum=0.5, inplace=True)
    places.optimize(n_iter=_LATE, momentum=0.8, inplace=True)
    return np.asarray(places, np.float32)


def _components(vectors: np.ndarray) -> np.ndarray:
    """The first principal components of rows scaled to length 1, f32[row, at least 2]; their signs are fixed."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = vectors / np.where(lengths > 0, lengths, 1)
    rows = rows - rows.mean(axis=0)
    sample = rows[np.random.default_rng(1).permutation(len(rows))[:_SAMPLE]].astype(np.float64)
    turn = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :_COMPONENTS]
    turn = turn * np.where(turn[np.abs(turn).argmax(axis=0), np.arange(turn.shape[1])] < 0, -1, 1)
    found = (rows @ turn).astype(np.float32)
    return found if found.shape[1] > 1 else np.concatenate([found, np.zeros_like(found)], axis=1)


def clustered(places: np.ndarray) -> np.ndarray:
    """The cluster of each place, i64[row], by HDBSCAN (Campello et al. 2013); -1 for places between clusters.

    The largest comes first; of equal ones the one that has the first row. HDBSCAN takes the clusters that last the longest as
    its tree is cut ever lower. Where that joins half of the map, the leaves of the tree say more.
    """
    least = smallest(len(places))
    if len(places) < 2 * least:
        return np.full(len(places), -1)
    from sklearn.cluster import HDBSCAN

    for chosen in ("eom", "leaf"):
        grouping: Any = HDBSCAN(
            min_cluster_size=least, min_samples=_SAMPLES, cluster_selection_method=chosen, copy=True
        )
        found = grouping.fit_predict(places)
        if not (found >= 0).any() or np.bincount(found[found >= 0]).max() <= len(found) / 2:
            break
    sizes = np.bincount(found[found >= 0], minlength=int(found.max()) + 1) if (found >= 0).any() else np.zeros(0, int)
    firsts = [int(np.flatnonzero(found == cluster)[0]) for cluster in range(len(sizes))]
    order = sorted(range(len(sizes)), key=lambda cluster: (-sizes[cluster], firsts[cluster]))
    ranks = np.full(len(sizes) + 1, -1)
    ranks[order] = np.arange(len(sizes))
    return ranks[found]


def smallest(count: int) -> int:
    """The fewest texts of a cluster: more where there are many, so that a map has some dozens of clusters."""
    return max(5, int(count**0.5 / 2))
