"""The plugin `classifier`: labelled lines to a model that labels lines. Light: torch is behind classification.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from textkit.errors import TextkitError, UsageError, nearest
from textkit.plugin import Encoder, Epoch, Graph, Plugin, Score, Space, Training
from textkit.tasks.classify.corpus import Labelled, LabelOptions, label_sets_of, labelled, texts
from textkit.tasks.classify.label_sets import too_few
from textkit.text.rule import TextRule
from textkit_plugins.encoder.batching import batch_of, limit_of, sorted_batches, wanted_of
from textkit_plugins.encoder.beginning import BeginsWithEncoder, set_idf
from textkit_plugins.encoder.calibrating import calibrate, head_facts, measured, of_answers
from textkit_plugins.encoder.in_context import encoder_of
from textkit_plugins.encoder.ngrams import WideOptions
from textkit_plugins.encoder.options import EncoderOptions, FreezingOptions
from textkit_plugins.encoder.tuned import space

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit_plugins.encoder.classification import Batch, Classifier
    from textkit_plugins.encoder.vocabulary import Chunks

_LINES = 10_000  # read at once
_SCORED = 512  # lines in a batch of the dev score
_KEPT = 1 << 24  # logits of dev lines
_PROBED, _PROBED_NUMBERS = 30_000, 1 << 23  # lines for which heads are solved before the first update, and their logits
_LEAST = 2  # lines for which a head is solved
_SOLVED = ("heads.", "wide.table.")  # the weights that this sets


@dataclass(frozen=True)
class ClassifierOptions(WideOptions, FreezingOptions, LabelOptions, EncoderOptions):
    """The options of `classifier`. The defaults fit thousands of lines with tens of labels."""

    units: int = 0  # of a hidden layer between the line's vector and the labels; 0: none
    units_activation: Literal["relu", "tanh"] = "relu"  # of that layer
    # none | length: the line's vector has length 1 | layer, batch: of the line's vector or, with units, the hidden layer
    normalization: Literal["none", "length", "layer", "batch"] = "none"
    class_weight: Literal["none", "sqrt", "balanced"] = "none"  # balanced: rare labels count as much as common ones
    coarse: tuple[str, ...] = ()  # dialect=language, ...: labels that are answered by a coarser one unless asked for
    nothing: str = ""  # the label of a line that holds nothing the model knows, such as one of digits alone; "": none
    label_smoothing: float = 0.0  # the share of the target that all labels get (Szegedy et al. 2016)
    focal: float = 0.0  # lines that are already right count less, with this exponent (Lin et al. 2017); 0: as much
    longest: int = 512  # tokens of a line that are read in training
    # where a training with at most so many lines begins with a transformer: the head begins as the solution over the encoder
    # as it is (Kumar et al. 2022); 0: never
    probe: int = 3000

    needs: ClassVar[Mapping[str, str]] = {
        "units_activation": "units!=0", "probe": "units=0", "coarse": "several=false",
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.units < 0 or self.focal < 0:
            raise ValueError(f"units={self.units}, focal={self.focal:g}: must be at least 0")
        for pair in self.coarse:
            if not all(pair.partition("=")[::2]):
                raise ValueError(f"coarse={','.join(self.coarse)}: {pair!r} is not of the form label=coarser")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing={self.label_smoothing}: must be at least 0 and below 1")
        if self.longest < 1 or self.probe < 0:
            raise ValueError(f"longest={self.longest}, probe={self.probe}: must be at least 1 and 0")

    def probes(self, lines: int) -> bool:
        """Whether the last layer is solved for so many lines before the first update. It cannot be where it reads what is not
        learnt yet."""
        begun = self.encoder == "transformer" and not self.units and self.normalization != "batch"
        return begun and lines <= self.probe


class ClassifierPlugin(BeginsWithEncoder, Plugin[ClassifierOptions, TextRule]):
    """Lines to labels: one label each, or several (several=true)."""

    name = "classifier"
    task = "classify"
    summary = "labels for lines: a bag of n-grams, CNN, RNN or transformer (Joulin 2017, Kim 2014)"
    Config = ClassifierOptions
    training = Training(epochs=20, batch_size=32, learning_rate=5e-3, schedule="linear", patience=5)

    def texts(self, corpus: Corpus, config: ClassifierOptions) -> Chunks:
        return text_chunks(corpus)

    def facts(self, corpus: Corpus, config: ClassifierOptions) -> dict[str, Any]:
        facts = labels_of(corpus, config)
        for pair in config.coarse:
            label = pair.partition("=")[0]
            if label not in facts["labels"]:
                raise UsageError(f"coarse={pair}: no line has the label {label!r}{nearest(label, facts['labels'])}")
        return facts

    def network(self, config: ClassifierOptions, vocabulary: TextRule) -> Classifier:
        from textkit_plugins.encoder.classification import Classifier

        learnt = vocabulary.learnt
        network = Classifier(config, len(vocabulary), [len(learnt["labels"])], [config.several], learnt.get("ngrams"))
        begin(network, config, vocabulary, [learnt["counts"]])
        return network

    def prepare(
        self, network: torch.nn.Module, corpus: Corpus, vocabulary: TextRule, config: ClassifierOptions, seed: int
    ) -> Sequence[str]:
        learnt = vocabulary.learnt
        heads = [(dict(zip(learnt["labels"], learnt["counts"], strict=True)), config.several)]
        return prepared(network, corpus, vocabulary, config, seed, heads, None)

    def batches(
        self, corpus: Corpus, vocabulary: TextRule, config: ClassifierOptions, epoch: Epoch
    ) -> Iterator[Batch | None]:
        numbers = {label: at for at, label in enumerate(vocabulary.learnt["labels"])}
        for number, records in enumerate(sorted_batches(corpus, epoch), epoch.start):
            if not epoch.owns(number):
                yield None
                continue
            batch = batch_of([labelled(record) for record in records], vocabulary, numbers, config, config.several)
            yield batch._replace(epoch=epoch.number)

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, Mapping[str, float]]:
        return logged(network, batch)

    def score(
        self, network: torch.nn.Module, dev: Corpus, vocabulary: TextRule, config: ClassifierOptions
    ) -> Score | None:
        lines = [labelled(record) for records in dev.chunks(_LINES) for record in records if record]
        return scored(
            network, 0, lines, vocabulary, vocabulary.learnt["labels"], config, config.several, fit=not dev.held_out
        )

    def space(self, lines: int) -> Space:
        return space(lines)

    def graphs(self, network: Classifier, vocabulary: TextRule, config: ClassifierOptions) -> Mapping[str, Graph]:
        from textkit_plugins.encoder.classification import Served

        head = head_facts(network.heads[0], "", vocabulary.learnt["labels"])
        if config.coarse:
            head["coarse"] = dict(pair.partition("=")[::2] for pair in config.coarse)
        if config.nothing:
            head["nothing"] = config.nothing
        facts = {"heads": [head], "attends": attends(network)}
        return {"classify": Graph(Served(network), facts=facts, limit=limit_of(config))}

    def encoder(self, network: torch.nn.Module, vocabulary: TextRule, config: ClassifierOptions) -> Encoder:
        return encoder_of(network, vocabulary, config)


def logged(network: Any, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of a batch, and what to log of it."""
    loss, right = network.loss(batch)
    lines, words, weight = len(batch.ids), int((batch.weight > 0).sum()), float(batch.count.sum())
    return loss, {"examples": lines, "words": words, "weight": weight, "accuracy": float(right) / lines}


