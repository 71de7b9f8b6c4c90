"""fastText's own model files (.bin and .ftz, file formats 11 and 12): words, counts, and the input matrix. Knows no bundle.

A word's vector is that of fastText's getWordVector: the mean of the word's own row and the rows of its character n-grams, or
of the n-grams' rows alone for a word that is not in the table. The output matrix and the labels of a supervised model are
left out, because word vectors do not need them; its word n-grams are kept only on request (`Room.word_ngrams`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.fasttext_quantised import Quantised
from textkit.interop.source import Source
from textkit.interop.table import Foreign, Growing, Names, Room
from textkit.text.subwords import NGrams

MAGIC = struct.pack("<i", 793712314)
_VERSIONS = (11, 12)
_ARGS = struct.Struct("<12id")  # Args::save
_DICTIONARY = struct.Struct("<3iqq")  # Dictionary::save: entries, words, labels, tokens, pruned buckets (-1: none)
_MATRIX = struct.Struct("<?qq")  # whether it is quantised, rows, columns
_ENTRY = 9  # bytes after a word and its NUL: count i64, type i8 (0 word, 1 label)
_LONGEST = 1 << 20  # bytes of a word; more means that the file is damaged
_EOS = "</s>"  # fastText gives it no n-grams
_SUPERVISED = 3
_BLOCK = 1 << 24  # bytes of rows read at once
_CHUNK = 1 << 10  # words whose n-grams are gathered at once


@dataclass(frozen=True)
class _Dictionary:
    """`words`: the wanted ones, as bytes; `counts` i64[word]; `total`: words in the file; `tokens`: words in its corpus.

    `pruned`: in a quantised model that kept only some n-grams, bucket -> its row after the words'; None: all are there.
    """

    words: list[bytes]
    counts: np.ndarray
    total: int
    tokens: int
    pruned: dict[int, int] | None


def read_fasttext(source: Source, room: Room) -> Foreign:
    """Reads a model. `room.max_vocab` keeps its first words, which are the most frequent; the others become unseen words.

    Raises TextkitError, which names the file, for an unknown version and for a damaged file.
    """
    source.take(4, "its magic number")
    version = struct.unpack("<i", source.take(4, "its version"))[0]
    if version not in _VERSIONS:
        raise TextkitError(f"{source.name}: fastText file format {version} is not known, 11 and 12 are")
    arguments = _ARGS.unpack(source.take(_ARGS.size, "its arguments"))
    dim, model, buckets, minimum, maximum = arguments[0], *arguments[7:11]
    if not (0 < dim <= 1 << 16 and buckets >= 0 and minimum >= 0 and 0 <= maximum <= 1 << 10):
        raise TextkitError(f"{source.name}: dim={dim} bucket={buckets} minn={minimum} maxn={maximum}: damaged")
    if version == 11 and model == _SUPERVISED:
        maximum = 0  # as in fastText itself: such models were trained without character n-grams
    dictionary = _dictionary(source, room)
    spelled = buckets if maximum >= max(1, minimum) else 0
    if source.peek(1) == b"\1":
        source.take(1, "its input matrix")
        matrix = Quantised(source)
        rows, columns = matrix.rows, matrix.columns
        grams = buckets if dictionary.pruned is None else len(dictionary.pruned)
    else:
        if dictionary.pruned is not None and source.peek(1):
            raise TextkitError(f"{source.name}: pruned but not quantised, which fastText itself refuses: damaged")
        _, rows, columns = _MATRIX.unpack(source.take(_MATRIX.size, "the size of its input matrix"))
        matrix, grams = None, buckets
    if columns != dim or rows != dictionary.total + grams:
        raise TextkitError(
            f"{source.name}: a matrix of {rows} rows of {columns} does not fit {dictionary.total} words, "
            f"{grams} buckets and dim={dim}: damaged"
        )
    if matrix is None:
        source.expect(rows * dim * 4, f"{rows:,} rows of {dim} numbers")
    word_ngrams = max(1, arguments[5]) if model == _SUPERVISED and buckets else 1
    wanted = spelled or (word_ngrams > 1 and room.word_ngrams)
    ngrams = _ngrams(source.name, dictionary, minimum, maximum if spelled else 0, buckets) if wanted else None
    room.check(source.name, len(dictionary.words), len(ngrams) if ngrams else 0, dim)
    if matrix is None:
        table = _dense(source, dictionary, len(ngrams) if ngrams else 0, dim)
    else:
        table = matrix.row(0, len(dictionary.words))
        if ngrams is not None:
            behind = matrix.row(dictionary.total, rows)
            pruned, kept = dictionary.pruned, ngrams.kept
            own = range(buckets) if pruned is None or kept is None else [pruned[at] for at in kept.tolist()]
            table = np.concatenate([table, behind[np.array(own, np.int64)]])
    found = _compose(source, dictionary, ngrams, table)
    if matrix is not None:
        found.format = "fastText .ftz"
    found.classifier, found.word_ngrams = model == _SUPERVISED, word_ngrams
    if buckets and not wanted:
        found.notes.append(
            f"{buckets:,} buckets of word n-grams left out: a classifier uses them, a word's vector does not"
        )
    return found


def _ngrams(name: str, dictionary: _Dictionary, minimum: int, maximum: int, buckets: int) -> NGrams | None:
    """The n-grams that have rows, word n-grams included; None if pruning kept none. `maximum` 0: no word is spelled."""
    if dictionary.pruned is None:
        return NGrams(max(1, minimum), maximum, buckets, 0)
    kept = np.array(sorted(dictionary.pruned), np.int32)
    if not len(kept):
        return None
    if kept[0] < 0 or kept[-1] >= buckets or sorted(dictionary.pruned.values()) != list(range(len(kept))):
        raise TextkitError(f"{name}: the index of its pruned n-grams does not fit: damaged")
    return NGrams(max(1, minimum), maximum, buckets, 0, kept)


def _dictionary(source: Source, room: Room) -> _Dictionary:
    data = source.take(_DICTIONARY.size, "its dictionary")
    entries, total, labels, tokens, pruned = _DICTIONARY.unpack(data)
    if not (0 < total <= entries and labels == entries - total and tokens >= 0 and pruned >= -1):
        raise TextkitError(f"{source.name}: {entries} entries of {total} words and {labels} labels: damaged")
    source.expect(entries * (_ENTRY + 1), f"{entries:,} words")
    wanted = room.wanted(total)
    words: list[bytes] = []
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
        if number < wanted:
            words.append(data[at:end])
            tails.append(data[end + 1 : end + 1 + _ENTRY])
        at = end + 1 + _ENTRY
    source.give_back(data[at:])
    source.expect(max(0, pruned) * 8, f"{pruned:,} pruned n-grams")
    pairs = np.empty((max(0, pruned), 2), "<i4")
    source.fill(pairs, "the index of its pruned n-grams")
    tail = np.frombuffer(b"".join(tails), np.dtype([("count", "<i8"), ("type", "i1")]))
    strange = next((word for word in words if not word or b"\n" in word), None)
    if strange is not None or tail["type"].any() or (tail["count"] < 0).any():
        raise TextkitError(f"{source.name}: its dictionary holds what is no word: damaged")
    index = dict(pairs.tolist()) if pruned >= 0 else None
    return _Dictionary(words, tail["count"].astype(np.int64), total, tokens, index)


def _dense(source: Source, dictionary: _Dictionary, grams: int, dim: int) -> np.ndarray:
    """The rows of the wanted words and of the n-grams, f32[row, dim], from a matrix that is not quantised."""
    kept = len(dictionary.words)
    table = Growing(dim, kept + grams if source.plain else None)
    _read_rows(source, table, kept, dim)
    source.skip((dictionary.total - kept) * dim * 4, "its input matrix")
    _read_rows(source, table, grams, dim)
    return table.done()


def _compose(source: Source, dictionary: _Dictionary, ngrams: NGrams | None, rows: np.ndarray) -> Foreign:
    """Makes each word's row what getWordVector gives. In `rows`, the n-grams' rows follow the words'."""
    kept = len(dictionary.words)
    if ngrams is not None:
        _spell(rows[:kept], rows[kept:], dictionary.words, ngrams)
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


