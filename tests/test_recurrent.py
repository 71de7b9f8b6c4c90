"""Recurrent layers by hand, against torch's packed loops, and as ONNX operators in onnxruntime."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from textkit.families.recurrent import CELLS, Recurrent, RecurrentOperator, RecurrentStep

LENGTHS = torch.tensor([5, 1, 3])


def layer(cell: str, bidirectional: bool = False, inputs: int = 4, hidden: int = 3) -> Recurrent:
    torch.manual_seed(7)
    return Recurrent(cell, inputs, hidden, bidirectional).eval()


def reference(recurrent: Recurrent, x: torch.Tensor, lengths: torch.Tensor, state=None) -> tuple:
    """The result of torch's layer for each line alone, without padding."""
    outputs, states = torch.zeros(*x.shape[:2], recurrent.width), []
    for line, length in enumerate(lengths):
        begin = None
        if state is not None:
            begin = [part[line].view(recurrent.directions, 1, recurrent.hidden) for part in state]
            begin = tuple(begin) if recurrent.cell == "lstm" else begin[0]
        out, last = recurrent.layer(x[line : line + 1, :length], begin)
        outputs[line, :length] = out[0]
        states.append([part[:, 0].flatten() for part in (last if recurrent.cell == "lstm" else (last,))])
    return outputs, [torch.stack(part) for part in zip(*states, strict=True)]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_ragged_lines_are_as_each_line_alone(cell, bidirectional):
    recurrent = layer(cell, bidirectional)
    x = torch.randn(3, 5, 4)
    state = [torch.randn(3, recurrent.width) for _ in range(recurrent.states)]
    with torch.no_grad():
        for begin in (None, state):
            outputs, last = recurrent(x, LENGTHS, begin)
            expected, states = reference(recurrent, x, LENGTHS, begin)
            torch.testing.assert_close(outputs, expected)
            torch.testing.assert_close(list(last), states)
            noise = x.clone()
            noise[1, 1:], noise[2, 3:] = 1e6, float("nan")  # padding may hold anything
            again, after = recurrent(noise, LENGTHS, begin)
            assert torch.equal(again, outputs)
            assert all(torch.equal(a, b) for a, b in zip(last, after, strict=True))


@pytest.mark.parametrize("cell", CELLS)
def test_steps_are_the_whole_pass(cell):
    recurrent = layer(cell)
    x = torch.randn(3, 5, 4)
    with torch.no_grad():
        outputs, last = recurrent(x)
        state = tuple(torch.zeros(3, 3) for _ in range(recurrent.states))
        inputs = recurrent.inputs(x)
        for step in range(5):
            state = recurrent.advance(inputs[:, step], state)
            torch.testing.assert_close(state[0], outputs[:, step])
    torch.testing.assert_close(state, last)
    parts = recurrent.inputs(x[..., :1]) + x[..., 1:] @ recurrent.columns(1).T
    torch.testing.assert_close(parts, inputs)


# A layer of one state, all weights 1 and all biases 0, from hidden = 0.5 (and cell = 0.25) by the input 1: the gates' sums
# are 1 + 0.5 = 1.5; sigmoid(1.5) = 0.8175745, tanh(1.5) = 0.9051483.
# rnn: tanh(1.5). gru: new = tanh(1 + 0.8175745 * 0.5) = tanh(1.4087872) = 0.8872363;
#   0.8872363 + 0.8175745 * (0.5 - 0.8872363) = 0.5706418.
# lstm: cell = 0.8175745 * 0.25 + 0.8175745 * 0.9051483 = 0.9444198, hidden = 0.8175745 * tanh(0.9444198) = 0.6027538.
BY_HAND = {"rnn": [0.9051483], "gru": [0.5706418], "lstm": [0.6027538, 0.9444198]}


