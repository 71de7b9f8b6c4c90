"""The norms of weights, for the log. Knows networks, and no loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def weight_norms(network: torch.nn.Module) -> dict[str, float]:
    """The Euclidean norm of each parameter to six digits; tied parameters once, under the first of their names."""
    import torch

    named = list(network.named_parameters())
    if not named:
        return {}
    with torch.no_grad():
        norms = torch.stack([torch.linalg.vector_norm(parameter).float() for _, parameter in named]).tolist()
    return {name: float(f"{norm:.6g}") for (name, _), norm in zip(named, norms, strict=True)}
