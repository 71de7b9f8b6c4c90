"""Optimizers, learning rates and penalties from the engine's options. Knows no loop, no plugin and no data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textkit.plugin import Training

if TYPE_CHECKING:
    import torch


def optimizer(training: Training, parameters: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that `training.optimizer` names.

    sgd has heavy-ball momentum; nt-asgd takes the same steps (textkit.training.averaging says what it averages). adagrad:
    Duchi et al. 2011. adam: Kingma and Ba 2015. adamw: Loshchilov and Hutter 2019; its `weight_decay` is decoupled from
    the gradient. adam and adamw are fused: they take one pass over a parameter instead of ten.
    """
    import torch

    if training.optimizer in ("sgd", "nt-asgd"):
        return torch.optim.SGD(parameters, training.learning_rate, momentum=training.momentum)
    if training.optimizer == "adagrad":
        return torch.optim.Adagrad(parameters, training.learning_rate, eps=training.epsilon)
    if training.optimizer == "adam":
        return torch.optim.Adam(parameters, training.learning_rate, training.betas, training.epsilon, fused=True)
    return torch.optim.AdamW(
        parameters, training.learning_rate, training.betas, training.epsilon, training.weight_decay, fused=True
    )


def learning_rate(training: Training, step: int, steps: int) -> float:
    """The learning rate of the update that follows `step` updates, of `steps` in all (read only if `needs_total`).

    The n-th update (n = step + 1) of a warm-up of w updates has the rate peak * n / w, so the w-th has the peak. After
    the warm-up, with w' = max(w, 1):

        constant      peak
        inverse-sqrt  peak * sqrt(w' / n), at least `least`              (Vaswani et al. 2017, equation 3)
        linear        peak + (least - peak) * f,                         f = (n - w') / (steps - w' + 1), at most 1
        cosine        least + (peak - least) * (1 + cos(pi * f)) / 2     (Loshchilov and Hutter 2017, equation 5)

    Without a warm-up, the first update has the peak. With linear and cosine, the last update is one step short of `least`.

    With a `cooldown` of c updates, the last c go linearly from r, the rate of the (steps - c)-th, towards `least`:
    r + (least - r) * (n - (steps - c)) / (c + 1)                              (Hägele et al. 2024, arXiv 2405.18392)
    """
    n, least = step + 1, training.min_learning_rate
    begin = max(steps - training.cooldown, 0)
    if not training.cooldown or n <= begin:
        return _scheduled(training, n, steps)
    rate = _scheduled(training, max(begin, 1), steps)
    return rate + (least - rate) * min((n - begin) / (steps - begin + 1), 1.0)


def needs_total(training: Training) -> bool:
    """Whether the rate depends on how many updates there will be in all."""
    return training.schedule in ("linear", "cosine") or training.cooldown > 0


def _scheduled(training: Training, n: int, steps: int) -> float:
    """The rate of the n-th update without a cooldown."""
    peak, least = training.learning_rate, training.min_learning_rate
    if n < training.warmup:
        return peak * n / training.warmup
    after = max(training.warmup, 1)
    if training.schedule == "inverse-sqrt":
        return max(peak * math.sqrt(after / n), least)
    fraction = min((n - after) / max(steps - after + 1, 1), 1.0)
    if training.schedule == "linear":
        return peak + (least - peak) * fraction
    if training.schedule == "cosine":
        return least + (peak - least) * (1 + math.cos(math.pi * fraction)) / 2
    return peak


def penalize(parameters: Sequence[torch.nn.Parameter], l1: float, l2: float) -> None:
    """Adds the gradient of l1 * sum |w| + l2 / 2 * sum w^2 to the gradients: l1 * sign(w) + l2 * w.

    A parameter that took no part in the loss has no gradient and gets none.
    """
    import torch

    touched = [parameter for parameter in parameters if parameter.grad is not None]
    with torch.no_grad():
        for parameter in touched:
            if l2:
                parameter.grad.add_(parameter, alpha=l2)
            if l1:
                parameter.grad.add_(parameter.sign(), alpha=l1)
