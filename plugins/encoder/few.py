"""The plugin `few-shot`: a handful of labelled lines, and an encoder that stays as it is. Light: no torch at the top.

The lines' vectors are computed once, and logistic regression over them and over n-grams of tokens (wide.py) is solved, in
seconds. The penalty on its weights and the temperature are chosen by cross-validation, so no line needs to be kept apart. It is
the second step of SetFit (Tunstall et al. 2022, arXiv 2209.11055).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from textkit.errors import UsageError
from textkit.plugin import Encoder, Epoch, Graph, Plugin, Source
from textkit.tasks.classify.corpus import LabelOptions, labelled
from textkit.tasks.classify.evaluation import measures
from textkit.text.rule import TextRule
from textkit_plugins.encoder.batching import limit_of
from textkit_plugins.encoder.beginning import BeginsWithEncoder
from textkit_plugins.encoder.classifying import attends, batch_of, head_facts, labels_of, text_chunks, wanted_of
from textkit_plugins.encoder.in_context import encoder_of
from textkit_plugins.encoder.ngrams import Tfidf, WideOptions
from textkit_plugins.encoder.options import EncoderOptions
from textkit_plugins.encoder.solving import Solved

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit_plugins.encoder.classification import Batch, Classifier
    from textkit_plugins.encoder.vocabulary import Chunks

_LINES = 10_000  # read at once
_ENCODED = 64  # lines encoded at once: what a layer makes of more of them leaves the processor's cache
# Of the penalty, the weakest first: where labels are right it is the best, and one stronger one shows it.
_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# The length of a line's n-grams beside its vector of length 1. Few lines say little about words: with eight of each label,
# n-grams of length 1 took away 2 points of accuracy, and those of length 1/2 brought 1.
_FEW, _LENGTH_OF_FEW = 3000, 0.5


@dataclass(frozen=True)
class FewShotOptions(WideOptions, LabelOptions, EncoderOptions):
    """The options of `few-shot`."""

    normalization: Literal["none", "length"] = "length"  # none | length: vectors have length 1
    strength: float = 0.0  # of the penalty on the weights; 0: chosen by cross-validation
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
        numbers = {label: at for at, label in enumerate(vocabulary.learnt["labels"])}
        vectors = np.zeros((len(lines), config.width), np.float32)
        ngrams, words = [], 0
        # By length, as in other trainings: three quarters of batches of any lines are padding.
        order = np.argsort([len(line.text) for line in lines], kind="stable")
        for begin in range(0, len(lines), _ENCODED):
            some = order[begin : begin + _ENCODED]
            batch = batch_of([lines[at] for at in some], vocabulary, numbers, config, config.several)
            vectors[some] = encoded(network, batch)
            if network.wide is not None:
                ngrams.append(network.wide.occurrences(batch.ids, batch.weight))
            words += int((batch.weight > 0).sum())
            yield {"examples": begin + len(some), "words": words}
        wanted = wanted_of(lines, numbers, config.several)
        count = np.array([line.weight for line in lines], np.float64)
        length = _LENGTH_OF_FEW if len(lines) < _FEW else 1.0
        features = None if network.wide is None else Tfidf(ngrams, network.wide.square.numpy(), length, order)
        solved = Solved(vectors, wanted, count, config.several, len(numbers), features)
        with one_thread():
            strength, judged, logits = solved.chosen((config.strength,) if config.strength else _STRENGTHS, epoch.seed)
            found = solved.solve(strength)
        wanted = wanted[judged]
        found[:, config.width : -1] *= length
        set_solution(network, found, logits, wanted)
        right = logits.argmax(1) == wanted if not config.several else ((logits > 0) == (wanted > 0.5)).all(1)
        epoch.facts["cross_validation"] = {"folds": solved.folds, "strength": strength, "accuracy": float(right.mean())}
        yield {"examples": len(lines), "words": words, "accuracy": float(right.mean())}

    def graphs(self, network: Classifier, vocabulary: TextRule, config: FewShotOptions) -> Mapping[str, Graph]:
        from textkit_plugins.encoder.classification import Served

        facts = {
            "heads": [head_facts(network.heads[0], "", vocabulary.learnt["labels"])],
            "attends": attends(network),
        }
        return {"classify": Graph(Served(network), facts=facts, limit=limit_of(config))}

    def encoder(self, network: torch.nn.Module, vocabulary: TextRule, config: FewShotOptions) -> Encoder:
        return encoder_of(network, vocabulary, config)


@contextmanager
def one_thread() -> Iterator[None]:
    """Computes in one thread: a step of a search has too little work for two, which would wait for each other."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    with threadpool_limits(1, user_api="blas"):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def encoded(network: Classifier, batch: Batch) -> np.ndarray:
    """What the head's last layer reads of each line, f32[line, width]."""
    import torch

    network.eval()
    with torch.no_grad():
        vector = network.encoder(batch.ids, batch.weight)[0]
        for step in network.heads[0].steps[:-1]:
            vector = step(vector)
    found: np.ndarray = vector.numpy()
    return found


def set_solution(network: Classifier, found: np.ndarray, logits: np.ndarray, wanted: np.ndarray) -> None:
    """Puts the solution `found` into the network. `logits`: those of lines by a fold that has not seen them, for the
    calibration; `wanted`: what is right about these lines."""
    import torch

    head = network.heads[0]
    last = head.steps[-1]
    if head.binary:
        found = found[1:] - found[:1]
    width = last.in_features
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(found[:, :width]))
        last.bias.copy_(torch.from_numpy(found[:, -1]))
        if network.wide is not None:
            network.wide.set_weights(found[:, width:-1].T)
        head.temperature.fill_(measures.temperature(logits, wanted, head.several))
        if head.several:
            probability = measures.sigmoid(logits / float(head.temperature))
            head.thresholds.copy_(torch.from_numpy(measures.thresholds(probability, wanted > 0.5)))
