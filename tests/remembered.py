"""Keeps what many tests need: traces, for one run of the suite, and compiled kernels, for as long as no kernel changes.

torch takes seconds for a trace, and most tests export what another test has exported. A trace depends only on the module, its
weights and the examples, so it is kept under a hash of all three.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any


class _Named(pickle.Pickler):
    """Writes only what a tensor holds, without torch's other bookkeeping."""

    def reducer_override(self, value: object) -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            held = value.detach().contiguous()
            data = held.reshape(-1).view(torch.uint8).numpy().tobytes() if held.numel() else b""
            return tuple, ((type(value).__name__, str(value.dtype), tuple(value.shape), hashlib.sha256(data).digest()),)
        return NotImplemented


def kernels_kept(plugins: Path, base: Path) -> Path:
    """The folder in `base` for numba's cache: a different one for each state of the files that kernels are made of.

    numba compares only the file that contains a kernel. After a change in a file imported there it would keep using the old
    compiled kernel.
    """
    told = hashlib.sha256()
    for file in sorted(plugins.glob("*/*kernels.py")):
        told.update(f"{file.relative_to(plugins).as_posix()}\n".encode() + file.read_bytes() + b"\0")
    return base / told.hexdigest()[:16]


def name_of(*what: object) -> str | None:
    """A name that is the same for all that would be traced alike; None for what cannot be pickled (a local class, a lambda)."""
    told = io.BytesIO()
    try:
        _Named(told).dump(what)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    return hashlib.sha256(told.getvalue()).hexdigest()


def remembering(trace: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """`trace` of tracing.py, but it first looks whether this or another process of the run has traced the same."""

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


def registry_once(patch: Any) -> None:
    """torch's table of operators, which torch.onnx.export makes anew for each graph in 0.7 s, is made once for each opset.

    It is none of torch's promises where that is done: where it has moved, every export makes its own.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
    except (ImportError, AttributeError):
        pass
