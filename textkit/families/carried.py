"""What a network that reads one long text in chunks remembers from one chunk to the next. Knows no network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Carried(nn.Module):
    """The state after the last chunk that was learnt from, [stream, ...] each, in buffers of the network.

    The engine's checkpoint holds the network's state_dict, and with it the buffers, so a training that goes on from one still
    has the words it read last in mind. The state means nothing to whoever uses the weights, and no gradient goes back through
    it (truncated backpropagation: Williams and Peng 1990).
    """

    def __init__(self, begin: Sequence[Tensor]) -> None:
        super().__init__()
        self.names = [f"state{at}" for at in range(len(begin))]
        for name, part in zip(self.names, begin, strict=True):
            self.register_buffer(name, torch.zeros_like(part))

    def read(self, fresh: bool) -> tuple[Tensor, ...]:
        """The state to go on with; zeros if the text begins afresh."""
        state = tuple(getattr(self, name) for name in self.names)
        return tuple(map(torch.zeros_like, state)) if fresh else state

    def write(self, state: Sequence[Tensor]) -> None:
        """Keeps the state after a chunk, in new memory: the backward pass of the chunk may still need the old state."""
        for name, part in zip(self.names, state, strict=True):
            held = getattr(self, name)
            setattr(self, name, part.detach().to(held.dtype, copy=True).view_as(held))
