"""The moving average of the weights: steadier than the last ones, and what is scored and kept. Knows no loop and no file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Average:
    """An exponential moving average of parameters (Polyak and Juditsky 1992; Marian's --exponential-smoothing).

    It begins as the weights that nothing was learnt with. After update n, counted from 1,

        average = d * average + (1 - d) * weights,    d = min(decay, (1 + n) / (10 + n))

    so that it forgets its beginning soon, however long its memory (about 1 / (1 - decay) updates) is to be. Buffers
    are not averaged.
    """

    def __init__(self, named: Sequence[tuple[str, torch.nn.Parameter]], decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.values = [parameter.detach().clone() for parameter in self.parameters]

    def update(self) -> None:
        """Takes in the parameters as they are after an update."""
        import torch

        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            torch._foreach_lerp_(self.values, [parameter.detach() for parameter in self.parameters], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The parameters hold the average inside, and their own bits again after."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Tensors by the parameters' names, and plain values."""
        return dict(zip(self.names, self.values, strict=True)), {"updates": self.updates}

    def load(self, tensors: Mapping[str, torch.Tensor], plain: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self.updates = plain["updates"]
        for name, value in zip(self.names, self.values, strict=True):
            value.copy_(tensors[name])

    def _swap(self) -> None:
        """In the parameters' own memory, for some modules hold on to it, and with one parameter's worth of it besides."""
        import torch

        with torch.no_grad():
            for parameter, value in zip(self.parameters, self.values, strict=True):
                held = parameter.detach().clone()
                parameter.copy_(value)
                value.copy_(held)
