"""The n-grams of a line's tokens as features of their own, and which of them a training keeps. Light: no torch.

An n-gram is known by its hash, a polynomial of its ids modulo a prime, which a graph can compute from `ids` alone. So a model
that looks at n-grams beside its encoder needs no other text rule and no other port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from textkit.text.rule import TextRule
    from textkit_plugins.encoder.vocabulary import Chunks

HASHES = 262_139  # the largest prime below 2^18: which row a hash has takes half a megabyte
MULTIPLIER = 92_821
_MOST_FEATURES = (1 << 15) - 2  # rows are numbered in 16 bits, and row 0 is that of all other n-grams
_LONGEST = 5  # tokens
_BEGUN = 2  # tokens, beside what knows words already
_MOST_WEIGHTS = 1 << 24  # of all n-grams for all labels: 64 MB
# Squares of tf-idf are multiples of this, so that their sum over a line is exact in f32, in whatever order it is made.
STEP = 1 / 64
_LEAST = 2  # lines that an n-gram is in: what one line alone has says nothing of others
_COUNTED = 4000  # lines whose n-grams are counted at once


@dataclass(frozen=True)
class WideOptions:
    """Whether labels have weights for n-grams of tokens as well. A mixin; it must precede the other options among the base
    classes."""

    # tokens of the longest n-grams that have a weight for each label, beside the encoder's vector; 0: none; -1: 2 where the
    # training begins with another model, else none
    wide: int = -1
    wide_features: int = 20_000  # most of such n-grams; those in the most lines are kept

    # Hashed features are such n-grams already, and are in no order.
    needs: ClassVar[Mapping[str, str]] = dict.fromkeys(("wide", "wide_features"), "text=bpe|unigram|word")

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]  # of the class that this is mixed into
        for key, least, most in (("wide", -1, _LONGEST), ("wide_features", 1, _MOST_FEATURES)):
            if not least <= getattr(self, key) <= most:
                raise ValueError(f"{key}={getattr(self, key)}: must be from {least} to {most}")


def order_of(options: Any, begun: bool) -> int:
    """How long the n-grams are of a training that has `begun` with another model, or not; 0: there are none.

    Attention says what a model looks at only where nothing counts beside it, so it has n-grams only if they are asked for.
    """
    wide: int = getattr(options, "wide", 0)
    return wide if wide >= 0 else _BEGUN if begun and options.pooling != "attention" else 0


def most_features(options: WideOptions, facts: Mapping[str, Any]) -> int:
    """How many n-grams may have weights: fewer than `wide_features` where there are thousands of labels."""
    labels = facts.get("labels") or [label for head in facts.get("heads", {}).values() for label in head]
    return max(1, min(options.wide_features, _MOST_WEIGHTS // max(1, len(labels))))


def hashes_of(ids: np.ndarray, lengths: np.ndarray, order: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The n-grams of 1, 2, ... `order` tokens: their hashes i64, and the line that each is in.

    ids i64[total], lengths i64[line]: as Encoded has them.
    """
    line = np.repeat(np.arange(len(lengths)), lengths)
    found = np.zeros(len(ids), np.int64)
    for n in range(1, min(order, len(ids)) + 1):
        found = (found[: len(ids) - n + 1] * MULTIPLIER + ids[n - 1 :] + 1) % HASHES
        whole = line[n - 1 :] == line[: len(found)]
        yield found[whole], line[: len(found)][whole]


def learnt_ngrams(rule: TextRule, chunks: Chunks, order: int, most: int) -> dict[str, Any]:
    """The `hashes` of the n-grams of up to `order` tokens that the most lines have, ascending: at most `most`, each in at least
    2 lines. `lines`: in how many lines each is; `total`: how many lines there are."""
    lines, total = np.zeros(HASHES, np.int64), 0
    for texts in chunks():
        total += len(texts)
        for begin in range(0, len(texts), _COUNTED):
            encoded = rule.encode(texts[begin : begin + _COUNTED])
            for hashes, line in hashes_of(encoded.ids, encoded.lengths, order):
                lines += np.bincount(np.unique(line * HASHES + hashes) % HASHES, minlength=HASHES)
    kept = np.flatnonzero(lines >= _LEAST)
    if len(kept) > most:
        kept = np.sort(kept[np.argsort(-lines[kept], kind="stable")[:most]])
    return {"order": order, "hashes": kept.tolist(), "lines": lines[kept].tolist(), "total": total}


def squares(lines: np.ndarray, total: int) -> np.ndarray:
    """The squares f32 of the inverse document frequencies of n-grams that are in so many `lines` i64 of `total`."""
    idf = np.log((1 + total) / (1 + lines.astype(np.float64))) + 1  # as scikit-learn's
    rounded: np.ndarray = (np.round(idf**2 / STEP) * STEP).astype(np.float32)
    return rounded


class Tfidf:
    """The tf-idf of lines' n-grams as matrices, after these lines or after some of them alone.

    `found`: what Wide.occurrences gave, batch by batch. `square` f32[row]: what the branch makes of each n-gram.
    `length`: that of each line's features. `order` i64[line]: the numbers of the lines that the batches had; None: 0, 1, ...
    """

    def __init__(
        self,
        found: Sequence[tuple[np.ndarray, np.ndarray]],
        square: np.ndarray,
        length: float = 1.0,
        order: np.ndarray | None = None,
    ) -> None:
        self.square, self.length = square, length
        self.lines = sum(len(rows) for rows, _ in found)
        # Of each occurrence: its line, its row, and the square of its tokens' weights.
        begins = np.cumsum([0, *(len(rows) for rows, _ in found)])
        real = [np.nonzero((rows > 0) & (weight > 0)) for rows, weight in found]
        self.line = np.concatenate([line + begin for (line, _), begin in zip(real, begins[:-1], strict=True)])
        self.line = self.line if order is None else order[self.line]
        self.row = np.concatenate([rows[at] for (rows, _), at in zip(found, real, strict=True)])
        self.weight = np.concatenate([weight[at] ** 2 for (_, weight), at in zip(found, real, strict=True)])

    def of_all(self) -> Any:
        """A scipy.sparse matrix f32[line, row], as the branch has it."""
        return self._matrix(self.square)

    def learnt_from(self, some: np.ndarray) -> Any:
        """The matrix f32[line, row] of all lines, where no line but `some` i64 was there to count n-grams in. What fewer than 2
        of these have is left out."""
        mine = np.zeros(self.lines, bool)
        mine[some] = True
        here = mine[self.line]
        rows = len(self.square)
        pairs = np.unique(self.line[here] * rows + self.row[here])  # an n-gram counts once in a line
        counts = np.bincount(pairs % rows, minlength=rows)
        return self._matrix(np.where(counts >= _LEAST, squares(counts, len(some)), 0))

    def _matrix(self, square: np.ndarray) -> Any:
        from scipy.sparse import csr_matrix

        worth = self.weight * square[self.row]
        length = np.maximum(np.bincount(self.line, worth, self.lines), STEP)
        value = self.length * np.sqrt(worth / length[self.line])
        here = value > 0
        entries = value[here].astype(np.float32), (self.line[here], self.row[here])
        return csr_matrix(entries, (self.lines, len(square)))
