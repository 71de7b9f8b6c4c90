"""The plugin `transformer`: its options, and how a network is made of them. Light: torch is behind network.py.

Text, batches, loss, score and graphs are those of every translation family, textkit.training.translation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textkit.plugin import Training
from textkit.training.translation import TranslationOptions, TranslationPlugin

if TYPE_CHECKING:
    from textkit.translation_text import TranslationText
    from textkit_plugins.transformer.network import Transformer


@dataclass(frozen=True)
class TransformerConfig(TranslationOptions):
    """Vaswani et al. 2017, arXiv 1706.03762, under the paper's names; the defaults fit 10,000 to 500,000 pairs of lines."""

    encoder_layers: int = 4  # N of the encoder
    decoder_layers: int = 4  # N of the decoder; every word of a translation runs through it: fewer serve faster
    dim: int = 256  # d_model
    heads: int = 4  # h
    feedforward: int = 1024  # d_ff
    dropout: float = 0.1  # P_drop, on each sub-layer's output and on embedding + position
    attention_dropout: float = 0.0  # on the attention's weights
    activation_dropout: float = 0.0  # inside the feed-forward network
    activation: Literal["relu", "gelu", "swish"] = "relu"  # relu | gelu | swish
    positions: Literal["sinusoidal", "learned", "rotary"] = (
        "sinusoidal"  # sinusoidal | learned | rotary (Su et al. 2021)
    )
    norm: Literal["pre", "post"] = (
        "pre"  # pre: norm before each sub-layer and at the end | post: after each residual, as in the paper
    )
    norm_epsilon: float = 1e-5  # added to the variance
    tie: Literal["none", "decoder", "all"] = (
        "all"  # one table for: all: source, target, output (joint text alone) | decoder: target, output | none
    )
    scale_embedding: bool = True  # embeddings times sqrt(dim)
    output_bias: bool = False  # one number a target word, added to its logit

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("encoder_layers", "decoder_layers", "dim", "heads", "feedforward"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 1")
        for key in ("dropout", "attention_dropout", "activation_dropout"):
            if not 0 <= getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 0 and below 1")
        if self.norm_epsilon <= 0:
            raise ValueError(f"norm_epsilon={self.norm_epsilon}: must be above 0")
        if self.dim % self.heads:
            raise ValueError(f"dim={self.dim}, heads={self.heads}: every head has dim / heads numbers, a whole number")
        even = {"sinusoidal": self.dim, "rotary": self.dim // self.heads, "learned": 2}[self.positions]
        if even % 2:
            raise ValueError(f"positions={self.positions}: sine and cosine come in pairs, {even} is odd")
        if self.tie == "all" and not self.joint:
            raise ValueError("tie=all: one table for both sides needs joint=true; or set tie=decoder")


class TransformerPlugin(TranslationPlugin):
    """Attention is all you need: Vaswani et al. 2017."""

    name = "transformer"
    summary = "encoder and decoder of attention, for translation (Vaswani et al. 2017)"
    Config = TransformerConfig
    training = Training(
        epochs=30, optimizer="adam", learning_rate=1e-3, betas=(0.9, 0.98), epsilon=1e-9, schedule="inverse-sqrt",
        warmup=2000, patience=5,
    )  # fmt: skip

    def network(self, config: TransformerConfig, vocabulary: TranslationText) -> Transformer:
        from textkit_plugins.transformer.network import Transformer

        return Transformer(config, len(vocabulary), vocabulary.target_size)
