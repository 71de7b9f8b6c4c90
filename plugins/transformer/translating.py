"""The plugin `transformer`: its options, and how they become a network. Light: torch is behind network.py.

Text, batches, loss, score and graphs are the same for every translation family: textkit.tasks.translate.family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textkit.plugin import Training
from textkit.tasks.translate.family import TranslationOptions, TranslationPlugin
from textkit_plugins.transformer.options import AttentionOptions, check_size

if TYPE_CHECKING:
    from textkit.text.translation import TranslationText
    from textkit_plugins.transformer.network import Transformer


@dataclass(frozen=True)
class TransformerConfig(AttentionOptions, TranslationOptions):
    """The options of Vaswani et al. 2017, arXiv 1706.03762. The defaults fit 10,000 to 500,000 pairs of lines."""

    encoder_layers: int = 4  # N of the encoder
    decoder_layers: int = 4  # N of the decoder; every word of a translation runs through all, so fewer serve faster
    decoder_autoreg: Literal["self-attention", "ssru"] = (
        "self-attention"  # how a decoder layer sees the words before: self-attention | ssru (Kim et al. 2019; faster)
    )
    tie: Literal["none", "decoder", "all"] = (
        "all"  # what shares a table. all: source, target, output (joint text only) | decoder: target, output | none
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("encoder_layers", "decoder_layers"):
            check_size(self, key)
        if self.tie == "all" and not self.joint:
            raise ValueError("tie=all: one table for both sides needs joint=true; or set tie=decoder")


class TransformerPlugin(TranslationPlugin):
    """Attention is all you need: Vaswani et al. 2017."""

    name = "transformer"
    summary = "attention-only encoder and decoder for translation (Vaswani et al. 2017)"
    Config = TransformerConfig
    training = Training(
        epochs=30, optimizer="adam", learning_rate=1e-3, betas=(0.9, 0.98), epsilon=1e-9, schedule="inverse-sqrt",
        warmup=2000, patience=5,
    )  # fmt: skip

    def network(self, config: TransformerConfig, vocabulary: TranslationText) -> Transformer:
        from textkit_plugins.transformer.network import Transformer

        return Transformer(config, len(vocabulary), vocabulary.target_size)

    def grown(self, network: Transformer, missing: frozenset[str]) -> frozenset[str]:
        return network.grow(missing)
