"""The SSRU: its cell by hand, the scan against a plain loop, its gradients, half precision, and what it shows of itself."""

from __future__ import annotations

import math

import pytest
import torch

from textkit_plugins.transformer.network import Transformer
from textkit_plugins.transformer.ssru import Ssru, scan, shares
from textkit_plugins.transformer.translating import TransformerConfig


def loop(keep: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
    cells, cell = [], torch.zeros_like(candidate[:, 0])
    for at in range(candidate.shape[1]):
        cell = keep[:, at] * cell + (1 - keep[:, at]) * candidate[:, at]
        cells.append(cell)
    return torch.stack(cells, 1)


def random(lines: int, tokens: int, dim: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(tokens)
    keep, candidate = torch.randn(2, lines, tokens, dim, dtype=dtype)
    return torch.sigmoid(2 * keep).requires_grad_(), candidate.requires_grad_()


def test_the_cell_by_hand():
    """One channel. W = 2, W_f = ln 3, b_f = 0. For x = 1, -1, 0: f = 3/4, 1/4, 1/2, W x = 2, -2, 0."""
    unit = Ssru(1, 1).requires_grad_(False)
    with torch.no_grad():
        unit.fused.weight.copy_(torch.tensor([[math.log(3)], [2.0]]))
    x = torch.tensor([[[1.0], [-1.0], [0.0]]])
    cells = [1 / 4 * 2, 1 / 4 * 1 / 2 - 3 / 4 * 2, 1 / 2 * -11 / 8]  # 1/2, -11/8, -11/16
    assert unit.itself(x, None, None).flatten().tolist() == pytest.approx([0.5, 0.0, 0.0])
    assert scan(*unit.gates(x)).flatten().tolist() == pytest.approx(cells)
    cell = torch.zeros(1, 1, 1)
    for at, wanted in enumerate(cells):
        given, cell = unit.next(x[:, at : at + 1], cell, None, None)
        assert (given.item(), cell.item()) == pytest.approx((max(0.0, wanted), wanted))
    with torch.no_grad():
        unit.forget_bias.fill_(math.log(2))  # f of x = 0 is now 2/3
    assert unit.gates(x)[0][0, 2].item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 5), (2, 17, 4), (5, 64, 3)])
def test_the_scan_is_the_loop_and_so_are_its_gradients(size):
    given = random(*size)
    weight = torch.randn(size)
    found, wanted = scan(*given), loop(*given)
    torch.testing.assert_close(found, wanted)
    gradients = (torch.autograd.grad((cell * weight).sum(), given) for cell in (found, wanted))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_differences():
    torch.autograd.gradcheck(scan, random(2, 5, 3, torch.float64))


def test_shares_make_the_cell_and_add_up():
    keep, candidate = random(2, 9, 6)
    found = shares(keep)  # [line, t, s, dim]
    torch.testing.assert_close((found * candidate[:, None]).sum(2), loop(keep, candidate))
    torch.testing.assert_close(found.sum(2) + keep.cumprod(1), torch.ones(2, 9, 6))
    assert (found >= 0).all()
    closed = shares(torch.zeros(1, 4, 2))  # a unit that forgets everything sees the last word alone
    torch.testing.assert_close(closed[0, :, :, 0], torch.eye(4))


def test_half_precision_keeps_its_memory_in_full():
    """With f = 511/512 and W x = 1, c_t is 1 - f^t. In bfloat16 c would stand still at about 1/2, where the steps between its
    numbers are larger than what a token adds."""
    unit = Ssru(2, 1)
    with torch.no_grad():
        unit.fused.weight.copy_(torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]))
        unit.forget_bias.fill_(math.log(511))
    x = torch.ones(1, 1500, 2, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = unit.itself(x, None, None)
    assert found.dtype == torch.float32
    assert found[0, -1, 0].item() == pytest.approx(1 - (511 / 512) ** 1500, rel=1e-3)
    found.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(unit.fused.weight.grad).all()


def test_matrices_begin_each_by_itself():
    torch.manual_seed(1)
    network = Transformer(TransformerConfig(dim=64, feedforward=128, max_tokens=64, decoder_autoreg="ssru"), 500, 500)
    for part in network.decoder_layers[1].attention.fused.weight.split(64):
        assert part.abs().max().item() == pytest.approx(math.sqrt(6 / 128), rel=0.02)  # Xavier's bound
    assert not network.decoder_layers[1].attention.forget_bias.any()
