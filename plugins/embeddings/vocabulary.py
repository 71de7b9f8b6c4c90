"""The words of a corpus and the corpus as ids, shared by all word-embedding plugins. Knows no model; numpy only.

Counting and encoding stream over the corpus in chunks of lines: memory holds the distinct words, never the text.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from textkit.corpora.unspaced import warn_of_unspaced
from textkit.errors import TextkitError
from textkit.text.normalizer import Normalizer
from textkit.text.words import Words

if TYPE_CHECKING:
    from pathlib import Path

    from textkit.corpora.corpus import Corpus
    from textkit.plugin import Epoch

Vectors = Literal["centre", "context", "sum"]  # which of a word's two vectors are exported

LINE_END = -1  # follows each line in an encoded corpus
ENCODED_FILE = "words.i32"

_CHUNK_LINES = 10_000  # lines normalised and counted at once: a few MB of text
_MOST_WORDS = 20_000_000  # distinct words in memory while counting, about 3 GB; beyond that the rarest are forgotten


@dataclass(frozen=True)
class TextOptions:
    """The options that decide which words there are. The Config of each word-embedding plugin extends it."""

    min_count: int = 5  # words that occur less often are dropped from the text
    vocab_size: int = 0  # keep only this many of the most frequent words; 0: all
    lowercase: bool = True  # "The" and "the" are one word
    unicode: Literal["NFC", "NFKC", "NFD", "NFKD", "none"] = (
        "NFC"  # NFC | NFKC | NFD | NFKD | none: Unicode normalisation
    )
    punctuation: Literal["split", "keep"] = "split"  # split: each mark is a word | keep: words are what spaces separate

    renamed: ClassVar[Mapping[str, str]] = {"max_vocab": "vocab_size"}
    clean: bool = True  # drop invisible characters (soft hyphens, controls), spell out ligatures and full-width forms

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise ValueError(f"min_count={self.min_count}: must be at least 1")
        if self.vocab_size < 0:
            raise ValueError(f"vocab_size={self.vocab_size}: must be at least 0")
        self.normalizer()  # checks the other options

    def normalizer(self) -> Normalizer:
        """What is done to a line before it is cut into words."""
        return Normalizer(self.lowercase, self.unicode, self.punctuation, self.clean)


def build(corpus: Corpus, options: TextOptions, least: int = 2) -> Words:
    """The words of `corpus`, the most frequent first (ties: the one seen first), with `counts` i64[word].

    Raises TextkitError if fewer than `least` words occur `min_count` times.
    """
    warn_of_unspaced(
        next(corpus.chunks(_CHUNK_LINES), []), "cut the text into words first", options.punctuation == "keep"
    )
    counter = count(corpus, options.normalizer())
    kept = [(word, n) for word, n in counter.most_common(options.vocab_size or None) if n >= options.min_count]
    if len(kept) < least:
        raise TextkitError(
            f"{_names(corpus)}: the corpus is too small: {len(kept)} of its {len(counter)} distinct words"
            f" {'occurs' if len(kept) == 1 else 'occur'} min_count={options.min_count} times,"
            f" at least {least} are needed (--set min_count=1 keeps all)"
        )
    counts = np.fromiter((n for _, n in kept), np.int64, len(kept))
    return Words([word for word, _ in kept], options.normalizer(), counts=counts)


def count(corpus: Corpus, normalizer: Normalizer, most: int = _MOST_WORDS) -> Counter[str]:
    """How often each word occurs, in the order in which the words were first seen.

    Beyond `most` distinct words the rarest are forgotten, as in word2vec.c's ReduceVocab: first those seen once, then those
    seen at most twice, and so on.
    """
    counter: Counter[str] = Counter()
    floor = 1
    for lines in corpus.chunks(_CHUNK_LINES):
        counter.update(chain.from_iterable(normalizer.words(lines)))
        while len(counter) > most:
            counter = Counter({word: n for word, n in counter.items() if n > floor})
            floor += 1
    return counter


def counts_of(vocabulary: Words) -> np.ndarray:
    """How often each word occurred in training, i64[word]: what a trained vocabulary has, and one of a bundle lacks."""
    if vocabulary.counts is None:
        raise TextkitError("the vocabulary has no counts of its words: it comes from no training")
    return vocabulary.counts


def scratch_of(epoch: Epoch) -> Path:
    """The folder for counts and encoded text, which these families cannot do without."""
    if epoch.scratch is None:
        raise TextkitError("the counts and the encoded text need a folder: Epoch(scratch=...)")
    return epoch.scratch


def encoded(corpus: Corpus, vocabulary: Words, scratch: Path) -> np.memmap:
    """The corpus as ids i32[total] in a file of the folder `scratch`, LINE_END after each line; read-only.

    Words outside the vocabulary are left out, as in word2vec.c and gensim, so that a window reaches over them. Lines without
    any word are left out too. The file is renamed into place once it is complete; a resumed run finds and reuses it.
    """
    path = scratch / ENCODED_FILE
    if not path.exists():
        scratch.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        plain = Words(vocabulary.words, vocabulary.normalizer)  # no subwords: they would encode words not in the table
        with part.open("wb") as stream:
            for lines in corpus.chunks(_CHUNK_LINES):
                encoding = plain.encode(lines)
                stream.write(with_line_ends(encoding.ids, encoding.lengths).tobytes())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    if path.stat().st_size == 0:
        raise TextkitError(f"{_names(corpus)}: no word of the vocabulary occurs in it")
    return np.memmap(path, np.int32, "r")


def with_line_ends(ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Lines end to end (ids [total], lengths [line]) -> i32[total + lines that have words], with LINE_END after each line."""
    lengths = lengths[lengths > 0]
    ends = np.cumsum(lengths + 1) - 1
    laid = np.empty(len(ids) + len(lengths), np.int32)
    is_word = np.ones(len(laid), bool)
    is_word[ends] = False
    laid[is_word] = ids
    laid[ends] = LINE_END
    return laid


def _names(corpus: Corpus) -> str:
    names = [str(path) for path in corpus.paths]
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} more files"
