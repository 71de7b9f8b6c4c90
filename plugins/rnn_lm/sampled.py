"""A softmax over the frequent words and a sample of the others, for training alone. Knows no network.

After Jean et al. 2015 (arXiv 1412.2007): a sum over some words stands for that over the vocabulary. What is surely needed is
not left to chance (Botev et al. 2017, complementary sum sampling). With F the frequent words, U the targets that are not
among them and R what remains, of which a sample S is drawn evenly and without repetition,

    Z   =  sum exp z_w          Z~  =  sum   exp z_w  +  |R| / |S|  sum exp z_w
          w in V                     w in F, U                     w in S

The mean of Z~ over samples is Z whatever the targets are. Frequent words hold most of Z, so that log Z~ is near to log Z; the
weight |R| / |S| is added to the sample's biases as its logarithm, and any loss of a softmax over F, U and S can be used.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def candidates(target: Tensor, words: int, frequent: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which words are looked at for targets i64[token]: candidate i64[c], what is added to the logit of each f32[c], and
    where each target is among them i64[token]."""
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
