"""Attention and positions of the transformer: equation 1 and sections 3.2.2 and 3.5 of Vaswani et al. 2017 (arXiv 1706.03762).

Rotary positions are those of Su et al. 2021 (arXiv 2104.09864). Knows no layer and no graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from textkit_plugins.transformer.options import AttentionOptions

Weights = list[Tensor]  # of the attention layers, collected for pictures


def sinusoids(length: int, dim: int) -> Tensor:
    """f32[length, dim]: sines of position / 10000^(2i/dim) in the first half, cosines in the second (section 3.5).

    The paper interleaves them. The order of the columns makes no difference to training; this one is Marian's.
    """
    angle = angles(length, dim)  # [position, dim / 2]
    return torch.cat([angle.sin(), angle.cos()], 1).float()


def angles(length: int, dim: int) -> Tensor:
    """f64[length, dim / 2]: position / 10000^(2i/dim)."""
    rate = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    return torch.arange(length, dtype=torch.float64)[:, None] * rate


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """x [..., token, width] with its pairs (x_i, x_{i + width/2}) turned by angles (Su et al. 2021, equation 34).

    `table` [token, width] holds the cosines and sines of the angles.
    """
    cosine, sine = table.chunk(2, -1)  # float32: in half precision, distant positions would coincide
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1).to(x.dtype)


def weights_of(query: Tensor, key: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
    """softmax(q k^T / sqrt(width)) [line, head, query, key] (equation 1).

    With a bool mask, a query that may see nothing weighs all keys alike.
    """
    scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)  # [line, head, query, key]
    scores = scores.float()  # exponentials in bfloat16 are slower and coarser
    if causal:
        mask = torch.full(scores.shape[-2:], -math.inf, dtype=scores.dtype, device=scores.device).triu(1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9) if mask.dtype == torch.bool else scores + mask.float()
    return scores.softmax(-1)


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, causal: bool = False
) -> Tensor:
    """softmax(q k^T / sqrt(width)) v: query [line, head, query, width], key and value [line, head, key, width].

    The backward pass of torch's own attention takes ten times as long as plain products in bfloat16 on a CPU, so plain
    products replace it there.
    """
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.requires_grad:
        return F.dropout(weights_of(query, key, mask, causal), dropout).to(value.dtype) @ value
    return F.scaled_dot_product_attention(query, key, value, mask, dropout, is_causal=causal)


class Attention(nn.Module):
    """Multi-head attention, section 3.2.2, with W^Q, W^K and W^V fused: one matrix `qkv`, or `query` and `memory` (k, v)."""

    def __init__(self, config: AttentionOptions, cross: bool) -> None:
        super().__init__()
        dim = config.dim
        self.heads = config.heads
        self.dropout = config.attention_dropout
        if cross:
            self.query, self.memory = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        else:
            self.qkv = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """[line, token, parts * dim] -> parts times [line, head, token, width]"""
        return tuple(part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in x.chunk(parts, -1))

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """[line, head, query, width] and [line, head, key, width] -> [line, query, dim]"""
        dropout = self.dropout if self.training else 0.0
        mixed = attention(query, key, value, mask, dropout, causal)
        return self.output(mixed.transpose(1, 2).flatten(2))  # [line, query, dim]

    def itself(
        self, x: Tensor, mask: Tensor | None, turn: Tensor | None, causal: bool = False, seen: Weights | None = None
    ) -> Tensor:
        """Self-attention over x [line, token, dim]."""
        query, key, value = self.split(self.qkv(x), 3)  # [line, head, token, width]
        if turn is not None:
            query, key = rotate(query, turn), rotate(key, turn)
        if seen is not None:
            seen.append(weights_of(query, key, mask, causal))
        return self.attend(query, key, value, mask, causal)

    def next(
        self, x: Tensor, past_key: Tensor, past_value: Tensor, mask: Tensor, turn: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Self-attention of one more token of each beam, x [line, beam, dim], and the keys and values including its own.

        The keys and values of all beams of a line lie together, [line, head, past, width], so that they need not be moved
        when beams are selected. `mask` bool[line, 1, beam, past + beam] says which of them a beam continues.
        """
        query, key, value = self.split(self.qkv(x), 3)  # [line, head, beam, width]
        if turn is not None:
            query, key = rotate(query, turn), rotate(key, turn)
        key = torch.cat([past_key, key], 2)  # [line, head, past + beam, width]
        value = torch.cat([past_value, value], 2)
        mixed = F.scaled_dot_product_attention(query, key, value, mask)
        return self.output(mixed.transpose(1, 2).flatten(2)), key, value  # [line, beam, dim]

    def other(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, seen: Weights | None = None) -> Tensor:
        """Cross-attention of x [line, query, dim], tokens or beams, to key and value [line, head, source, width]."""
        (query,) = self.split(self.query(x), 1)  # [line, head, query, width]
        if seen is not None:
            seen.append(weights_of(query, key, mask))
        return self.attend(query, key, value, mask)


class Placed(nn.Module):
    """A network whose tokens have positions, which are added to their embeddings or turn queries and keys."""

    def __init__(self, config: AttentionOptions, rows: int, learnt: Sequence[str]) -> None:
        """`rows`: the number of positions. `learnt`: the names of the tables for positions=learned, one per side."""
        super().__init__()
        self.config = config
        self.scale = math.sqrt(config.dim) if config.scale_embedding else 1.0
        if config.positions == "learned":
            for name in learnt:
                self.add_module(name, nn.Embedding(rows, config.dim))
        elif config.positions == "sinusoidal":
            self.register_buffer("table", sinusoids(rows, config.dim), persistent=False)
        else:
            angle = angles(rows, config.dim // config.heads)
            self.register_buffer("table", torch.cat([angle.cos(), angle.sin()], 1).float(), persistent=False)

    def embed(self, ids: Tensor, table: nn.Embedding, positions: Tensor | None) -> Tensor:
        """Ids [line, token], and what is added: positions [token, dim], [line, token, dim] or None -> [line, token, dim]

        Where a CPU trains in bfloat16, what runs along the residual connections is in bfloat16, too: a sixth less time for an
        update, because the layers are bound by memory, and the same loss to three digits.
        """
        x = table(ids) * self.scale
        x = x if positions is None else x + positions
        if x.requires_grad and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        return self.dropout(x)

    def places(self, start: int, length: int, learnt: str = "target_positions") -> tuple[Tensor | None, Tensor | None]:
        """For `length` positions from `start` on, what is added to embeddings and what turns queries and keys; one is None."""
        if self.config.positions == "rotary":
            return None, self.table.narrow(0, start, length)
        if self.config.positions == "sinusoidal":
            return self.table.narrow(0, start, length), None
        return self.get_submodule(learnt).weight.narrow(0, start, length), None

    def place(self, position: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """As `places`, for target tokens that each have their own position i64[line, token].

        [line, token, dim] is added, [line, 1, token, width] turns.
        """
        if self.config.positions == "rotary":
            return None, F.embedding(position, self.table)[:, None]
        learnt = self.config.positions == "learned"
        return F.embedding(position, self.target_positions.weight if learnt else self.table), None
