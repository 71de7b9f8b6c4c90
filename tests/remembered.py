"""What is made once for many tests: traces, for a run of the suite, and compiled kernels, for as long as no kernel changes.

torch takes seconds for a trace, and most tests export what another has. A trace depends on the module, its weights and the
examples alone; all of them are the name under which it is kept.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any


class _Named(pickle.Pickler):
    """Writes tensors as what they hold, without whatever torch keeps beside it."""

    def reducer_override(self, value: object) -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            held = value.detach().contiguous()
            data = held.reshape(-1).view(torch.uint8).numpy().tobytes() if held.numel() else b""
            return tuple, ((type(value).__name__, str(value.dtype), tuple(value.shape), hashlib.sha256(data).digest()),)
        return NotImplemented


def kernels_kept(plugins: Path, base: Path) -> Path:
    """The folder of `base` for numba's cache: another one for each state of the files that kernels are made of.

    numba compares only the file that a kernel stands in, and would go on with what it has compiled where one that is
    imported there has changed.
    """
    told = hashlib.sha256()
    for file in sorted(plugins.glob("*/*kernels.py")):
        told.update(f"{file.relative_to(plugins).as_posix()}\n".encode() + file.read_bytes() + b"\0")
    return base / told.hexdigest()[:16]


def name_of(*what: object) -> str | None:
    """The same for what would be traced alike; None where something cannot be written down (a local class, a lambda)."""
    told = io.BytesIO()
    try:
        _Named(told).dump(what)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    return hashlib.sha256(told.getvalue()).hexdigest()


def remembering(trace: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """`trace` of tracing.py, which looks first whether this or another process of the run has traced the same."""

    def remembered(module: Any, inputs: Any, outputs: Any, graph: str) -> Any:
        import onnx

        name = name_of(module, list(inputs), list(outputs), graph)
        file = folder / f"{name}.onnx"
        if name and file.exists():
            return onnx.load(file)
        made = trace(module, inputs, outputs, graph)
        if name:
            part = folder / f"{name}.{os.getpid()}"
            onnx.save(made, part)
            part.rename(file)
        return made

    return remembered
