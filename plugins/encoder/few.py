"""The plugin `few-shot`: a handful of labelled lines, and an encoder that stays as it is. Light: no torch at the top.

The lines' vectors are computed once, and logistic regression over them and over n-grams of tokens (wide.py) is solved, in
seconds. The penalty on its weights and the temperature are chosen by cross-validation, so no line needs to be kept apart. It is
the second step of SetFit (Tunstall et al. 2022, arXiv 2209.11055).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textkit.errors import UsageError
from textkit.plugin import Encoder, Epoch, Graph, Plugin, Source
from textkit.tasks.classify.corpus import LabelOptions, labelled
from textkit.text.rule import TextRule
from textkit_plugins.encoder.batching import limit_of
from textkit_plugins.encoder.beginning import BeginsWithEncoder
from textkit_plugins.encoder.calibrating import head_facts
from textkit_plugins.encoder.classifying import attends, labels_of, text_chunks
from textkit_plugins.encoder.in_context import encoder_of
from textkit_plugins.encoder.ngrams import WideOptions
from textkit_plugins.encoder.options import EncoderOptions
from textkit_plugins.encoder.probing import probed

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit_plugins.encoder.classification import Batch, Classifier
    from textkit_plugins.encoder.vocabulary import Chunks

_LINES = 10_000  # read at once


@dataclass(frozen=True)
class FewShotOptions(WideOptions, LabelOptions, EncoderOptions):
    """The options of `few-shot`."""

    normalization: Literal["none", "length"] = "length"  # none | length: vectors have length 1
    strength: float = 0.0  # of the penalty on the weights; 0: chosen by cross-validation
    names: bool = True  # of few lines: a label's name is an example of it, where names say what lines are about
    longest: int = 512  # tokens of a line that are read

    units: ClassVar[int] = 0
    units_activation: ClassVar[str] = "relu"
    class_weight: ClassVar[str] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strength < 0 or self.longest < 1:
            raise ValueError(f"strength={self.strength:g}, longest={self.longest}: must be at least 0 and 1")


class FewShotPlugin(BeginsWithEncoder, Plugin[FewShotOptions, TextRule]):
    """Lines to labels, from a few examples of each, over the encoder of another model."""

    name = "few-shot"
    task = "classify"
    summary = "labels from a few examples each, over the encoder of another model (Tunstall 2022)"
    Config = FewShotOptions
    begins_with = "embed"

    def vocabulary(self, corpus: Corpus, config: FewShotOptions) -> TextRule:
        raise UsageError("few-shot: needs an encoder to begin with: --init MODEL")

    def adopt(self, corpus: Corpus, config: FewShotOptions, source: Source) -> TextRule:
        if source.rule is None:
            raise UsageError(f"--init {source.name}: holds word vectors; few-shot needs an encoder")
        return super().adopt(corpus, config, source)

    def tell_lacking(self, text: str) -> None:
        """Raises UsageError: nothing would learn what the source lacks."""
        raise UsageError(
            f"{text}, and few-shot learns none; give the run that was exported, and the encoder's options as it has them"
        )

    def texts(self, corpus: Corpus, config: FewShotOptions) -> Chunks:
        return text_chunks(corpus)

    def facts(self, corpus: Corpus, config: FewShotOptions) -> dict[str, Any]:
        return labels_of(corpus, config)

    def network(self, config: FewShotOptions, vocabulary: TextRule) -> Classifier:
        from textkit_plugins.encoder.classification import Classifier

        learnt = vocabulary.learnt
        return Classifier(config, len(vocabulary), [len(learnt["labels"])], [config.several], learnt.get("ngrams"))

    def batches(self, corpus: Corpus, vocabulary: TextRule, config: FewShotOptions, epoch: Epoch) -> Iterator[Batch]:
        """No batches: `fit` reads all lines at once."""
        return iter(())

    def fit(
        self, network: Classifier, corpus: Corpus, vocabulary: TextRule, config: FewShotOptions, epoch: Epoch
    ) -> Iterator[Mapping[str, Any]]:
        lines = [labelled(record) for records in corpus.chunks(_LINES) for record in records]
        labels = vocabulary.learnt["labels"]
        own = (config.several, epoch.seed, config.strength, config.names)
        facts = yield from probed(network, 0, lines, vocabulary, labels, config, *own)
        epoch.facts["cross_validation"] = facts
        yield {"examples": len(lines), "accuracy": facts["accuracy"]}

    def graphs(self, network: Classifier, vocabulary: TextRule, config: FewShotOptions) -> Mapping[str, Graph]:
        from textkit_plugins.encoder.classification import Served

        facts = {
            "heads": [head_facts(network.heads[0], "", vocabulary.learnt["labels"])],
            "attends": attends(network),
        }
        return {"classify": Graph(Served(network), facts=facts, limit=limit_of(config))}

    def encoder(self, network: torch.nn.Module, vocabulary: TextRule, config: FewShotOptions) -> Encoder:
        return encoder_of(network, vocabulary, config)
