"""The word embeddings that are made from counts: `ppmi-svd` and `glove`. Light: only methods import torch, scipy and numba.

Both count which words stand near each other (cooccurrence.py). ppmi-svd turns the counts into an association matrix and
factorises it in one go; glove fits vectors to the logarithms of the counts, pair by pair.
"""

from __future__ import annotations

import math
import shutil
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from textkit.errors import TextkitError
from textkit.plugin import Epoch, Graph, Plugin, Training
from textkit_plugins.embeddings import cooccurrence
from textkit_plugins.embeddings import vocabulary as words
from textkit_plugins.embeddings.vocabulary import TextOptions, Vectors

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from textkit.corpora.corpus import Corpus
    from textkit.text.words import Words
    from textkit_plugins.embeddings.count_network import GloveVectors

PAIRS_FILE = "pairs.glove"  # in the scratch folder


@dataclass(frozen=True)
class CountOptions(TextOptions):
    """The options of counting."""

    dim: int = 100  # numbers per vector
    window: int = 10  # words on each side that count as near
    weighting: cooccurrence.Weighting = (
        "harmonic"  # of a neighbour at distance d. uniform: 1 | dynamic: (window + 1 - d) / window | harmonic: 1 / d
    )
    vectors: Vectors = "sum"  # the vectors to export. centre: w | context: w~ | sum: w + w~
    memory_mb: int = 1024  # memory for counts; what does not fit goes to disk

    needs: ClassVar[Mapping[str, str]] = {"weighting": "window!=1"}

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self, dim=1, window=1, memory_mb=1)


Options = TypeVar("Options", bound=CountOptions)


class _Counting(Plugin[Options, "Words"]):
    """What the two families have in common."""

    task = "embed"
    compiles = True

    def vocabulary(self, corpus: Corpus, config: Options) -> Words:
        """Words by frequency."""
        return words.build(corpus, config)

    def graphs(self, network: torch.nn.Module, vocabulary: Words, config: Options) -> Mapping[str, Graph]:
        import torch

        counts = words.counts_of(vocabulary)
        probability = (counts / counts.sum()).astype(np.float32)
        # A plain table: the exporter stores it as it is, without asking torch for a graph.
        rows = torch.nn.Embedding.from_pretrained(self.table(network, config))
        return {"embed": Graph(rows, {"probability": probability})}

    @abstractmethod
    def table(self, network: torch.nn.Module, config: Options) -> torch.Tensor:
        """The vectors to export, [word, dim]."""

    def defaults(self) -> dict[str, Any]:
        return {"pooling": "mean", "normalize": False}


class PpmiSvd(_Counting["PpmiSvd.Config"]):
    """Levy, Goldberg & Dagan 2015, "Improving distributional similarity with lessons learned from word embeddings".

    Options have the paper's names. The defaults are those it recommends, without what it found no use in (subsampling,
    shift). `seed` changes only the rounding of the result, because the SVD is exact.
    """

    name = "ppmi-svd"
    summary = "co-occurrence counts, positive PMI, truncated SVD"

    @dataclass(frozen=True)
    class Config(CountOptions):
        dim: int = 300  # numbers per vector
        window: int = 2  # win: words on each side that count as near
        weighting: cooccurrence.Weighting = "uniform"  # dyn is `dynamic`; harmonic: 1 / distance
        vectors: Vectors = (
            "centre"  # the vectors to export. centre: w | context: c | sum: w + c, each scaled to length 1
        )
        cds: float = 0.75  # context distribution smoothing: context counts are raised to this power; 1: none
        eig: float = 0.5  # exponent of the singular values: W = U S^eig; the paper advises 0 or 0.5, and against 1
        neg: float = 1.0  # k: log k is subtracted from the PMI (shifted PPMI); 1: nothing is
        subsample: float = 0.0  # t of sub: words with a frequency above t are subsampled (1e-5 in the paper); 0: none

        renamed: ClassVar[Mapping[str, str]] = {"t": "subsample"}

        def __post_init__(self) -> None:
            super().__post_init__()
            _at_least(self, cds=0.0, eig=0.0, neg=1.0, subsample=0.0)

    def vocabulary(self, corpus: Corpus, config: Config) -> Words:
        """Words by frequency, at least `dim` of them: a smaller matrix has fewer than `dim` singular values."""
        return words.build(corpus, config, least=max(2, config.dim))

    def network(self, config: Config, vocabulary: Words) -> torch.nn.Embedding:
        import torch

        return torch.nn.Embedding.from_pretrained(torch.zeros(len(vocabulary), config.dim))

    def batches(self, corpus: Corpus, vocabulary: Words, config: Config, epoch: Epoch) -> Iterator[Any]:
        """No batches: `fit` reads the corpus itself."""
        return iter(())

    def fit(
        self, network: torch.nn.Embedding, corpus: Corpus, vocabulary: Words, config: Config, epoch: Epoch
    ) -> Iterator[Mapping[str, float]]:
        """Fills the table; yields the numbers of words and pairs, of positive pairs, and the largest singular value."""
        import torch

        from textkit_plugins.embeddings.ppmi import Association, kept_share, ppmi, weigh
        from textkit_plugins.embeddings.truncated_svd import truncated_svd

        scratch = words.scratch_of(epoch)
        occurrences = words.counts_of(vocabulary)
        counts = _count(corpus, vocabulary, config, scratch)
        yield {"words": int(occurrences.sum()), "pairs": counts.pairs}
        association = Association(config.cds, config.neg, kept_share(occurrences, config.subsample))
        matrix = ppmi(counts, association, scratch / "counts", config.memory_mb)
        if matrix.nnz == 0:
            raise TextkitError(
                f"{corpus.paths[0]}: the corpus is too small: no two words are near each other more often than by chance"
                f" (window={config.window}, neg={config.neg:g})"
            )
        yield {"positive": matrix.nnz}
        left, singular, right = truncated_svd(matrix, config.dim, epoch.seed)
        tables = {"centre": left, "context": right}
        tables = {name: weigh(table, singular, config.eig) for name, table in tables.items()}
        if config.vectors == "sum":
            # The paper's section 3.3 adds vectors of length 1. At other lengths, the longer of the two would weigh more.
            tables["sum"] = _normalized(tables["centre"]) + _normalized(tables["context"])
        network.weight.data.copy_(torch.from_numpy(np.ascontiguousarray(tables[config.vectors], np.float32)))
        yield {"singular_value": float(singular[0])}

    def table(self, network: torch.nn.Embedding, config: Config) -> torch.Tensor:
        return network.weight


