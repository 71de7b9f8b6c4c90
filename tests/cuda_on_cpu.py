"""What a GPU would be given, run on the CPU: rewritten graphs, and steps whose arrays are bound and exchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import pytest

from textkit.bundle import onnxfile
from textkit.cuda.graphs import for_cuda
from textkit.cuda.model import Edit
from textkit.searching import stepping_on_device, steps
from textkit.searching.on_device import OnDevice
from textkit.serving.session import Session

_made: dict[tuple[bytes, str, str | None], bytes] = {}


class Rewritten(Session):
    """A session on the CPU with the graph that a GPU would get in the precision `wanted`."""

    wanted = "fp32"

    def __init__(
        self, graph: bytes, *_: Any, outputs: Collection[str] | None = None, edit: Edit | None = None, **__: Any
    ) -> None:
        graph = graph if outputs is None else onnxfile.keep_outputs(graph, outputs)
        key = hashlib.sha256(graph).digest(), self.wanted, None if edit is None else edit.key
        if key not in _made:
            _made[key] = for_cuda(graph, self.wanted, edit)
        super().__init__(_made[key], "cpu", threads=1)
        self.most_tokens = 1 << 30


def on_device(patch: pytest.MonkeyPatch, precision: str = "fp32") -> None:
    """Makes searches run as on a GPU, but on the CPU."""
    patch.setattr(Rewritten, "wanted", precision)
    patch.setattr(steps, "Session", Rewritten)
    patch.setattr(stepping_on_device, "Session", Rewritten)
    before = steps.Steps.__init__

    def init(self: Any, *given: Any, **named: Any) -> None:
        before(self, *given, **named)
        self._on_device = OnDevice("cpu")
        self._device_steps = stepping_on_device.DeviceSteps(self._bundle, "cpu", self._on_device, self._attention)

    patch.setattr(steps.Steps, "__init__", init)


def rewritten(patch: pytest.MonkeyPatch, precision: str = "fp32") -> None:
    """Makes searches compute with rewritten graphs, in the way of a CPU."""
    patch.setattr(Rewritten, "wanted", precision)
    patch.setattr(steps, "Session", Rewritten)
