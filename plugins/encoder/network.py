"""Encoders: tokens to vectors, and the poolings that make a line's vector of them. Knows no text, no labels and no loss.

A token of weight 0 is padding: its vector is zeros, and nothing else of its line depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from textkit.families.recurrent import Recurrent, RecurrentOperator

if TYPE_CHECKING:
    from textkit_plugins.encoder.options import EncoderOptions

_LOWEST = -1e9  # stands for -infinity, which would give NaN for a line of padding alone


class Bag(nn.Module):
    """The tokens' own vectors."""

    def __init__(self, options: EncoderOptions, rows: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, options.dim)
        nn.init.uniform_(self.embedding.weight, -1 / options.dim, 1 / options.dim)  # as fastText

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        """ids i64[line, token], real bool[line, token] -> f32[line, token, dim]"""
        return self.embedding(ids)

    def blocks(self) -> list[nn.Module]:
        return [self.embedding]

    def exportable(self) -> nn.Module:
        return self


class Convolution(nn.Module):
    """Filters of several widths over the tokens (Kim 2014, arXiv 1408.5882). Layers after the first add to their input."""

    def __init__(self, options: EncoderOptions, rows: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, options.dim)
        nn.init.normal_(self.embedding.weight, 0, options.dim**-0.5)
        self.dropout = nn.Dropout(options.dropout)
        inputs = [options.dim, *[options.width] * (options.layers - 1)]
        self.layers = nn.ModuleList(
            nn.ModuleList(nn.Conv1d(size, options.filters, width, padding=width // 2) for width in options.widths)
            for size in inputs
        )

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        """ids i64[line, token], real bool[line, token] -> f32[line, token, filters * widths]"""
        tokens = ids.shape[1]
        x = self.dropout(self.embedding(ids))
        for at, layer in enumerate(self.layers):
            given = x
            x = (x * real[:, :, None]).transpose(1, 2)  # [line, channel, token], zeros at padding
            # A filter of even width gives one token more than there are.
            x = torch.cat([functional.relu(filters(x))[:, :, :tokens] for filters in layer], 1).transpose(1, 2)
            x = x + given if at else x
        return x

    def blocks(self) -> list[nn.Module]:
        return [self.embedding, *self.layers]

    def exportable(self) -> nn.Module:
        return self


class Reader(nn.Module):
    """Recurrent layers (Graves and Schmidhuber 2005 in both directions)."""

    def __init__(self, options: EncoderOptions, rows: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, options.dim)
        nn.init.normal_(self.embedding.weight, 0, options.dim**-0.5)
        self.dropout = nn.Dropout(options.dropout)
        self.layers: nn.ModuleList = nn.ModuleList(
            Recurrent(options.cell, options.width if at else options.dim, options.hidden, options.bidirectional)
            for at in range(options.layers)
        )

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        """ids i64[line, token], real bool[line, token] -> f32[line, token, hidden * directions]"""
        x = self.embedding(ids) * real[:, :, None]
        # Padding may stand between tokens where words were dropped: the last real token ends the line.
        places = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        lengths = (real * places).max(1).values.clamp(min=1)
        for layer in self.layers:
            x, _ = layer(self.dropout(x), lengths)
        return x

    def blocks(self) -> list[nn.Module]:
        return [self.embedding, *self.layers]

    def exportable(self) -> nn.Module:
        """A copy whose layers are ONNX operators, with the weights as they are now."""
        made = Reader.__new__(Reader)
        nn.Module.__init__(made)
        made.embedding, made.dropout = self.embedding, self.dropout
        made.layers = nn.ModuleList(RecurrentOperator(layer) for layer in self.layers)
        return made


class Pooling(nn.Module):
    """Tokens' vectors and weights -> the line's vector, and each token's share in it."""

    def __init__(self, options: EncoderOptions, rows: int) -> None:
        super().__init__()
        self.kind = options.pooling
        self.importance = None  # f32[id, 1]: the weight of each token of a bag
        if options.weighting == "idf":
            self.importance = nn.Embedding(rows, 1)
            nn.init.ones_(self.importance.weight)
        self.convolution = self.logit = None
        if options.pooling == "attention":
            width = options.attention_width
            self.convolution = nn.Conv1d(options.width, options.attention_dim, width, padding=width // 2)
            self.logit = nn.Linear(options.attention_dim, 1)

    def forward(self, ids: Tensor, weight: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """ids i64 and weight f32 [line, token], tokens f32[line, token, width] -> f32[line, width], f32[line, token]"""
        real = weight > 0
        if self.importance is not None:
            # As a vector of tf-idf has length 1 (Salton and Buckley 1988): the weights' squares add up to 1.
            own = weight * self.importance(ids)[:, :, 0]  # [line, token]
            length = own.square().sum(1, keepdim=True).clamp(min=1e-12)
            share = own * length.rsqrt()
            return torch.einsum("lt,ltw->lw", share, tokens), own.square() / length
        total = weight.sum(1, keepdim=True).clamp(min=1e-12)
        share = weight / total
        if self.kind == "mean":
            return torch.einsum("lt,ltw->lw", share, tokens), share
        if self.kind == "max":
            highest = tokens.masked_fill(~real[:, :, None], _LOWEST).amax(1)
            return highest * real.any(1, keepdim=True), share
        if self.kind == "cls":
            return tokens[:, 0] * real[:, :1], share
        share = self.attention(tokens * real[:, :, None], real)
        return torch.einsum("lt,ltw->lw", share, tokens), share

    def attention(self, tokens: Tensor, real: Tensor) -> Tensor:
        """Each token's share, f32[line, token]: a convolution over the words, a logit each, a softmax over the real ones."""
        assert self.convolution is not None
        assert self.logit is not None
        seen = torch.tanh(self.convolution(tokens.transpose(1, 2))).transpose(1, 2)  # [line, token, channel]
        logits = self.logit(seen)[:, :, 0].masked_fill(~real, _LOWEST)
        return torch.softmax(logits, 1) * real


class Encoder(nn.Module):
    """Lines of ids -> a vector each."""

    def __init__(self, options: EncoderOptions, rows: int) -> None:
        super().__init__()
        self.options = options
        if options.encoder == "transformer":
            from textkit_plugins.encoder.transformer import Transformer

            self.tokens: nn.Module = Transformer(options, rows)
        else:
            self.tokens = {"bag": Bag, "cnn": Convolution, "rnn": Reader}[options.encoder](options, rows)
        self.pooling = Pooling(options, rows)
        self.width = options.width

    def freeze(self, count: int) -> None:
        """Keeps the lowest `count` blocks as they are, the embeddings first, and lets the others learn."""
        for at, block in enumerate(self.tokens.blocks()):
            block.requires_grad_(at >= count)

    def dropped(self, weight: Tensor) -> Tensor:
        """`weight` with whole tokens left out in training; the first token of a line stays."""
        if not (self.training and self.options.word_dropout):
            return weight
        kept = torch.rand_like(weight) >= self.options.word_dropout
        kept[:, 0] = True
        return weight * kept

    def forward(self, ids: Tensor, weight: Tensor, tokens: nn.Module | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """ids i64 and weight f32 [line, token] -> the line's vector f32[line, width], each token's share f32[line, token], the
        tokens' vectors f32[line, token, width]. `tokens` may replace the encoder's own module (for an export)."""
        weight = self.dropped(weight)
        real = weight > 0
        found = (tokens or self.tokens)(ids, real)
        masked = torch.where(real[:, :, None], found, found.new_zeros(()))
        # Every pooling leaves padding out by itself, so rows of a table need no pass of their own for that.
        pooled = found if self.options.encoder == "bag" else masked
        return *self.pooling(ids, weight, pooled), masked


class States(nn.Module):
    """The tokens' vectors alone: the graph `embed` of a network that was trained for something else."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.tokens = encoder.tokens.exportable()

    def forward(self, ids: Tensor, weight: Tensor) -> Tensor:
        """ids i64 and weight f32 [line, token] -> f32[line, token, width]"""
        return self.tokens(ids, weight > 0)
