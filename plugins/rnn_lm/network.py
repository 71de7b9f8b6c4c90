"""A recurrent language model with the regularisation of AWD-LSTM, and the modules behind its graphs score, step and embed.

After Zaremba et al. 2014 (arXiv 1409.2329) and Merity et al. 2018 (1708.02182), whose names the options have. Callers pass
the state from call to call; only `Carried` stores one, between the chunks of a training. Knows no text and no search.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from textkit.families.carried import Carried
from textkit.families.chunked_loss import smoothed_cross_entropy
from textkit.families.recurrent import Recurrent, RecurrentOperator, RecurrentStep
from textkit_plugins.rnn_lm.adaptive import AdaptiveSoftmax
from textkit_plugins.rnn_lm.sampled import candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textkit_plugins.rnn_lm.options import RnnLmConfig


class RnnLm(nn.Module):
    """Embeddings, recurrent layers and a softmax. With `tie`, input and output share one table: one parameter, one name."""

    def __init__(self, config: RnnLmConfig, words: int) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.embedding = nn.Embedding(words, config.dim)
        self.layers = nn.ModuleList(Recurrent(config.cell, widths[at], widths[at + 1]) for at in range(config.layers))
        full = config.softmax != "adaptive"
        self.output = None if config.tie or not full else nn.Embedding(words, widths[-1])  # never looked up
        self.project_bias = nn.Parameter(torch.zeros(words)) if full else None
        self.adaptive = None if full else AdaptiveSoftmax(widths[-1], config.clusters(words), config.div_value)
        self.frequent = config.always(words) if config.softmax == "sampled" else 0
        kinds = ("hidden", "cell")[: self.layers[0].states]
        self.state = tuple(f"state.{kind}{layer}" for layer in range(config.layers) for kind in kinds)
        for table in (self.embedding, self.output):
            if table is not None:
                nn.init.uniform_(table.weight, -config.initial_range, config.initial_range)
        self.carried = Carried(self.begin(config.streams))

    @property
    def project_weight(self) -> Tensor | None:
        """The matrix of a full softmax, f32[vocab, dim]."""
        if self.adaptive is not None:
            return None
        return self.embedding.weight if self.output is None else self.output.weight

    def project(self, hidden: Tensor) -> Tensor:
        """f32[..., dim] -> logits f32[..., vocab]. The logits of an adaptive softmax are log-probabilities already."""
        if self.adaptive is not None:
            return self.adaptive.log_prob(hidden)
        return functional.linear(hidden, self.project_weight, self.project_bias)

    def cross_entropy(self, hidden: Tensor, target: Tensor) -> Tensor:
        """The mean of -log p(target): hidden f32[token, dim], target i64[token]; estimated when a sampled softmax trains."""
        if self.adaptive is not None:
            return self.adaptive(hidden, target)
        if self.frequent and self.training and self.project_bias is not None:
            words, weight, place = candidates(target, len(self.project_bias), self.frequent, self.config.samples)
            some = _Some(self.project_weight, self.project_bias, words, weight)
            return smoothed_cross_entropy(some, hidden, place, 0.0)[0]
        return smoothed_cross_entropy(self, hidden, target, 0.0)[0]

    def begin(self, lines: int) -> tuple[Tensor, ...]:
        """The state before anything is read, f32[line, width] each: for each layer hidden, and with lstm also cell."""
        like = self.embedding.weight
        return tuple(like.new_zeros(lines, layer.width) for layer in self.layers for _ in range(layer.states))

    def hidden(self, token: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Tokens i64[line, token] -> outputs f32[line, token, dim], each of which predicts the next token; the new state."""
        outputs, after = self.read(token, state)
        return self.dropout(outputs, self.config.dropout_output), after

    def regularised(self, token: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """As `hidden`, with the penalties of section 4.5.

        They are alpha times the mean square of the outputs after dropout, plus beta times the mean square of the difference
        between successive outputs before dropout.
        """
        outputs, after = self.read(token, state)
        dropped = self.dropout(outputs, self.config.dropout_output)
        penalty = self.config.activation_regularization * dropped.float().pow(2).mean()
        if token.shape[1] > 1:
            steps = outputs[:, 1:].float() - outputs[:, :-1].float()  # [line, token - 1, dim]
            penalty = penalty + self.config.temporal_activation_regularization * steps.pow(2).mean()
        return dropped, after, penalty

    def read(
        self,
        token: Tensor,
        state: Sequence[Tensor],
        lengths: Tensor | None = None,
        layers: Sequence[nn.Module] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Outputs f32[line, token, dim] before the output dropout, and the new state. `layers` replace the network's own."""
        config, after = self.config, []
        x = self.dropout(self.embed(token), config.dropout_input)  # [line, token, embedding]
        size = self.layers[0].states
        for at, layer in enumerate(layers or self.layers):
            x = self.dropout(x, config.dropout_hidden) if at else x
            before = tuple(part.to(x.dtype) for part in state[size * at : size * (at + 1)])
            if self.training and config.weight_drop:
                x, new = weight_dropped(layer, x, before, config.weight_drop)
            else:
                x, new = layer(x, lengths, before)
            after += [part.float() for part in new]
        return x, tuple(after)

    def embed(self, token: Tensor) -> Tensor:
        """The embeddings f32[..., embedding]. In training, some words are zero throughout the chunk and the rest scaled up."""
        rows, share = self.embedding(token), self.config.dropout_embedding
        if not self.training or not share:
            return rows
        kept = rows.new_empty(len(self.embedding.weight), 1).bernoulli_(1 - share) / (1 - share)  # [vocab, 1]
        return rows * functional.embedding(token, kept)

    def dropout(self, x: Tensor, share: float) -> Tensor:
        """f32[line, token, width] with a share of it zero. If variational, all tokens of a line lose the same numbers."""
        if not self.training or not share:
            return x
        if not self.config.variational:
            return functional.dropout(x, share)
        return x * (x.new_empty(len(x), 1, x.shape[2]).bernoulli_(1 - share) / (1 - share))

    def scorer(self) -> Score:
        return Score(self)

    def stepper(self) -> Step:
        return Step(self)

    def embedder(self) -> Embed:
        return Embed(self)


def weight_dropped(
    layer: Recurrent, x: Tensor, state: tuple[Tensor, ...], share: float
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """layer(x, None, state) with a share of its recurrent weights set to zero, the same at all steps (Wan et al. 2013)."""
    inner = layer.layer
    dropped = functional.dropout(inner.weight_hh_l0, share)  # [gates, hidden]
    weights = [inner.weight_ih_l0, dropped, inner.bias_ih_l0, inner.bias_hh_l0]
    begin = [part[None] for part in state]  # [direction, line, hidden]
    run = {"rnn": torch.rnn_tanh, "gru": torch.gru, "lstm": torch.lstm}[layer.cell]
    given = begin if layer.cell == "lstm" else begin[0]
    with warnings.catch_warnings() if x.is_cuda else nullcontext():
        if x.is_cuda:  # cuDNN warns that the weights are not contiguous, which they never are beside a new matrix
            warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")
        outputs, *after = run(x, given, weights, True, 1, 0.0, True, False, True)
    return outputs, tuple(part[0] for part in after)


class _Some:
    """The rows of a full softmax that belong to some `words` i64[c], with `weight` f32[c] added to their logits."""

    def __init__(self, matrix: Tensor, bias: Tensor, words: Tensor, weight: Tensor) -> None:
        self.project_weight = functional.embedding(words, matrix)
        self.project_bias = bias[words] + weight


class Score(nn.Module):
    """The graph score: many words of a line at once. Its layers are exported as ONNX operators."""

    def __init__(self, network: RnnLm) -> None:
        super().__init__()
        self.network = network
        self.layers = nn.ModuleList(RecurrentOperator(layer) for layer in network.layers)
        self.state, self.begin = network.state, network.begin

    def forward(self, token: Tensor, mask: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """token i64[line, token], bool[line, token] (padding last) -> logits f32[line, token, vocab], the state after."""
        lengths = mask.sum(1)  # [line]
        outputs, after = self.network.read(token, state, lengths.clamp(min=1), self.layers)
        some = (lengths > 0)[:, None]  # [line, 1]: the state of a line without words does not change
        kept = [torch.where(some, new, old) for new, old in zip(after, state, strict=True)]
        return self.network.project(outputs), *kept


class Step(nn.Module):
    """The graph step: one more word of every beam, in plain arithmetic."""

    def __init__(self, network: RnnLm) -> None:
        super().__init__()
        self.network = network
        self.layers = nn.ModuleList(RecurrentStep(layer) for layer in network.layers)
        self.state, self.begin = network.state, network.begin

    def forward(self, token: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """token i64[line, beam], state f32[line, beam, width] -> logits f32[line, beam, vocab], the state after."""
        network, after = self.network, []
        x = network.embedding(token)  # [line, beam, embedding]: beams stay an axis, because a Reshape would cost a call
        size = network.layers[0].states
        for at, layer in enumerate(self.layers):
            new = layer(x, tuple(state[size * at : size * (at + 1)]))
            x = new[0]
            after += new
        return network.project(x), *after


class Embed(nn.Module):
    """The outputs alone: token i64 and mask bool [line, token] (padding last) -> f32[line, token, dim], layers as in Score."""

    def __init__(self, network: RnnLm) -> None:
        super().__init__()
        self.network = network
        self.layers = nn.ModuleList(RecurrentOperator(layer) for layer in network.layers)

    def forward(self, token: Tensor, mask: Tensor) -> Tensor:
        begin = self.network.begin(token.shape[0])
        return self.network.read(token, begin, mask.sum(1).clamp(min=1), self.layers)[0]
