"""How a decoder's states weigh those of the encoder: Bahdanau et al. 2015 (arXiv 1409.0473), Luong et al. 2015 (1508.04025).

Padding is at the end of a line. Knows no encoder and no decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from textkit_plugins.seq2seq.options import Seq2SeqConfig

NOT = -1e9  # the score of padding: its weight becomes 0, and in a line of nothing but padding all weights are equal


class Memory(NamedTuple):
    """What the decoder sees of a line. Without attention, keys and values are None; keys are None if values serve as keys."""

    keys: Tensor | None  # f32[line, source, key]
    values: Tensor | None  # f32[line, source, encoder width]: the top layer's states
    mask: Tensor  # bool[line, source]


class Attention(nn.Module):
    """The scores of source states for decoder states, their weights and the weighted sum: Luong et al., equations 7 and 8.

    uniform   1                      the same for every state
    position  T_ij                   depends only on the positions in target and source
    dot       h_i . s_j
    general   h_i . W s_j
    additive  v . tanh(W h_i + U s_j)   Bahdanau et al., appendix A.1.2
    """

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.kind, self.softmax = config.attention, config.normalize == "softmax"
        width = config.encoder_width
        if self.kind == "position":
            self.table = nn.Parameter(torch.zeros(config.max_tokens, config.max_tokens))  # T
        elif self.kind == "general":
            self.key = nn.Linear(width, config.hidden, bias=False)
        elif self.kind == "additive":
            inner = config.attention_dim or config.hidden
            self.key = nn.Linear(width, inner, bias=False)  # U
            self.query = nn.Linear(config.hidden, inner)  # W
            self.score = nn.Linear(inner, 1, bias=False)  # v

    def keys(self, values: Tensor) -> Tensor | None:
        """The part of a score that depends only on the source, f32[line, source, key]."""
        return self.key(values) if self.kind in ("general", "additive") else None

    def forward(
        self, hidden: Tensor, keys: Tensor | None, values: Tensor, mask: Tensor, position: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The context f32[line, query, encoder width] and the weights f32[line, query, source].

        hidden f32[line, query, hidden], where queries are steps or beams; keys, values and mask of a Memory; position
        i64[line or 1, query], None except for attention by position.
        """
        seen = mask[:, None]  # [line, 1, source]
        scores = self.scores(hidden, values if keys is None else keys, mask, position).float()
        weights = scores.masked_fill(~seen, NOT).softmax(2) if self.softmax else scores.masked_fill(~seen, 0.0)
        return torch.matmul(weights.to(values.dtype), values), weights

    def scores(self, hidden: Tensor, keys: Tensor, mask: Tensor, position: Tensor | None) -> Tensor:
        """f32[line, query, source]"""
        if self.kind == "uniform":
            return torch.ones_like(hidden[:, :, :1]) * mask[:, None]
        if position is not None:
            last = len(self.table) - 1
            sources = torch.arange(mask.shape[1], device=position.device).clamp(max=last)  # [source]
            rows = functional.embedding(position.clamp(max=last), self.table)  # [line or 1, query, place]
            return rows.index_select(2, sources).expand(hidden.shape[0], -1, -1)
        if self.kind == "additive":
            mixed = self.query(hidden)[:, :, None] + keys[:, None]  # [line, query, source, key]
            return self.score(torch.tanh(mixed))[..., 0]
        return torch.matmul(hidden.to(keys.dtype), keys.transpose(1, 2))