@pytest.mark.parametrize("cell", CELLS)
def test_one_step_by_hand(cell):
    recurrent = layer(cell, inputs=1, hidden=1)
    with torch.no_grad():
        for name, value in recurrent.named_parameters():
            value.fill_(1.0 if "weight" in name else 0.0)
        state = (torch.tensor([[0.5]]), torch.tensor([[0.25]]))[: recurrent.states]
        after = recurrent.advance(recurrent.inputs(torch.ones(1, 1)), state)
        exported = RecurrentStep(recurrent)(torch.ones(1, 1), state)
    assert [float(part) for part in after] == pytest.approx(BY_HAND[cell], abs=1e-6)
    assert [float(part) for part in exported] == pytest.approx(BY_HAND[cell], abs=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_a_step_to_be_exported_is_that_of_the_layer_whatever_the_axes(cell):
    recurrent = layer(cell)
    x, state = torch.randn(2, 6, 4), tuple(torch.randn(2, 6, 3) for _ in range(recurrent.states))
    with torch.no_grad():
        wanted = recurrent.advance(recurrent.inputs(x), state)
        found = RecurrentStep(recurrent)(x, state)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_autocast_keeps_the_states_fp32(cell):
    recurrent = layer(cell)
    x = torch.randn(3, 5, 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        state = recurrent.advance(recurrent.inputs(x[:, 0]), tuple(torch.zeros(3, 3) for _ in range(recurrent.states)))
        assert all(part.dtype == torch.float32 for part in state)
        outputs, _ = recurrent(x, LENGTHS)
    assert outputs.shape == (3, 5, 3)


class Stack(nn.Module):
    """Two layers, the first bidirectional, as in an encoder; with `streaming` it begins at given states."""

    def __init__(self, cell: str, bidirectional: bool) -> None:
        super().__init__()
        first = Recurrent(cell, 4, 3, bidirectional)
        self.first = RecurrentOperator(first)
        self.second = RecurrentOperator(Recurrent(cell, first.width, 2))

    def forward(self, x: torch.Tensor, mask: torch.Tensor, begin: tuple[torch.Tensor, ...]) -> tuple:
        lengths = mask.sum(1)
        outputs, first = self.first(x, lengths, begin)
        outputs, second = self.second(outputs, lengths)
        return outputs, *first, *second


def exported(module: nn.Module, example: tuple, shapes: tuple) -> onnxruntime.InferenceSession:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torch's exporter warns about its own internals
        program = torch.onnx.export(
            module, example, dynamo=True, opset_version=23, dynamic_shapes=shapes, external_data=False, verbose=False
        )
    file = io.BytesIO()
    program.save(file)
    kinds = {node.op_type for node in onnx.load_from_string(file.getvalue()).graph.node}
    assert kinds & {"RNN", "GRU", "LSTM"}
    assert not kinds & {"Loop", "Scan"}
    return onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    "cell", [cell if cell == "lstm" else pytest.param(cell, marks=pytest.mark.slow) for cell in CELLS]
)
@pytest.mark.parametrize("bidirectional", [pytest.param(False, marks=pytest.mark.slow), True])
def test_operator_is_the_layer_in_onnxruntime(cell, bidirectional):
    """Six exports in one process: any number of lines and tokens, lines of different lengths, from given states."""
    torch.manual_seed(3)
    stack = Stack(cell, bidirectional).eval()
    layer = stack.first.recurrent
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}

    def given(lengths: list[int], tokens: int) -> tuple:
        mask = torch.arange(tokens) < torch.tensor(lengths)[:, None]
        return (
            torch.randn(len(lengths), tokens, 4),
            mask,
            tuple(torch.randn(len(lengths), layer.width) for _ in range(layer.states)),
        )

    session = exported(stack, given([7, 4, 2], 7), (free, free, tuple({0: free[0]} for _ in range(layer.states))))
    for lengths, tokens in (([1], 1), ([3, 9, 1, 5], 9), ([2, 2], 4), ([12], 12)):
        x, mask, begin = given(lengths, tokens)
        with torch.no_grad():
            expected = stack(x, mask, begin)
        ports = [port.name for port in session.get_inputs()]
        found = session.run(None, dict(zip(ports, (part.numpy() for part in (x, mask, *begin)), strict=True)))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-6)


def test_operator_holds_the_weights_of_its_day():
    recurrent = layer("gru", bidirectional=True)
    before = RecurrentOperator(recurrent)
    with torch.no_grad():
        for value in recurrent.parameters():
            value.add_(1.0)
    after = RecurrentOperator(recurrent)
    assert torch.allclose(after.w, before.w + 1)
    # ONNX's blocks are update, reset, new; torch's are reset, update, new
    assert torch.equal(after.r[1][:3], recurrent.layer.weight_hh_l0_reverse[3:6])
    assert not list(after.buffers(recurse=False))[0].requires_grad