def text_chunks(corpus: Corpus) -> Chunks:
    """The texts of labelled lines, as often as they are asked for."""

    def chunks() -> Iterator[Sequence[str]]:
        for records in corpus.chunks(_LINES):
            yield texts(records)

    return chunks


def labels_of(corpus: Corpus, config: LabelOptions) -> dict[str, Any]:
    """`labels`, those of the corpus, and `counts`, how often each occurs. TextkitError if there are too few."""
    labels = label_sets_of(corpus).get("", Counter())
    if len(labels) < (1 if config.several else 2):
        raise too_few(corpus.paths[0], len(labels))
    return {"labels": sorted(labels), "counts": [labels[label] for label in sorted(labels)]}


def begin(network: Classifier, config: ClassifierOptions, rule: TextRule, counts: Sequence[Sequence[int]]) -> None:
    """Sets what a network knows before it is trained: how much labels count, and how rare the tokens of a bag are."""
    import torch

    for head, of_labels in zip(network.heads, counts, strict=True):
        if config.class_weight != "none":
            weight = np.array(of_labels, np.float64).clip(1) ** (-1 if config.class_weight == "balanced" else -0.5)
            head.class_weight.copy_(torch.from_numpy(weight / np.average(weight, weights=np.maximum(of_labels, 1))))
    set_idf(network.encoder, rule)


