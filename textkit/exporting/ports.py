"""What modules that carry a state from call to call have in common: their ports' names, their calls, their free axes.

Free axes are found by running two examples of different sizes, because a plugin states names alone. Knows no task, no ONNX
and no plugin.
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
    """State [line, from, ...] -> [line, beam, ...], each beam's from its parent i64[line, beam]; caches as they are."""
    import torch

    line = torch.arange(len(parent))[:, None]
    return {name: value if is_cache(name) else value[line, parent] for name, value in state.items()}


def names_of(module: torch.nn.Module, graph: str, attribute: str) -> tuple[str, ...]:
    """The names of ports in the module's `attribute`."""
    names = getattr(module, attribute, None)
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TextkitError(f"the module of graph {graph!r} has no {attribute!r} that names its ports")
    return tuple(names)


def run(module: torch.nn.Module, graph: str, given: Sequence[torch.Tensor], count: int) -> tuple[torch.Tensor, ...]:
    """The `count` tensors that the module gives."""
    try:
        found = module(*given)
    except Exception as error:  # a plugin's module may raise anything
        raise TextkitError(f"the module of graph {graph!r} fails: {one_line(error)[:300]}") from error
    found = (found,) if not isinstance(found, tuple | list) else tuple(found)
    if len(found) != count:
        raise TextkitError(f"the module of graph {graph!r} gives {len(found)} tensors, not {count}")
    return found


def check_logits(logits: torch.Tensor, token: torch.Tensor, graph: str, axes: str) -> None:
    if logits.ndim != 3 or logits.shape[:2] != token.shape:
        raise TextkitError(f"the module of graph {graph!r} gives logits {tuple(logits.shape)}, not [{axes}, vocab]")


def check_state(state: Tensors, token: torch.Tensor) -> None:
    """Raises TextkitError where a step's new state has other lines or beams than its tokens i64[line, beam]."""
    for name, tensor in state.items():
        wanted = (len(token),) if is_cache(name) else tuple(token.shape)
        if tuple(tensor.shape[: len(wanted)]) != wanted:
            raise TextkitError(
                f"the module of graph 'step' gives {name!r} {tuple(tensor.shape)} for {tuple(token.shape)} tokens"
            )


class FreeAxes:
    """Names axes by their sizes in two runs: an axis whose size differs is free."""

    def __init__(self, names: Mapping[str, tuple[int, int]]) -> None:
        """`names`: the known axes with their two sizes, no pair of which occurs twice."""
        self._names = {sizes: name for name, sizes in names.items()}

    def ports(self, first: Tensors, second: Tensors, new: str = "axis") -> list[Port]:
        """The ports of the tensors of two runs; `new`: the name for a free axis that is not known yet."""
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
        """The same ports, each with its tensor of the first run."""
        return [(port, first[port.name]) for port in self.ports(first, second, new)]
