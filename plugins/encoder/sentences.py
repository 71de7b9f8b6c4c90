"""The plugin `sentence-encoder`: pairs of texts, or a teacher's vectors, to a model that embeds lines. Light: no torch.

torch is behind network.py and similarity.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from textkit.errors import TextkitError
from textkit.evaluation.correlation import spearman
from textkit.plugin import Epoch, Graph, Plugin, Score, Source, Training
from textkit.tasks.embed.pairs import PairOptions, pair, texts_of
from textkit.text.rule import TextRule
from textkit_plugins.encoder.batching import limit_of, sorted_batches
from textkit_plugins.encoder.beginning import BeginsWithEncoder, set_idf, set_weights
from textkit_plugins.encoder.options import EncoderOptions, FreezingOptions
from textkit_plugins.encoder.vectors import COMPARED, belonging, found_partners, lines_of, vectors_of

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit_plugins.encoder.similarity import Batch, SentenceEncoder
    from textkit_plugins.encoder.vocabulary import Chunks

_LINES = 10_000  # read at once


@dataclass(frozen=True)
class SentenceOptions(FreezingOptions, PairOptions, EncoderOptions):
    """The options of `sentence-encoder`."""

    # contrast: pairs that belong together (and hard negatives) | similarity: pairs with a score | teacher: lines
    objective: Literal["contrast", "similarity", "teacher"] = "contrast"
    temperature: float = 0.05  # contrast: cosines are divided by it
    highest: float = 0.0  # similarity: the score of equal texts; 0: the highest in the data
    teacher: str = ""  # teacher: the model whose vectors are learnt, a name or a folder
    projected: int = (
        0  # teacher: the teacher's numbers per vector, if the model has fewer and keeps the main axes; 0: as many
    )
    output: int = 0  # numbers of a line's vector, by a linear layer after the pooling; 0: as many as the encoder gives
    output_activation: Literal["none", "tanh", "relu", "gelu"] = "none"  # of that layer
    normalize: bool = True  # served vectors have length 1
    longest: int = 128  # tokens of a text that are read in training

    needs: ClassVar[Mapping[str, str]] = {
        "temperature": "objective=contrast",
        "highest": "objective=similarity",
        "teacher": "objective=teacher",
        "projected": "objective=teacher",
        "output_activation": "output!=0",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature:g}: must be above 0")
        for key, least in (("highest", 0), ("output", 0), ("longest", 1)):
            if getattr(self, key) < least:
                raise ValueError(f"{key}={getattr(self, key):g}: must be at least {least}")
        if (self.objective == "teacher") != bool(self.teacher):
            raise ValueError(f"objective={self.objective}, teacher={self.teacher}: a teacher is for objective=teacher")

    @property
    def plain(self) -> bool:
        """Whether the mean that every `embed` graph has is this model's own pooling."""
        return self.pooling == "mean" and self.weighting == "none" and not self.output

    @property
    def static(self) -> bool:
        """Whether a table of vectors is all there is: the weights of tokens are in their vectors' lengths."""
        return self.encoder == "bag" and self.pooling == "mean" and self.normalize and not self.output

    @property
    def size(self) -> int:
        """The numbers of a line's vector."""
        return self.output or self.width


