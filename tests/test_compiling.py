"""compile=true: the same weights but for rounding, and what happens where torch cannot compile."""

from __future__ import annotations

import functools
import warnings

import pytest

from textkit.errors import TextkitWarning, UsageError
from textkit.plugin import Plugin, Training
from textkit.registry import registry
from textkit.training.descent import Descent
from textkit.training.effects import check_said

torch = pytest.importorskip("torch")
compile_of_torch = torch.compile


class Squares(Plugin):
    """A network that learns a sum of squares."""

    name = "squares"
    vocabulary = network = batches = graphs = None

    def loss(self, network, batch):
        return ((network(batch) - batch.square().sum(1, keepdim=True)) ** 2).mean(), {"examples": len(batch)}


Squares.__abstractmethods__ = frozenset()


class Mistaken(Squares):
    def loss(self, network, batch):
        raise ValueError("no such column")


class Irreversible(torch.autograd.Function):
    """What has no way back, as where torch fails to compile it."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("CppCompileError: no compiler\nand many lines more")


def learned(compile: bool, plugin: Plugin | None = None) -> tuple[list[torch.Tensor], Descent]:
    """The weights after batches of four sizes."""
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.GELU(), torch.nn.Linear(8, 1))
    learner = Descent(plugin or Squares(), network, Training(compile=compile, clip=1.0), torch.device("cpu"))
    for size in (5, 2, 7, 3, 5, 7):
        learner.learn(torch.randn(size, 3, generator=torch.Generator().manual_seed(size)), 0.01)
    return [parameter.detach().clone() for parameter in network.parameters()], learner


def test_compiled_weights_are_the_same_but_for_rounding(monkeypatch):
    """By torch's own tracing and differentiation; its C++ would take a minute to compile."""
    monkeypatch.setattr(torch, "compile", functools.partial(compile_of_torch, backend="aot_eager"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", TextkitWarning)
        found, learner = learned(True)
    assert learner.compiled is not None
    assert not learner.compiled._fails
    for one, other in zip(found, learned(False)[0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def refusing(function, **_):
    def compiled(*given):
        raise RuntimeError("Unsupported: a loop\nand many lines more")

    return compiled


def one_way(function, **_):
    def compiled(*given):
        loss, log = function(*given)
        return Irreversible.apply(loss), log

    return compiled


def unable(function, **_):
    raise RuntimeError("torch.compile is not supported here")


def once(function, **_):
    """What compiles for the first batch, and not for the shape of the next."""
    shapes = set()

    def compiled(network, batch):
        if shapes and batch.shape not in shapes:
            raise RuntimeError("CppCompileError: a shape")
        shapes.add(batch.shape)
        return function(network, batch)

    return compiled


@pytest.mark.parametrize(
    ("compile", "reason"),
    [
        (refusing, "Unsupported: a loop"), (one_way, "CppCompileError: no compiler"), (unable, "is not supported here"),
        (once, "CppCompileError: a shape"),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled_is_one_line_and_learns_without(monkeypatch, compile, reason):
    monkeypatch.setattr(torch, "compile", compile)
    with pytest.warns(TextkitWarning) as said:
        found, _ = learned(True)
    (line,) = [str(one.message) for one in said]
    assert line.startswith("compile=true: torch cannot compile this network, which learns without: ")
    assert reason in line
    assert "\n" not in line
    for one, other in zip(found, learned(False)[0], strict=True):
        assert torch.equal(one, other)


def test_a_mistake_of_the_plugin_stays_one(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    with pytest.raises(ValueError, match="no such column"), pytest.warns(TextkitWarning):
        learned(True, Mistaken())


def test_what_learns_without_a_gradient_compiles_nothing():
    plugin = registry.get("word2vec")
    with pytest.raises(
        UsageError, match="compile: has no effect on word2vec, which is not trained by the gradient of a loss"
    ):
        check_said(plugin, ["compile"], plugin.Config(), Training(compile=True))
