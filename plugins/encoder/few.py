"""The plugin `few-shot`: a handful of labelled lines, and an encoder that stays as it is. Light: no torch at the top.

The lines' vectors are computed once, and logistic regression over them is solved, in seconds. The penalty on its weights and
the temperature are chosen by cross-validation, so no line needs to be kept apart. It is the second step of SetFit (Tunstall et
al. 2022, arXiv 2209.11055).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from textkit_plugins.encoder.classifying import batch_of, head_facts, labels_of, text_chunks, wanted_of
from textkit_plugins.encoder.in_context import encoder_of
from textkit_plugins.encoder.options import EncoderOptions

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit_plugins.encoder.classification import Batch, Classifier
    from textkit_plugins.encoder.vocabulary import Chunks

_LINES = 10_000  # read at once
_ENCODED = 256  # lines encoded at once
_FOLDS = 5
_ENOUGH = 1e-4  # of a search: it ends where a step lowers the loss by less than this share
_STEPS = 100  # of a search, in the folds as at the end: the temperature of the one must fit the other
# Of the penalty, the weakest first: where labels are right it is the best, and one stronger one shows it.
_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class FewShotOptions(LabelOptions, EncoderOptions):
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

        return Classifier(config, len(vocabulary), [len(vocabulary.learnt["labels"])], [config.several])

    def batches(self, corpus: Corpus, vocabulary: TextRule, config: FewShotOptions, epoch: Epoch) -> Iterator[Batch]:
        """No batches: `fit` reads all lines at once."""
        return iter(())

    def fit(
        self, network: Classifier, corpus: Corpus, vocabulary: TextRule, config: FewShotOptions, epoch: Epoch
    ) -> Iterator[Mapping[str, Any]]:
        import scipy.optimize  # noqa: F401  # here, because a limit holds for libraries that are loaded
        from threadpoolctl import threadpool_limits

        lines = [labelled(record) for records in corpus.chunks(_LINES) for record in records]
        numbers = {label: at for at, label in enumerate(vocabulary.learnt["labels"])}
        vectors = np.zeros((len(lines), config.width), np.float32)
        words = 0
        for begin in range(0, len(lines), _ENCODED):
            some = lines[begin : begin + _ENCODED]
            batch = batch_of(some, vocabulary, numbers, config, config.several)
            vectors[begin : begin + len(some)] = encoded(network, batch)
            words += int((batch.weight > 0).sum())
            yield {"examples": begin + len(some), "words": words}
        wanted = wanted_of(lines, numbers, config.several)
        count = np.array([line.weight for line in lines], np.float64)
        solved = Solved(vectors, wanted, count, config.several, len(numbers))
        # A step has too little work for two threads: they would wait for each other.
        with threadpool_limits(1, user_api="blas"):
            strength, logits = solved.chosen((config.strength,) if config.strength else _STRENGTHS, epoch.seed)
            found = solved.solve(strength)
        set_head(network, found[:, :-1], found[:, -1], logits, wanted)
        right = logits.argmax(1) == wanted if not config.several else ((logits > 0) == (wanted > 0.5)).all(1)
        epoch.facts["cross_validation"] = {"folds": solved.folds, "strength": strength, "accuracy": float(right.mean())}
        yield {"examples": len(lines), "words": words, "accuracy": float(right.mean())}

    def graphs(self, network: Classifier, vocabulary: TextRule, config: FewShotOptions) -> Mapping[str, Graph]:
        from textkit_plugins.encoder.classification import Served

        facts = {
            "heads": [head_facts(network.heads[0], "", vocabulary.learnt["labels"])],
            "attends": config.pooling == "attention",
        }
        return {"classify": Graph(Served(network), facts=facts, limit=limit_of(config))}

    def encoder(self, network: torch.nn.Module, vocabulary: TextRule, config: FewShotOptions) -> Encoder:
        return encoder_of(network, vocabulary, config)


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


def set_head(network: Classifier, weight: np.ndarray, bias: np.ndarray, logits: np.ndarray, wanted: np.ndarray) -> None:
    """Puts the solution into the network. `logits`: those of each line by a fold that has not seen it, for the calibration."""
    import torch

    head = network.heads[0]
    last = head.steps[-1]
    if head.binary:
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(weight))
        last.bias.copy_(torch.from_numpy(bias))
        head.temperature.fill_(measures.temperature(logits, wanted, head.several))
        if head.several:
            probability = measures.sigmoid(logits / float(head.temperature))
            head.thresholds.copy_(torch.from_numpy(measures.thresholds(probability, wanted > 0.5)))


class Solved:
    """Logistic regression on vectors f32[line, width]: `wanted` i64[line], or f32[line, label] with `several`."""

    def __init__(self, vectors: np.ndarray, wanted: np.ndarray, count: np.ndarray, several: bool, labels: int) -> None:
        self.vectors, self.count, self.several = vectors, count.astype(np.float32), several
        self.target = wanted.astype(np.float32) if several else measures.one_hot(wanted, labels).astype(np.float32)
        self.folds = 0

    def solve(
        self, strength: float, rows: np.ndarray | slice = slice(None), start: np.ndarray | None = None
    ) -> np.ndarray:
        """The weights and biases f64[label, width + 1] that are best for the `rows`; biases are not penalised. `start`: where
        the search for them begins."""
        from scipy.optimize import minimize

        vectors, target, count = self.vectors[rows], self.target[rows], self.count[rows]
        labels, width = target.shape[1], vectors.shape[1]
        total = count.sum()

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            both = flat.astype(np.float32).reshape(labels, width + 1)
            weight = both[:, :-1]
            logits = vectors @ weight.T + both[:, -1]
            if self.several:
                given = measures.sigmoid(logits)
                each = (np.logaddexp(0, logits) - target * logits).sum(1)
            else:
                high = logits.max(1, keepdims=True)
                log = logits - high - np.log(np.exp(logits - high).sum(1, keepdims=True))
                given, each = np.exp(log), -(target * log).sum(1)
            slope = (given - target) * (count / total)[:, None]
            value = float((each * count).sum() / total) + strength * float((weight**2).sum()) / 2
            return value, np.column_stack([slope.T @ vectors + strength * weight, slope.sum(0)]).ravel().astype(
                np.float64
            )

        begin = np.zeros(labels * (width + 1)) if start is None else start.ravel()
        found = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "ftol": _ENOUGH})
        solution: np.ndarray = found.x.reshape(labels, width + 1)
        return solution

    def chosen(self, strengths: Sequence[float], seed: int) -> tuple[float, np.ndarray]:
        """The strength under which lines are likeliest by the folds that have not seen them, and their logits under it.

        Each strength is judged with the temperature that fits it best, because a weak penalty gives good order and too much
        confidence, and the served probabilities are divided by that temperature.
        """
        place = np.random.default_rng(seed).permutation(len(self.vectors))
        # Dealt out label by label, so that every fold has lines of every label that has enough.
        place = place[np.argsort(self.target[place].argmax(1), kind="stable")]
        self.folds = min(_FOLDS, len(place))
        fold = np.empty(len(place), np.int64)
        fold[place] = np.arange(len(place)) % max(1, self.folds)
        best, strength, kept = np.inf, strengths[0], np.zeros_like(self.target)
        begun: list[np.ndarray | None] = [
            None
        ] * self.folds  # the next strength's search begins where the last one ended
        for tried in strengths:
            logits = np.zeros_like(self.target)
            for number in range(self.folds):
                inside = np.flatnonzero(fold == number)
                begun[number] = found = self.solve(tried, np.flatnonzero(fold != number), begun[number])
                logits[inside] = self.vectors[inside] @ found[:, :-1].T + found[:, -1]
            loss = self._unlikely(logits)
            if loss >= best:  # stronger penalties only go on from here
                break
            best, strength, kept = loss, tried, logits
        return strength, kept

    def _unlikely(self, logits: np.ndarray) -> float:
        wanted = self.target > 0.5 if self.several else self.target.argmax(1)
        scaled = logits.astype(np.float64) / measures.temperature(logits, wanted, self.several)
        if self.several:
            return float((np.logaddexp(0, scaled) - self.target * scaled).sum(1).mean())
        return float(-(self.target * np.log(np.maximum(measures.softmax(scaled), 1e-300))).sum(1).mean())
