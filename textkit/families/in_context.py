"""The states of networks that were trained for something else, as modules of the task `embed`. Knows no architecture.

A token's state depends on what stands around it, so that a word has another vector in another context.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Read = Callable[[Tensor, Tensor], Tensor]  # ids i64[line, token], mask bool[line, token] -> f32[line, token, dim]


class OfSource(nn.Module):
    """A translator's states of the source: ids i64[line, token], weight f32[line, token] -> f32[line, token, dim].

    `backwards`: the network was trained on reversed lines, in which the id `end` still comes last (Sutskever et al. 2014). It
    reads them so, and the states are put back in the order of the words.
    """

    def __init__(self, read: Read, end: int, backwards: bool) -> None:
        super().__init__()
        self.read, self.end, self.backwards = read, end, backwards

    def forward(self, ids: Tensor, weight: Tensor) -> Tensor:
        mask = weight > 0
        if not self.backwards:
            return self.read(ids, mask)
        words = (mask & (ids != self.end)).sum(1, keepdim=True)  # [line, 1]
        at = torch.arange(ids.shape[1], device=ids.device)
        place = torch.where(at < words, words - 1 - at, at)  # [line, token]: taken twice, each token is where it was
        states = self.read(ids.gather(1, place), mask)
        return states.gather(1, place[:, :, None].expand(-1, -1, states.shape[2]))


class AfterEach(nn.Module):
    """A language model's state after each token: ids i64[line, token], weight f32[line, token] -> f32[line, token, dim].

    As where it is served, a line begins after the id `start`, which ends the line before it.
    """

    def __init__(self, read: Read, start: int) -> None:
        super().__init__()
        self.read, self.start = read, start

    def forward(self, ids: Tensor, weight: Tensor) -> Tensor:
        token = torch.cat([torch.full_like(ids[:, :1], self.start), ids], 1)
        mask = torch.cat([torch.ones_like(ids[:, :1], dtype=torch.bool), weight > 0], 1)
        return self.read(token, mask)[:, 1:]


class Hidden(nn.Module):
    """A language model's `hidden`, from its first state on. Padding comes last, where no token that counts can see it."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, token: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.network.hidden(token, self.network.begin(token.shape[0]))[0]
        return found
