"""The feed-forward language model of Bengio et al. 2003, and the modules behind its graphs score and step.

    x = (C(w_t), C(w_t-1), ..., C(w_t-n+2)),    y = b + W x + U tanh(d + H x)        (equation 1; w_t is read last)

Its state is the last n - 1 words read. Knows no text and no search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from textkit.families.carried import Carried

if TYPE_CHECKING:
    from textkit_plugins.rnn_lm.options import NnlmConfig


class Nnlm(nn.Module):
    """The network. `eos`: the word that stands before the first one, as often as a window needs it."""

    state = ("state.words",)

    def __init__(self, config: NnlmConfig, words: int, eos: int) -> None:
        super().__init__()
        self.config, self.eos = config, eos
        self.window = config.order - 1
        width = self.window * config.dim
        self.embedding = nn.Embedding(words, config.dim)  # C
        self.inner = nn.Linear(width, config.hidden)  # H, d
        self.project_weight = nn.Parameter(
            torch.empty(words, config.hidden + width * config.direct)
        )  # U, and W beside it
        self.project_bias = nn.Parameter(torch.zeros(words))  # b
        self.dropout = nn.Dropout(config.dropout)
        nn.init.uniform_(
            self.project_weight, -(self.project_weight.shape[1] ** -0.5), self.project_weight.shape[1] ** -0.5
        )
        self.carried = Carried(self.begin(config.streams))

    def begin(self, lines: int) -> tuple[Tensor]:
        """The state before anything is read, i64[line, n - 1].

        It holds the ids of words minus eos, so that zeros are ends of lines.
        """
        return (torch.zeros(lines, self.window, dtype=torch.int64, device=self.project_bias.device),)

    def project(self, hidden: Tensor) -> Tensor:
        """f32[..., dim] -> logits f32[..., vocab]"""
        return functional.linear(hidden, self.project_weight, self.project_bias)

    def hidden(self, token: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        """Tokens i64[line, token] -> f32[line, token, dim], each of which predicts the next token; the new state."""
        words = torch.cat([state[0], token - self.eos], 1)  # [line, n - 1 + token]
        return self.combined(self.embedding(words + self.eos)), (words[:, -self.window :],)

    def combined(self, rows: Tensor) -> Tensor:
        """Embeddings f32[..., n - 1 + token, m] -> f32[..., token, dim]: tanh(d + H x), with x beside it if `direct`."""
        tokens = rows.shape[-2] - self.window
        x = torch.cat(
            [rows[..., at : at + tokens, :] for at in range(self.window, 0, -1)], -1
        )  # [..., token, (n - 1) m]
        inner = torch.tanh(self.inner(x))
        return self.dropout(torch.cat([inner, x.to(inner.dtype)], -1) if self.config.direct else inner)

    def scorer(self) -> Score:
        return Score(self)

    def stepper(self) -> Step:
        return Step(self)


class Score(nn.Module):
    """The graph score: many words of a line at once."""

    def __init__(self, network: Nnlm) -> None:
        super().__init__()
        self.network = network
        self.state, self.begin = network.state, network.begin

    def forward(self, token: Tensor, mask: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """token i64[line, token], bool[line, token] (padding last) -> logits f32[line, token, vocab], the state after."""
        network = self.network
        hidden, _ = network.hidden(token, (words,))
        read = torch.cat([words, token - network.eos], 1)  # [line, n - 1 + token]
        last = mask.sum(1)[:, None] + torch.arange(
            network.window, device=token.device
        )  # [line, n - 1]: places in `read`
        return network.project(hidden), read.gather(1, last)


class Step(nn.Module):
    """The graph step: one more word of every beam."""

    def __init__(self, network: Nnlm) -> None:
        super().__init__()
        self.network = network
        self.state, self.begin = network.state, network.begin

    def forward(self, token: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """token i64[line, beam], state i64[line, beam, n - 1] -> logits f32[line, beam, vocab], the state after."""
        network = self.network
        read = torch.cat([words, token[:, :, None] - network.eos], 2)  # [line, beam, n]
        hidden = network.combined(network.embedding(read + network.eos))[:, :, 0]  # [line, beam, dim]
        return network.project(hidden), read[:, :, 1:]
