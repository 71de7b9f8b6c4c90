"""How a translator begins with another one: with its vocabulary and weights, to learn more pairs. Light: no torch.

It may be a run, or an exported model of a transformer in any precision (an export of recurrent layers orders their weights in
another way). It may translate in the other direction: where both sides share a vocabulary, what it knows of words helps there.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from textkit.config import as_typed
from textkit.corpora.tokenizing import TokenizerOptions
from textkit.errors import TextkitError, UsageError
from textkit.plugin import Source, Training
from textkit.text.translation import TranslationText

if TYPE_CHECKING:
    from textkit.corpora.corpus import Corpus
    from textkit.text.rule import TextRule

# A network that translates forgets it at the rates that suit a new one.
_FINE_TUNING: dict[str, Any] = {"learning_rate": 3e-4, "warmup": 100, "epochs": 5}
# What a training says anew, whatever the model was trained with.
_OWN = frozenset(
    (
        "label_smoothing", "rdrop", "rdrop_epoch", "batch_tokens", "max_ratio", "score", "bleu_tokenize", "score_lines",
        "dropout", "attention_dropout", "activation_dropout", "bpe_dropout",
    )
)  # fmt: skip
_LANGUAGES = ("source_language", "target_language")
# The text options that may be other than the model's; all else is in its vocabulary.
_FREE = (*_LANGUAGES, "bpe_dropout")


class BeginsWithTranslator:
    """A mixin of the families that translate."""

    Config: ClassVar[type]
    training: ClassVar[Training]
    inherited: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.inherited = tuple(field.name for field in fields(cls.Config) if field.name not in _OWN)

    def fine_tuning(self, config: Any) -> Training:
        return replace(self.training, **_FINE_TUNING)

    def adopt(self, corpus: Corpus, config: Any, source: Source) -> TranslationText:
        """The vocabulary of `source`, for the languages of `config`. UsageError where it has none, or one of another kind."""
        if not isinstance(source.rule, TranslationText):
            raise UsageError(f"--init {source.name}: is no model that translates")
        for field in fields(TokenizerOptions):
            own, asked = source.options.get(field.name), getattr(config, field.name)
            if field.name not in _FREE and own is not None and own != asked:
                raise UsageError(
                    f"--init {source.name}: its vocabulary has {field.name}={as_typed(own)}, not {as_typed(asked)}"
                )
        for name in _LANGUAGES:
            known, asked = getattr(source.rule, name), getattr(config, name)
            if known != asked and known and not source.rule.shared:
                raise UsageError(
                    f"--init {source.name}: its two vocabularies have {name}={known}, not {asked or 'none'}"
                )
        rule = copy(source.rule)  # other trainings may begin with the same source
        for name in _LANGUAGES:
            setattr(rule, name, getattr(config, name))
        return rule

    def grown(self, network: Any, missing: frozenset[str]) -> frozenset[str]:
        """Those of the `missing` weights that need not be there, because `network` made them to change nothing."""
        return frozenset()

    def begin(self, network: Any, config: Any, vocabulary: TextRule, source: Source) -> Sequence[str]:
        """Puts the weights of `source` into the network; returns their names.

        TextkitError for one that is missing, unless the network has grown by it, and for another shape.
        """
        from textkit.families.weights import put

        # The modules that are exported hold the network; of a tied table, they name each use.
        weights = {name.removeprefix("network."): value for name, value in source.weights.items()}
        state = network.state_dict()
        missing = [name for name in state if name not in weights]
        if missing:
            grown = self.grown(network, frozenset(missing))
            state = {name: value for name, value in state.items() if name not in grown}
            missing = [name for name in missing if name not in grown]
        if missing:
            exported = weights.keys() != source.weights.keys()
            run = "; begin with the run that it was exported from" if exported else ""
            raise TextkitError(f"--init {source.name}: has no {missing[0]}, which these options need{run}")
        put(network, weights, state, source.name)
        return list(state)
