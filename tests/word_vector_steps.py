"""Steps of word vectors' two tables, one way beside another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


def moved(
    network: Any, steps: Sequence[Callable[[], dict[str, Any]]]
) -> list[tuple[dict[str, Any], tuple[torch.Tensor, torch.Tensor]]]:
    """Of each step, all of which begin at the same point: what it returns, and how far it moves the two tables."""
    tables = network.centre, network.context
    start = [table.detach().clone() for table in tables]
    found = []
    for step in steps:
        with torch.no_grad():
            for table, begun in zip(tables, start, strict=True):
                table.copy_(begun)
        told = step()
        centre, context = (table.detach() - begun for table, begun in zip(tables, start, strict=True))
        found.append((told, (centre, context)))
    return found
