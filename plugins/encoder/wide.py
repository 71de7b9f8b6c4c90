"""A wide branch: weights of the labels for each n-gram of a line's tokens, beside the encoder's vector. Knows no text.

It is a linear classifier on tf-idf of n-grams (Wang and Manning 2012, "Baselines and Bigrams"), and its logits are added to
those of the encoder (Cheng et al. 2016, "Wide & Deep Learning", arXiv 1606.07792). An encoder knows what words mean, and is
vague about which words there were; the branch is the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from textkit_plugins.encoder.ngrams import HASHES, MULTIPLIER, STEP, squares

if TYPE_CHECKING:
    from textkit_plugins.encoder.options import EncoderOptions

# What the branch says is multiplied by this, which lets it learn so much faster than the layers beside it: those of a
# transformer begin with another model and need a low rate, at which weights that begin as zeros would stay near them.
_GAIN = {"transformer": 64.0}
_PLAIN_GAIN = 4.0


class Wide(nn.Module):
    """Lines of ids -> what the n-grams of each add to the logits.

    `learnt`: the n-grams that count (ngrams.learnt_ngrams). `size`: how many logits there are.
    """

    def __init__(self, options: EncoderOptions, learnt: Mapping[str, Any], size: int) -> None:
        super().__init__()
        self.order: int = learnt["order"]
        self.gain = _GAIN.get(options.encoder, _PLAIN_GAIN)
        kept = len(learnt["hashes"])
        rows = torch.zeros(HASHES, dtype=torch.int16)  # 0: no n-gram that counts
        rows[torch.tensor(learnt["hashes"], dtype=torch.int64)] = torch.arange(1, kept + 1, dtype=torch.int16)
        square = squares(np.array(learnt["lines"], np.int64), learnt["total"])
        self.register_buffer("rows", rows)
        self.register_buffer("square", torch.from_numpy(np.pad(square, (1, 0))))
        self.table = nn.Embedding(kept + 1, size, padding_idx=0)
        nn.init.zeros_(self.table.weight)

    def forward(self, ids: Tensor, weight: Tensor) -> Tensor:
        """ids i64 and weight f32 [line, token] -> f32[line, size]; zeros for a line without n-grams that count"""
        lengths, sums = [], []
        for rows, weigh in self._ngrams(ids, weight):
            square = weigh.square() * self.square[rows]
            lengths.append(square.sum(1, keepdim=True))
            worth = square.sqrt()[:, :, None] * self.table(rows)
            # onnxruntime adds up in another order where a line is alone. In f64 no order changes what is left in f32.
            sums.append(worth.sum(1) if self.training else worth.double().sum(1).to(worth.dtype))
        return self.gain * sum(sums) * torch.clamp(sum(lengths), min=STEP).rsqrt()

    def _ngrams(self, ids: Tensor, weight: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Of the n-grams of 1, 2, ... tokens, by the place where they begin: rows i64 and weights of their tokens f32
        [line, token]; row 0 or weight 0 where none begins that counts."""
        found, weigh = torch.zeros_like(ids), torch.ones_like(weight)
        for n in range(self.order):
            found = (found * MULTIPLIER + _from(ids, n) + 1) % HASHES
            weigh = weigh * _from(weight, n)
            yield self.rows[found].to(torch.int64), weigh

    def occurrences(self, ids: Tensor, weight: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """The rows i64 of the n-grams of each line and the weights f32 of their tokens [line, n-gram], for ngrams.Tfidf."""
        rows, weights = (torch.cat(parts, 1).numpy() for parts in zip(*self._ngrams(ids, weight), strict=True))
        return rows, weights

    def set_weights(self, found: np.ndarray, begin: int = 0) -> None:
        """`found` f32[row, logit]: what each n-gram is worth in logits from number `begin` on, row 0 excepted."""
        with torch.no_grad():
            self.table.weight[:, begin : begin + found.shape[1]] = torch.from_numpy(found / self.gain)
            self.table.weight[0] = 0


def _from(x: Tensor, n: int) -> Tensor:
    """x [line, token] from place n on, with zeros behind it."""
    return torch.cat([x[:, n:], torch.zeros_like(x[:, :n])], 1) if n else x
