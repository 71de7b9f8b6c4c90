"""The unigram model of Kudo 2018 ("Subword Regularization", section 3.2), learnt from counted words, the same every time.

As in the paper, EM fits a probability to each of many candidate pieces, and the pieces whose loss costs the text the least
are dropped, until the vocabulary has its size. Unlike in the paper, a word counts for its best segmentation alone rather than
for all of them, and the candidates are byte-pair merges. So no sum depends on the order of a hash table, as it does in the
trainer of `tokenizers`, which gives another vocabulary each time. Knows no files and no special tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

LONGEST = 16  # characters of a piece, at most
_SHRINKING = 0.75  # share of the pieces that a pruning keeps
_ROUNDS = 2  # of EM between two prunings


def fit(words: Mapping[str, int], seeds: Sequence[str], alphabet: Sequence[str], size: int) -> list[tuple[str, float]]:
    """At most `size` pieces with their log-probabilities, best first; all of `alphabet` (single characters) are kept.

    `words`: how often each word occurs; `seeds`: candidate pieces, likely ones first.
    """
    texts = sorted(words)
    weights = np.array([words[text] for text in texts], np.float64)
    kept = set(alphabet)
    pieces = [*alphabet, *(seed for seed in dict.fromkeys(seeds) if seed not in kept and 1 < len(seed) <= LONGEST)]
    scores = -np.log(np.arange(len(pieces)) + 1.0)  # Zipf's law, until they are counted
    while True:
        for _ in range(_ROUNDS):
            counts = _counted(texts, weights, pieces, scores)
            alive = counts > 0
            alive[: len(alphabet)] = True
            pieces = [piece for piece, lives in zip(pieces, alive.tolist(), strict=True) if lives]
            # log(c - 1/2) is nearly digamma(c): the Bayesian M step, which is hard on rare pieces.
            scores = np.log(np.maximum(counts[alive], 1.0) - 0.5) - math.log(counts.sum())
        if len(pieces) <= size:
            return _ranked(pieces, scores)
        counts = _counted(texts, weights, pieces, scores)
        wanted = max(size, int(len(pieces) * _SHRINKING))
        losses = _losses(pieces, scores, counts)
        losses[: len(alphabet)] = np.inf
        stays = np.sort(np.lexsort((np.arange(len(pieces)), -losses))[:wanted])
        pieces, scores = [pieces[at] for at in stays], scores[stays]


def _ranked(pieces: Sequence[str], scores: np.ndarray) -> list[tuple[str, float]]:
    order = np.lexsort((np.arange(len(pieces)), -scores))
    return [(pieces[at], float(scores[at])) for at in order]


def _counted(texts: Sequence[str], weights: np.ndarray, pieces: Sequence[str], scores: np.ndarray) -> np.ndarray:
    """How often each piece occurs in the best segmentation of the words, f64[piece]."""
    from tokenizers import Tokenizer, models

    vocabulary = [*zip(pieces, scores.tolist(), strict=True), ("", float(scores.min()))]
    model = Tokenizer(models.Unigram(vocabulary, unk_id=len(pieces)))  # what no piece spells counts for no piece
    found = [encoding.ids for encoding in model.encode_batch_fast(list(texts))]
    lengths = np.fromiter(map(len, found), np.int64, len(found))
    flat = np.fromiter(chain.from_iterable(found), np.int64, int(lengths.sum()))
    return np.bincount(flat, np.repeat(weights, lengths), len(vocabulary))[:-1]


def _losses(pieces: Sequence[str], scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """About what the text's log-likelihood loses if a piece must be spelled by the others: f64[piece]."""
    table = dict(zip(pieces, scores.tolist(), strict=True))
    without = np.fromiter((_spelled(piece, table) for piece in pieces), np.float64, len(pieces))
    return np.where(counts > 0, np.maximum(counts, 1) * (scores - without), 0)


def _spelled(piece: str, table: Mapping[str, float]) -> float:
    """The log-probability of the best spelling of `piece` by other pieces; -inf if there is none."""
    best = [0.0] + [-math.inf] * len(piece)
    for end in range(1, len(piece) + 1):
        for start in range(end == len(piece), end):  # the whole piece is no spelling of itself
            score = table.get(piece[start:end])
            if score is not None and best[start] + score > best[end]:
                best[end] = best[start] + score
    return best[-1]
