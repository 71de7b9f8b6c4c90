"""The transformer of Vaswani et al. 2017 (arXiv 1706.03762).

Equations and names are the paper's; pre-norm is that of Xiong et al. 2020 (arXiv 2002.04745). Attention and positions are in
attention.py, the unit that can take the place of the decoder's self-attention is in ssru.py, and the modules behind the graphs
are in graphs.py. With norm=post, activation=swish and output_bias, and because its sines precede its cosines, the network is a
MarianMT model. Knows no text, no loss and no search.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textkit_plugins.transformer.attention import Attention, Placed, Weights
from textkit_plugins.transformer.graphs import Embed, Encode, Explain, Step
from textkit_plugins.transformer.ssru import Ssru

if TYPE_CHECKING:
    from collections.abc import Callable

    from textkit_plugins.transformer.options import AttentionOptions
    from textkit_plugins.transformer.translating import TransformerConfig


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014). On a CPU it uses 16 random bits per number: 1/4 of the draws, 1/5 of torch's time."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        dropped = round(self.p * 2**16)  # of 2^16
        bits = torch.empty(x.numel() // 4 + 1, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = bits[: x.numel()].view(x.shape) >= dropped - 2**15
        return x * kept.to(x.dtype).mul_(2**16 / (2**16 - dropped))


class FeedForward(nn.Module):
    """Equation 2: max(0, x W_1 + b_1) W_2 + b_2, where an option can replace max(0, .)."""

    def __init__(self, config: AttentionOptions) -> None:
        super().__init__()
        self.inner = nn.Linear(config.dim, config.feedforward)
        self.outer = nn.Linear(config.feedforward, config.dim)
        activations: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "swish": F.silu}
        self.activation = activations[config.activation]
        self.dropout = Dropout(config.activation_dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.dropout(self.activation(self.inner(x))))


class Layer(nn.Module):
    """A layer of the encoder, or of the decoder with `cross`. Each sub-layer has a residual connection and a norm.

    `attention` is self-attention or, with `ssru`, the recurrent unit in its place.
    """

    def __init__(self, config: AttentionOptions, cross: bool, ssru: bool = False) -> None:
        super().__init__()
        self.pre = config.norm == "pre"
        self.attention = Ssru(config.dim, config.heads) if ssru else Attention(config, cross=False)
        self.attention_norm = nn.LayerNorm(config.dim, config.norm_epsilon)
        if cross:
            self.cross = Attention(config, cross=True)
            self.cross_norm = nn.LayerNorm(config.dim, config.norm_epsilon)
        self.feedforward = FeedForward(config)
        self.feedforward_norm = nn.LayerNorm(config.dim, config.norm_epsilon)
        self.dropout = Dropout(config.dropout)

    def before(self, x: Tensor, norm: nn.LayerNorm) -> Tensor:
        return norm(x) if self.pre else x

    def after(self, x: Tensor, y: Tensor, norm: nn.LayerNorm) -> Tensor:
        x = x + self.dropout(y)
        return x if self.pre else norm(x)

    def forward(
        self, x: Tensor, mask: Tensor | None, turn: Tensor | None, causal: bool = False, seen: Weights | None = None
    ) -> Tensor:
        """The sub-layer of self-attention or SSRU."""
        y = self.attention.itself(self.before(x, self.attention_norm), mask, turn, causal, seen)
        return self.after(x, y, self.attention_norm)

    def rest(
        self, x: Tensor, memory: tuple[Tensor, Tensor] | None = None, mask: Tensor | None = None,
        seen: Weights | None = None,
    ) -> Tensor:  # fmt: skip
        """The sub-layers after self-attention."""
        if memory is not None:
            y = self.cross.other(self.before(x, self.cross_norm), *memory, mask, seen)
            x = self.after(x, y, self.cross_norm)
        return self.after(x, self.feedforward(self.before(x, self.feedforward_norm)), self.feedforward_norm)

    def silence(self) -> None:
        """Sets to 0 what each sub-layer adds to what it reads."""
        last = [self.attention.output, self.feedforward.outer, *([self.cross.output] if hasattr(self, "cross") else ())]
        for linear in last:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)


def initialise(network: nn.Module, dim: int) -> None:
    """Initialises matrices, tables and biases.

    Matrices are Xavier uniform (Glorot and Bengio 2010), with W^Q, W^K, W^V smaller by 1/sqrt(2), as in fairseq (Ott et al.
    2019). Tables are normal(0, dim^-0.5), so that times sqrt(dim) they are as large as a position. Biases are 0.
    """
    for name, parameter in network.named_parameters():
        if "embedding" in name or "positions" in name or name == "output.weight":
            nn.init.normal_(parameter, 0, dim**-0.5)
        elif parameter.dim() == 2:
            square = "qkv" in name or "query" in name or ".memory" in name
            for part in parameter.data.split(dim) if square or "fused" in name else [parameter]:
                nn.init.xavier_uniform_(part, 2**-0.5 if square else 1.0)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)


class Transformer(Placed):
    """An encoder and a decoder. Tied tables are one parameter with one name."""

    def __init__(self, config: TransformerConfig, source_size: int, target_size: int) -> None:
        if config.tie == "all" and source_size != target_size:
            raise ValueError(
                f"tie=all: source and target vocabularies differ, with {source_size} and {target_size} words"
            )
        super().__init__(config, config.max_tokens, ("source_positions", "target_positions"))
        dim = config.dim
        self.source_embedding = nn.Embedding(source_size, dim)
        self.target_embedding = None if config.tie == "all" else nn.Embedding(target_size, dim)
        self.output = nn.Embedding(target_size, dim) if config.tie == "none" else None  # rows of W, never looked up
        self.output_bias = nn.Parameter(torch.zeros(target_size)) if config.output_bias else None
        self.encoder_layers = nn.ModuleList(Layer(config, cross=False) for _ in range(config.encoder_layers))
        self.recurrent = config.decoder_autoreg == "ssru"
        self.decoder_layers = nn.ModuleList(
            Layer(config, cross=True, ssru=self.recurrent) for _ in range(config.decoder_layers)
        )
        pre = config.norm == "pre"
        self.encoder_norm = nn.LayerNorm(dim, config.norm_epsilon) if pre else nn.Identity()
        self.decoder_norm = nn.LayerNorm(dim, config.norm_epsilon) if pre else nn.Identity()
        self.dropout = Dropout(config.dropout)
        initialise(self, dim)

    def grow(self, missing: frozenset[str]) -> frozenset[str]:
        """Makes each layer all of whose weights are `missing` add nothing to what it reads; returns these weights' names.

        The network then computes what it would without the layer, and learns from there (Net2Net, Chen et al. 2016, arXiv
        1511.05641; with post-norm, up to the layer's norms): the last matrix of each sub-layer is 0, the others are random. An
        SSRU has no last matrix, and would learn nothing behind its ReLU if it were 0: such layers are not grown. SSRUs that
        take the place of the self-attention of known layers begin at random, and their names are returned, too.
        """
        grown: set[str] = set()
        for side in ("encoder_layers", *(() if self.recurrent else ("decoder_layers",))):
            for at, layer in enumerate(self.get_submodule(side)):
                names = {f"{side}.{at}.{name}" for name in layer.state_dict()}
                if names <= missing:
                    layer.silence()
                    grown |= names
        for at, layer in enumerate(self.decoder_layers if self.recurrent else ()):
            unit = {f"decoder_layers.{at}.attention.{name}" for name in layer.attention.state_dict()}
            if not {f"decoder_layers.{at}.{name}" for name in layer.state_dict()} - unit & missing:
                grown |= unit & missing
        return frozenset(grown)

    @property
    def target_table(self) -> nn.Embedding:
        return self.target_embedding or self.source_embedding

    @property
    def project_weight(self) -> Tensor:
        return (self.output or self.target_table).weight

    @property
    def project_bias(self) -> Tensor | None:
        return self.output_bias

    def project(self, hidden: Tensor) -> Tensor:
        """[..., dim] -> logits [..., vocab]"""
        return F.linear(hidden, self.project_weight, self.output_bias)

    def encode(self, source: Tensor, mask: Tensor | None, seen: Weights | None = None) -> Tensor:
        """Ids [line, source] -> [line, source, dim]; mask [line, 1, 1 or source, source], bool or added to the scores."""
        add, turn = self.places(0, source.shape[1], "source_positions")
        x = self.embed(source, self.source_embedding, add)
        for layer in self.encoder_layers:
            x = layer.rest(layer(x, mask, turn, seen=seen))
        return self.encoder_norm(x)

    def memory_of(self, layer: Layer, encoded: Tensor) -> tuple[Tensor, ...]:
        """What a decoder layer attends to: key and value [line, head, source, width]."""
        return layer.cross.split(layer.cross.memory(encoded), 2)

    def hidden(
        self, source: Tensor, source_mask: Tensor, target_in: Tensor, seen: dict[str, Weights] | None = None
    ) -> Tensor:
        """Ids [line, source] and [line, target] -> [line, target, dim], each from the tokens up to it, in one pass."""
        kind = source.device.type
        dtype = (
            torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.source_embedding.weight.dtype
        )
        mask = torch.zeros(source.shape, dtype=dtype, device=source.device).masked_fill_(~source_mask, -math.inf)
        mask = mask[:, None, None, :]  # [line, 1, 1, source]
        seen = seen or {}
        encoded = self.encode(source, mask, seen.get("encoder"))
        add, turn = self.places(0, target_in.shape[1])
        x = self.embed(target_in, self.target_table, add)
        for layer in self.decoder_layers:
            x = layer(x, None, turn, causal=True, seen=seen.get("decoder"))
            x = layer.rest(x, self.memory_of(layer, encoded), mask, seen.get("cross"))
        return self.decoder_norm(x)

    def explain(self, source: Tensor, source_mask: Tensor, target_in: Tensor) -> dict[str, Tensor]:
        """Every weight of every attention layer.

        encoder f32[layer, line, head, source, source], decoder f32[layer, line, head, target, target], cross f32[layer, line,
        head, target, source].
        """
        seen: dict[str, Weights] = {"encoder": [], "decoder": [], "cross": []}
        self.hidden(source, source_mask, target_in, seen)
        return {name: torch.stack(weights) for name, weights in seen.items()}

    def encoder(self) -> Encode:
        return Encode(self)

    def stepper(self) -> Step:
        return Step(self)

    def explainer(self) -> Explain:
        return Explain(self)

    def embedder(self) -> Embed:
        return Embed(self)