def _read_rows(source: Source, table: Growing, rows: int, dim: int) -> None:
    block = np.empty((max(1, _BLOCK // (4 * dim)), dim), "<f4")
    for start in range(0, rows, len(block)):
        part = block[: min(len(block), rows - start)]
        source.fill(part, "its input matrix")
        sound = np.isfinite(part).all(axis=1)
        if not sound.all():
            raise TextkitError(
                f"{source.name}: row {len(table) + int(np.argmin(sound))} of its matrix holds NaN or infinity"
            )
        table.append(part)


def _spell(own: np.ndarray, grams: np.ndarray, words: list[bytes], ngrams: NGrams) -> None:
    """Makes own f32[word, dim] the mean of the word's row and its n-grams' rows in grams f32[bucket, dim], in place."""
    for start in range(0, len(words), _CHUNK):
        part = words[start : start + _CHUNK]
        buckets, counts = ngrams.rows(part)
        plain = np.array([word == _EOS.encode() for word in part])
        buckets, counts = buckets[~np.repeat(plain, counts)], np.where(plain, 0, counts)
        having = np.flatnonzero(counts)  # reduceat cannot sum zero rows
        if len(having):
            begin = (np.cumsum(counts) - counts)[having]
            own[start + having] += np.add.reduceat(grams[buckets], begin, axis=0)
        own[start : start + len(part)] /= (1 + counts[:, None]).astype(np.float32)
