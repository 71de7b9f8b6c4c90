"""The chunked loss against torch's cross-entropy: value, gradients, chunks, bfloat16, logits hard to exponentiate."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from textkit.families.chunked_loss import smoothed_cross_entropy


def problem(tokens=37, dim=8, words=50, bias=True, scale=1.0):
    torch.manual_seed(3)
    hidden = (torch.randn(tokens, dim) * scale).requires_grad_()
    weight = torch.randn(words, dim, requires_grad=True)
    return hidden, weight, torch.randn(words, requires_grad=True) if bias else None, torch.randint(words, (tokens,))


def as_matrix(weight, bias):
    return SimpleNamespace(project_weight=weight, project_bias=bias)


def as_function(weight, bias):
    return SimpleNamespace(project=lambda hidden: F.linear(hidden, weight, bias))


@pytest.mark.parametrize("network", [as_matrix, as_function])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 16, 512])
def test_value_and_gradient_are_those_of_torch(network, bias, smoothing, chunk):
    hidden, weight, b, target = problem(bias=bias)
    inputs = [part for part in (hidden, weight, b) if part is not None]
    logits = F.linear(hidden, weight, b)
    want = F.cross_entropy(logits, target, label_smoothing=smoothing)
    loss, exact = smoothed_cross_entropy(network(weight, b), hidden, target, smoothing, chunk)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(exact, F.cross_entropy(logits, target).detach())
    assert not exact.requires_grad
    got, wanted = torch.autograd.grad(loss * 3, inputs), torch.autograd.grad(want * 3, inputs)  # the scale counts
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("network", [as_matrix, as_function])
@pytest.mark.parametrize("chunk", [2, 7, 512])
def test_two_passes_that_should_agree_are_those_of_the_formula(network, chunk):
    hidden, weight, bias, target = problem(tokens=38)
    target[19:] = target[:19]
    logits = F.linear(hidden, weight, bias)
    p, q = logits.log_softmax(1).chunk(2)
    apart = F.kl_div(q, p, reduction="sum", log_target=True) + F.kl_div(p, q, reduction="sum", log_target=True)
    # Liang et al. 2021, equation 4: half of both entropies plus 5 / 2 of both divergences, as a mean over 19 tokens
    want = F.cross_entropy(logits, target, label_smoothing=0.1) + 5 / 2 * apart / 2 / 19
    loss, exact = smoothed_cross_entropy(network(weight, bias), hidden, target, 0.1, chunk, agreement=5.0)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(exact, F.cross_entropy(logits, target).detach())
    inputs = [hidden, weight, bias]
    for a, b in zip(torch.autograd.grad(loss, inputs), torch.autograd.grad(want, inputs), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_a_disagreement_by_hand():
    # p = (1/4, 3/4), q = (1/2, 1/2): KL(p || q) + KL(q || p) = 1/4 ln 3; the mean entropy gains 8 / 2 / 2 times that.
    hidden = torch.tensor([[1.0], [0.0]])
    network = as_matrix(torch.tensor([[0.0], [1.0986123]]), None)
    loss, exact = smoothed_cross_entropy(network, hidden, torch.tensor([0, 0]), 0.0, agreement=8.0)
    assert float(exact) == pytest.approx((1.3862944 + 0.6931472) / 2, abs=1e-6)
    assert float(loss - exact) == pytest.approx(8 / 4 * 0.25 * 1.0986123, abs=1e-6)


def test_a_loss_by_hand():
    # Logits (0, ln 3): probabilities 1/4, 3/4. The first word is right, eps = 0.2 over two words: 0.9 ln 4 + 0.1 ln 4/3.
    network = as_matrix(torch.tensor([[0.0], [1.0986123]]), None)
    loss, exact = smoothed_cross_entropy(network, torch.ones(1, 1), torch.tensor([0]), 0.2)
    assert float(loss) == pytest.approx(1.2764332, abs=1e-6)
    assert float(exact) == pytest.approx(1.3862944, abs=1e-6)


def test_probabilities_too_small_for_a_float():
    hidden, weight, bias, target = problem(scale=200.0)
    want = F.cross_entropy(F.linear(hidden, weight, bias), target, label_smoothing=0.1)
    assert want > 100
    loss, _ = smoothed_cross_entropy(as_matrix(weight, bias), hidden, target, 0.1, 16)
    torch.testing.assert_close(loss, want)


@pytest.mark.parametrize("agreement", [0.0, 1.0])
def test_bfloat16_keeps_close_and_its_gradients_are_float32(agreement):
    hidden, weight, bias, target = problem(tokens=600, words=300)
    inputs = [hidden, weight, bias]
    want, _ = smoothed_cross_entropy(as_matrix(weight, bias), hidden, target, 0.1, agreement=agreement)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = smoothed_cross_entropy(as_matrix(weight, bias), hidden, target, 0.1, agreement=agreement)
    assert loss.dtype == torch.float32
    assert abs(float((loss - want).detach())) < 0.02
    for a, b in zip(torch.autograd.grad(loss, inputs), torch.autograd.grad(want, inputs), strict=True):
        assert a.dtype == torch.float32
        assert F.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.999


def test_only_what_is_asked_for_gets_a_gradient():
    hidden, weight, _, target = problem()
    loss, _ = smoothed_cross_entropy(as_matrix(weight.detach(), None), hidden, target, 0.1)
    loss.backward()
    assert hidden.grad is not None
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        smoothed_cross_entropy(as_matrix(weight, None), hidden, target, 0.1)
    assert counted.get_total_flops() == 2 * 37 * 8 * 50  # the logits, and no product for a gradient