def prepared(
    network: Any,
    corpus: Corpus,
    rule: TextRule,
    config: ClassifierOptions,
    seed: int,
    heads: Sequence[tuple[Mapping[str, int], bool]],
    place: Callable[[str], int] | None,
) -> Sequence[str]:
    """Solves the last layers of a network's heads over its encoder as it is; returns the names of the weights that it set.

    `heads`: how often each has which label, and whether several may hold. `place`: the number of a line's head; None: there
    is one head. A head that knows many lines learns from them in an epoch what a solution would give it.
    """
    mine = [at for at, (counts, _) in enumerate(heads) if config.probes(sum(counts.values()))]
    most = max(len(counts) for counts, _ in heads)
    size = min(_PROBED, _PROBED_NUMBERS // most)
    if not mine or size < most:  # a line for a label, at least
        return ()
    from textkit_plugins.encoder.probing import probed

    sampled = corpus.sampled(size, seed)
    for _ in sampled.blocks():
        pass
    apart: list[list[Labelled]] = [[] for _ in heads]
    for record in sampled.sample or ():
        apart[0 if place is None else place(record)].append(labelled(record))
    for at in mine:
        counts, several = heads[at]
        if len(apart[at]) >= _LEAST:
            for _ in probed(network, at, apart[at], rule, list(counts), config, several, seed):
                pass
    return [name for name in network.state_dict() if name.startswith(_SOLVED)]


def scored(
    network: Any,
    at: int,
    lines: Sequence[Labelled],
    rule: TextRule,
    labels: Sequence[str],
    config: ClassifierOptions,
    several: bool,
    fit: bool = True,
) -> Score:
    """The score of a head. `fit`: first calibrate the head on the same lines."""
    numbers = {label: number for number, label in enumerate(labels)}
    wanted = wanted_of(lines, numbers, several)
    if not len(lines) or (not several and (wanted < 0).all()):
        raise TextkitError("no line of the dev data has a label that is in the training data")
    order = np.argsort([len(line.text) for line in lines], kind="stable")
    device = next(network.parameters()).device
    # Of thousands of labels only some lines keep all logits, from which probabilities are fitted.
    kept = np.arange(0, len(lines), 1 if several else -(-len(lines) * len(labels) // _KEPT))
    logits, answers = np.zeros((len(kept), len(labels)), np.float32), np.zeros(len(lines), np.int64)
    for begins in range(0, len(order), _SCORED):
        some = order[begins : begins + _SCORED]
        batch = batch_of([lines[number] for number in some], rule, numbers, config, several)
        given = network(batch.ids.to(device), batch.weight.to(device), at).float().cpu().numpy()
        answers[some] = given.argmax(1)
        there = np.isin(some, kept)
        logits[np.searchsorted(kept, some[there])] = given[there]
    head = network.heads[at]
    if fit:
        calibrate(head, logits, wanted[kept])
    found = measured(head, logits, wanted[kept]) | ({} if several else of_answers(wanted, answers, len(labels)))
    name = config.score_by if config.score_by != "auto" else ("macro-f1" if several else "accuracy")
    value = found.pop(name)
    return Score(name, value, higher_is_better=True, detail=found)


def attends(network: Classifier) -> bool:
    """Whether the attention of a network says what its answers are made of: not where n-grams count beside it."""
    return network.options.pooling == "attention" and network.wide is None
