"""The plugin `dssm`: pairs of a query and a document to vectors by which one finds the other. Light: no torch.

Word hashing, the layers and the loss are those of Huang et al. 2013, "Learning Deep Structured Semantic Models for Web Search
using Clickthrough Data". torch is behind towers.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from textkit.corpora.batching import WINDOW, line_batches
from textkit.errors import TextkitError
from textkit.plugin import Epoch, Graph, Plugin, Score, Training
from textkit.tasks.embed.pairs import PairColumns, pair, texts_of
from textkit.tasks.embed.task import OWN, QUERY
from textkit.text.hashed import Hashed
from textkit.text.normalizer import Normalizer
from textkit_plugins.encoder.vectors import COMPARED, belonging, found_partners
from textkit_plugins.encoder.vocabulary import with_rows

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit_plugins.encoder.towers import Bags, Batch, Tower, Towers

_LETTERS = 3  # in an n-gram
_LINES = 10_000  # read at once
_SCORED = 256  # texts in a batch


@dataclass(frozen=True)
class DssmOptions(PairColumns):
    """The options of `dssm`."""

    text1_column: str = ""  # of TSV, CSV or JSON lines: that of the query; "": found by its name or place
    text2_column: str = ""  # that of the document
    negative_column: str = ""  # that of a document that does not answer the query; "": found, if there is one
    towers: Literal["shared", "two"] = "shared"  # shared: one network for both | two: one for each, for many pairs
    hidden: tuple[int, ...] = (300, 300)  # units of the layers between the trigrams and the vector
    output: int = 128  # numbers of a vector
    gamma: float = 10.0  # smoothing factor: cosines are multiplied by it before the softmax
    drawn: int = 0  # documents drawn from the whole data for each batch, as further negatives
    lowercase: bool = True  # "The" and "the" are one word
    unicode: Literal["NFC", "NFKC", "none"] = "NFC"  # NFC | NFKC | none: the Unicode form that text is brought to
    punctuation: Literal["split", "keep"] = "split"  # split: each mark is a word | keep: part of its word
    clean: bool = True  # leave out what nobody sees (soft hyphens, controls), spell out ligatures and full-width forms
    bucket: int = 1 << 21  # trigrams are hashed into this many buckets; only buckets that are kept get a row
    features: int = 30_000  # most rows; those of the trigrams in the most texts are kept
    min_count: int = 2  # how many texts a trigram must occur in

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden={','.join(map(str, self.hidden))}: at least one layer, each of at least 1 unit")
        if self.gamma <= 0:
            raise ValueError(f"gamma={self.gamma:g}: must be above 0")
        for key, least in (("output", 1), ("drawn", 0), ("bucket", 1), ("features", 1), ("min_count", 1)):
            if getattr(self, key) < least:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least {least}")


class DssmPlugin(Plugin[DssmOptions, Hashed]):
    """Queries and documents to vectors of one space."""

    name = "dssm"
    task = "embed"
    summary = "vectors for queries and for the documents that answer them, from pairs (Huang 2013)"
    Config = DssmOptions
    corpus = "textkit.tasks.embed.pairs:TextPairs"
    training = Training(epochs=20, batch_size=128, learning_rate=1e-3, schedule="linear", patience=3)

    def vocabulary(self, corpus: Corpus, config: DssmOptions) -> Hashed:
        """Word hashing: a word between two marks, #good#, is #go, goo, ood, od#. Here the marks are spaces."""
        normalizer = Normalizer(config.lowercase, config.unicode, config.punctuation, config.clean)
        every = Hashed(normalizer, 0, _LETTERS, _LETTERS, config.bucket)

        def texts() -> Iterator[Sequence[str]]:
            for records in corpus.chunks(_LINES):
                yield [text for record in records for text in texts_of(record)]

        return with_rows(every, config.features, config.min_count, texts, corpus.paths[0])

    def network(self, config: DssmOptions, vocabulary: Hashed) -> Towers:
        from textkit_plugins.encoder.towers import Towers

        return Towers(config, len(vocabulary))

    def batches(self, corpus: Corpus, vocabulary: Hashed, config: DssmOptions, epoch: Epoch) -> Iterator[Batch | None]:
        pool = _sampled(corpus, epoch) if config.drawn else []
        for at, records in enumerate(line_batches(corpus, epoch), epoch.start):
            if not epoch.owns(at):
                yield None
                continue
            random = np.random.default_rng([epoch.seed, epoch.number, 2, at])
            drawn = [pool[number] for number in random.integers(max(1, len(pool)), size=config.drawn)]
            yield batch_of(list(map(pair, records)), drawn, vocabulary)

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, Mapping[str, float]]:
        return network.loss(batch), {"examples": len(batch.queries.begins), "words": batch.words}

    def score(self, network: torch.nn.Module, dev: Corpus, vocabulary: Hashed, config: DssmOptions) -> Score | None:
        pairs = [pair(record) for records in dev.chunks(_LINES) for record in records][:COMPARED]
        if not pairs:
            raise TextkitError("the dev data has no pair")
        towers: Any = network
        queries = vectors_of(towers.queries, [p[0] for p in pairs], vocabulary)
        return found_partners(queries, vectors_of(towers.documents, [p[1] for p in pairs], vocabulary))

    def graphs(self, network: torch.nn.Module, vocabulary: Hashed, config: DssmOptions) -> Mapping[str, Graph]:
        from textkit_plugins.encoder.towers import Served

        towers: Any = network
        found = {"embed": Graph(Served(towers.documents))}
        return found if config.towers == "shared" else found | {QUERY: Graph(Served(towers.queries))}

    def defaults(self) -> dict[str, Any]:
        return {"pooling": OWN, "normalize": True}