class Glove(_Counting["Glove.Config"]):
    """Pennington, Socher & Manning 2014, "GloVe: global vectors for word representation".

    Options have the paper's names; its eta is the engine's learning_rate. AdaGrad and the clipping of single elements are
    those of the authors' glove.c. A batch is a set of pairs of words.
    """

    name = "glove"
    summary = "weighted least squares on the logarithm of co-occurrence counts"
    training = Training(epochs=25, batch_size=1 << 18, learning_rate=0.05, optimizer="adagrad")
    devices = ("cpu", "cuda")

    @dataclass(frozen=True)
    class Config(CountOptions):
        x_max: float = 100.0  # pairs counted this often or more weigh 1; the authors' demo uses 10 for a small corpus
        alpha: float = 0.75  # rarer pairs weigh (X / x_max)^alpha
        grad_clip: float = 100.0  # the largest gradient of an element

        needs: ClassVar[Mapping[str, str]] = {"x_max": "alpha!=0"}

        def __post_init__(self) -> None:
            super().__post_init__()
            _at_least(self, alpha=0.0)
            for key in ("x_max", "grad_clip"):
                if not getattr(self, key) > 0:
                    raise ValueError(f"{key}={getattr(self, key)}: must be above 0")

    def network(self, config: Config, vocabulary: Words) -> GloveVectors:
        from textkit_plugins.embeddings.count_network import GloveVectors

        return GloveVectors(len(vocabulary), config.dim)

    def steps(self, corpus: Corpus, vocabulary: Words, config: Config, epoch: Epoch) -> int:
        """The number of batches per epoch."""
        _, pairs = _pairs(corpus, vocabulary, config, epoch)
        return math.ceil(pairs / (epoch.batch_size or pairs))

    def batches(
        self, corpus: Corpus, vocabulary: Words, config: Config, epoch: Epoch
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Pairs shuffled once, cut into batches, and the batches shuffled each epoch: row, column i32[pair], log f32[pair].

        The first call counts the pairs and writes them to the scratch folder. The file stays there for all epochs.
        """
        import torch

        from textkit_plugins.embeddings.shuffled_pairs import read

        path, pairs = _pairs(corpus, vocabulary, config, epoch)
        size = epoch.batch_size or pairs
        order = np.random.default_rng([epoch.seed, epoch.number]).permutation(math.ceil(pairs / size))
        for number in order[epoch.start :].tolist():
            batch = read(path, number * size, (number + 1) * size)
            yield {key: torch.from_numpy(np.ascontiguousarray(batch[key])) for key in ("row", "column", "log")}

    def update(
        self,
        network: GloveVectors,
        batch: Mapping[str, torch.Tensor],
        learning_rate: float,
        config: Config,
        threads: int,
    ) -> Mapping[str, Any]:
        """Updates the vectors of a batch of pairs; `loss` is the mean of equation 8 over the pairs, halved as in glove.c."""
        from textkit_plugins.embeddings.count_network import kernel_step, tensor_step

        options = learning_rate, math.log(config.x_max), config.alpha, config.grad_clip
        examples = len(batch["row"])
        on_cpu = network.centre.device.type == "cpu"
        loss = kernel_step(network, batch, options, threads) if on_cpu else tensor_step(network, batch, options)
        return {"loss": loss / examples, "examples": examples}

    def table(self, network: GloveVectors, config: Config) -> torch.Tensor:
        return network.vectors(config.vectors)


def _count(corpus: Corpus, vocabulary: Words, config: CountOptions, scratch: Path) -> cooccurrence.Counts:
    """The counts of the corpus, in the folder `counts` of `scratch`."""
    weight = cooccurrence.weights(config.window, config.weighting)
    ids = words.encoded(corpus, vocabulary, scratch)
    counts = cooccurrence.count(ids, len(vocabulary), weight, scratch / "counts", config.memory_mb)
    if not counts.pairs:
        raise TextkitError(f"{corpus.paths[0]}: the corpus is too small: no line of it has two words of the vocabulary")
    return counts


def _pairs(corpus: Corpus, vocabulary: Words, config: Glove.Config, epoch: Epoch) -> tuple[Path, int]:
    """The file of all pairs, shuffled, and how many there are. The first call makes the file."""
    from textkit_plugins.embeddings import shuffled_pairs

    scratch = words.scratch_of(epoch)
    path = scratch / PAIRS_FILE
    if not path.exists():
        counts = _count(corpus, vocabulary, config, scratch)
        shuffled_pairs.write(counts, path, epoch.batch_size, epoch.seed, config.memory_mb)
        shutil.rmtree(scratch / "counts", ignore_errors=True)
    return path, path.stat().st_size // shuffled_pairs.PAIR.itemsize


def _normalized(table: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(length > 0, length, 1)


def _at_least(config: CountOptions, **least: float) -> None:
    for key, bound in least.items():
        if not getattr(config, key) >= bound:
            raise ValueError(f"{key}={getattr(config, key)}: must be at least {bound:g}")
