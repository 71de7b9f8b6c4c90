"""The plugin `multitask`: several sets of labelled lines to one encoder with a head for each. Light: no torch.

After Collobert and Weston 2008 (A unified architecture for natural language processing): the tasks share the table of words and
the convolution, and take turns batch by batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from textkit.errors import TextkitError, UsageError, nearest
from textkit.plugin import Encoder, Epoch, Graph, Plugin, Score, Training
from textkit.tasks.classify.corpus import HeadOptions, Labelled, head_of, label_sets_of, labelled
from textkit.tasks.classify.label_sets import too_few
from textkit.text.rule import TextRule
from textkit_plugins.encoder.batching import batch_of, batches_in_turn, limit_of
from textkit_plugins.encoder.beginning import BeginsWithEncoder
from textkit_plugins.encoder.calibrating import head_facts
from textkit_plugins.encoder.classifying import (
    ClassifierOptions,
    attends,
    begin,
    logged,
    prepared,
    scored,
    text_chunks,
)
from textkit_plugins.encoder.in_context import encoder_of

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit_plugins.encoder.classification import Batch, Classifier
    from textkit_plugins.encoder.vocabulary import Chunks

_LINES = 10_000  # read at once


@dataclass(frozen=True)
class MultitaskOptions(HeadOptions, ClassifierOptions):
    """The options of `multitask`: those of `classifier`; the defaults are the network of Collobert and Weston 2008."""

    text: Literal["hashed", "bpe", "unigram", "word"] = "word"  # as for classifier
    encoder: Literal["bag", "cnn", "rnn", "transformer"] = "cnn"  # as for classifier
    pooling: Literal["mean", "max", "cls", "attention"] = "max"  # as for classifier
    vocab_size: int = 30_000  # bpe, unigram, word: most entries
    units: int = 100  # of a hidden layer between the line's vector and the labels; 0: none


class MultitaskPlugin(BeginsWithEncoder, Plugin[MultitaskOptions, TextRule]):
    """Lines to the labels of several questions, over one encoder."""

    name = "multitask"
    task = "classify"
    summary = "one encoder with a head for each of several sets of labels (Collobert and Weston 2008)"
    Config = MultitaskOptions
    corpus = "textkit.tasks.classify.corpus:HeadedCorpus"
    training = Training(epochs=20, batch_size=32, learning_rate=1e-3, patience=5)

    def texts(self, corpus: Corpus, config: MultitaskOptions) -> Chunks:
        return text_chunks(corpus)

    def facts(self, corpus: Corpus, config: MultitaskOptions) -> dict[str, Any]:
        """`heads`: the labels of each head, with how often they occur. TextkitError for a head of one label."""
        for option in ("coarse", "nothing"):
            if getattr(config, option):
                raise UsageError(f"{option}: has no effect on {self.name}, whose labels are of several heads")
        counted = label_sets_of(corpus)
        for head in config.several_heads:
            if head not in counted:
                raise UsageError(
                    f"several_heads={','.join(config.several_heads)}: no head {head!r}{nearest(head, counted)}"
                )
        for head, labels in counted.items():
            if len(labels) < 2:
                raise too_few(head, len(labels))
        heads = {head: {label: labels[label] for label in sorted(labels)} for head, labels in sorted(counted.items())}
        return {"heads": heads}

    def network(self, config: MultitaskOptions, vocabulary: TextRule) -> Classifier:
        from textkit_plugins.encoder.classification import Classifier

        heads = vocabulary.learnt["heads"]
        sizes, several = [len(labels) for labels in heads.values()], [config.may_be_several(head) for head in heads]
        network = Classifier(config, len(vocabulary), sizes, several, vocabulary.learnt.get("ngrams"))
        begin(network, config, vocabulary, [list(labels.values()) for labels in heads.values()])
        return network

    def prepare(
        self, network: torch.nn.Module, corpus: Corpus, vocabulary: TextRule, config: MultitaskOptions, seed: int
    ) -> Sequence[str]:
        heads = [(labels, config.may_be_several(head)) for head, labels in _heads(vocabulary)]
        names = [head for head, _ in _heads(vocabulary)]
        return prepared(network, corpus, vocabulary, config, seed, heads, lambda record: names.index(head_of(record)))

    def batches(
        self, corpus: Corpus, vocabulary: TextRule, config: MultitaskOptions, epoch: Epoch
    ) -> Iterator[Batch | None]:
        numbers = {head: dict(zip(labels, range(len(labels)), strict=True)) for head, labels in _heads(vocabulary)}
        places = {head: at for at, head in enumerate(numbers)}
        for number, records in enumerate(batches_in_turn(corpus, epoch, head_of), epoch.start):
            if not epoch.owns(number):
                yield None
                continue
            head = head_of(records[0])
            lines = list(map(labelled, records))
            batch = batch_of(lines, vocabulary, numbers[head], config, config.may_be_several(head), places[head])
            yield batch._replace(epoch=epoch.number)

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, Mapping[str, float]]:
        return logged(network, batch)

    def score(
        self, network: torch.nn.Module, dev: Corpus, vocabulary: TextRule, config: MultitaskOptions
    ) -> Score | None:
        apart: dict[str, list[Labelled]] = {}
        for records in dev.chunks(_LINES):
            for record in filter(None, records):
                apart.setdefault(head_of(record), []).append(labelled(record))
        detail: dict[str, float] = {}
        for at, (head, labels) in enumerate(_heads(vocabulary)):
            if head in apart:
                several = config.may_be_several(head)
                found = scored(
                    network, at, apart[head], vocabulary, list(labels), config, several, fit=not dev.held_out
                )
                detail[f"{head} {found.name}"] = found.value
        if not detail:
            raise TextkitError("the dev data has no line of any head")
        return Score("mean score", sum(detail.values()) / len(detail), higher_is_better=True, detail=detail)

    def graphs(self, network: Classifier, vocabulary: TextRule, config: MultitaskOptions) -> Mapping[str, Graph]:
        from textkit_plugins.encoder.classification import Served

        heads = [
            head_facts(network.heads[at], head, list(labels)) for at, (head, labels) in enumerate(_heads(vocabulary))
        ]
        facts = {"heads": heads, "attends": attends(network)}
        return {"classify": Graph(Served(network), facts=facts, limit=limit_of(config))}

    def encoder(self, network: torch.nn.Module, vocabulary: TextRule, config: MultitaskOptions) -> Encoder:
        return encoder_of(network, vocabulary, config)


def _heads(rule: TextRule) -> Sequence[tuple[str, Mapping[str, int]]]:
    """Each head's name, and its labels with how often they occur."""
    return list(rule.learnt["heads"].items())
