"""A plugin's loss, compiled by torch.compile (Ansel et al. 2024, "PyTorch 2"): larger kernels, after a slow first batch.

What cannot be compiled is said in one line, and the network then learns without. Dropout draws other numbers than it does
without, so that weights differ from those of the same seed.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitWarning, one_line
from textkit.plugin import Plugin

if TYPE_CHECKING:
    import torch


class CompiledLoss:
    """Calls `plugin.loss`, compiled at the first batch."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self._compiled: Callable[..., Any] | None = None
        self._fails = False

    def __call__(self, network: torch.nn.Module, batch: Any) -> Any:
        """What `plugin.loss` gives."""
        if not self._fails:
            try:
                if self._compiled is None:
                    self._compiled = self._compile()
                    self._differentiate(network, self._compiled(network, batch))
                return self._compiled(network, batch)
            except Exception as error:  # torch's have no common base; a mistake of the plugin's is met again below
                self._fails = True
                said = f"compile=true: torch cannot compile this network, which learns without: {one_line(error)}"
                warnings.warn(TextkitWarning(said), stacklevel=2)
        return self._plugin.loss(network, batch)

    def _compile(self) -> Callable[..., Any]:
        """The loss, which torch compiles when it is called, and again for batches of a shape that it did not foresee."""
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no processes of torch's own
        import torch

        for name in ("torch._dynamo", "torch._inductor"):  # many lines on what is left uncompiled
            logging.getLogger(name).setLevel(logging.ERROR)
        plugin = self._plugin
        # Batches differ in shape.
        return torch.compile(lambda network, batch: plugin.loss(network, batch), dynamic=True)

    @staticmethod
    def _differentiate(network: torch.nn.Module, given: Any) -> None:
        """Computes a gradient that nobody needs: only then torch compiles the way back, and shows whether it can."""
        import torch

        loss = given[0] if isinstance(given, tuple) and given else None
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if isinstance(loss, torch.Tensor) and loss.requires_grad and not loss.dim() and parameters:
            torch.autograd.grad(loss, parameters, allow_unused=True)
