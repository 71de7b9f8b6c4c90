"""Sentence encoders: an encoder whose lines' vectors are compared by their angle, and its losses. Knows no text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from textkit_plugins.encoder.network import Encoder

if TYPE_CHECKING:
    from textkit_plugins.encoder.sentences import SentenceOptions


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": nn.Identity(), "tanh": torch.tanh, "relu": functional.relu, "gelu": functional.gelu,
}  # fmt: skip


class Lines(NamedTuple):
    """A batch of lines."""

    ids: Tensor  # i64[line, token]
    weight: Tensor  # f32[line, token], 0 for padding


class Batch(NamedTuple):
    """What a sentence encoder learns from at once."""

    sides: tuple[Lines, ...]  # the two texts of each pair, and the hard negatives that some have; or the lines alone
    wanted: Tensor | None  # similarity: f32[pair], from 0 to 1; teacher: f32[line, dim]
    examples: int
    words: int
    epoch: int = 0
    # contrast: bool[pair, second text or hard negative]: another one that belongs to the first text, and is no negative of it
    also: Tensor | None = None


class SentenceEncoder(nn.Module):
    """Lines -> vectors."""

    def __init__(self, options: SentenceOptions, rows: int) -> None:
        super().__init__()
        self.options = options
        self.encoder = Encoder(options, rows)
        self.dense = nn.Linear(self.encoder.width, options.output) if options.output else None
        if options.projected:  # the directions in which the teacher's vectors are longest
            self.register_buffer("axes", torch.eye(options.projected, options.size))

    def forward(self, lines: Lines) -> Tensor:
        """f32[line, dim], not normalised"""
        return self.projected(self.encoder(lines.ids, lines.weight)[0])

    def projected(self, vector: Tensor) -> Tensor:
        """The output for an encoder's vector, f32[..., width] -> f32[..., dim]."""
        if self.dense is None:
            return vector
        return _ACTIVATIONS[self.options.output_activation](self.dense(vector))

    def loss(self, batch: Batch) -> Tensor:
        """The loss that the option `objective` names."""
        self.encoder.freeze(self.options.still_frozen(len(self.encoder.tokens.blocks()), batch.epoch))
        vectors = [functional.normalize(self(side), dim=1) for side in batch.sides]
        if self.options.objective == "teacher":
            assert batch.wanted is not None
            wanted = batch.wanted @ self.axes if self.options.projected else batch.wanted
            return (vectors[0] - functional.normalize(wanted, dim=1)).square().sum(1).mean()
        if self.options.objective == "similarity":
            assert batch.wanted is not None
            return ((vectors[0] * vectors[1]).sum(1) - batch.wanted).square().mean()
        return self._contrast(vectors, batch.also)

    def _contrast(self, vectors: list[Tensor], also: Tensor | None) -> Tensor:
        """Cross-entropy of finding each text's partner among those of the whole batch and the hard negatives (Henderson et al.
        2017; InfoNCE of van den Oord et al. 2018), from the first texts to the second and, without negatives, back."""
        first, *others = vectors
        scores = first @ torch.cat(others).T / self.options.temperature  # [pair, pair (+ negatives)]
        if also is not None:
            scores = scores.float().masked_fill(also, float("-inf"))
        right = torch.arange(len(first), device=first.device)
        loss = functional.cross_entropy(scores, right)
        if len(others) > 1:
            return loss
        return (loss + functional.cross_entropy(scores.T, right)) / 2


def table_of(network: SentenceEncoder) -> nn.Embedding | None:
    """The table that a bag of tokens is, each vector times its token's weight; None for a network that is more than that.

    The length of a line's vector is lost, but vectors are normalised.
    """
    if not network.options.static:
        return None
    table = network.encoder.tokens.embedding.weight.detach()
    importance = network.encoder.pooling.importance
    if importance is not None:
        table = table * importance.weight.detach()
    return nn.Embedding.from_pretrained(table.clone())


class Served(nn.Module):
    """The module behind the graph `embed`: the tokens' vectors, and the line's where the pooling is the model's own."""

    def __init__(self, network: SentenceEncoder) -> None:
        super().__init__()
        self.network = network
        self.tokens = network.encoder.tokens.exportable()
        self.pools = not network.options.plain

    def forward(self, ids: Tensor, weight: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if not self.pools:
            return self.tokens(ids, weight > 0)
        vector, _, tokens = self.network.encoder(ids, weight, self.tokens)
        if self.network.dense is None:
            return tokens, vector
        # One product for both: that of a single row would add up in another order than that of many.
        together = self.network.projected(torch.cat([vector[:, None], tokens], 1))
        return together[:, 1:], together[:, 0]
