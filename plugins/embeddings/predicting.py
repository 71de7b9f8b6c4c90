"""Word embeddings learnt by predicting words from words nearby: the plugins `word2vec` and `fasttext`.

Light: torch and numba are behind network.py, which is imported when a method needs it. This module says what is trained and
exported; the steps themselves are in network.py and kernels.py, the text in vocabulary.py.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np

from textkit.errors import TextkitError
from textkit.plugin import Epoch, Graph, Plugin, Training
from textkit.text.subwords import NGrams, Pieces
from textkit.text.words import Words
from textkit_plugins.embeddings import shuffled_lines
from textkit_plugins.embeddings import vocabulary as words_of
from textkit_plugins.embeddings.vocabulary import TextOptions, Vectors

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit_plugins.embeddings.network import WordVectors

_LOOKED_AT = 1 << 20  # words of the text looked at together
_LEAST_BATCHES = 100  # per epoch: a small corpus is cut finer than batch_size, so that the learning rate falls smoothly


@dataclass(frozen=True)
class Prediction(TextOptions):
    """The options that both families have in common, under the papers' names."""

    model: Literal["skipgram", "cbow"] = (
        "skipgram"  # skipgram: a word predicts its neighbours | cbow: their mean predicts it (learning_rate=0.05)
    )
    loss: Literal["negative", "softmax"] = (
        "negative"  # negative: negative sampling | softmax: over the whole vocabulary, slow and exact
    )
    dim: int = 100  # numbers per vector
    window: int = 5  # most neighbours on each side; each position draws its reach from 1..window
    negative: int = 5  # noise words per pair
    ns_exponent: float = 0.75  # noise words are drawn in proportion to count^ns_exponent
    subsample: float = 1e-3  # t: words with a frequency far above it are randomly left out; 0: none is
    softmax_words: int = 16  # words of text per update with loss=softmax

    renamed: ClassVar[Mapping[str, str]] = {"sample": "subsample"}
    needs: ClassVar[Mapping[str, str]] = {
        "negative": "loss=negative",
        "ns_exponent": "loss=negative",
        "softmax_words": "loss=softmax",
        "batch_size": "loss=negative",  # softmax_words decides
    }
    subwords: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("dim", "window", "negative", "softmax_words"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 1")
        if self.subsample < 0:
            raise ValueError(f"subsample={self.subsample}: must be at least 0")


@dataclass(frozen=True)
class Word2VecConfig(Prediction):
    """Mikolov et al. 2013. Defaults as in word2vec.c for skip-gram; those of min_count and subsample suit small corpora."""

    vectors: Vectors = "centre"  # the vectors to export: centre | context | sum


@dataclass(frozen=True)
class FastTextConfig(Prediction):
    """Bojanowski et al. 2017. The defaults are those of the fastText program.

    The centre vectors are exported, because only words have context vectors: the subwords of an unseen word have none.
    """

    ns_exponent: float = 0.5  # noise words are drawn in proportion to count^ns_exponent
    subsample: float = 1e-4  # t: words with a frequency far above it are randomly left out; 0: none is
    kind: Literal["ngrams", "pieces"] = (
        "ngrams"  # the subwords of a word. ngrams: its character n-grams | pieces: its byte-pair pieces
    )
    minn: int = 3  # characters in the shortest n-gram
    maxn: int = 6  # characters in the longest n-gram
    bucket: int = 2_000_000  # n-grams are hashed into this many buckets; only buckets that occur get a row
    pieces: int = 10_000  # size of the byte-pair vocabulary, with kind=pieces

    needs: ClassVar[Mapping[str, str]] = {
        "minn": "kind=ngrams",
        "maxn": "kind=ngrams",
        "bucket": "kind=ngrams",
        "pieces": "kind=pieces",
    }
    subwords: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.minn <= self.maxn:
            raise ValueError(f"minn={self.minn}, maxn={self.maxn}: must be 1 <= minn <= maxn")
        if not 1 <= self.bucket < 2**31 or self.pieces < 2:
            raise ValueError(
                f"bucket={self.bucket}, pieces={self.pieces}: bucket must be from 1 to 2^31 - 1, pieces at least 2"
            )


@dataclass(frozen=True)
class Windows:
    """A batch: the windows around the words at first..last - 1 of `tokens`, which holds whole lines.

    `tokens` begins at position `offset` of the text that has this `seed`; both decide everything that is drawn for a word.
    """

    tokens: np.ndarray  # i32[token], -1 at line ends
    first: int
    last: int
    offset: int
    seed: int
    words: int

    @property
    def examples(self) -> int:
        return self.words


Options = TypeVar("Options", bound=Prediction)


class Predicting(Plugin[Options, Words]):
    """What word2vec and fastText share: everything except which rows a word has."""

    task = "embed"
    compiles = True
    devices = ("cpu", "cuda")
    training = Training(epochs=5, batch_size=20_000, optimizer="sgd", learning_rate=0.025, schedule="linear")

    def steps(self, corpus: Corpus, vocabulary: Words, config: Options, epoch: Epoch) -> int:
        """The number of batches per epoch."""
        tokens = words_of.encoded(corpus, vocabulary, words_of.scratch_of(epoch))
        _refuse_lone_words(corpus, tokens)
        return shuffled_lines.count_batches(tokens, _size(len(tokens), config, epoch))

    def batches(self, corpus: Corpus, vocabulary: Words, config: Options, epoch: Epoch) -> Iterator[Windows]:
        tokens = words_of.encoded(corpus, vocabulary, words_of.scratch_of(epoch))
        size = _size(len(tokens), config, epoch)
        for part in shuffled_lines.batches(tokens, size, (epoch.seed, epoch.number), epoch.start):
            seed = np.random.SeedSequence([epoch.seed, epoch.number, part.window]).generate_state(1, np.uint64)[0]
            words = int((part.tokens[part.first : part.last] >= 0).sum())
            yield Windows(part.tokens, part.first, part.last, part.offset, int(seed), words)

    def update(
        self, network: WordVectors, batch: Windows, learning_rate: float, config: Options, threads: int
    ) -> Mapping[str, float]:
        from textkit_plugins.embeddings import blocks
        from textkit_plugins.embeddings import network as steps

        if config.loss == "softmax":
            log = steps.descend_softmax(network, batch, learning_rate, config)
        elif network.centre.is_cuda:
            log = blocks.descend_blocks(network, batch, learning_rate, config)
        else:
            log = steps.descend(network, batch, learning_rate, config, threads)
        return {"examples": batch.words, "words": batch.words, "weight": log.pop("pairs"), **log}

    def graphs(self, network: WordVectors, vocabulary: Words, config: Options) -> Mapping[str, Graph]:
        import torch

        table, counts = self.table(network, config), words_of.counts_of(vocabulary)
        probability = np.zeros(len(table), np.float32)  # subwords stay at 0: an unseen word is as rare as can be
        probability[: len(counts)] = counts / counts.sum()
        return {"embed": Graph(torch.nn.Embedding.from_pretrained(table), {"probability": probability})}

    @abstractmethod
    def table(self, network: WordVectors, config: Options) -> torch.Tensor:
        """What is exported, f32[row, dim]."""

    def defaults(self) -> dict[str, Any]:
        return {"pooling": "mean", "normalize": False}


class Word2Vec(Predicting[Word2VecConfig]):
    """Skip-gram and CBOW: Mikolov et al. 2013, arXiv 1301.3781 and 1310.4546."""

    name = "word2vec"
    summary = "skip-gram and CBOW word vectors, negative sampling or softmax (Mikolov et al. 2013)"
    Config = Word2VecConfig
    # Small batches keep the threads on neighbouring text. WordSim-353 after WikiText-2 with two threads, mean of ten seeds:
    # 0.385 with 5,000 words per batch, 0.376 with 20,000. With one thread, five seeds and 20,000 words: 0.381.
    training = Training(epochs=5, batch_size=5_000, optimizer="sgd", learning_rate=0.025, schedule="linear")

    def vocabulary(self, corpus: Corpus, config: Word2VecConfig) -> Words:
        return words_of.build(corpus, config)

    def network(self, config: Word2VecConfig, vocabulary: Words) -> torch.nn.Module:
        from textkit_plugins.embeddings.network import WordVectors

        count = len(vocabulary.words)
        own = np.arange(count + 1)
        # word2vec.c begins at 0.5/dim, so close to zero that an epoch passes before anything is learnt. In 100 dimensions
        # (WikiText-2, 4 seeds), a bound of 0.08 gave 6.4 % of the analogies and 52.8 on STS train; 0.01 gave 5.7 % and 51.8.
        bound = 0.8 / math.sqrt(config.dim)
        return WordVectors(words_of.counts_of(vocabulary), own, own[:-1].astype(np.int32), config, bound)

    def table(self, network: WordVectors, config: Word2VecConfig) -> torch.Tensor:
        return network.table(config.vectors)


class FastText(Predicting[FastTextConfig]):
    """A word is the mean of its own row and of its subwords' rows: Bojanowski et al. 2017, arXiv 1607.04606."""

    name = "fasttext"
    summary = "word vectors made of character n-grams or pieces; unseen words have one too (Bojanowski et al. 2017)"
    Config = FastTextConfig
    training = Training(epochs=5, batch_size=20_000, optimizer="sgd", learning_rate=0.05, schedule="linear")

    def vocabulary(self, corpus: Corpus, config: FastTextConfig) -> Words:
        rule = words_of.build(corpus, config)
        first = len(rule.words)
        if config.kind == "pieces":
            subwords: NGrams | Pieces = Pieces(_byte_pairs(rule, config.pieces), first)
        else:
            every = NGrams(config.minn, config.maxn, config.bucket, 0)
            kept = np.unique(every.rows(rule.words)[0]).astype(np.int32)
            subwords = NGrams(config.minn, config.maxn, config.bucket, first, kept)
        return Words(rule.words, rule.normalizer, subwords, rule.counts)

    def network(self, config: FastTextConfig, vocabulary: Words) -> torch.nn.Module:
        from textkit_plugins.embeddings.network import WordVectors

        if vocabulary.subwords is None:
            raise TextkitError("the vocabulary has no subwords, which fasttext makes words of")
        spelled, counts = vocabulary.subwords.rows(vocabulary.words)
        offsets = np.concatenate([[0], np.cumsum(counts + 1)])
        rows = np.empty(offsets[-1], np.int32)
        own = np.zeros(len(rows), bool)
        own[offsets[:-1]] = True
        rows[own] = np.arange(len(counts))
        rows[~own] = spelled
        return WordVectors(words_of.counts_of(vocabulary), offsets, rows, config, bound=1 / config.dim)

    def table(self, network: WordVectors, config: FastTextConfig) -> torch.Tensor:
        return network.table("centre")


def _refuse_lone_words(corpus: Corpus, tokens: np.ndarray) -> None:
    """Raises TextkitError if no line has two words: no word has a context then, and the export would hold only noise."""
    for start in range(0, len(tokens), _LOOKED_AT):
        words = tokens[start : start + _LOOKED_AT + 1] >= 0
        if (words[1:] & words[:-1]).any():
            return
    raise TextkitError(f"{corpus.paths[0]}: the corpus is too small: no line of it has two words of the vocabulary")


def _size(tokens: int, config: Prediction, epoch: Epoch) -> int:
    """The number of words per batch, each with its window."""
    if config.loss == "softmax":
        return config.softmax_words
    if epoch.batch_size == 0:
        return tokens
    return max(1, min(epoch.batch_size, max(1000, -(-tokens // _LEAST_BATCHES))))


def _byte_pairs(rule: Words, size: int) -> str:
    """A byte-pair tokenizer of single words (Sennrich et al. 2016), as JSON. Frequent words weigh more in its training."""
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE())
    characters = sorted({character for word in rule.words for character in word})
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=characters)
    # The trainer takes no weights, so words are repeated. Full counts instead of their square roots would hold the corpus in
    # memory and change few merges.
    counts = words_of.counts_of(rule)
    repeated = (word for word, n in zip(rule.words, counts, strict=True) for _ in range(max(1, round(n**0.5))))
    tokenizer.train_from_iterator(repeated, trainer)
    if tokenizer.get_vocab_size() < 2:
        raise TextkitError("kind=pieces: the corpus has too few characters for byte-pair pieces")
    return tokenizer.to_str()
