"""Small language models made by hand: modules, a rule of a few words, lines. Used by the tests of export and serving."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from translation_toys import word_level

from textkit.plugin import Graph
from textkit.text.language import LanguageText

WORDS = ("<eos>", "<unk>", "a", "b", "c", "the", "man", "rides", "bike", ".")
LINES = ["a b c", "the man rides a bike .", "", "b", "the the the the the the the the", "xylophone man"] * 3


def rule(words: tuple[str, ...] = WORDS) -> LanguageText:
    """Words between spaces; the first ends a line, the second stands for all unknown words."""
    return LanguageText(word_level(words), eos=0, unk=1, words=True)


class Bag(nn.Module):
    """logits = O tanh(mean of the embeddings of the words before); its state is a sum and a count."""

    def __init__(self, rows: int, dim: int = 8) -> None:
        super().__init__()
        self.dim = dim
        self.table, self.output = nn.Embedding(rows, dim), nn.Linear(dim, rows)

    def logits(self, total: Tensor, count: Tensor) -> Tensor:
        return self.output(torch.tanh(total / count[..., None]))


class Score(nn.Module):
    state = ("state.sum", "state.count")

    def __init__(self, network: Bag) -> None:
        super().__init__()
        self.network = network

    def begin(self, lines: int) -> tuple[Tensor, ...]:
        return torch.zeros(lines, self.network.dim), torch.zeros(lines, dtype=torch.int64)

    def forward(self, token: Tensor, mask: Tensor, total: Tensor, count: Tensor) -> tuple[Tensor, ...]:
        seen = mask[:, :, None].to(total.dtype)
        sums = total[:, None] + (self.network.table(token) * seen).cumsum(1)  # [line, token, dim]
        counts = count[:, None] + mask.long().cumsum(1)  # [line, token]
        return self.network.logits(sums, counts), sums[:, -1], counts[:, -1]


class Step(nn.Module):
    state = ("state.sum", "state.count")

    def __init__(self, network: Bag) -> None:
        super().__init__()
        self.network = network

    def forward(self, token: Tensor, total: Tensor, count: Tensor) -> tuple[Tensor, ...]:
        total, count = total + self.network.table(token), count + 1  # [line, beam, dim], [line, beam]
        return self.network.logits(total, count), total, count


def bag(rows: int = len(WORDS), seed: int = 1, dim: int = 8) -> Bag:
    torch.manual_seed(seed)
    return Bag(rows, dim)


def graphs(network: Bag, limit: int = 0) -> dict[str, Graph]:
    return {"score": Graph(Score(network), limit=limit), "step": Graph(Step(network), limit=limit)}


def logprobs(network: Bag, ids: list[int]) -> np.ndarray:
    """log p of each of `ids` after an end of line and the ids before it, f64[token]: the definition, word by word."""
    with torch.no_grad():
        read = torch.tensor([0, *ids[:-1]])
        means = network.table(read).double().cumsum(0) / torch.arange(1, len(ids) + 1)[:, None]
        logits = torch.tanh(means) @ network.output.weight.double().T + network.output.bias.double()
        return logits.log_softmax(1)[torch.arange(len(ids)), torch.tensor(ids)].numpy()
