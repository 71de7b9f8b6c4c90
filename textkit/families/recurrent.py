"""Recurrent layers over lines of unequal length, which can also be exported as ONNX operators. Knows cells, and no model.

`Recurrent` is a layer to train: a whole pass is one call of torch's own loop, and a single step (`inputs`, `advance`) is plain
arithmetic. `RecurrentOperator` is the same layer in an encoder that is to be exported. torch's exporter freezes the length of
nn.LSTM's loop from the second export of a process on, and cannot pack lines, so the ONNX operator is put into the graph by
name, with the lengths as its `sequence_lens`. `RecurrentStep` is a single step to be exported. Equations: Elman 1990 (rnn);
Cho et al. 2014, arXiv 1406.1078, with the reset gate applied after the matrix (gru); Hochreiter and Schmidhuber 1997, with the
forget gate of Gers et al. 2000 (lstm).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

State = tuple[Tensor, ...]  # (hidden,), for an lstm (hidden, cell); each f32[line, width], the directions side by side

CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}

_ONNX = {  # the operator, torch's blocks of gates in its order, the attributes that make its equations torch's
    "rnn": ("RNN", (0,), {}),
    "gru": ("GRU", (1, 0, 2), {"linear_before_reset": 1}),  # torch: reset, update, new; ONNX: update, reset, new
    "lstm": ("LSTM", (0, 3, 1, 2), {}),  # torch: input, forget, cell, output; ONNX: input, output, forget, cell
}
_VERSION = 22  # the opset that last changed these operators


class Recurrent(nn.Module):
    """One layer, `hidden` wide in each of its one or two directions. Padding stands at the end of lines and changes nothing."""

    def __init__(self, cell: str, inputs: int, hidden: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.cell, self.hidden = cell, hidden
        self.directions = 2 if bidirectional else 1
        self.width = hidden * self.directions  # of an output and of a state
        self.states = 2 if cell == "lstm" else 1
        self.layer = CELLS[cell](inputs, hidden, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """x f32[line, token, inputs] -> outputs f32[line, token, width], zeros at padding, and each line's last states.

        `lengths` i64[line], at least 1; None: nothing is padding. `state`: the states to begin with; None: zeros.
        """
        begin = None if state is None else self._apart(state)
        given = lengths if lengths is None else lengths.cpu()
        if given is None or bool((given == x.shape[1]).all()):
            outputs, last = self.layer(x, begin)
        else:
            packed, last = self.layer(pack_padded_sequence(x, given, True, enforce_sorted=False), begin)
            outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
        return outputs, tuple(_together(part) for part in (last if self.cell == "lstm" else (last,)))

    def inputs(self, x: Tensor) -> Tensor:
        """What the inputs of any number of steps add to the gates: f32[..., inputs] -> f32[..., gates].

        `x` may hold only the first inputs. The others then add x W^T, with the W that `columns` gives.
        """
        weight = self.layer.weight_ih_l0
        return functional.linear(
            x, weight if x.shape[-1] == weight.shape[1] else weight[:, : x.shape[-1]], self.layer.bias_ih_l0
        )

    def columns(self, first: int) -> Tensor:
        """The matrix f32[gates, n] of the inputs from the `first` on, cut out and (under autocast) cast once for many steps."""
        weight = self.layer.weight_ih_l0[:, first:]
        kind = weight.device.type
        return weight.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else weight

    def advance(self, inputs: Tensor, state: State) -> State:
        """One step forwards: `inputs(x)` f32[..., gates] and the states before -> the states after; the first is the output.

        States stay fp32 under autocast, because a cell state sums up over the whole line.
        """
        hidden = state[0]
        recurrent = functional.linear(hidden, self.layer.weight_hh_l0, self.layer.bias_hh_l0)  # [..., gates]
        if self.cell == "rnn":
            return (torch.tanh(inputs + recurrent).float(),)
        if self.cell == "gru":
            r, z, n = inputs.chunk(3, -1)  # [..., hidden]: torch's gates
            reset, update, new = recurrent.chunk(3, -1)
            reset, update = torch.sigmoid(r + reset), torch.sigmoid(z + update)
            new = torch.tanh(n + reset * new)
            return ((new + update * (hidden - new)).float(),)
        take, keep, new, show = (inputs + recurrent).chunk(4, -1)  # [..., hidden]: gates i, f, g, o
        take, keep, show = torch.sigmoid(take), torch.sigmoid(keep), torch.sigmoid(show)
        return tuple(part.float() for part in _remembered(take, keep, show, torch.tanh(new), state[1]))

    def _apart(self, state: State) -> Tensor | tuple[Tensor, ...]:
        """States as torch's layers take them."""
        parts = [part.unflatten(1, (self.directions, self.hidden)).transpose(0, 1).contiguous() for part in state]
        return tuple(parts) if self.cell == "lstm" else parts[0]  # [direction, line, hidden]


