"""A softmax over the frequent words and a sample of the others, for training alone. Knows no network.

After Jean et al. 2015 (arXiv 1412.2007): a sum over some words stands for the sum over the vocabulary. Words that are needed
in any case are not left to chance (Botev et al. 2017, complementary sum sampling). Let F be the frequent words, U the targets
that are not among them, and R the remaining words, from which a sample S is drawn uniformly without replacement. Then

    Z   =  sum exp z_w          Z~  =  sum   exp z_w  +  |R| / |S|  sum exp z_w
          w in V                     w in F, U                     w in S

The mean of Z~ over samples is Z for any targets. Frequent words hold most of Z, so log Z~ is close to log Z. The logarithm of
the weight |R| / |S| is added to the sample's biases; any loss for a softmax over F, U and S can then be used.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def candidates(target: Tensor, words: int, frequent: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """The candidate words i64[c], what to add to the logit of each f32[c], and where each target is among them i64[token].

    The targets are i64[token], of `words` words; the first `frequent` words are always candidates.
    """
    device = target.device
    rare = torch.zeros(words - frequent, dtype=torch.bool, device=device)
    rare[target[target >= frequent] - frequent] = True
    known = rare.nonzero()[:, 0] + frequent  # U
    rest = (~rare).nonzero()[:, 0] + frequent  # R
    drawn = rest[torch.randperm(len(rest), device=device)[:samples]]  # S
    candidate = torch.cat([torch.arange(frequent, device=device), known, drawn])
    weight = torch.zeros(len(candidate), device=device)
    if len(drawn):
        weight[-len(drawn) :] = math.log(len(rest) / len(drawn))
    place = torch.where(target < frequent, target, frequent + torch.searchsorted(known, target))
    return candidate, weight, place
