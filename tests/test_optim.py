"""Schedules, penalties and optimizers, by numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from textkit.plugin import Training
from textkit.training.optim import learning_rate, optimizer, penalize


def rates(steps, **options):
    return [learning_rate(Training(**options), step, steps) for step in range(steps)]


def test_constant_with_warm_up_reaches_the_peak_at_the_last_update_of_it():
    assert rates(6, learning_rate=0.8, warmup=4) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


def test_linear_falls_from_the_peak_towards_the_least():
    # f = 0, 1/5, ... 4/5; 1 + (0.5 - 1) f
    assert rates(5, learning_rate=1.0, schedule="linear", min_learning_rate=0.5) == pytest.approx(
        [1, 0.9, 0.8, 0.7, 0.6]
    )


def test_linear_after_warm_up():
    # n = 1, 2 warm up; n = 3..6: f = (n - 2) / 5
    expected = [0.5, 1.0, 0.8, 0.6, 0.4, 0.2]
    assert rates(6, learning_rate=1.0, schedule="linear", warmup=2) == pytest.approx(expected)


def test_linear_stays_at_its_end_when_there_are_more_updates_than_counted():
    training = Training(learning_rate=1.0, schedule="linear", min_learning_rate=0.1)
    assert learning_rate(training, 50, 10) == pytest.approx(0.1)


def test_inverse_square_root():
    # warm-up of 4: n/4; then sqrt(4/n)
    expected = [0.25, 0.5, 0.75, 1.0, math.sqrt(4 / 5), math.sqrt(4 / 6)]
    assert rates(6, learning_rate=1.0, schedule="inverse-sqrt", warmup=4) == pytest.approx(expected)
    assert rates(4, learning_rate=1.0, schedule="inverse-sqrt")[3] == pytest.approx(0.5)


def test_inverse_square_root_is_the_schedule_of_the_transformer_paper():
    # Vaswani et al. 2017, equation 3: d^-0.5 min(n^-0.5, n w^-1.5), whose peak is (d w)^-0.5.
    dim, warmup = 512, 4000
    training = Training(learning_rate=(dim * warmup) ** -0.5, schedule="inverse-sqrt", warmup=warmup)
    for n in (1, 100, 3999, 4000, 4001, 100_000):
        paper = dim**-0.5 * min(n**-0.5, n * warmup**-1.5)
        assert learning_rate(training, n - 1, 0) == pytest.approx(paper, rel=1e-12)


def test_cosine():
    # f = 0, 1/4, 1/2, 3/4; (1 + cos(pi f)) / 2
    expected = [1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4]
    assert rates(4, learning_rate=1.0, schedule="cosine") == pytest.approx(expected)
    low = rates(4, learning_rate=1.0, schedule="cosine", min_learning_rate=0.2)
    assert low == pytest.approx([0.2 + 0.8 * rate for rate in expected])


def test_a_cooldown_falls_from_where_the_schedule_stood():
    # updates 1 to 3 as ever; then from the third's sqrt(1/3) towards 0.1 in thirds
    third = math.sqrt(1 / 3)
    expected = [1, math.sqrt(1 / 2), third, third + (0.1 - third) / 3, third + (0.1 - third) * 2 / 3]
    options = {"learning_rate": 1.0, "schedule": "inverse-sqrt", "cooldown": 2, "min_learning_rate": 0.1}
    assert rates(5, **options) == pytest.approx(expected)
    assert learning_rate(Training(**options), 50, 5) == pytest.approx(0.1), "more updates than counted"


def test_a_cooldown_longer_than_the_training_is_linear_from_its_first_update():
    # all 4 updates are the cooldown: 1 - n / 5
    assert rates(4, learning_rate=1.0, cooldown=9) == pytest.approx([0.8, 0.6, 0.4, 0.2])


def parameter(*values):
    return torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))


def test_penalties_are_in_the_gradient():
    weight, unused = parameter(0.5, -2.0, 0.0), parameter(1.0)
    weight.grad = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    penalize([weight, unused], l1=0.1, l2=0.01)
    # 1 + 0.1 sign(w) + 0.01 w
    assert weight.grad.tolist() == pytest.approx([1.105, 0.88, 1.0])
    assert unused.grad is None


def test_penalties_are_the_gradient_of_what_they_say():
    weight, other = parameter(0.5, -2.0), parameter(0.5, -2.0)
    (weight**3).sum().backward()
    penalize([weight], l1=0.3, l2=0.7)
    ((other**3).sum() + 0.3 * other.abs().sum() + 0.7 / 2 * (other**2).sum()).backward()
    assert weight.grad.tolist() == pytest.approx(other.grad.tolist())


def test_l2_equals_the_weight_decay_of_sgd():
    ours, theirs = parameter(0.5, -2.0), parameter(0.5, -2.0)
    mine = optimizer(Training(optimizer="sgd", learning_rate=0.1, momentum=0.9), [ours])
    reference = torch.optim.SGD([theirs], 0.1, momentum=0.9, weight_decay=0.25)
    for _ in range(3):
        for weight, stepper in ((ours, mine), (theirs, reference)):
            stepper.zero_grad()
            (weight**2).sum().backward()
            if weight is ours:
                penalize([ours], 0.0, 0.25)
            stepper.step()
    assert ours.tolist() == theirs.tolist()


def steps_of(count, gradient, **options):
    weight = parameter(1.0)
    stepper = optimizer(Training(**options), [weight])
    values = []
    for _ in range(count):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        stepper.step()
        values.append(weight.item())
    return values


def test_sgd_with_momentum():
    # v = 2, 2 + 0.5 * 2 = 3; w = 1 - 0.1 * 2, 0.8 - 0.1 * 3
    assert steps_of(2, 2.0, optimizer="sgd", learning_rate=0.1, momentum=0.5) == pytest.approx([0.8, 0.5])


def test_adagrad():
    # sum of squares 4, 8: w = 1 - 0.1 * 2/2, 0.9 - 0.1 * 2/sqrt(8)
    expected = [0.9, 0.9 - 0.2 / math.sqrt(8)]
    assert steps_of(2, 2.0, optimizer="adagrad", learning_rate=0.1, epsilon=0.0) == pytest.approx(expected)


def test_adam():
    # Both moments, corrected for their bias, are g and g^2 for a constant gradient: each step is the learning rate.
    assert steps_of(2, 3.0, optimizer="adam", learning_rate=0.1, epsilon=0.0) == pytest.approx([0.9, 0.8])
    assert steps_of(1, 3.0, optimizer="adam", learning_rate=0.1, epsilon=3.0) == pytest.approx([0.95])  # 3 / (3 + 3)
    # beta1 = 0, beta2 = 0.5: second moment 9, 9; a step of the gradient over its root.
    assert steps_of(1, 3.0, optimizer="adam", learning_rate=0.1, betas=(0.0, 0.5), epsilon=0.0) == pytest.approx([0.9])


def test_adamw_decays_apart_from_the_gradient():
    # w (1 - 0.1 * 0.5) - 0.1
    values = steps_of(1, 3.0, optimizer="adamw", learning_rate=0.1, epsilon=0.0, weight_decay=0.5)
    assert values == pytest.approx([0.85])
