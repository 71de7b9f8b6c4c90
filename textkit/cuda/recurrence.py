"""Rewrites LSTMs of integers (DynamicQuantizeLSTM) as LSTMs of floats, as dequantising.py does with products.

The exporter gives an LSTM two more units and two more inputs (exporting/quantize_recurrence.py). They are taken away again.
"""

from __future__ import annotations

import numpy as np

from textkit.cuda.nodes import Node
from textkit.cuda.surroundings import Surroundings

_BIASES = (-30.0, 30.0, 30.0, 0.0)  # of the two units that quantize_recurrence.py adds to an LSTM


class Recurrence:
    """Makes LSTMs of floats of the LSTMs of integers among the nodes of a graph."""

    def __init__(self, around: Surroundings) -> None:
        self.around, self.model = around, around.model

    def __call__(self, node: Node) -> list[Node] | None:
        """DynamicQuantizeLSTM: x, matrices, biases, lengths, first state and cell, peepholes, scales and zero points."""
        takes = [*node.takes, *[""] * 12]
        x, lengths, begin, peepholes = takes[0], takes[4], takes[5:7], takes[7]
        inputs, state = self.gates(takes[1], takes[8], takes[9]), self.gates(takes[2], takes[10], takes[11])
        bias = self.around.value(takes[3]) if takes[3] else None
        if inputs is None or state is None or peepholes or (takes[3] and bias is None):
            return None
        hidden = state.shape[2]
        cuts = [self.cut_of(name, hidden - 2) for name in node.makes if name]
        outputs = list(node.makes)
        if bias is not None and all(cut is not None for cut in cuts) and _is_wider(bias, hidden, inputs):
            narrow = [self.unpadded(name) for name in (x, *begin)]
            if None not in narrow:
                x, *begin = [str(name) for name in narrow]
                inputs, state = (_narrower(part, hidden) for part in (inputs[:, :, :-2], state[:, :, :-2]))
                bias = np.concatenate([_narrower(part, hidden) for part in np.split(bias, 2, axis=1)], 1)
                hidden -= 2
                slices = iter(cuts)
                for at, name in enumerate(outputs):
                    if name and (cut := next(slices)) is not None:
                        outputs[at] = cut.makes[0]
                        self.model.abandon(cut)
        names = [self.model.put(self.model.unique(node.takes[at]), array) for at, array in ((1, inputs), (2, state))]
        biases = self.model.put(self.model.unique(node.takes[3]), bias) if bias is not None else ""
        made = Node("LSTM", [x, *names, biases, lengths, *begin], outputs)
        while made.takes[-1] == "":
            made.takes.pop()
        made.attributes = dict(node.attributes)
        return [made.with_integer("hidden_size", hidden)]

    def gates(self, name: str, scale: str, zero: str) -> np.ndarray | None:
        """Integers [direction, in, gates] as f32[direction, gates, in]."""
        steps, by = self.around.value(name), self.around.value(scale)
        middle = self.around.value(zero) if zero else np.zeros(1, np.int8)
        if steps is None or by is None or middle is None:
            return None
        # A number for each gate, or one for all.
        by, middle = (part.reshape(len(steps), 1, -1) if part.size > 1 else part for part in (by, middle))
        array = (steps.astype(np.float32) - middle.astype(np.float32)) * by
        return np.ascontiguousarray(array.transpose(0, 2, 1))

    def cut_of(self, name: str, width: int) -> Node | None:
        """The Slice that keeps the first `width` numbers of an LSTM's output, if nothing else takes the output."""
        user = self.around.only_user(name)
        if user is None or user.operator != "Slice" or len(user.takes) != 4:
            return None
        bounds = [self.around.value(part) for part in user.takes[1:]]  # first, behind the last, axis
        known = [part.tolist() for part in bounds if part is not None]
        return user if known == [[0], [width], [-1]] else None

    def unpadded(self, name: str) -> str | None:
        """What two Pads append a number each to; '' for a first state of zeros; None for anything else."""
        maker = self.around.makers.get(name)
        if maker is None:
            return "" if not name else None
        if maker.operator == "Expand":
            return ""
        inner = self.around.makers.get(maker.takes[0]) if maker.operator == "Pad" else None
        return inner.takes[0] if inner is not None and inner.operator == "Pad" else None


def _is_wider(bias: np.ndarray, hidden: int, inputs: np.ndarray) -> bool:
    """Whether an LSTM has the two units and the two inputs that quantize_recurrence.py adds."""
    added = bias[:, : 4 * hidden].reshape(-1, 4, hidden)[:, :, -2:]
    constant = np.array_equal(np.abs(added), np.broadcast_to(np.abs(_BIASES)[:, None], added.shape))
    return constant and not inputs[:, :, -2:].any()


def _narrower(gates: np.ndarray, hidden: int) -> np.ndarray:
    """[direction, 4 * hidden, ...] without the last two units of each gate."""
    kept = gates.reshape(len(gates), 4, hidden, *gates.shape[2:])[:, :, :-2]
    return np.ascontiguousarray(kept.reshape(len(gates), -1, *gates.shape[2:]))
