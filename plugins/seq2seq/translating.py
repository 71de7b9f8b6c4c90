"""The plugin `seq2seq`: how its options become a network. Light: torch is behind network.py.

Text, batches, loss, score and graphs are the same for every translation family: textkit.tasks.translate.family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textkit.errors import TextkitError
from textkit.plugin import Training
from textkit.tasks.translate.family import TranslationPlugin
from textkit_plugins.seq2seq.options import Seq2SeqConfig

if TYPE_CHECKING:
    from textkit.text.translation import TranslationText
    from textkit_plugins.seq2seq.network import Seq2Seq


class Seq2SeqPlugin(TranslationPlugin):
    """Sequence to sequence learning with neural networks: Sutskever et al. 2014, and its successors."""

    name = "seq2seq"
    summary = (
        "recurrent encoder and decoder with attention, for translation (Sutskever 2014, Bahdanau 2015, Luong 2015)"
    )
    Config = Seq2SeqConfig
    training = Training(epochs=30, optimizer="adam", learning_rate=1e-3, clip=1.0, patience=5)

    def network(self, config: Seq2SeqConfig, vocabulary: TranslationText) -> Seq2Seq:
        from textkit_plugins.seq2seq.network import Seq2Seq

        if config.tie == "all" and len(vocabulary) != vocabulary.target_size:
            raise TextkitError(
                f"tie=all: source and target vocabularies differ, with {len(vocabulary)} and {vocabulary.target_size} words"
            )
        return Seq2Seq(config, len(vocabulary), vocabulary.target_size)
