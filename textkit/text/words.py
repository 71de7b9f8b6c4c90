"""Cuts lines at white space; each word is a row of a table. With subwords, rows after the table's spell the other words.

Knows no file system, no graph and no model; numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np

from textkit.errors import TextkitError
from textkit.text.bounds import MOST_ROWS
from textkit.text.normalizer import Normalizer
from textkit.text.rule import Encoded, TextRule
from textkit.text.spaces import Cutter
from textkit.text.subwords import NGrams, Pieces, subwords_from_spec

WORDS_FILE = "words.txt"
_SELDOM = {"spaces": "unicode", "classifier": False, "word_ngrams": 1}  # a manifest states these only if they differ
_LINE_END = "\0"  # stands for the end of a line while a window of lines is looked up as one
_END = -2  # the id of _LINE_END
_CACHED_WORDS = 50_000  # unseen words whose rows are kept; the cache is emptied when full, so memory stays flat


class Words(TextRule):
    """A table of words, each its own row 0..n-1; with `subwords`, a word not in it is spelled by rows that follow.

    `spaces`: what separates words, `unicode` (all white space) or `ascii` (ASCII white space alone, which words of the table
    may even hold; see textkit.text.spaces). `classifier`: the table is a fastText classifier's, trained with n-grams of up to
    `word_ngrams` words, and its lines are pooled in another way. `counts` (i64[word], how often each occurred in training) is
    kept for training alone and not written to a bundle.
    """

    kind = "words"

    def __init__(
        self,
        words: Sequence[str],
        normalizer: Normalizer | None = None,
        subwords: NGrams | Pieces | None = None,
        counts: np.ndarray | None = None,
        spaces: str = "unicode",
        classifier: bool = False,
        word_ngrams: int = 1,
    ) -> None:
        if spaces not in ("unicode", "ascii"):
            raise ValueError(f"spaces={spaces}: unicode or ascii")
        self.words = list(words)
        self.spaces, self.classifier, self.word_ngrams = spaces, classifier, word_ngrams
        self._cut: Callable[[str], list[str]] = str.split if spaces == "unicode" else Cutter(self.words)
        self.normalizer = normalizer or Normalizer()
        self.subwords = subwords
        self.counts = counts
        self._ids = _Ids(zip(self.words, range(len(self.words)), strict=True))
        if len(self._ids) != len(self.words):
            raise TextkitError(f"{WORDS_FILE}: a word occurs twice")
        if subwords and subwords.first != len(self.words):
            raise ValueError(f"rows of subwords begin at {subwords.first}, words end at {len(self.words)}")
        self._add_forms()
        self._ids.setdefault(_LINE_END, _END)
        self._cache: dict[str, np.ndarray] = {}

    def _add_forms(self) -> None:
        """Makes each word findable by its normalised spelling too; the first of several words wins. Older versions of textkit
        wrote tables in which lower-casing had undone the Unicode form."""
        if not self.normalizer.lowercase or self.normalizer.unicode == "none":
            return
        for row, word in enumerate(self.words):
            if not word.isascii():
                self._ids.setdefault(self.normalizer.form(word), row)

    def __len__(self) -> int:
        return len(self.words) + (len(self.subwords) if self.subwords else 0)

    def words_of(self, lines: Sequence[str]) -> list[list[str]]:
        """Each line's words, in the spelling of the table."""
        if self.spaces == "unicode":
            return self.normalizer.words(lines)
        return [self._cut(self.normalizer(line)) for line in lines]

    def is_blank(self, line: str) -> bool:
        """Whether a line of nothing but white space holds no word of the table."""
        return self.spaces == "unicode" or not any(word in self for word in self.words_of([line])[0])

    def __contains__(self, word: str) -> bool:
        return self._ids[word] >= 0

    def id(self, word: str) -> int:
        """The row of a word of the table, -1 for any other. `word` is taken as it is, not normalised."""
        return max(self._ids[word], -1)

    def encode(self, lines: Sequence[str]) -> Encoded:
        # Cuts all lines as one text with a mark where each ends; a list of words per line would cost 4 times as much.
        text = "\n".join(lines)
        if not lines or _LINE_END in text or self._ids[_LINE_END] != _END or text.count("\n") != len(lines) - 1:
            return self.encode_words(self.words_of(lines))
        words = self._cut(self.normalizer(text).replace("\n", f" {_LINE_END} "))
        ids = np.fromiter(map(self._ids.__getitem__, words), np.int64, len(words))
        is_end = ids == _END
        lengths = np.diff(np.flatnonzero(is_end), prepend=-1, append=len(ids)) - 1
        return self._encoded(ids[~is_end], lengths, (words[at] for at in np.flatnonzero(ids == -1).tolist()))

    def encode_words(self, lines: Iterable[Sequence[str]]) -> Encoded:
        """Like `encode`, for lines that are already cut into words."""
        lines = list(lines)
        words = list(chain.from_iterable(lines))
        ids = np.maximum(np.fromiter(map(self._ids.__getitem__, words), np.int64, len(words)), -1)
        lengths = np.fromiter(map(len, lines), np.int64, len(lines))
        return self._encoded(ids, lengths, (words[at] for at in np.flatnonzero(ids < 0).tolist()))

    def _encoded(self, ids: np.ndarray, lengths: np.ndarray, unseen: Iterable[str]) -> Encoded:
        """The encoded lines; `ids` i64[word] are -1 for the words `unseen`."""
        known = ids >= 0
        if known.all():
            return Encoded(ids, lengths)
        if self.subwords:
            return self._spelled(self.subwords, ids, lengths, list(unseen))
        before = np.concatenate([[0], np.cumsum(known)])
        ends = np.cumsum(lengths)
        return Encoded(ids[known], before[ends] - before[ends - lengths])

    def _spelled(self, subwords: NGrams | Pieces, ids: np.ndarray, lengths: np.ndarray, unseen: list[str]) -> Encoded:
        """Puts the subword rows of `unseen` (in order) where `ids` has -1."""
        spelled = self._subword_rows(subwords, unseen)
        places = np.flatnonzero(ids < 0)
        spans = np.ones(len(ids), np.int64)
        spans[places] = [len(rows) for rows in spelled]
        starts = np.cumsum(spans) - spans
        flat = np.repeat(ids, spans)
        flat[flat < 0] = np.concatenate(spelled)
        weight = np.repeat((1 / np.maximum(spans, 1)).astype(np.float32), spans)
        ends = np.cumsum(lengths)
        total = np.append(starts, len(flat))
        return Encoded(flat, total[ends] - total[ends - lengths], weight, spans)

    def _subword_rows(self, subwords: NGrams | Pieces, words: list[str]) -> list[np.ndarray]:
        """The subword rows of each of `words`, none of which is in the table."""
        cache = self._cache
        missing = [word for word in dict.fromkeys(words) if word not in cache]
        if len(cache) + len(missing) > _CACHED_WORDS:
            cache = {}  # a new one, because another thread may be reading the old one
            missing = list(dict.fromkeys(words))
        if missing:
            rows, counts = subwords.rows(missing)
            cache.update(zip(missing, np.split(rows, np.cumsum(counts)[:-1]), strict=True))
        self._cache = cache if len(cache) <= _CACHED_WORDS else {}
        return [cache[word] for word in words]

    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        words = self.words_of([line])[0]
        widths = {word: 1 if word in self else 0 for word in words}
        if self.subwords:
            unseen = [word for word, width in widths.items() if not width]
            spelled = self._subword_rows(self.subwords, unseen)
            widths |= {word: len(rows) for word, rows in zip(unseen, spelled, strict=True)}
        ends = list(accumulate(widths[word] for word in words))
        return [(word, end - widths[word], end) for word, end in zip(words, ends, strict=True)]

    def vocabulary(self) -> tuple[list[str], np.ndarray]:
        return list(self.words), np.arange(len(self.words))

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "words": WORDS_FILE,
            "normalizer": self.normalizer.spec(),
            "subwords": self.subwords.spec() if self.subwords else None,
        } | {key: getattr(self, key) for key, plain in _SELDOM.items() if getattr(self, key) != plain}

    def files(self) -> dict[str, bytes]:
        text = "".join(f"{word}\n" for word in self.words)
        return {WORDS_FILE: text.encode()} | (self.subwords.files() if self.subwords else {})


def from_spec(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> Words:
    """The rule that a manifest describes. Raises KeyError, TypeError or ValueError if the description is wrong."""
    data = read(spec["words"])
    if data.count(b"\n") > MOST_ROWS:
        raise ValueError(f"more than {MOST_ROWS} words")
    words = data.decode("utf-8")
    normalizer = Normalizer.from_spec(spec["normalizer"])
    subwords = subwords_from_spec(spec["subwords"], read)
    more = {key: spec.get(key, plain) for key, plain in _SELDOM.items()}
    return Words(words.split("\n")[:-1], normalizer, subwords, **more)


class _Ids(dict[str, int]):
    """word -> row, -1 for an unknown word, at the speed of a dict."""

    def __missing__(self, word: str) -> int:
        return -1
