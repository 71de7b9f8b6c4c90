"""Runs the graphs of sessions (session.py) with memory and state that stay on a GPU, through onnxruntime's IOBinding.

A step takes one small array up and brings one or two down. Its other arrays are bound once for a batch: those that keep
their shape lie in two sets that change places, and those that grow are passed on as they were made. Lines that leave a batch
are taken out by a graph of Gathers, so nothing of them passes through the host. NOT MEASURED YET: copies were counted with
stand-ins for CUDA's libraries; benchmarks/gpu.py runs it on a machine with a GPU. Knows no port by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textkit.cuda.lines import lines_graph
from textkit.cuda.step_graph import GIVEN
from textkit.serving.session import Session, failure, run_options
from textkit.task import NEXT

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Fresh:
    """An OrtValue [line, ...] that is bound as [line, 1, ...], because an OrtValue on a GPU cannot be reshaped."""

    value: Any

    def shape(self) -> list[int]:
        lines, *rest = self.value.shape()
        return [lines, 1, *rest]


class OnDevice:
    """The graphs of one device: `cuda:N`. Tests use `cpu`, where the same calls give results that can be compared."""

    def __init__(self, device: str) -> None:
        self.kind, _, index = device.partition(":")
        self.index = int(index or 0)
        self._keepers: dict[tuple[tuple[int, int], ...], Session] = {}

    def run(
        self, session: Session, feeds: Mapping[str, np.ndarray], bound: Mapping[str, Any], wanted: Collection[str]
    ) -> dict[str, Any]:
        """Runs a graph and returns its outputs: those `wanted` as arrays, the others as OrtValues on the GPU.

        `feeds` are inputs on the host, `bound` inputs on the GPU. Those that the graph does not take are left out.
        """
        binding = session.inner.io_binding()
        types = {port.name: port.type for port in session.inner.get_inputs()}
        for name, array in feeds.items():
            if name in types:
                binding.bind_cpu_input(name, np.ascontiguousarray(array, _DTYPES.get(types[name], array.dtype)))
        for name, value in bound.items():
            if name in types:
                self.bind(binding, name, value)
        for name in session.outputs:
            if name in wanted:
                binding.bind_output(name, "cpu")
            else:
                binding.bind_output(name, self.kind, self.index)
        ran(session, binding)
        values = dict(zip(session.outputs, binding.get_outputs(), strict=True))
        return {name: value.numpy() if name in wanted else value for name, value in values.items()}

    def bind(self, binding: Any, name: str, value: Any) -> None:
        """Binds an input that lies on the GPU."""
        if isinstance(value, Fresh):
            inner = value.value
            binding.bind_input(name, self.kind, self.index, inner.element_type(), value.shape(), inner.data_ptr())
        else:
            binding.bind_ortvalue_input(name, value)

    def put(self, array: np.ndarray) -> Any:
        """Copies an array to the GPU, as an OrtValue."""
        import onnxruntime

        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), self.kind, self.index)

    def room(self, shape: Sequence[int], dtype: Any) -> Any:
        """An OrtValue on the GPU that is still to be written. `dtype`: numpy's, or a number of TensorProto's."""
        import onnxruntime

        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype, self.kind, self.index)

    def take(self, values: Mapping[str, Any], rows: np.ndarray) -> dict[str, Any]:
        """The lines `rows` of each OrtValue, by a graph that runs on the GPU."""
        inner = {name: value.value if isinstance(value, Fresh) else value for name, value in values.items()}
        kinds = tuple((int(value.element_type()), len(value.shape())) for value in inner.values())
        if kinds not in self._keepers:
            graph = lines_graph([(f"value{at}", kind, rank) for at, (kind, rank) in enumerate(kinds)])
            self._keepers[kinds] = Session(
                graph, f"cuda:{self.index}/fp32" if self.kind == "cuda" else self.kind, threads=1
            )
        session = self._keepers[kinds]
        bound = {f"value{at}": value for at, value in enumerate(inner.values())}
        kept = self.run(session, {"rows": rows.astype(np.int64)}, bound, ()).values()
        found = dict(zip(inner, kept, strict=True))
        return {name: Fresh(found[name]) if isinstance(value, Fresh) else found[name] for name, value in values.items()}


class Stepped(Mapping[str, Any]):
    """What a step on a GPU gives: the state of the next step as OrtValues, and what was chosen as arrays."""

    def __init__(self, state: Mapping[str, Any], steps: BoundSteps, arrays: Mapping[str, np.ndarray]) -> None:
        self.state, self.steps, self.arrays = state, steps, arrays

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name] if name in self.arrays else self.state[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.arrays, *self.state))

    def __len__(self) -> int:
        return len(self.arrays) + len(self.state)


class BoundSteps:
    """A step session with all that stays the same for a batch bound once.

    `fixed`: the ports of the state whose shape does not change from step to step. `outputs`: what is brought down, each with
    its shape and dtype where both are known, so that it has one place for all steps.
    """

    def __init__(
        self, device: OnDevice, session: Session, memory: Mapping[str, Any], rows: int, size: tuple[int, int],
        fixed: Collection[str], outputs: Mapping[str, tuple[Sequence[int], Any] | None],
    ) -> None:  # fmt: skip
        self.device, self.session, self.memory, self.size = device, session, memory, size
        ports = {port.name: port.type for port in session.inner.get_inputs()}
        self._types = ports
        self._state = [name.removesuffix(NEXT) for name in session.outputs if name.endswith(NEXT)]
        self._fixed = [name for name in self._state if name in fixed]
        self._grow = [name for name in self._state if name not in fixed]
        self._sets: list[dict[str, Any]] = []
        self._bindings = [session.inner.io_binding() for _ in range(2)]
        self._given = device.room((rows, *size), np.float32) if GIVEN in ports else None
        self._places = {name: device.room(*known) for name, known in outputs.items() if known is not None}
        self._loose = [name for name, known in outputs.items() if known is None]
        self._written: dict[str, tuple[np.ndarray, Any]] = {}
        self._order: list[dict[str, None]] = [{}, {}]  # of each binding: its outputs in the order in which they came
        for order in self._order:
            order.update(dict.fromkeys(self._places))
        for binding in self._bindings:
            if self._given is not None:
                binding.bind_ortvalue_input(GIVEN, self._given)
            for name, value in memory.items():
                if name in ports:
                    device.bind(binding, name, value)
            for name, place in self._places.items():
                binding.bind_ortvalue_output(name, place)

    def run(
        self, given: np.ndarray, state: Mapping[str, Any], seldom: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """One step: the next state, and what is brought down. `given` f32[row, line, beam]; `seldom`: inputs that are the same
        array in most steps. Raises TextkitError where the graph fails."""
        if self._given is not None:
            self._given.update_inplace(np.ascontiguousarray(given, np.float32))
        at, turns = self._turn(state)
        binding = self._bindings[at]
        self._bind_seldom(seldom)
        for name in self._grow if turns else self._state:
            if name in self._types:
                self.device.bind(binding, name, self._placed(name, state[name]))
            binding.bind_output(f"{name}{NEXT}", self.device.kind, self.device.index)
            self._order[at][f"{name}{NEXT}"] = None
        for name in self._loose:
            binding.bind_output(name, "cpu")
            self._order[at][name] = None
        ran(self.session, binding)
        fresh = self._grow if turns else self._state
        values = dict(zip(self._order[at], binding.get_outputs(), strict=True)) if fresh or self._loose else {}
        following = {name: values[f"{name}{NEXT}"] for name in fresh} | (self._sets[1 - at] if turns else {})
        arrays = {name: place.numpy() for name, place in self._places.items()}
        return following, arrays | {name: values[name].numpy() for name in self._loose}

    def _turn(self, state: Mapping[str, Any]) -> tuple[int, bool]:
        """Which binding to use, and whether the fixed state is bound to it."""
        for at, held in enumerate(self._sets):
            if all(state[name] is value for name, value in held.items()):
                return at, True
        values = [state[name] for name in self._fixed]
        if not values or any(isinstance(value, (Fresh, np.ndarray)) for value in values):
            return 0, False
        if self._sets or any(tuple(value.shape()[:2]) != self.size for value in values):
            return 0, False
        first = dict(zip(self._fixed, values, strict=True))
        second = {name: self.device.room(value.shape(), int(value.element_type())) for name, value in first.items()}
        self._sets = [first, second]
        for binding, order, taken, given in zip(self._bindings, self._order, self._sets, self._sets[::-1], strict=True):
            order.update(dict.fromkeys(f"{name}{NEXT}" for name in self._fixed))
            for name in self._fixed:
                if name in self._types:
                    binding.bind_ortvalue_input(name, taken[name])
                binding.bind_ortvalue_output(f"{name}{NEXT}", given[name])
        return 0, True

    def _bind_seldom(self, seldom: Mapping[str, np.ndarray]) -> None:
        for name, array in seldom.items():
            if name not in self._types or (name in self._written and self._written[name][0] is array):
                continue
            value = self.device.put(array)
            self._written[name] = array, value
            for binding in self._bindings:
                binding.bind_ortvalue_input(name, value)

    def _placed(self, name: str, value: Any) -> Any:
        """A value on the GPU. The first state of a language model comes from the host."""
        if not isinstance(value, np.ndarray):
            return value
        return self.device.put(np.asarray(value, _DTYPES.get(self._types[name], value.dtype)))


def ran(session: Session, binding: Any) -> None:
    """Runs a graph with what is bound. Raises TextkitError where it fails."""
    try:
        session.inner.run_with_iobinding(binding, run_options())
    except Exception as error:  # onnxruntime's exceptions have no common base but this
        raise failure(error, session.device) from error
