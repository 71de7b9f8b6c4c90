"""The networks of a deep structured semantic model, and its loss (Huang et al. 2013). Knows no text."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from textkit_plugins.encoder.dssm import DssmOptions


class Bags(NamedTuple):
    """Lines as their letter trigrams, end to end."""

    ids: Tensor  # i64[total]
    begins: Tensor  # i64[line]: where each line begins in `ids`
    known: Tensor  # bool[line]: whether it has a trigram at all


class Batch(NamedTuple):
    """What is learnt from at once."""

    queries: Bags
    documents: Bags  # one for each query, in their order; behind them negatives alone
    also: Tensor  # bool[query, document]: another one that belongs to the query, and is no negative of it
    words: int  # trigrams


class Tower(nn.Module):
    """Counts of trigrams through layers with tanh -> a vector."""

    def __init__(self, options: DssmOptions, rows: int) -> None:
        super().__init__()
        sizes = (*options.hidden, options.output)
        self.table = nn.Embedding(rows, sizes[0])  # the first layer's weights: counts times these are a sum of rows
        self.bias = nn.Parameter(torch.zeros(sizes[0]))
        self.layers = nn.ModuleList(nn.Linear(inputs, units) for inputs, units in pairwise(sizes))
        for weight in (self.table.weight, *(layer.weight for layer in self.layers)):
            nn.init.xavier_uniform_(weight)  # section 3.4 of the paper
        for layer in self.layers:
            nn.init.zeros_(layer.bias)

    def forward(self, lines: Bags) -> Tensor:
        """f32[line, output], not normalised; zeros for a line without trigrams"""
        # Most trigrams are in no line of a batch, but the gradient of all rows is what every optimizer takes.
        summed = functional.embedding_bag(lines.ids, self.table.weight, lines.begins, mode="sum")
        return self.dense(summed) * lines.known[:, None]

    def dense(self, summed: Tensor) -> Tensor:
        """What the layers make of the sum of a line's rows, f32[..., units] -> f32[..., output]."""
        found = torch.tanh(summed + self.bias)
        for layer in self.layers:
            found = torch.tanh(layer(found))
        return found


class Towers(nn.Module):
    """A tower for queries and one for documents, or one for both."""

    def __init__(self, options: DssmOptions, rows: int) -> None:
        super().__init__()
        self.gamma = options.gamma
        self.documents = Tower(options, rows)
        # Of queries. Both begin alike, so that from the beginning texts are near that share trigrams.
        self.own = deepcopy(self.documents) if options.towers == "two" else None

    @property
    def queries(self) -> Tower:
        return self.own or self.documents

    def loss(self, batch: Batch) -> Tensor:
        """The mean of -log P(document | query): a softmax over cosines times gamma, among the documents of the whole batch."""
        queries = functional.normalize(self.queries(batch.queries), dim=1)
        documents = functional.normalize(self.documents(batch.documents), dim=1)
        scores = self.gamma * (queries @ documents.T)  # [query, document]
        scores = scores.float().masked_fill(batch.also, float("-inf"))
        return functional.cross_entropy(scores, torch.arange(len(queries), device=scores.device))


class Served(nn.Module):
    """The module behind a graph: the line's vector, which is also that of each of its trigrams in this context, because the
    network has nothing between a trigram's weights and the whole line."""

    pools = True

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, ids: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """ids i64 and weight f32 [line, token] -> f32[line, token, output], f32[line, output]"""
        summed = torch.matmul(weight[:, None], self.tower.table(ids))  # [line, 1, units]
        # Each line twice: a product of a single row would add up in another order than that of many.
        vector = self.tower.dense(torch.cat([summed, summed], 1))[:, 0]
        return vector[:, None].expand(-1, ids.shape[1], -1), vector
