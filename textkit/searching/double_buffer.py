"""Steps on the CPU whose arrays stay in place: a step writes its outputs where the next reads its inputs, in two sets by turns.

Passing arrays by name into and out of onnxruntime takes a tenth of a small network's step. Knows the ports by which a step
graph draws, and passes all others on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from textkit.serving.session import failure, run_options
from textkit.task import NEXT

if TYPE_CHECKING:
    from textkit.searching.drawing import Draw
    from textkit.serving.session import Session


class DoubleBuffer(Mapping[str, np.ndarray]):
    """Runs the steps of one batch while they only draw and its shape stays. Maps the ports of the next step to their arrays.

    The arrays of the state are overwritten by the step after the next; those of tokens and log-probabilities are not.
    """

    def __init__(self, session: Session, feeds: Mapping[str, np.ndarray], state: Sequence[str]) -> None:
        """`feeds`: all inputs of the first step. `state`: the names of those that the graph returns in the same shape."""
        from onnxruntime import OrtValue

        self._inner, self._state = session.inner, list(state)
        kept = {name: np.array(array, order="C") for name, array in feeds.items() if name in session.inputs}
        self._sets = [
            {name: kept[name] if at == 0 else np.empty_like(kept[name]) for name in ("token", *state)}
            for at in range(2)
        ]
        self._constant = {name: array for name, array in kept.items() if name not in self._sets[0]}
        self._written: dict[str, np.ndarray] = {}  # the last arrays written to inputs that seldom change
        self._logprob = np.empty(kept["token"].shape, np.float32)
        self._bindings = []
        for taken, given in (self._sets, self._sets[::-1]):
            binding = session.inner.io_binding()
            for name, array in (self._constant | taken).items():
                binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(array))
            outputs = {"drawn_id": given["token"], "drawn_logprob": self._logprob}
            outputs |= {f"{name}{NEXT}": given[name] for name in state}
            for name, array in outputs.items():
                binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(array))
            self._bindings.append(binding)
        self._at = 0  # the set that the next step reads
        self._drawn = self._sets[0]["token"], self._logprob  # nothing yet, and no token that comes from outside

    def step(self, token: np.ndarray, parent: np.ndarray, draw: Draw) -> DoubleBuffer:
        """Runs the next step. Raises TextkitError where the graph fails."""
        if token is not self._drawn[0]:
            self._sets[self._at]["token"][...] = token
        self._constant["uniform"][...] = draw.uniform
        for name, array in (("parent", parent), ("temperature", draw.temperature), ("bias", draw.bias)):
            if self._written.get(name) is not array and name in self._constant:
                self._constant[name][...] = self._written[name] = array
        try:
            self._inner.run_with_iobinding(self._bindings[self._at], run_options())
        except Exception as error:  # onnxruntime's exceptions have no common base but this
            raise failure(error) from error
        self._at = 1 - self._at
        self._drawn = self._sets[self._at]["token"].copy(), self._logprob.copy()
        return self

    def __getitem__(self, name: str) -> np.ndarray:
        if name == "drawn_id":
            return self._drawn[0]
        return self._drawn[1] if name == "drawn_logprob" else self._sets[self._at][name]

    def __iter__(self) -> Iterator[str]:
        return iter(("drawn_id", "drawn_logprob", *self._state))

    def __len__(self) -> int:
        return 2 + len(self._state)
