"""fastText's own model files (.bin and .ftz, file formats 11 and 12): words, counts, and the input matrix. Knows no bundle.

A word's vector is that of fastText's getWordVector: the mean of the word's own row and the rows of its character n-grams, or
of the n-grams' rows alone for a word that is not in the table. The output matrix and the labels of a supervised model are
for classifier.py: word vectors do not need them. Its word n-grams are kept only on request (`Room.word_ngrams`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.fasttext.quantised import Quantised
from textkit.interop.source import Source
from textkit.interop.table import Foreign, Growing, Names, Room
from textkit.text.bounds import LONGEST_NGRAM, LONGEST_PHRASE, WIDEST
from textkit.text.fasttext import EOS
from textkit.text.subwords import NGrams

MAGIC = struct.pack("<i", 793712314)
_VERSIONS = (11, 12)
_ARGS = struct.Struct("<12id")  # Args::save
_DICTIONARY = struct.Struct("<3iqq")  # Dictionary::save: entries, words, labels, tokens, pruned buckets (-1: none)
_MATRIX = struct.Struct("<?qq")  # whether it is quantised, rows, columns
_ENTRY = 9  # bytes after a word and its NUL: count i64, type i8 (0 word, 1 label)
_LONGEST = 1 << 20  # bytes of a word; more means that the file is damaged
_MODEL = 8 + 7 * 4  # where a file says what it is a model of
_SUPERVISED = 3
_BLOCK = 1 << 24  # bytes of rows read at once
_CHUNK = 1 << 10  # words whose n-grams are gathered at once


@dataclass(frozen=True)
class Arguments:
    """How a model was trained. `minimum`, `maximum`: characters in the n-grams of a word (`maximum` 0: there are none);
    `word_ngrams`: words in the longest n-gram of words, 1 in a model that is no classifier; `loss`: fastText's number of it."""

    dim: int
    word_ngrams: int
    loss: int
    supervised: bool
    buckets: int
    minimum: int
    maximum: int


@dataclass(frozen=True)
class Dictionary:
    """`words`: the wanted ones, as bytes; `counts` i64[word]; `total`: words in the file; `tokens`: words in its corpus.

    `labels` and `label_counts` i64[label]: those of a supervised model. `pruned`: in a quantised model that kept only some
    n-grams, bucket -> its row after the words'; None: all are there.
    """

    words: list[bytes]
    counts: np.ndarray
    total: int
    labels: list[bytes]
    label_counts: np.ndarray
    tokens: int
    pruned: dict[int, int] | None

    def rows(self, buckets: int) -> int:
        """How many rows of n-grams follow the words' in the input matrix."""
        return buckets if self.pruned is None else len(self.pruned)

    def kept(self, name: str, buckets: int) -> np.ndarray | None:
        """The buckets that have a row, ascending i32; None: all have. Raises TextkitError if they cannot be so."""
        if self.pruned is None:
            return None
        if self.pruned and (min(self.pruned) < 0 or max(self.pruned) >= buckets):
            raise TextkitError(f"{name}: the index of its pruned n-grams does not fit: damaged")
        if sorted(self.pruned.values()) != list(range(len(self.pruned))):
            raise TextkitError(f"{name}: the index of its pruned n-grams does not fit: damaged")
        return np.array(sorted(self.pruned), np.int32)


