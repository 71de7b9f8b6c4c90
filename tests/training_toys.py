"""Small plugins for the tests of the training engine, in one file like a stranger's: `--plugin training_toys.py`.

`toy` is trained by gradients and has a dev score, dropout and tied weights; `toy-own` changes its table by hand; `toy-fit`
counts.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, replace

import numpy as np

from textkit.corpora.batching import line_batches
from textkit.errors import TextkitError
from textkit.plugin import Graph, Plugin, Score, Space, Training
from textkit.text.words import Words


@dataclass(frozen=True)
class Options:
    dim: int = 4  # numbers a word
    dropout: float = 0.25  # share of the numbers left out
    fail: str = ""  # where to raise an error
    slow: float = 0.0  # seconds a batch takes


def stuck():
    """Compiled code that keeps Python busy for a minute."""
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 400_000_000)


def vocabulary_of(corpus):
    counts: dict[str, int] = {}
    for line in corpus.lines():
        for word in line.split():
            counts[word] = counts.get(word, 0) + 1
    if len(counts) < 2:
        raise TextkitError(f"{corpus.paths[0]}: the corpus is too small: {len(counts)} words")
    return Words(list(counts), counts=np.array(list(counts.values()), np.int64))


class Toy(Plugin):
    """Predicts each word of a line from the mean of all its words, by a softmax over the same table as the mean."""

    name = "toy"
    task = "embed"
    summary = "a toy"
    Config = Options
    training = Training(epochs=3, batch_size=4, learning_rate=0.05)

    def vocabulary(self, corpus, config):
        if config.fail == "stuck-vocabulary":
            stuck()
        return vocabulary_of(corpus)

    def network(self, config, vocabulary):
        import torch

        class Network(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.table = torch.nn.Embedding(len(vocabulary), config.dim)
                self.dropout = torch.nn.Dropout(config.dropout)
                self.out = torch.nn.Linear(config.dim, len(vocabulary))
                self.out.weight = self.table.weight  # tied
                self.fail, self.slow = config.fail, config.slow

            def forward(self, ids, weight):
                return self.table(ids)

        return Network()

    def batches(self, corpus, vocabulary, config, epoch):
        import torch

        for lines in line_batches(corpus, epoch):
            encoded = vocabulary.encode(lines)
            yield torch.tensor(encoded.ids), torch.tensor(encoded.lengths)

    def loss(self, network, batch):
        import torch

        if network.fail == "loss":
            raise ValueError("a mistake\nof its author")
        if network.fail == "stuck" or (network.fail == "stuck-later" and os.path.exists("run/checkpoint.safetensors")):
            print("stuck", flush=True)
            stuck()
        if network.slow:
            time.sleep(network.slow)
        ids, lengths = batch
        line = torch.repeat_interleave(torch.arange(len(lengths), device=ids.device), lengths)
        sums = torch.zeros(len(lengths), network.table.embedding_dim, device=ids.device)
        means = sums.index_add(0, line, network.dropout(network.table(ids))) / lengths[:, None]
        loss = torch.nn.functional.cross_entropy(network.out(means[line]), ids)
        if network.fail == "nan":
            loss = loss * float("nan")
        return loss, {"examples": len(lengths), "words": len(ids), "weight": len(ids)}

    def score(self, network, dev, vocabulary, config):
        import torch

        if config.fail == "dev":
            return Score("perplexity", float("inf"), higher_is_better=False)
        device = network.table.weight.device
        encoded = vocabulary.encode(list(dev.lines()))
        keep = encoded.lengths > 0
        batch = torch.tensor(encoded.ids, device=device), torch.tensor(encoded.lengths[keep], device=device)
        return Score("loss", float(self.loss(network, batch)[0]), higher_is_better=False, detail={"lines": len(keep)})

    def space(self, lines):
        scales = {"dim": (1, 2, 4, 8, 16), "dropout": (0.0, 0.25), "learning_rate": (0.01, 0.05)}
        return Space(points=({"dim": 8},), scales=scales, smaller=("dim",))

    def graphs(self, network, vocabulary, config):
        return {"embed": Graph(network)}


class ToyOwn(Plugin):
    """Adds learning_rate to the rows of the words that it sees, in place, through numpy views."""

    name = "toy-own"
    task = "embed"
    summary = "a toy that updates itself"
    Config = Options
    training = replace(Toy.training, schedule="linear", learning_rate=1.0)

    vocabulary = Toy.vocabulary
    network = Toy.network
    graphs = Toy.graphs

    def batches(self, corpus, vocabulary, config, epoch):
        for lines in line_batches(corpus, epoch):
            yield vocabulary.encode(lines).ids

    def update(self, network, batch, learning_rate, config, threads):
        if config.fail == "kill" and os.environ.get("TOY_KILL"):
            os.kill(os.getpid(), 9)
        table = network.table.weight.detach().numpy()
        table[batch] += np.float32(learning_rate)
        return {"loss": float(np.abs(table).mean()), "examples": len(batch), "words": len(batch)}


class ToyFit(Plugin):
    """Puts the counts into the table."""

    name = "toy-fit"
    task = "embed"
    summary = "a toy that counts"
    Config = Options

    vocabulary = Toy.vocabulary
    network = Toy.network
    graphs = Toy.graphs

    def batches(self, corpus, vocabulary, config, epoch):
        raise AssertionError("a plugin with a fit of its own is not asked for batches")

    def fit(self, network, corpus, vocabulary, config, epoch):
        import torch

        (epoch.scratch / "counts").write_bytes(b"1")
        with torch.no_grad():
            network.table.weight.copy_(torch.tensor(vocabulary.counts, dtype=torch.float32)[:, None])
        yield {"words": int(vocabulary.counts.sum()), "loss": 0.5}