class SentencePlugin(BeginsWithEncoder, Plugin[SentenceOptions, TextRule]):
    """Lines to vectors that are near where the meaning is."""

    name = "sentence-encoder"
    task = "embed"
    summary = "vectors for lines, from pairs of texts or from a teacher (Reimers 2019, Gao 2021)"
    Config = SentenceOptions
    corpus = "textkit.tasks.embed.pairs:TextPairs"
    training = Training(epochs=10, batch_size=64, learning_rate=2e-3, schedule="linear", patience=3)

    def texts(self, corpus: Corpus, config: SentenceOptions) -> Chunks:
        def chunks() -> Iterator[Sequence[str]]:
            for records in corpus.chunks(_LINES):
                taught = config.objective == "teacher"
                yield records if taught else [text for record in records for text in texts_of(record)]

        return chunks

    def facts(self, corpus: Corpus, config: SentenceOptions) -> dict[str, Any]:
        """With scores, `highest`: that of equal texts."""
        if config.objective != "similarity":
            return {}
        scores = (float(pair(record)[2]) for records in corpus.chunks(_LINES) for record in records)
        return {"highest": config.highest or max(scores, default=1.0)}

    def begin(
        self, network: torch.nn.Module, config: SentenceOptions, vocabulary: TextRule, source: Source
    ) -> Sequence[str]:
        if config.objective != "teacher":
            return set_weights(network, vocabulary, source)
        from textkit_plugins.encoder.teaching import begin_axes, begin_static

        axes = begin_axes(network, vocabulary, config)
        if config.encoder == "bag":
            return [*axes, *begin_static(network, vocabulary, config)]
        return [*axes, *set_weights(network, vocabulary, source)]

    def network(self, config: SentenceOptions, vocabulary: TextRule) -> SentenceEncoder:
        from textkit_plugins.encoder.similarity import SentenceEncoder

        network = SentenceEncoder(config, len(vocabulary))
        set_idf(network.encoder, vocabulary)
        return network

    def batches(
        self, corpus: Corpus, vocabulary: TextRule, config: SentenceOptions, epoch: Epoch
    ) -> Iterator[Batch | None]:
        if config.objective == "teacher":
            from textkit_plugins.encoder.teaching import taught_batches

            yield from taught_batches(corpus, vocabulary, config, epoch)
            return
        for number, records in enumerate(sorted_batches(corpus, epoch), epoch.start):
            if not epoch.owns(number):
                yield None
                continue
            yield batch_of(list(map(pair, records)), vocabulary, config)._replace(epoch=epoch.number)

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, Mapping[str, float]]:
        return network.loss(batch), {"examples": batch.examples, "words": batch.words}

    def score(
        self, network: torch.nn.Module, dev: Corpus, vocabulary: TextRule, config: SentenceOptions
    ) -> Score | None:
        if config.objective == "teacher":
            from textkit_plugins.encoder.teaching import cosine_with_teacher

            return Score("cosine", cosine_with_teacher(network, dev, vocabulary, config), higher_is_better=True)
        pairs = [pair(record) for records in dev.chunks(_LINES) for record in records]
        if not pairs:
            raise TextkitError("the dev data has no pair")
        if config.objective == "similarity":
            first, second = (vectors_of(network, [p[side] for p in pairs], vocabulary, config) for side in (0, 1))
            value = spearman((first * second).sum(1), np.array([float(p[2]) for p in pairs]))
            return Score("spearman", float(value), higher_is_better=True)
        pairs = pairs[:COMPARED]
        first, second = (vectors_of(network, [p[side] for p in pairs], vocabulary, config) for side in (0, 1))
        return found_partners(first, second)

    def graphs(self, network: torch.nn.Module, vocabulary: TextRule, config: SentenceOptions) -> Mapping[str, Graph]:
        from textkit_plugins.encoder.similarity import Served, table_of

        table = table_of(network)
        return {"embed": Graph(Served(network) if table is None else table, limit=limit_of(config))}

    def decided(self, config: SentenceOptions, sample: Sequence[str]) -> dict[str, Any]:
        return {"pooling": "mean" if config.plain or config.static else "model", "normalize": config.normalize}


def batch_of(pairs: Sequence[tuple[str, str, str]], rule: TextRule, config: SentenceOptions) -> Batch:
    """Pairs as a network reads them. The hard negatives that some pairs have are negatives of all."""
    import torch

    from textkit_plugins.encoder.similarity import Batch

    third = [p[2] for p in pairs]
    wanted = also = None
    sides = [lines_of([p[side] for p in pairs], rule, config) for side in (0, 1)]
    if config.objective == "similarity":
        wanted = torch.tensor([float(score) / rule.learnt["highest"] for score in third])
    else:
        negatives = list(filter(None, third))
        if negatives:
            sides.append(lines_of(negatives, rule, config))
        also = torch.from_numpy(belonging([p[0] for p in pairs], [*(p[1] for p in pairs), *negatives]))
        also.fill_diagonal_(False)
    words = sum(int((side.weight > 0).sum()) for side in sides)
    return Batch(tuple(sides), wanted, len(pairs), words, also=also)