def is_supervised(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a supervised model."""
    return head.startswith(MAGIC) and head[_MODEL : _MODEL + 4] == struct.pack("<i", _SUPERVISED)


def read_arguments(source: Source) -> Arguments:
    """Raises TextkitError, which names the file, for an unknown version and for a damaged file."""
    source.take(4, "its magic number")
    version = struct.unpack("<i", source.take(4, "its version"))[0]
    if version not in _VERSIONS:
        raise TextkitError(f"{source.name}: fastText file format {version} is not known, 11 and 12 are")
    found = _ARGS.unpack(source.take(_ARGS.size, "its arguments"))
    dim, model, buckets, minimum, maximum = found[0], *found[7:11]
    if not (0 < dim <= WIDEST and buckets >= 0 and minimum >= 0 and maximum >= 0):
        raise TextkitError(f"{source.name}: dim={dim} bucket={buckets} minn={minimum} maxn={maximum}: damaged")
    supervised = model == _SUPERVISED
    if version == 11 and supervised:
        maximum = 0  # as in fastText itself: such models were trained without character n-grams
    spelled = buckets and maximum >= max(1, minimum)
    minimum, maximum = (max(1, minimum), maximum) if spelled else (1, 0)
    word_ngrams = max(1, found[5]) if supervised and buckets else 1
    for longest, most, of in ((maximum, LONGEST_NGRAM, "characters"), (word_ngrams, LONGEST_PHRASE, "words")):
        if longest > most:
            raise TextkitError(f"{source.name}: n-grams of up to {longest:,} {of}; at most {most:,} are read")
    return Arguments(dim, word_ngrams, found[6], supervised, buckets, minimum, maximum)


def read_fasttext(source: Source, room: Room) -> Foreign:
    """Reads a model. `room.max_vocab` keeps its first words, which are the most frequent; the others become unseen words.

    Raises TextkitError, which names the file, for an unknown version and for a damaged file.
    """
    arguments = read_arguments(source)
    dictionary = read_dictionary(source, room)
    matrix = input_matrix(source, arguments, dictionary)
    wanted = arguments.maximum or (arguments.word_ngrams > 1 and room.word_ngrams)
    ngrams = _ngrams(source.name, arguments, dictionary) if wanted else None
    room.check(source.name, len(dictionary.words), len(ngrams) if ngrams else 0, arguments.dim)
    if matrix is None:
        table = dense_rows(source, dictionary, len(ngrams) if ngrams else 0, arguments.dim)
    else:
        kept = np.arange(len(dictionary.words))
        behind = rows_of_ngrams(dictionary, ngrams.buckets, ngrams.kept) if ngrams else np.empty(0, np.int64)
        table = matrix.row(np.concatenate([kept, behind]))
    found = _compose(source, dictionary, ngrams, table)
    if matrix is not None:
        found.format = "fastText .ftz"
    found.classifier, found.word_ngrams = arguments.supervised, arguments.word_ngrams
    if arguments.buckets and not wanted:
        found.notes.append(
            f"{arguments.buckets:,} buckets of word n-grams left out: a classifier uses them, a word's vector does not"
        )
    return found


def input_matrix(source: Source, arguments: Arguments, dictionary: Dictionary) -> Quantised | None:
    """The input matrix if it is quantised; None: its numbers are still to be read (`dense_rows`). Checks its size."""
    dim, grams = arguments.dim, dictionary.rows(arguments.buckets)
    matrix = None
    if source.peek(1) == b"\1":
        source.take(1, "its input matrix")
        matrix = Quantised(source)
        rows, columns = matrix.rows, matrix.columns
    else:
        if dictionary.pruned is not None and source.peek(1):
            raise TextkitError(f"{source.name}: pruned but not quantised, which fastText itself refuses: damaged")
        _, rows, columns = _MATRIX.unpack(source.take(_MATRIX.size, "the size of its input matrix"))
        grams = arguments.buckets
    if columns != dim or rows != dictionary.total + grams:
        raise TextkitError(
            f"{source.name}: a matrix of {rows} rows of {columns} does not fit {dictionary.total} words, "
            f"{grams} buckets and dim={dim}: damaged"
        )
    if matrix is None:
        source.expect(rows * dim * 4, f"{rows:,} rows of {dim} numbers")
    return matrix


def output_matrix(
    source: Source, arguments: Arguments, dictionary: Dictionary, quantised: bool
) -> Quantised | np.ndarray:
    """The output matrix [label, dim] of a supervised model, which follows the input matrix. It may be quantised only where
    that one is (`quantised`)."""
    what, matrix = "its output matrix", None
    if quantised and source.peek(1) == b"\1":
        source.take(1, what)
        matrix = Quantised(source, what)
        rows, columns = matrix.rows, matrix.columns
    else:
        _, rows, columns = _MATRIX.unpack(source.take(_MATRIX.size, f"the size of {what}"))
    if rows != len(dictionary.labels) or columns != arguments.dim:
        raise TextkitError(
            f"{source.name}: an output matrix of {rows} rows of {columns} does not fit {len(dictionary.labels)} labels "
            f"and dim={arguments.dim}: damaged"
        )
    if matrix is not None:
        return matrix
    source.expect(rows * columns * 4, f"{rows:,} rows of {columns} numbers")
    table = Growing(columns, rows if source.plain else None)
    _read_rows(source, table, rows, columns, what)
    return table.done()


def rows_of_ngrams(dictionary: Dictionary, buckets: int, kept: np.ndarray | None) -> np.ndarray:
    """The rows of the input matrix that belong to the buckets, i64[bucket], or to those `kept`, in their order."""
    pruned = dictionary.pruned
    own = range(buckets) if pruned is None or kept is None else [pruned[at] for at in kept.tolist()]
    return np.array(own, np.int64) + dictionary.total


def _ngrams(name: str, arguments: Arguments, dictionary: Dictionary) -> NGrams | None:
    """The n-grams that have rows, word n-grams included; None if pruning kept none."""
    kept = dictionary.kept(name, arguments.buckets)
    if kept is not None and not len(kept):
        return None
    return NGrams(arguments.minimum, arguments.maximum, arguments.buckets, 0, kept)


def read_dictionary(source: Source, room: Room) -> Dictionary:
    data = source.take(_DICTIONARY.size, "its dictionary")
    entries, total, labels, tokens, pruned = _DICTIONARY.unpack(data)
    if not (0 < total <= entries and labels == entries - total and tokens >= 0 and pruned >= -1):
        raise TextkitError(f"{source.name}: {entries} entries of {total} words and {labels} labels: damaged")
    source.expect(entries * (_ENTRY + 1), f"{entries:,} words")
    wanted = room.wanted(total)
    names: list[bytes] = []
    tails: list[bytes] = []
    data, at = b"", 0
    for number in range(entries):
        end = data.find(b"\0", at)
        while end < 0 or end + 1 + _ENTRY > len(data):
            more = source.some()
            if not more or len(data) - at > _LONGEST:
                raise source.short(f"word {number + 1:,} of the {entries:,} that its dictionary promises")
            data, at = data[at:] + more, 0
            end = data.find(b"\0")
        if number < wanted or number >= total:
            names.append(data[at:end])
            tails.append(data[end + 1 : end + 1 + _ENTRY])
        at = end + 1 + _ENTRY
    source.give_back(data[at:])
    source.expect(max(0, pruned) * 8, f"{pruned:,} pruned n-grams")
    pairs = np.empty((max(0, pruned), 2), "<i4")
    source.fill(pairs, "the index of its pruned n-grams")
    tail = np.frombuffer(b"".join(tails), np.dtype([("count", "<i8"), ("type", "i1")]))
    is_label = np.arange(len(names)) >= wanted
    strange = any(not name or b"\n" in name for name in names)
    if strange or (tail["type"] != is_label).any() or (tail["count"] < 0).any():
        raise TextkitError(f"{source.name}: its dictionary holds what is no word: damaged")
    index = dict(pairs.tolist()) if pruned >= 0 else None
    counts = tail["count"].astype(np.int64)
    return Dictionary(names[:wanted], counts[:wanted], total, names[wanted:], counts[wanted:], tokens, index)


def dense_rows(source: Source, dictionary: Dictionary, grams: int, dim: int) -> np.ndarray:
    """The rows of the wanted words and of the n-grams, f32[row, dim], from a matrix that is not quantised."""
    kept = len(dictionary.words)
    table = Growing(dim, kept + grams if source.plain else None)
    _read_rows(source, table, kept, dim, "its input matrix")
    source.skip((dictionary.total - kept) * dim * 4, "its input matrix")
    _read_rows(source, table, grams, dim, "its input matrix")
    return table.done()


def _compose(source: Source, dictionary: Dictionary, ngrams: NGrams | None, rows: np.ndarray) -> Foreign:
    """Makes each word's row what getWordVector gives. In `rows`, the n-grams' rows follow the words'."""
    kept = len(dictionary.words)
    if ngrams is not None:
        spell(rows[:kept], rows[kept:], dictionary.words, ngrams)
    names = Names(source.encoding)
    fresh = names.add(dictionary.words)
    counts = dictionary.counts
    if fresh is not None:  # words of different bytes that are the same text
        counts = counts[fresh]
        rows = np.concatenate([rows[fresh], rows[kept:]])
    words = names.done()
    found = Foreign("fastText .bin", words, rows, counts=counts, duplicates=names.duplicates, invalid=names.invalid)
    found.encoding, found.apart = names.shown, names.apart
    found.tokens = max(dictionary.tokens, int(counts.sum()))
    if ngrams is not None:
        found.ngrams = replace(ngrams, first=len(words))
    return found


def _read_rows(source: Source, table: Growing, rows: int, dim: int, what: str) -> None:
    block = np.empty((max(1, _BLOCK // (4 * dim)), dim), "<f4")
    for start in range(0, rows, len(block)):
        part = block[: min(len(block), rows - start)]
        source.fill(part, what)
        sound = np.isfinite(part).all(axis=1)
        if not sound.all():
            raise TextkitError(
                f"{source.name}: row {len(table) + int(np.argmin(sound))} of {what} holds NaN or infinity"
            )
        table.append(part)


def spell(own: np.ndarray, grams: np.ndarray, words: list[bytes], ngrams: NGrams) -> None:
    """Makes own f32[word, dim] the mean of the word's row and its n-grams' rows in grams f32[bucket, dim], in place.

    Sums that are too large become infinite, without a warning.
    """
    for start in range(0, len(words), _CHUNK):
        part = words[start : start + _CHUNK]
        buckets, counts = ngrams.rows(part)
        plain = np.array([word == EOS.encode() for word in part])
        buckets, counts = buckets[~np.repeat(plain, counts)], np.where(plain, 0, counts)
        having = np.flatnonzero(counts)  # reduceat cannot sum zero rows
        if len(having):
            begin = (np.cumsum(counts) - counts)[having]
            with np.errstate(over="ignore", invalid="ignore"):
                own[start + having] += np.add.reduceat(grams[buckets], begin, axis=0)
        own[start : start + len(part)] /= (1 + counts[:, None]).astype(np.float32)