def _remembered(take: Tensor, keep: Tensor, show: Tensor, new: Tensor, cell: Tensor) -> State:
    """An lstm's states after a step, from its gates and the new values, f32[..., hidden] each."""
    cell = keep * cell + take * new
    return show * torch.tanh(cell), cell


class RecurrentStep(nn.Module):
    """One step forwards of a `Recurrent`, to be exported with few operators: at one token at a time, every operator counts.

    The two matrices are merged where the cell's equations allow it, and an lstm's three sigmoid gates lie side by side. Made
    anew from a trained layer for each export: it holds the layer's weights as they were then.
    """

    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        self.recurrent = layer
        if layer.cell == "gru":  # its reset gate comes after the matrix of the state alone, so the matrices stay two
            return
        inner, blocks = layer.layer, {"rnn": (0,), "lstm": (0, 1, 3, 2)}[layer.cell]  # gates i, f, o, g

        def ordered(rows: Tensor) -> Tensor:
            parts = rows.detach().chunk(len(blocks))
            return torch.cat([parts[block] for block in blocks])

        weight = ordered(torch.cat([inner.weight_ih_l0, inner.weight_hh_l0], 1))  # [gates, inputs + hidden]
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", ordered(inner.bias_ih_l0 + inner.bias_hh_l0), persistent=False)

    def forward(self, x: Tensor, state: State) -> State:
        """f32[..., inputs] and the states before -> the states after; the first is the output."""
        layer = self.recurrent
        if layer.cell == "gru":
            return layer.advance(layer.inputs(x), state)
        summed = functional.linear(torch.cat([x, state[0]], -1), self.weight, self.bias)  # [..., gates]
        if layer.cell == "rnn":
            return (torch.tanh(summed),)
        gates, new = summed.split([3 * layer.hidden, layer.hidden], -1)
        take, keep, show = torch.sigmoid(gates).chunk(3, -1)  # [..., hidden]
        return _remembered(take, keep, show, torch.tanh(new), state[1])


class RecurrentOperator(nn.Module):
    """A `Recurrent` as one ONNX operator. It is called as the layer is; outside an export, it is the layer itself.

    Made anew from a trained layer for each export: it holds the layer's weights as they were then, in ONNX's order.
    """

    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        self.recurrent = layer
        self.operator, blocks, self.attributes = _ONNX[layer.cell]
        names = ["l0", "l0_reverse"][: layer.directions]

        def reordered(kind: str, name: str) -> Tensor:
            parts = getattr(layer.layer, f"{kind}_{name}").detach().chunk(len(blocks))
            return torch.cat([parts[block] for block in blocks])

        weights = {
            "w": [reordered("weight_ih", name) for name in names],  # [direction, gates, inputs]
            "r": [reordered("weight_hh", name) for name in names],  # [direction, gates, hidden]
            "b": [torch.cat([reordered("bias_ih", name), reordered("bias_hh", name)]) for name in names],
        }
        for key, parts in weights.items():
            self.register_buffer(key, torch.stack(parts), persistent=False)

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        if not torch.onnx.is_in_onnx_export():
            return self.recurrent(x, lengths, state)
        layer = self.recurrent
        lines, tokens = x.shape[:2]
        begin = [None, None][: layer.states]
        if state is not None:
            begin = [part.unflatten(1, (layer.directions, layer.hidden)).transpose(0, 1) for part in state]
        last = (layer.directions, lines, layer.hidden)
        outputs, *after = torch.onnx.ops.symbolic_multi_out(
            self.operator,
            (x.transpose(0, 1), self.w, self.r, self.b, None if lengths is None else lengths.to(torch.int32), *begin),
            {
                "hidden_size": layer.hidden,
                "direction": "bidirectional" if layer.directions == 2 else "forward",
                **self.attributes,
            },
            dtypes=[x.dtype] * (1 + layer.states),
            shapes=[(tokens, layer.directions, lines, layer.hidden), *[last] * layer.states],
            version=_VERSION,
        )
        outputs = outputs.permute(2, 0, 1, 3).flatten(2)  # [line, token, width]
        return outputs, tuple(_together(part) for part in after)


def _together(state: Tensor) -> Tensor:
    """[direction, line, hidden] -> [line, width]."""
    return state.transpose(0, 1).flatten(1)
