"""Runs the graphs of sessions (session.py) with memory and state that stay on a GPU, through onnxruntime's IOBinding.

NOT TRIED YET: it needs a GPU, and neither the tests nor the machine it was written on has one. benchmarks/gpu.py runs it
on a machine with a GPU. Knows no port by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textkit.serving.session import Session, failure, run_options


@dataclass(frozen=True)
class Fresh:
    """An OrtValue [line, ...] that is bound as [line, 1, ...], because an OrtValue on a GPU cannot be reshaped."""

    value: Any


class OnDevice:
    """The graphs of one GPU, `cuda:N`."""

    def __init__(self, device: str) -> None:
        self._index = int(device.partition(":")[2])

    def run(
        self, session: Session, feeds: Mapping[str, np.ndarray], bound: Mapping[str, Any], wanted: Collection[str]
    ) -> dict[str, Any]:
        """Runs a graph and returns its outputs: those `wanted` as arrays, the others as OrtValues on the GPU.

        `feeds` are inputs on the host, `bound` inputs on the GPU. Those that the graph does not take are left out.
        """
        binding = session.inner.io_binding()
        takes = frozenset(session.inputs)
        for name, array in feeds.items():
            if name in takes:
                binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name, value in bound.items():
            if name not in takes:
                continue
            if isinstance(value, Fresh):
                value, (lines, *shape) = value.value, value.value.shape()
                where = value.element_type(), [lines, 1, *shape], value.data_ptr()
                binding.bind_input(name, "cuda", self._index, *where)
            else:
                binding.bind_ortvalue_input(name, value)
        for name in session.outputs:
            if name in wanted:
                binding.bind_output(name, "cpu")
            else:
                binding.bind_output(name, "cuda", self._index)
        try:
            session.inner.run_with_iobinding(binding, run_options())
        except Exception as error:  # onnxruntime's exceptions have no common base but this
            raise failure(error) from error
        values = dict(zip(session.outputs, binding.get_outputs(), strict=True))
        return {name: value.numpy() if name in wanted else value for name, value in values.items()}

    def put(self, array: np.ndarray) -> Any:
        """Copies an array to the GPU, as an OrtValue."""
        import onnxruntime

        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), "cuda", self._index)

    def take(self, rows: np.ndarray) -> Callable[[Any], Any]:
        """A function that keeps the lines `rows` of an OrtValue, through the host: lines leave a batch only a few times."""
        return lambda value: self.put(value.numpy()[rows])

    def join(self, values: Sequence[Any]) -> Any:
        """Concatenates OrtValues along the line axis, through the host."""
        return self.put(np.concatenate([value.numpy() for value in values]))
