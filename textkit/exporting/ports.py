"""What modules behind graphs with a travelling state have in common: their ports' names, their calls, their free axes.

Which axes are free is found by running two examples of other sizes: a plugin states names alone. Knows no task, no ONNX and
no plugin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError, one_line
from textkit.task import Port

if TYPE_CHECKING:
    import torch

Tensors = dict[str, Any]  # port -> tensor


@dataclass(frozen=True)
class Traced:
    """What the exporter must know of one module: its ports, each input with an example."""

    inputs: Sequence[tuple[Port, torch.Tensor]]
    outputs: Sequence[Port]


def is_cache(name: str) -> bool:
    return name.startswith("cache.")


def reordered(state: Tensors, parent: torch.Tensor) -> Tensors:
    """State [line, from, ...] -> [line, beam, ...]: of beam parent i64[line, beam] of the same line; caches as they are."""
    import torch

    line = torch.arange(len(parent))[:, None]
    return {name: value if is_cache(name) else value[line, parent] for name, value in state.items()}


def names_of(module: torch.nn.Module, graph: str, attribute: str) -> tuple[str, ...]:
    """What the module's `attribute` calls its ports."""
    names = getattr(module, attribute, None)
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TextkitError(f"the module of graph {graph!r} has no {attribute!r} that names its ports")
    return tuple(names)


def run(module: torch.nn.Module, graph: str, given: Sequence[torch.Tensor], count: int) -> tuple[torch.Tensor, ...]:
    """The module's tensors, `count` of them."""
    try:
        found = module(*given)
    except Exception as error:  # a plugin's module raises what it likes
        raise TextkitError(f"the module of graph {graph!r} fails: {one_line(error)[:300]}") from error
    found = (found,) if not isinstance(found, tuple | list) else tuple(found)
    if len(found) != count:
        raise TextkitError(f"the module of graph {graph!r} gives {len(found)} tensors, not {count}")
    return found


def check_logits(logits: torch.Tensor, token: torch.Tensor, graph: str, axes: str) -> None:
    if logits.ndim != 3 or logits.shape[:2] != token.shape:
        raise TextkitError(f"the module of graph {graph!r} gives logits {tuple(logits.shape)}, not [{axes}, vocab]")


def check_state(state: Tensors, token: torch.Tensor) -> None:
    """TextkitError where what a step gives belongs to other lines or beams than its tokens i64[line, beam]."""
    for name, tensor in state.items():
        wanted = (len(token),) if is_cache(name) else tuple(token.shape)
        if tuple(tensor.shape[: len(wanted)]) != wanted:
            raise TextkitError(
                f"the module of graph 'step' gives {name!r} {tuple(tensor.shape)} for {tuple(token.shape)} tokens"
            )


class FreeAxes:
    """Names of axes by the sizes they had in two runs: one that differs is free."""

    def __init__(self, names: Mapping[str, tuple[int, int]]) -> None:
        """`names`: axes that are known, with their two sizes; no two alike."""
        self._names = {sizes: name for name, sizes in names.items()}

    def ports(self, first: Tensors, second: Tensors, new: str = "axis") -> list[Port]:
        """The ports of tensors of the two runs; `new`: what an axis is called that is free and not known yet."""
        found, names = [], self._names
        for name, tensor in first.items():
            axes: list[str | int] = []
            for one, other in zip(tensor.shape, second[name].shape, strict=True):
                if one != other and (one, other) not in names:
                    names[one, other] = new if new not in names.values() else f"{new}{len(names)}"
                axes.append(one if one == other else names[one, other])
            found.append(Port(name, str(tensor.dtype).removeprefix("torch."), tuple(axes)))
        return found

    def examples(self, first: Tensors, second: Tensors, new: str = "axis") -> list[tuple[Port, torch.Tensor]]:
        """The same with the first run's tensors."""
        return [(port, first[port.name]) for port in self.ports(first, second, new)]
