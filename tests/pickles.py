"""Weights as PyTorch pickles them, and a pickle that would run code."""

from __future__ import annotations

from pathlib import Path

TRACE = "a-pickle-ran"  # the file that such a pickle leaves beside the weights


class _Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def pickled(folder: Path, value) -> None:
    """Puts `value` in the place of the checkpoint's weights."""
    import torch

    (folder / "model.safetensors").unlink()
    torch.save(value, folder / "pytorch_model.bin")


def evil(folder: Path) -> None:
    """Weights that write the file TRACE into `folder` if they are unpickled."""
    pickled(folder, {"x": _Evil(folder / TRACE)})
