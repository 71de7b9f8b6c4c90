"""The vectors of lines as fastText's print-sentence-vectors computes them (fasttext.cc, getSentenceVector).

For word vectors: the mean of the words' vectors at length 1, zero vectors left out. For a classifier: the mean of all rows
that the words and their n-grams stand for, the end of the line included. Knows no graph: rows come from the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from textkit.errors import TextkitError
from textkit.serving.padding import parts, word_starts
from textkit.text.fasttext import EOS, LABEL, hash_words, word_ngrams
from textkit.text.rule import Encoded, TextRule
from textkit.text.subwords import NGrams
from textkit.text.words import Words

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder

_ONE = np.ones(1, np.float32)


def classified(rule: Words, lines: Sequence[str]) -> Encoded:
    """The lines as ids whose weighted mean is the vector that a classifier gives them.

    fastText takes the plain mean of its rows. A word of the table is one row here, the mean of the rows that fastText would
    take, and its weight is their number.
    """
    if not lines:
        return rule.encode(lines)
    cut = [_words(line) for line in rule.words_of(lines)]
    distinct = list(dict.fromkeys(word for words in cut for word in words))
    spelled = rule.subwords.rows(distinct) if isinstance(rule.subwords, NGrams) else None
    rows, counts = spelled or (np.empty(0, np.int64), np.zeros(len(distinct), np.int64))
    ends = np.cumsum(counts)
    of: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for word, end, count in zip(distinct, ends.tolist(), counts.tolist(), strict=True):
        row = rule.id(word)
        if row >= 0:
            of[word] = np.array([row]), np.array([1 if word == EOS else 1 + count], np.float32)
        else:
            count = 0 if word == EOS else count
            of[word] = rows[end - count : end], np.ones(count, np.float32)
    ids, weight, lengths = [], [], []
    hashes = dict(zip(distinct, hash_words(distinct).tolist(), strict=True)) if rule.word_ngrams > 1 else {}
    for words in cut:
        found = [of[word] for word in words]
        if hashes and isinstance(rule.subwords, NGrams):
            of_words = np.array([hashes[word] for word in words])
            grams = word_ngrams(of_words, np.array([len(words)]), rule.word_ngrams, rule.subwords.buckets)
            buckets = np.concatenate([np.empty(0, np.int64), *(each for each, _ in grams)])
            rows = rule.subwords.rows_of_buckets(buckets, np.array([len(buckets)]))[0]
            found += [(row, _ONE) for row in np.split(rows, len(rows))] if len(rows) else []
        ids += [part[0] for part in found]
        weight += [part[1] for part in found]
        lengths.append(sum(len(part[0]) for part in found))
    spans = np.fromiter(map(len, ids), np.int64, len(ids))
    return Encoded(np.concatenate(ids), np.array(lengths, np.int64), np.concatenate(weight), spans)


def _words(words: list[str]) -> list[str]:
    """The words up to the end of the line, which comes last; labels are left out."""
    kept = [word for word in words if not word.startswith(LABEL)]
    return [*(kept[: kept.index(EOS)] if EOS in kept else kept), EOS]


def is_classifier(rule: TextRule, name: object) -> TypeGuard[Words]:
    """Whether a model's words are a fastText classifier's. Raises TextkitError where lines need what the import left out."""
    if not isinstance(rule, Words) or not rule.classifier:
        return False
    if rule.word_ngrams > 1 and rule.subwords is None:
        raise TextkitError(
            f"{name}: --pooling fasttext: the vector of a line needs this classifier's n-grams of words, which were left out: "
            f"import it with --word-ngrams"
        )
    return True


def means_of_units(encoded: Encoded, starts: np.ndarray, lengths: np.ndarray, embedder: Embedder) -> np.ndarray:
    """The mean f32[line, dim] of each line's word vectors at length 1, zero vectors left out.

    `starts`, `lengths`: where the flat ids of each line begin in `encoded`, and how many they are.
    """
    limit = embedder.limit
    cuts = [parts(encoded, *line, limit) for line in zip(starts.tolist(), lengths.tolist(), strict=True)]
    owner = np.repeat(np.arange(len(cuts)), [len(cut[0]) for cut in cuts])
    begins, sizes = (np.concatenate([cut[side] for cut in cuts] or [owner]) for side in (0, 1))
    sums, counts = np.zeros((len(owner), embedder.dim), np.float32), np.zeros(len(owner), np.int64)
    real = np.flatnonzero(sizes)

    def run(batch: np.ndarray) -> None:
        part = real[batch]
        sums[part], counts[part] = _sums(encoded, sizes[part], *embedder.weighted(encoded, begins[part], sizes[part]))

    embedder.spread(run, sizes[real])
    vectors = np.zeros((len(cuts), embedder.dim), np.float32)
    np.add.at(vectors, owner, sums)
    return vectors / np.maximum(np.bincount(owner, counts, len(cuts)), 1).astype(np.float32)[:, None]


def _sums(encoded: Encoded, lengths: np.ndarray, places: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sum f32[part, dim] of each part's word vectors at length 1, and how many of them are not zero.

    `rows` f32[id, dim]: the rows of the parts' ids, end to end, times their weights; `places`: their places in the flat ids.
    """
    firsts = np.cumsum(lengths) - lengths  # the first row of each part
    begin = word_starts(encoded)[places]
    begin[firsts] = True
    words = np.add.reduceat(rows, np.flatnonzero(begin), axis=0)  # [word, dim]
    norm = np.sqrt(np.einsum("wd,wd->w", words, words))
    words /= np.where(norm > 0, norm, 1)[:, None]
    first_words = np.cumsum(begin)[firsts] - 1
    return np.add.reduceat(words, first_words, axis=0), np.add.reduceat((norm > 0).astype(np.int64), first_words)