def bags_of(texts: Sequence[str], rule: Hashed) -> Bags:
    """Texts as a tower reads them."""
    import torch

    from textkit_plugins.encoder.towers import Bags

    encoded = rule.encode(texts)
    begins = np.cumsum(encoded.lengths) - encoded.lengths
    return Bags(*map(torch.from_numpy, (encoded.ids, begins, encoded.lengths > 0)))


def batch_of(pairs: Sequence[tuple[str, str, str]], drawn: Sequence[str], rule: Hashed) -> Batch:
    """Pairs as the network learns them. The hard negatives that some pairs have, and the documents `drawn`, are negatives of
    every query that they do not belong to."""
    import torch

    from textkit_plugins.encoder.towers import Batch

    queries = [query for query, _, _ in pairs]
    documents = [*(document for _, document, _ in pairs), *(negative for *_, negative in pairs if negative), *drawn]
    sides = bags_of(queries, rule), bags_of(documents, rule)
    also = torch.from_numpy(belonging(queries, documents))
    also.fill_diagonal_(False)
    return Batch(*sides, also, sum(len(side.ids) for side in sides))


def vectors_of(tower: Tower, texts: Sequence[str], rule: Hashed) -> np.ndarray:
    """The vectors of texts, f32[text, output], of length 1. Call it without gradients."""
    device = tower.bias.device
    found = []
    for begin in range(0, len(texts), _SCORED):
        bags = bags_of(texts[begin : begin + _SCORED], rule)
        found.append(tower(type(bags)(*(part.to(device) for part in bags))).float().cpu().numpy())
    vectors = np.concatenate(found)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _sampled(corpus: Corpus, epoch: Epoch) -> list[str]:
    """Documents of the corpus, at most WINDOW of them; each is as likely as any other (Vitter 1985, algorithm R)."""
    random = np.random.default_rng([epoch.seed, epoch.number, 1])
    pool: list[str] = []
    seen = 0
    for records in corpus.chunks(WINDOW):
        places = random.integers(np.arange(seen, seen + len(records)) + 1)
        for number, (record, place) in enumerate(zip(records, places.tolist(), strict=True), seen):
            if number < WINDOW:
                pool.append(pair(record)[1])
            elif place < WINDOW:
                pool[place] = pair(record)[1]
        seen += len(records)
    return pool
