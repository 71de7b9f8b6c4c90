"""The transformer's decoder alone, without an encoder to look at: a language model, and its graphs score and step.

Layers as in network.py. Knows no text, no loss and no search.
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
    """`limit`: most tokens that it reads one after the other; nothing is carried from chunk to chunk."""

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
        """What is carried from chunk to chunk in training: nothing."""
        return ()

    def hidden(self, token: Tensor, state: Sequence[Tensor] = ()) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What is read, i64[line, token] -> f32[line, token, dim], each from the tokens up to it, in one pass."""
        add, turn = self.places(0, token.shape[1])
        x = self.embed(token, self.embedding, add)
        for layer in self.layers:
            x = layer.rest(layer(x, None, turn, causal=True))
        return self.norm(x), ()

    def read(
        self, token: Tensor, past: Sequence[Tensor], seen: Tensor, position: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """More tokens [line, token] behind those whose keys and values are `past` [line, head, past, width]: logits f32[line,
        token, vocab], and past with them. `seen` bool[line, token, past + token]: what each looks at; `position` i64[line,
        token]."""
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


class _Cached(nn.Module):
    """`cache.*` holds keys and values of all tokens read, of every beam of a line and padding too; `state.own` bool[line,
    past], in a step [line, beam, past], which of them lead to where a line, or a beam, stands."""

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
    """The graph step: one more token of every beam. Beams are the queries of one attention a line."""

    def forward(self, token: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        beams = torch.arange(token.shape[1], device=token.device)
        itself = (beams[:, None] == beams).expand(token.shape[0], -1, -1)  # [line, beam, beam]
        own = torch.cat([state[-1], itself], 2)  # [line, beam, past + beam]
        logits, new = self.network.read(token, state[:-1], own, own.sum(2) - 1)
        return (logits, *new, own)
