"""The plugins `rnn-lm` and `nnlm`: how options become networks. Light: torch is behind network.py and window.py.

Text, chunks, loss, score and graphs are the same for every family of language models: textkit.tasks.language.family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textkit.plugin import Training
from textkit.tasks.language.family import LanguagePlugin
from textkit_plugins.rnn_lm.options import NnlmConfig, RnnLmConfig

if TYPE_CHECKING:
    from textkit.text.language import LanguageText
    from textkit_plugins.rnn_lm.network import RnnLm
    from textkit_plugins.rnn_lm.window import Nnlm


class RnnLmPlugin(LanguagePlugin):
    """Recurrent neural network based language model: Mikolov et al. 2010, and its successors."""

    name = "rnn-lm"
    summary = "recurrent language model with the regularisation of AWD-LSTM (Mikolov 2010, Zaremba 2014, Merity 2018)"
    Config = RnnLmConfig
    training = Training(epochs=40, optimizer="adam", learning_rate=2e-3, clip=0.25, patience=3)

    def network(self, config: RnnLmConfig, vocabulary: LanguageText) -> RnnLm:
        from textkit_plugins.rnn_lm.network import RnnLm

        return RnnLm(config, len(vocabulary))


class NnlmPlugin(LanguagePlugin):
    """A neural probabilistic language model: Bengio et al. 2003."""

    name = "nnlm"
    summary = "feed-forward language model of the last n - 1 words (Bengio et al. 2003)"
    Config = NnlmConfig
    training = Training(epochs=20, optimizer="adam", learning_rate=1e-3, clip=1.0, patience=3)

    def network(self, config: NnlmConfig, vocabulary: LanguageText) -> Nnlm:
        from textkit_plugins.rnn_lm.window import Nnlm

        return Nnlm(config, len(vocabulary), vocabulary.eos)
