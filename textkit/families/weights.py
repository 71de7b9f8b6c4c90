"""Weights by their names, put into a network. Knows no architecture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from textkit.errors import TextkitError

if TYPE_CHECKING:
    from torch import nn


def put(network: nn.Module, weights: Mapping[str, np.ndarray], names: Iterable[str], source: str) -> None:
    """Puts the `weights` of `source` that have these `names` into the network. TextkitError for one of another shape."""
    import torch

    state = network.state_dict()
    with torch.no_grad():
        for name in names:
            if weights[name].shape != tuple(state[name].shape):
                here, there = list(state[name].shape), list(weights[name].shape)
                raise TextkitError(f"--init {source}: its {name} is {there}, with these options it would be {here}")
            state[name].copy_(torch.from_numpy(np.array(weights[name])))
