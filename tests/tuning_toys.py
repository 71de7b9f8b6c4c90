"""A plugin whose best options are known, a clock that counts batches, and a training without a network."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import ClassVar

from training_toys import Toy, vocabulary_of

from textkit.errors import TextkitError
from textkit.plugin import Plugin, Score, Space, Training
from textkit.training.events import Done, Scored, Started


@dataclass(frozen=True)
class Options:
    dim: int = 8
    kind: str = "plain"  # plain | fancy
    depth: int = 1  # fancy
    target: float = 0.0

    needs: ClassVar = {"depth": "kind=fancy"}

    def __post_init__(self):
        if self.dim == 13:
            raise ValueError("dim=13: is unlucky")


class Clock:
    """Seconds that pass when a batch is made."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Known(Plugin):
    """Its dev score is a known function of its options: best at dim=32, kind=fancy, depth=4. Every batch takes a second."""

    name = "known"
    task = "embed"
    summary = "a toy whose best options are known"
    Config = Options
    training = Training(epochs=2, batch_size=4, learning_rate=0.01)
    clock = Clock()

    graphs = Toy.graphs
    raises: ClassVar = set()  # dims whose training fails

    def vocabulary(self, corpus, config):
        return vocabulary_of(corpus)

    def network(self, config, vocabulary):
        import torch

        network = torch.nn.Embedding(len(vocabulary), config.dim)
        network.options = config
        return network

    def batches(self, corpus, vocabulary, config, epoch):
        import torch

        for _ in range(4 - epoch.start):
            type(self).clock.now += 1
            yield torch.tensor([0, 1])

    def loss(self, network, batch):
        if network.options.dim in self.raises:
            raise ValueError("a mistake")
        return network(batch).square().mean(), {"examples": 2}

    def score(self, network, dev, vocabulary, config):
        return Score("figure", worth(config), higher_is_better=True)

    def space(self, lines):
        return Space(
            points=({"kind": "fancy", "dim": 13}, {"kind": "fancy", "depth": 2}),
            scales={"dim": (1, 2, 4, 8, 13, 16, 32, 64), "kind": ("plain", "fancy"), "depth": (1, 2, 3, 4, 5, 6)},
            smaller=("dim",),
        )


def worth(config):
    fancy = (config.kind == "fancy") * (20 - abs(config.depth - 4))
    return 50 - 5 * abs(log2(config.dim) - 5) + fancy


def quick(run, corpus, dev, enough, stop=None, **driven):
    """Stands for the training of `known`: the same events, and no network."""
    plugin, training, config = run.plugin, run.training, run.config
    if config.dim in plugin.raises:
        raise TextkitError("a mistake")
    run.facts["lines"] = 200
    yield Started(0, training.epochs, 0, 4 * training.epochs, 0, 0, 0.0, "cpu", 5 * config.dim)
    for update in range(1, 4 * training.epochs + 1):
        plugin.clock.now += 1
        ended = enough()
        if ended or update % 4 == 0:
            yield Scored(update // 4, update, plugin.score(None, None, None, config), False, seconds=0.5)
        if ended:
            break
    run.facts["epochs"] = update // 4
    yield Done("enough" if ended else "epochs", run.facts)


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]
