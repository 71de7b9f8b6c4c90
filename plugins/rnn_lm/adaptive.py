"""The adaptive softmax of Grave et al. 2017 (arXiv 1609.04309): frequent words first, rare ones in clusters. Knows no model.

With cutoffs c_0 < ... < c_k = V and words in the order of frequency,

    p(w) = head(w)                          for w < c_0
    p(w) = head(c_0 + i) tail_i(w - c_i)    for c_i <= w < c_(i+1)

where head and tails are softmaxes. A word of tail i has d / div_value^(i+1) numbers instead of d, and the hidden state is
first projected to that size (section 4.2). A token then costs the head and, for few tokens, one tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class AdaptiveSoftmax(nn.Module):
    """The softmax itself. `cutoffs`: where each cluster begins, and the number of words, where the last cluster ends."""

    def __init__(self, width: int, cutoffs: Sequence[int], div_value: float) -> None:
        super().__init__()
        self.cutoffs = list(cutoffs)
        self.head = nn.Linear(width, self.cutoffs[0] + len(self.cutoffs) - 1, bias=False)
        self.tail = nn.ModuleList()
        for at, (first, end) in enumerate(pairwise(self.cutoffs)):
            inner = max(1, int(width // div_value ** (at + 1)))
            self.tail.append(
                nn.Sequential(nn.Linear(width, inner, bias=False), nn.Linear(inner, end - first, bias=False))
            )

    def forward(self, hidden: Tensor, target: Tensor) -> Tensor:
        """The mean of -log p(target) over tokens: hidden f32[token, dim], target i64[token].

        A tail is computed only for the tokens whose target is in it.
        """
        first = self.cutoffs[0]
        at_head, losses = target.clone(), []
        for at, (begin, end) in enumerate(pairwise(self.cutoffs)):
            inside = ((target >= begin) & (target < end)).nonzero()[:, 0]  # [token of the cluster]
            at_head = at_head.index_fill(0, inside, first + at)
            if len(inside):
                logits = self.tail[at](hidden.index_select(0, inside)).float()
                losses.append(nn.functional.cross_entropy(logits, target[inside] - begin, reduction="sum"))
        losses.append(nn.functional.cross_entropy(self.head(hidden).float(), at_head, reduction="sum"))
        return torch.stack(losses).sum() / len(target)

    def log_prob(self, hidden: Tensor) -> Tensor:
        """f32[..., dim] -> log p of every word, f32[..., vocab]."""
        head = self.head(hidden).float().log_softmax(-1)  # [..., c_0 + clusters]
        first = self.cutoffs[0]
        parts = [head[..., :first]]
        for at, tail in enumerate(self.tail):
            parts.append(tail(hidden).float().log_softmax(-1) + head[..., first + at : first + at + 1])
        return torch.cat(parts, -1)
