"""Averages of the weights: steadier than the last weights, and scored and kept instead of them. Knows no loop and no file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError
from textkit.plugin import Score, Training

if TYPE_CHECKING:
    import torch

Named = Sequence[tuple[str, "torch.nn.Parameter"]]


class Average:
    """An exponential moving average of parameters (Polyak and Juditsky 1992; Marian's --exponential-smoothing).

    It begins as the untrained weights. After update n, counted from 1,

        average = d * average + (1 - d) * weights,    d = min(decay, (1 + n) / (10 + n))

    so that it forgets its beginning soon, however long its memory of about 1 / (1 - decay) updates is. Buffers are not
    averaged.
    """

    begun = True  # whether there is an average yet

    def __init__(self, named: Named, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.values = self._copies() if self.begun else []

    def update(self) -> None:
        """Takes in the parameters as they are after an update."""
        self.updates += 1
        self._mix(1 - min(self.decay, (1 + self.updates) / (10 + self.updates)))

    def heed(self, score: Score | None) -> None:
        """Takes each dev score. This average has no use for it."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the parameters hold the average, if there is one yet; afterwards, their own bits again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Tensors by the parameters' names, and plain values."""
        values = dict(zip(self.names, self.values, strict=True)) if self.begun else {}
        return values, {"updates": self.updates}

    def load(self, tensors: Mapping[str, torch.Tensor], plain: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self.updates = plain["updates"]
        for name, value in zip(self.names, self.values, strict=self.begun):
            value.copy_(tensors[name])

    def _copies(self) -> list[torch.Tensor]:
        return [parameter.detach().clone() for parameter in self.parameters]

    def _mix(self, share: float) -> None:
        """Moves the average towards the current parameters, by `share` of the difference."""
        import torch

        with torch.no_grad():
            torch._foreach_lerp_(self.values, [parameter.detach() for parameter in self.parameters], share)

    def _swap(self) -> None:
        """Exchanges parameters and average one by one, in the parameters' own memory, which some modules hold on to."""
        import torch

        with torch.no_grad():
            for parameter, value in zip(self.parameters, self.values, strict=self.begun):
                held = parameter.detach().clone()
                parameter.copy_(value)
                value.copy_(held)


class TriggeredAverage(Average):
    """The mean of all weights since the dev score stopped improving: NT-ASGD (Merity et al. 2018, section 3).

    Dev score v, number t (counted from 0; the lower the better), begins the average, once and for all, if

        t > n   and   v > min(logs[0], ..., logs[t - n - 1])

    that is, if it is worse than the best of all scores before the last n. This is algorithm 1 as the paper's text puts it
    ("fails to improve for multiple cycles") and as its authors' program computes it. From that score's weights w_T on,

        average = (w_T + ... + w_k) / (k - T + 1)

    Until then there is no average, and the weights themselves are scored and kept.
    """

    begun = False

    def __init__(self, named: Named, nonmono: int) -> None:
        super().__init__(named, 0.0)
        self.nonmono = nonmono
        self.logs: list[float] = []

    def update(self) -> None:
        if self.begun:
            self.updates += 1
            self._mix(1 / (1 + self.updates))

    def heed(self, score: Score | None) -> None:
        """Begins the average when it is time. A score of NaN is ignored."""
        if self.begun or (score is not None and math.isnan(score.value)):
            return
        if score is None:
            raise TextkitError("optimizer=nt-asgd: the plugin gives no dev score, which says when averaging begins")
        value = -score.value if score.higher_is_better else score.value
        before = self.logs[: max(len(self.logs) - self.nonmono, 0)]
        self.logs.append(value)
        if before and value > min(before):
            self.begun, self.values = True, self._copies()

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        tensors, plain = super().state()
        return tensors, {**plain, "logs": self.logs, "begun": self.begun}

    def load(self, tensors: Mapping[str, torch.Tensor], plain: Mapping[str, Any]) -> None:
        self.logs, self.begun = list(plain["logs"]), plain["begun"]
        self.values = self._copies() if self.begun else []
        super().load(tensors, plain)


def average_of(named: Named, training: Training) -> Average | None:
    """The average that the engine's options ask for."""
    if training.optimizer == "nt-asgd":
        return TriggeredAverage(named, training.nonmono)
    return Average(named, training.ema) if training.ema else None
