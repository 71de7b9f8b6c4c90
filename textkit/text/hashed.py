"""Turns lines into hashed features (Weinberger et al. 2009): words, n-grams of words and of characters, each in a bucket.

A bag of them is what a linear classifier reads (Joulin et al. 2017). Nothing is looked up by name, so the rule has no
vocabulary of words; it may keep only some of the buckets. All is arithmetic on arrays (ngrams/hashing.py). Knows no file
system, no graph and no model; numpy only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from textkit.errors import quoted
from textkit.text.characters import Folding, Kinds, distinct, points_of
from textkit.text.ngrams import hashing, seen_words
from textkit.text.ngrams.hashing import LaidOut, laid_out, one_text
from textkit.text.normalizer import Normalizer
from textkit.text.rule import Encoded, TextRule

BUCKETS_FILE = "buckets.u8"
HASH = "polynomial64"
_GAP = 255  # a byte of BUCKETS_FILE that only adds to the next
_AT_ONCE = 1 << 18  # characters normalised together


class Hashed(TextRule):
    """Lines -> rows of their features: of each kind in order, words first, then longer and longer n-grams.

    `word_ngrams`: words in the longest n-gram of words, 0 for none. `minimum`, `maximum`: characters in the shortest and the
    longest n-gram of characters (`maximum` 0: none). A space stands before and after each word and counts as a character, but
    no n-gram is a space alone. `across`: whether such an n-gram may reach from one word into the next. `digits`: whether digits
    are read. `letterless`: whether a line without a letter is read; otherwise it has no features, whatever marks it holds.
    `kept` i64, ascending: the buckets that have a row; None: all of the `buckets` have one.
    """

    kind = "hashed"

    def __init__(
        self,
        normalizer: Normalizer,
        word_ngrams: int,
        minimum: int,
        maximum: int,
        buckets: int,
        kept: np.ndarray | None = None,
        across: bool = False,
        digits: bool = True,
        letterless: bool = True,
    ) -> None:
        self.normalizer, self.word_ngrams, self.minimum, self.maximum = normalizer, word_ngrams, minimum, maximum
        self.buckets, self.kept, self.across, self.digits, self.letterless = buckets, kept, across, digits, letterless
        self._kinds, self._folding = Kinds(self._kind), Folding(normalizer.fold)
        self._row: np.ndarray | None = None  # i32[bucket], -1 where a bucket has no row
        if kept is not None:
            self._row = np.full(buckets, -1, np.int32)
            self._row[kept] = np.arange(len(kept))

    def __len__(self) -> int:
        return self.buckets if self.kept is None else len(self.kept)

    def keeping(self, kept: np.ndarray) -> Hashed:
        """The same rule, in which only the buckets `kept` have a row."""
        return Hashed(
            self.normalizer, self.word_ngrams, self.minimum, self.maximum, self.buckets, kept, self.across, self.digits,
            self.letterless,
        )  # fmt: skip

    def encode(self, lines: Sequence[str]) -> Encoded:
        return Encoded(*self._encoded(lines, self._row))

    def buckets_of(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The bucket of every feature of each line, end to end i64[total], and how many each line has i64[line]."""
        return self._encoded(lines, None)

    def _encoded(self, lines: Sequence[str], row: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The rows of each line's features that have one, by `row` (of each bucket; None: buckets are rows), and how many."""
        found, counts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for some in _portions(lines):
            for block in self._laid_out(some).blocks():
                features, of_lines = self._features(block, row)
                found.append(features)
                counts.append(of_lines)
        return np.concatenate(found), np.concatenate(counts)

    def rows_of_words(self, words: Sequence[str]) -> np.ndarray:
        """The row of each word i64[word], -1 for what is not one word, or has no row."""
        alone = Hashed(self.normalizer, 1, 1, 0, self.buckets, digits=self.digits)
        buckets, counts = alone.buckets_of(words)
        found = np.full(len(words), -1)
        one = counts == 1
        rows = buckets[np.repeat(one, counts)]
        found[one] = rows if self._row is None else self._row[rows]
        return found

    def words_of(self, lines: Sequence[str]) -> list[list[str]]:
        """Each line's words, as they are hashed."""
        text = self._laid_out(lines).points.tobytes().decode("utf-32-le", "surrogatepass") if lines else ""
        return [line.split() for line in text.split("\n")[:-1]]

    def blocks(self, lines: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The lines with "\\n" behind each, normalised, in blocks (ngrams/seen_words.py): characters u32, what each is u8."""
        for some in _portions(lines):
            for given in seen_words.blocks(self._points(some)):
                yield given, self._kinds(given)

    def features(self, text: LaidOut) -> tuple[np.ndarray, np.ndarray]:
        """The rows of each line's features that have one, end to end i32[total], and how many each line has i64[line]."""
        return self._features(text, self._row)

    def word_ngrams_of(self, words: np.ndarray, counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same for pairs of words, then for longer and longer n-grams.

        `words` u64[word]: their hashes; `counts` i64[line]: how many words each line has."""
        for hashes, of_lines in hashing.ngrams_of(words, counts, self.word_ngrams):
            yield self._found(hashes, np.cumsum(of_lines), self._row)

    def _points(self, lines: Sequence[str]) -> np.ndarray:
        """The lines, normalised, with "\\n" behind each, as code points u32[character].

        Most lines hold nothing whose form depends on its neighbours: characters are then looked up one by one."""
        if not self.letterless:
            lines = [line if any(map(str.isalpha, line)) else "" for line in lines]
        text = f"{one_text(lines)}\n"
        given = points_of(text)
        folded = self._folding(given)
        at = np.flatnonzero(folded == Folding.DEPENDS)
        if not len(at):
            return folded
        ends = np.flatnonzero(given == hashing.END)
        some = distinct(np.searchsorted(ends, at))
        every = text.split("\n")
        whole = points_of(f"{self.normalizer.folded(chr(hashing.END).join([every[line] for line in some]))}\n")
        begins = [0, *(np.flatnonzero(whole == hashing.END) + 1).tolist()]
        pieces: list[np.ndarray] = []
        done, stops = 0, ends.tolist()
        for number, line in enumerate(some):
            pieces += folded[done : stops[line - 1] + 1 if line else 0], whole[begins[number] : begins[number + 1]]
            done = stops[line] + 1
        return np.concatenate([*pieces, folded[done:]])

    def _laid_out(self, lines: Sequence[str]) -> LaidOut:
        given = self._points(lines)
        return laid_out(given, self._kinds(given))

    def _kind(self, character: str) -> int:
        if character.isspace() or (not self.digits and character.isdecimal()):
            return hashing.GAP
        return hashing.WORD if self.normalizer.is_word(character) else hashing.IN_WORD

    def _features(self, text: LaidOut, row: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The features of each line, i32[total], and how many each has, i64[line]."""
        kinds: list[tuple[np.ndarray, np.ndarray]] = []  # the features of one kind in order, and how many each line has
        if self.word_ngrams:
            for hashes, counts in hashing.word_ngrams(text, self.word_ngrams):
                kinds.append(self._found(hashes, np.cumsum(counts), row))
        for hashes, at in hashing.character_ngrams(text, max(self.minimum, 1), self.maximum, self.across):
            kinds.append(self._found(hashes, np.searchsorted(at, text.ends), row))
        per_line = np.zeros(len(text.ends), np.int64)
        for _, counts in kinds:
            per_line += counts
        begins = np.cumsum(per_line) - per_line  # where the next kind of each line goes
        laid = np.empty(int(per_line.sum()), np.int32)
        for features, counts in kinds:
            places = np.repeat(begins - (np.cumsum(counts) - counts), counts)
            places += np.arange(len(features))
            laid[places] = features
            begins += counts
        return laid, per_line

    def _found(self, hashes: np.ndarray, ends: np.ndarray, row: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The features that `hashes`, which are overwritten, stand for, and how many each line has; `ends` i64[line]: where the
        hashes of each line end."""
        features = self._bucket(hashes)
        if row is not None:
            features = row.take(features)
            there = features >= 0
            before = np.zeros(len(features) + 1, np.int64)
            np.cumsum(there, out=before[1:])
            features, ends = features[there], before[ends]
        counts = ends.copy()
        counts[1:] -= ends[:-1]
        return features, counts

    def _bucket(self, hashes: np.ndarray) -> np.ndarray:
        """The bucket of each hash, i64; the hashes are overwritten."""
        shifted = hashes >> np.uint64(32)
        hashes ^= shifted
        hashes *= np.uint64(hashing.SALT)
        np.right_shift(hashes, np.uint64(29), out=shifted)
        hashes ^= shifted
        if self.buckets & (self.buckets - 1) or self.buckets == 1:
            hashes >>= np.uint64(32)
            hashes *= np.uint64(self.buckets)
            hashes >>= np.uint64(32)
        else:  # the highest bits
            hashes >>= np.uint64(65 - self.buckets.bit_length())
        return hashes.view(np.int64)

    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        """A line's features by name, in the order of its ids; those without a row are left out."""
        named = list(self._names(self.words_of([line])[0]))
        buckets, _ = self.buckets_of([line])
        found, at = [], 0
        for name, bucket in zip(named, buckets.tolist(), strict=True):
            if self._row is None or self._row[bucket] >= 0:
                found.append((name, at, at + 1))
                at += 1
        return found

    def _names(self, words: Sequence[str]) -> Iterator[str]:
        for n in range(1, self.word_ngrams + 1):
            for at in range(len(words) - n + 1):
                yield " ".join(words[at : at + n])
        text = f" {' '.join(words)} " if words else ""
        for n in range(max(self.minimum, 1), self.maximum + 1):
            for at in range(len(text) - n + 1):
                gram = text[at : at + n]
                if gram.strip(" ") and (self.across or " " not in gram[1:-1]):
                    yield gram

    def vocabulary(self) -> tuple[list[str], np.ndarray]:
        return [], np.empty(0, np.int64)

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "hash": HASH, "normalizer": self.normalizer.spec(), "word_ngrams": self.word_ngrams,
            "min": self.minimum, "max": self.maximum, "across": self.across, "digits": self.digits,
            "letterless": self.letterless, "buckets": self.buckets,
            "kept": None if self.kept is None else BUCKETS_FILE,
        }  # fmt: skip

    def files(self) -> dict[str, bytes]:
        return {} if self.kept is None else {BUCKETS_FILE: gaps(self.kept)}


def from_spec(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> Hashed:
    """The rule that a manifest describes. Raises KeyError, TypeError or ValueError if the description is wrong."""
    if spec["hash"] != HASH:
        raise ValueError(f"unknown hash {quoted(spec['hash'])}")
    if spec["max"] and spec["min"] > spec["max"]:
        raise ValueError(f"n-grams of {spec['min']} to {spec['max']} characters")
    kept = from_gaps(read(spec["kept"]), spec["buckets"]) if spec["kept"] else None
    return Hashed(
        Normalizer.from_spec(spec["normalizer"]), spec["word_ngrams"], spec["min"], spec["max"], spec["buckets"], kept,
        spec["across"], spec["digits"], spec.get("letterless", True),
    )  # fmt: skip


def gaps(kept: np.ndarray) -> bytes:
    """Ascending numbers as the gaps between them, a byte each; a byte of 255 adds 255 and the next byte goes on."""
    steps = np.diff(kept, prepend=-1) - 1
    more = steps // _GAP
    data = np.full(len(kept) + int(more.sum()), _GAP, np.uint8)
    data[np.cumsum(more + 1) - 1] = steps % _GAP
    return data.tobytes()


def from_gaps(data: bytes, buckets: int) -> np.ndarray:
    """The inverse of `gaps`. Raises ValueError if a number is not below `buckets`."""
    steps = np.frombuffer(data, np.uint8).astype(np.int64)
    last = steps != _GAP
    found = (np.cumsum(steps + last) - 1)[last]
    if not len(found) or not last[-1] or found[-1] >= buckets:
        raise ValueError(f"{BUCKETS_FILE}: not ascending numbers below {buckets}")
    return found


def _portions(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    """The lines in portions of about _AT_ONCE characters, so that memory stays small."""
    ends = list(accumulate(map(len, lines)))
    begin = size = 0
    while begin < len(lines):
        stop = min(bisect_left(ends, size + _AT_ONCE, begin) + 1, len(lines))
        yield lines if stop - begin == len(lines) else lines[begin:stop]
        begin, size = stop, ends[stop - 1]
