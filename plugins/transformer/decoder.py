"""The transformer's decoder without an encoder, as a language model, and the modules behind its graphs score, step and embed.

The layers are those of network.py. Knows no text, no loss and no search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from textkit_plugins.transformer.attention import Placed
from textkit_plugins.transformer.network import Dropout, Layer, initialise

if TYPE_CHECKING:
    from textkit_plugins.transformer.language import TransformerLmConfig


class TransformerLm(Placed):
    """The network. `limit`: the most tokens that it reads in a row; nothing is carried from one chunk to the next."""

    def __init__(self, config: TransformerLmConfig, words: int) -> None:
        super().__init__(config, config.context, ("target_positions",))
        self.limit = config.context
        self.embedding = nn.Embedding(words, config.dim)
        self.output = None if config.tie else nn.Embedding(words, config.dim)  # rows of W, never looked up
        self.project_bias = nn.Parameter(torch.zeros(words)) if config.output_bias else None
        self.layers = nn.ModuleList(Layer(config, cross=False) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim, config.norm_epsilon) if config.norm == "pre" else nn.Identity()
        self.dropout = Dropout(config.dropout)
        initialise(self, config.dim)

    @property
    def project_weight(self) -> Tensor:
        return (self.output or self.embedding).weight

    def project(self, hidden: Tensor) -> Tensor:
        """[..., dim] -> logits [..., vocab]"""
        return nn.functional.linear(hidden, self.project_weight, self.project_bias)

    def begin(self, lines: int) -> tuple[Tensor, ...]:
        """The state that training carries from one chunk to the next: none."""
        return ()

    def hidden(
        self, token: Tensor, state: Sequence[Tensor] = (), seen: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Tokens i64[line, token] -> f32[line, token, dim], each from the tokens up to it, in one pass.

        `seen` bool[line, 1, token, token]: which those are, where a graph must say so.
        """
        add, turn = self.places(0, token.shape[1])
        x = self.embed(token, self.embedding, add)
        for layer in self.layers:
            x = layer.rest(layer(x, seen, turn, causal=seen is None))
        return self.norm(x), ()

    def read(
        self, token: Tensor, past: Sequence[Tensor], seen: Tensor, position: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The logits f32[line, token, vocab] of further tokens i64[line, token], and `past` with their keys and values.

        `past` [line, head, past, width]: the keys and values of the tokens before them. `seen` bool[line, token, past + token]:
        the tokens that each attends to. `position` i64[line, token].
        """
        add, turn = self.place(position)
        x = self.embed(token, self.embedding, add)  # [line, token, dim]
        new: list[Tensor] = []
        for at, layer in enumerate(self.layers):
            y, *grown = layer.attention.next(
                layer.before(x, layer.attention_norm), *past[2 * at : 2 * at + 2], seen[:, None], turn
            )
            x = layer.rest(layer.after(x, y, layer.attention_norm))
            new += grown
        return self.project(self.norm(x)), tuple(new)

    def scorer(self) -> Score:
        return Score(self)

    def stepper(self) -> Step:
        return Step(self)

    def embedder(self) -> Embed:
        return Embed(self)


class _Cached(nn.Module):
    """What both graphs have: the state.

    `cache.*` holds the keys and values of all tokens read, those of every beam of a line and padding included. `state.own`
    bool[line, past], in a step bool[line, beam, past], says which of them belong to the line, or to the beam.
    """

    def __init__(self, network: TransformerLm) -> None:
        super().__init__()
        self.network = network
        self.state = (
            *(f"cache.{part}{layer}" for layer in range(len(network.layers)) for part in ("key", "value")), "state.own",
        )  # fmt: skip

    def begin(self, lines: int) -> tuple[Tensor, ...]:
        config = self.network.config
        weight = self.network.embedding.weight
        empty = weight.new_zeros(lines, config.heads, 0, config.dim // config.heads)
        own = torch.zeros(lines, 0, dtype=torch.bool, device=weight.device)
        return (*(empty.clone() for _ in self.state[:-1]), own)


class Score(_Cached):
    """The graph score: many tokens of a line at once."""

    def forward(self, token: Tensor, mask: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        own = state[-1]  # [line, past]
        position = (own.sum(1, keepdim=True) + mask.cumsum(1) - 1).clamp(min=0)  # [line, token]
        places = torch.arange(token.shape[1], device=token.device)
        before = (places[None, :] <= places[:, None]) & mask[:, None]  # [line, token, token]
        past = own[:, None].expand(-1, token.shape[1], -1)  # [line, token, past]
        logits, new = self.network.read(token, state[:-1], torch.cat([past, before], 2), position)
        return (logits, *new, torch.cat([own, mask], 1))


class Step(_Cached):
    """The graph step: one more token of every beam. The beams of a line are the queries of one attention."""

    def forward(self, token: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        beams = torch.arange(token.shape[1], device=token.device)
        itself = (beams[:, None] == beams).expand(token.shape[0], -1, -1)  # [line, beam, beam]
        own = torch.cat([state[-1], itself], 2)  # [line, beam, past + beam]
        logits, new = self.network.read(token, state[:-1], own, own.sum(2) - 1)
        return (logits, *new, own)


class Embed(nn.Module):
    """The outputs alone: tokens i64 and mask bool [line, token] (padding last) -> f32[line, token, dim]."""

    def __init__(self, network: TransformerLm) -> None:
        super().__init__()
        self.network = network

    def forward(self, token: Tensor, mask: Tensor) -> Tensor:
        places = torch.arange(token.shape[1], device=token.device)
        before = places[None, :] <= places[:, None]  # [token, token]; no token sees the padding, which comes last
        return self.network.hidden(token, (), before.expand(token.shape[0], 1, -1, -1))[0]
