"""The plugin `transformer-lm`: its options, and how they become a network. Light: torch is behind decoder.py.

Text, chunks, loss, score and graphs are the same for every family of language models: textkit.tasks.language.family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textkit.plugin import Training
from textkit.tasks.language.family import LanguageOptions, LanguagePlugin
from textkit_plugins.transformer.options import AttentionOptions, check_size

if TYPE_CHECKING:
    from textkit.text.language import LanguageText
    from textkit_plugins.transformer.decoder import TransformerLm


@dataclass(frozen=True)
class TransformerLmConfig(AttentionOptions, LanguageOptions):
    """A decoder alone (Liu et al. 2018, arXiv 1801.10198; Radford et al. 2018); the defaults fit one to ten million words."""

    layers: int = 4  # N
    context: int = 256  # the most tokens that the model sees at once; longer text is served in windows
    tie: bool = True  # one table for input and output (Press and Wolf 2017)
    bptt: int = 128  # tokens of a stream that are read at once; a chunk sees nothing of the one before
    random_bptt: bool = False  # chunks of random lengths around bptt

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self, "layers")
        if self.context < 2:
            raise ValueError(f"context={self.context}: must be at least 2")
        longest = 2 * self.bptt if self.random_bptt else self.bptt
        if longest > self.context:
            raise ValueError(f"bptt={self.bptt}: chunks of up to {longest} tokens are beyond context={self.context}")


class TransformerLmPlugin(LanguagePlugin):
    """A language model that attends to all preceding words."""

    name = "transformer-lm"
    summary = "language model: a transformer's decoder alone (Liu et al. 2018, Radford et al. 2018)"
    Config = TransformerLmConfig
    carries = False
    training = Training(
        epochs=20, optimizer="adamw", learning_rate=1e-3, betas=(0.9, 0.98), weight_decay=0.01, schedule="cosine",
        warmup=500, clip=1.0, patience=3,
    )  # fmt: skip

    def network(self, config: TransformerLmConfig, vocabulary: LanguageText) -> TransformerLm:
        from textkit_plugins.transformer.decoder import TransformerLm

        return TransformerLm(config, len(vocabulary))
