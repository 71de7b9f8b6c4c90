"""A transformer encoder as BERT has it (Devlin et al. 2019, arXiv 1810.04805): learnt positions, post-norm layers.

With `relative_buckets` it is MPNet's (Song et al. 2020, arXiv 2004.09297): distances between tokens, in buckets (Raffel et al.
2020, section 2.1), add to the scores of attention as well. Knows no text, no pooling and no loss.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from textkit_plugins.encoder.options import EncoderOptions

_LOWEST = (
    -6e4
)  # stands for -infinity, which would give NaN for a line of padding alone; halves hold it, and exp of it is 0
_SPREAD = 0.02  # of weights at first, as in BERT
_ONNX = 23  # the version of the operator Attention


def relative_buckets(positions: int, buckets: int, furthest: int) -> Tensor:
    """The bucket of each distance key - query from 1 - positions to positions - 1, i64[2 * positions - 1].

    Half of the buckets are for keys before the query. Of each half, the first half has one distance each, and the others grow
    with the logarithm of the distance, up to `furthest`.
    """
    apart = torch.arange(1 - positions, positions)
    half = buckets // 2
    exact = half // 2
    size = apart.abs()
    grown = torch.log(size.clamp(min=1).float() / exact) / math.log(furthest / exact) * (half - exact)
    far = (exact + grown.to(torch.int64)).clamp(max=half - 1)
    return torch.where(size < exact, size, far) + half * (apart > 0)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float) -> Tensor:
    """softmax(q k^T / sqrt(width) + mask) v; query, key and value [line, head, token, width].

    The backward pass of torch's own attention takes ten times as long as plain products in bfloat16 on a CPU, so plain
    products replace it there.
    """
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.requires_grad:
        scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
        shares = (scores.float() + mask).softmax(-1)
        return functional.dropout(shares, dropout).to(value.dtype) @ value
    return functional.scaled_dot_product_attention(query, key, value, mask.to(query.dtype), dropout)


class Layer(nn.Module):
    """Self-attention, then a feed-forward network; what each gives is added to its input, and the sum normalised."""

    def __init__(self, options: EncoderOptions) -> None:
        super().__init__()
        dim, inner = options.dim, options.feedforward
        self.heads, self.activation = options.heads, options.activation
        self.query, self.key, self.value, self.output = (nn.Linear(dim, dim) for _ in range(4))
        self.attention_norm = nn.LayerNorm(dim, options.norm_epsilon)
        self.inner, self.outer = nn.Linear(dim, inner), nn.Linear(inner, dim)
        self.feedforward_norm = nn.LayerNorm(dim, options.norm_epsilon)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x f32[line, token, dim]; `mask` f32[line, 1 or head, 1 or token, token] is added to the scores"""
        parts = (part(x) for part in (self.query, self.key, self.value))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = attention(query, key, value, mask, self.dropout.p if self.training else 0.0)
        x = self.attention_norm(x + self.dropout(self.output(mixed.transpose(1, 2).flatten(2))))
        activate = functional.gelu if self.activation == "gelu" else functional.relu
        return self.feedforward_norm(x + self.dropout(self.outer(activate(self.inner(x)))))


