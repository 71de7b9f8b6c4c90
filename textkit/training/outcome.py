"""What comes of a batch: the plugin's loss, what it logs, and how much the batch counts. Knows no optimizer and no loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError
from textkit.guard import checked
from textkit.plugin import Plugin

if TYPE_CHECKING:
    import torch

_COUNTED = ("examples", "words", "weight", "loss")


@dataclass(frozen=True)
class Outcome:
    """The result of a batch. Its numbers may still be tensors on the device, so that nothing waits for them."""

    loss: torch.Tensor | float | None
    weight: Any  # a number: that of the loss in a mean over batches
    examples: int
    words: int
    detail: Mapping[str, Any]
    updated: bool  # whether the network changed


NOTHING = Outcome(None, 0.0, 0, 0, {}, False)


def loss_of(
    plugin: Plugin, network: torch.nn.Module, batch: Any, compiled: Callable[..., Any] | None = None
) -> tuple[torch.Tensor, Mapping[str, Any]]:
    """The plugin's loss. A mistake of a third-party plugin becomes a one-line error. `compiled`: what computes it instead."""
    import torch

    given = (plugin.loss if compiled is None else compiled)(network, batch)
    where = f"plugin {plugin.name!r}: loss must give a pair, a scalar tensor and a mapping of what to log"
    if not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], torch.Tensor)):
        raise TextkitError(f"{where}; it gives {type(given).__name__}")
    loss, log = given
    checked(plugin, "loss, beside the tensor,", log, Mapping)
    if loss.dim():
        raise TextkitError(f"{where}; its tensor has the shape {list(loss.shape)}")
    if not loss.requires_grad:
        raise TextkitError(f"{where}; its tensor has no gradient")
    return loss, log


def outcome_of(loss: Any, log: Mapping[str, Any], batch: Any) -> Outcome:
    """What came of a batch: its loss, what the plugin logged, and the sizes that the log or the batch tells."""
    examples = int(log.get("examples", getattr(batch, "examples", 1)))
    words = int(log.get("words", getattr(batch, "words", 0)))
    detail = {key: value for key, value in log.items() if key not in _COUNTED}
    weight = log.get("weight", examples)
    # A plugin's own update may leave the number on the GPU, as it may leave the loss there.
    return Outcome(loss, weight if getattr(weight, "is_cuda", False) else float(weight), examples, words, detail, False)