class Transformer(nn.Module):
    """Tokens' vectors in their context."""

    def __init__(self, options: EncoderOptions, rows: int) -> None:
        super().__init__()
        self.options = options
        self.embedding = nn.Embedding(rows, options.dim)
        self.positions = nn.Embedding(options.positions, options.dim)
        self.norm = nn.LayerNorm(options.dim, options.norm_epsilon)
        self.dropout = nn.Dropout(options.dropout)
        self.layers = nn.ModuleList(Layer(options) for _ in range(options.layers))
        self.relative = None  # f32[bucket, head]
        if options.relative_buckets:
            self.relative = nn.Embedding(options.relative_buckets, options.heads)
            buckets = relative_buckets(options.positions, options.relative_buckets, options.relative_distance)
            self.register_buffer("buckets", buckets, persistent=False)
        self.apply(_begin)

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        """ids i64[line, token], real bool[line, token] -> f32[line, token, dim]; at most `positions` tokens"""
        x = self.dropout(self.begun(ids))
        mask = self.mask(real)
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def begun(self, ids: Tensor) -> Tensor:
        """What the first layer reads, f32[line, token, dim]."""
        return self.norm(self.embedding(ids) + self.positions.weight[: ids.shape[1]])

    def mask(self, real: Tensor) -> Tensor:
        """What is added to the scores of attention, f32[line, 1 or head, 1 or token, token]."""
        mask = torch.where(real, 0.0, _LOWEST)[:, None, None, :]
        if self.relative is None:
            return mask
        at = torch.arange(real.shape[1], device=real.device)
        apart = at[None, :] - at[:, None] + (self.options.positions - 1)  # [query, key]
        return mask + self.relative(self.buckets[apart]).permute(2, 0, 1)

    def blocks(self) -> list[nn.Module]:
        """What may stay as it is in a training, the lowest first."""
        first = [self.embedding, self.positions, self.norm, *([] if self.relative is None else [self.relative])]
        return [nn.ModuleList(first), *self.layers]

    def exportable(self) -> nn.Module:
        """A module that computes the same and becomes a graph of few operators, with the weights as they are now."""
        return TransformerOperators(self)


def _begin(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, 0, _SPREAD)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


class TransformerOperators(nn.Module):
    """A `Transformer` in onnxruntime's operators. Outside an export, it is the transformer itself.

    Its parts are called as the transformer's, so that weights are found again in a graph by their names.
    """

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self._network = [network]  # in a list, so that its parameters do not count twice
        self.options, self.embedding, self.positions = network.options, network.embedding, network.positions
        self.norm, self.relative = network.norm, network.relative
        if network.relative is not None:
            self.register_buffer("buckets", network.buckets, persistent=False)
        self.layers = nn.ModuleList(map(_LayerOperators, network.layers))

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        if not torch.onnx.is_in_onnx_export():
            return self._network[0](ids, real)
        x = Transformer.begun(self, ids)
        # onnxruntime wants one mask for each query.
        mask = Transformer.mask(self, real).expand(-1, -1, ids.shape[1], -1)
        for layer in self.layers:
            x = layer(x, mask)
        return x


class _Product(nn.Module):
    """A linear layer whose matrix is [in, out], as the graph has it."""

    def __init__(self, layer: nn.Linear, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("turned", layer.weight.detach().T.contiguous(), persistent=False)
        self.register_buffer("bias", None if bias is None else bias.detach().clone(), persistent=False)

    def forward(self, x: Tensor, biased: bool = True) -> Tensor:
        product = x @ self.turned
        return product if self.bias is None or not biased else product + self.bias


class _LayerOperators(nn.Module):
    """A `Layer` in onnxruntime's operators.

    Heads are split inside of the operator Attention. The bias of the keys adds the same to all scores of a query, which a
    softmax does not see; that of the values passes through attention unchanged, and is part of the output's bias here.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.heads, self.activation = layer.heads, layer.activation
        self.query, self.key = _Product(layer.query, layer.query.bias), _Product(layer.key, None)
        self.value = _Product(layer.value, None)
        self.output = _Product(layer.output, layer.output.weight @ layer.value.bias + layer.output.bias)
        self.inner, self.outer = _Product(layer.inner, layer.inner.bias), _Product(layer.outer, layer.outer.bias)
        self.attention_norm, self.feedforward_norm = layer.attention_norm, layer.feedforward_norm

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        mixed = torch.onnx.ops.symbolic(
            "Attention",
            (self.query(x), self.key(x), self.value(x), mask),
            {"q_num_heads": self.heads, "kv_num_heads": self.heads},
            dtype=x.dtype,
            shape=x.shape,
            version=_ONNX,
        )
        x = self.attention_norm(x + self.output(mixed))
        if self.activation == "relu":
            inner = functional.relu(self.inner(x))
        else:
            # onnxruntime's BiasGelu takes twice the time of the sum and the Gelu that it stands for.
            given = self.inner(x)
            inner = torch.onnx.ops.symbolic("Gelu", (given,), {}, dtype=x.dtype, shape=given.shape, version=_ONNX)
        return self.feedforward_norm(x + self.outer(inner))
