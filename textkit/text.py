"""How text becomes ids: one of a closed set of rules, described in the manifest, so that serving needs no plugin.

Three rules: `words` (a table of words), `words` with subwords (hashed character n-grams, or byte-pair pieces, for words
not in the table), `tokenizer` (a Hugging Face tokenizer.json). Knows no file system, no graph and no model; numpy only.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from textkit.errors import TextkitError

WORDS_FILE = "words.txt"
BUCKETS_FILE = "buckets.i32"
PIECES_FILE = "pieces.json"
TOKENIZER_FILE = "tokenizer.json"

# Scripts written without spaces between words: each of these characters is a word of its own, as in BERT's pre-tokenizer.
_IDEOGRAPHS = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f])")
_CACHED_WORDS = 50_000  # rows of unseen words kept; the cache is emptied when full, so memory stays flat


@dataclass(frozen=True)
class Encoded:
    """Lines as ids, laid end to end: ids i64[total], lengths i64[line]; weight f32[total], or None where all are 1.

    A word that is spelled by n subwords takes n ids of weight 1/n each, so that a weighted mean over a line is the mean of
    its word vectors.
    """

    ids: np.ndarray
    lengths: np.ndarray
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class Normalizer:
    """What is done to a line before it is cut into words. The same in training and in serving."""

    lowercase: bool = True
    unicode: str = "NFC"  # NFC | NFKC | NFD | NFKD | none
    punctuation: str = "split"  # split: each mark is a word (BERT's pre-tokenizer) | keep: words are what spaces separate

    def __post_init__(self) -> None:
        if self.unicode not in ("NFC", "NFKC", "NFD", "NFKD", "none"):
            raise ValueError(f"unicode={self.unicode}: one of NFC, NFKC, NFD, NFKD, none")
        if self.punctuation not in ("split", "keep"):
            raise ValueError(f"punctuation={self.punctuation}: split or keep")

    def __call__(self, text: str) -> str:
        """`text` (any number of lines, `\\n` between them) with words separated by white space; lines stay lines."""
        if self.unicode != "none" and not text.isascii():
            text = unicodedata.normalize(self.unicode, text)
        if self.lowercase:
            text = text.lower()
        if self.punctuation == "split":
            # One str.replace a distinct mark runs at memory speed; a regular expression costs 100 ns a match.
            for character in set(text):
                if not character.isalnum() and unicodedata.category(character)[0] in "PS":
                    text = text.replace(character, f" {character} ")
            if not text.isascii():
                text = _IDEOGRAPHS.sub(r" \1 ", text)
        return text

    def words(self, lines: Sequence[str]) -> list[list[str]]:
        """Each line's words."""
        text = "\n".join(line.replace("\n", " ") if "\n" in line else line for line in lines)
        return [line.split() for line in self(text).split("\n")] if lines else []

    def spec(self) -> dict[str, Any]:
        return {"lowercase": self.lowercase, "unicode": self.unicode, "punctuation": self.punctuation}


class TextRule(ABC):
    """Turns lines into ids. `len(rule)` is the number of rows the embedding table of its model has."""

    kind: ClassVar[str]

    @abstractmethod
    def encode(self, lines: Sequence[str]) -> Encoded:
        """The ids of each line, in order; words without an id are left out."""

    @abstractmethod
    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        """The line's tokens as (text, first, last + 1), positions in the ids of `encode([line])`."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """What the manifest says of this rule."""

    @abstractmethod
    def files(self) -> dict[str, bytes]:
        """The files the rule needs beside the manifest."""

    @abstractmethod
    def __len__(self) -> int: ...


@dataclass(frozen=True)
class NGrams:
    """Hashed character n-grams of a word, as fastText's: Bojanowski et al. 2017, section 3.2; FNV-1a over UTF-8 bytes.

    `kept`: the buckets that have a row, ascending i32; None: every bucket has one. Rows begin at `first`.
    """

    minimum: int
    maximum: int
    buckets: int
    first: int
    kept: np.ndarray | None = None

    def __len__(self) -> int:
        return self.buckets if self.kept is None else len(self.kept)

    def rows(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The rows of each word's n-grams, end to end i64[total], and how many each word has i64[word]."""
        buckets, counts = hash_ngrams(words, self.minimum, self.maximum, self.buckets)
        if self.kept is None:
            return buckets + self.first, counts
        place = np.searchsorted(self.kept, buckets)
        found = np.take(self.kept, place, mode="clip") == buckets if len(self.kept) else np.zeros(len(buckets), bool)
        owner = np.repeat(np.arange(len(words)), counts)
        return place[found] + self.first, np.bincount(owner[found], minlength=len(words))

    def spec(self) -> dict[str, Any]:
        return {
            "kind": "ngrams", "min": self.minimum, "max": self.maximum, "buckets": self.buckets,
            "hash": "fasttext-fnv1a", "first": self.first, "kept": None if self.kept is None else BUCKETS_FILE,
        }  # fmt: skip

    def files(self) -> dict[str, bytes]:
        return {} if self.kept is None else {BUCKETS_FILE: self.kept.astype("<i4").tobytes()}


@dataclass(frozen=True)
class Pieces:
    """Byte-pair pieces of a word, by a tokenizer that sees one word at a time. Rows begin at `first`."""

    json: str
    first: int
    _tokenizer: list[Any] = field(default_factory=list, compare=False, repr=False)

    @property
    def tokenizer(self) -> Any:
        if not self._tokenizer:
            self._tokenizer.append(read_tokenizer(self.json.encode(), PIECES_FILE))
        return self._tokenizer[0]

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def rows(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The rows of each word's pieces, end to end i64[total], and how many each word has i64[word]."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(words), add_special_tokens=False)]
        counts = np.fromiter(map(len, ids), np.int64, len(ids))
        return np.array([piece for word in ids for piece in word], np.int64) + self.first, counts

    def spec(self) -> dict[str, Any]:
        return {"kind": "pieces", "file": PIECES_FILE, "first": self.first}

    def files(self) -> dict[str, bytes]:
        return {PIECES_FILE: self.json.encode()}


class Words(TextRule):
    """A table of words, each its own row 0..n-1; with `subwords`, a word not in it is spelled by rows that follow.

    `counts` (i64[word], how often each occurred in training) is kept for training alone and not written to a bundle.
    """

    kind = "words"

    def __init__(
        self,
        words: Sequence[str],
        normalizer: Normalizer | None = None,
        subwords: NGrams | Pieces | None = None,
        counts: np.ndarray | None = None,
    ) -> None:
        self.words = list(words)
        self.normalizer = normalizer or Normalizer()
        self.subwords = subwords
        self.counts = counts
        self._ids = _Ids(zip(self.words, range(len(self.words)), strict=True))
        if len(self._ids) != len(self.words):
            raise TextkitError(f"{WORDS_FILE}: a word occurs twice")
        self._cache: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.words) + (len(self.subwords) if self.subwords else 0)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def id(self, word: str) -> int:
        """The row of a word of the table, -1 for any other. `word` is taken as it is, not normalised."""
        return self._ids[word]

    def encode(self, lines: Sequence[str]) -> Encoded:
        return self.encode_words(self.normalizer.words(lines))

    def encode_words(self, lines: Iterable[Sequence[str]]) -> Encoded:
        """As `encode`, for lines that are words already."""
        lookup = self._ids.__getitem__
        flat: list[int] = []
        lengths: list[int] = []
        if self.subwords:
            unseen: list[str] = []
            for words in lines:
                before = len(flat)
                flat += map(lookup, words)
                lengths.append(len(flat) - before)
                if -1 in flat[before:]:
                    unseen += [word for word in words if word not in self._ids]
            ids, counts = np.array(flat, np.int64), np.array(lengths, np.int64)
            return self._spelled(ids, counts, unseen) if unseen else Encoded(ids, counts)
        for words in lines:
            before = len(flat)
            flat += map(lookup, words)
            lengths.append(len(flat) - before)
        return _without_unknown(np.array(flat, np.int64), np.array(lengths, np.int64))

    def _spelled(self, ids: np.ndarray, lengths: np.ndarray, unseen: list[str]) -> Encoded:
        """Puts the subword rows of `unseen` (in order) where `ids` has -1."""
        missing = [word for word in dict.fromkeys(unseen) if word not in self._cache]
        if missing:
            if len(self._cache) + len(missing) > _CACHED_WORDS:
                self._cache.clear()
                missing = list(dict.fromkeys(unseen))
            rows, counts = self.subwords.rows(missing)
            self._cache.update(zip(missing, np.split(rows, np.cumsum(counts)[:-1]), strict=True))
        spelled = [self._cache[word] for word in unseen]
        if len(self._cache) > _CACHED_WORDS:
            self._cache.clear()
        places = np.flatnonzero(ids < 0)
        repeats = np.ones(len(ids), np.int64)
        repeats[places] = [len(rows) for rows in spelled]
        starts = np.cumsum(repeats) - repeats
        flat = np.repeat(ids, repeats)
        flat[flat < 0] = np.concatenate(spelled)
        weight = np.repeat((1 / np.maximum(repeats, 1)).astype(np.float32), repeats)
        ends = np.cumsum(lengths)
        total = np.append(starts, len(flat))
        return Encoded(flat, total[ends] - total[ends - lengths], weight)

    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        found: list[tuple[str, int, int]] = []
        at = 0
        for word in self.normalizer.words([line])[0]:
            width = 1 if word in self._ids else int(self.subwords.rows([word])[1][0]) if self.subwords else 0
            found.append((word, at, at + width))
            at += width
        return found

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "words": WORDS_FILE,
            "normalizer": self.normalizer.spec(),
            "subwords": self.subwords.spec() if self.subwords else None,
        }

    def files(self) -> dict[str, bytes]:
        text = "".join(f"{word}\n" for word in self.words)
        return {WORDS_FILE: text.encode()} | (self.subwords.files() if self.subwords else {})


class Pretokenized(TextRule):
    """A Hugging Face tokenizer.json, special tokens and all; padding and truncation settings in the file are ignored."""

    kind = "tokenizer"

    def __init__(self, json: bytes) -> None:
        self._json = json
        self.tokenizer = read_tokenizer(json, TOKENIZER_FILE)
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def encode(self, lines: Sequence[str]) -> Encoded:
        try:
            ids = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(lines))]
        except BaseException as error:  # a pattern that backtracks too far surfaces as a PanicException, no Exception
            if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
                raise
            raise TextkitError(f"the model's tokenizer failed: {error}") from error
        flat = np.array([token for line in ids for token in line], np.int64)
        return Encoded(flat, np.fromiter(map(len, ids), np.int64, len(ids)))

    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        return [(token, at, at + 1) for at, token in enumerate(self.tokenizer.encode(line).tokens)]

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "file": TOKENIZER_FILE}

    def files(self) -> dict[str, bytes]:
        return {TOKENIZER_FILE: self._json}


def rule_from_spec(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> TextRule:
    """The rule a manifest describes; `read` gives the bytes of a file beside it. TextkitError for anything outside the set."""
    try:
        kind = spec["kind"]
        if kind == "tokenizer":
            return Pretokenized(read(spec["file"]))
        if kind == "words":
            words = read(spec["words"]).decode("utf-8")
            normalizer = Normalizer(**spec["normalizer"])
            return Words(words.split("\n")[:-1], normalizer, _subwords(spec["subwords"], read))
    except (KeyError, TypeError, ValueError) as error:
        raise TextkitError(f"how text becomes ids is not described rightly: {error}") from error
    raise TextkitError(f"how text becomes ids: unknown kind {kind!r}")


def _subwords(spec: Mapping[str, Any] | None, read: Callable[[str], bytes]) -> NGrams | Pieces | None:
    if spec is None:
        return None
    if spec["kind"] == "pieces":
        return Pieces(read(spec["file"]).decode("utf-8"), int(spec["first"]))
    if spec["kind"] != "ngrams" or spec["hash"] != "fasttext-fnv1a":
        raise ValueError(f"unknown subwords {spec['kind']!r}")
    kept = np.frombuffer(read(spec["kept"]), "<i4") if spec["kept"] else None
    return NGrams(int(spec["min"]), int(spec["max"]), int(spec["buckets"]), int(spec["first"]), kept)


def read_tokenizer(json: bytes, name: str) -> Any:
    """A tokenizers.Tokenizer from its file's bytes; TextkitError naming the file where it is not one."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(json.decode("utf-8"))
    except Exception as error:  # the library raises plain Exception
        raise TextkitError(f"{name}: not a tokenizer: {error}") from error


class _Ids(dict):
    """word -> row, -1 for a word that is not there, at the speed of a dict."""

    def __missing__(self, word: str) -> int:
        return -1


def _without_unknown(ids: np.ndarray, lengths: np.ndarray) -> Encoded:
    known = ids >= 0
    if known.all():
        return Encoded(ids, lengths)
    total = np.concatenate([[0], np.cumsum(known)])
    ends = np.cumsum(lengths)
    return Encoded(ids[known], total[ends] - total[ends - lengths])


def hash_ngrams(
    words: Sequence[str | bytes], minimum: int, maximum: int, buckets: int
) -> tuple[np.ndarray, np.ndarray]:
    """The bucket of every character n-gram of `<word>`, word by word in fastText's order: i64[total], counts i64[word].

    fastText's rules to the letter (dictionary.cc, computeSubwords): by start and then by length; no n-gram of length 1
    that is a boundary mark; FNV-1a in which bytes of 128 and above enter sign-extended.
    """
    if not words:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    encoded = [
        b"<%b>" % (word if isinstance(word, bytes) else word.encode("utf-8", "surrogatepass")) for word in words
    ]
    data = np.frombuffer(b"".join(encoded), np.uint8)
    owner = np.repeat(np.arange(len(words)), np.fromiter(map(len, encoded), np.int64, len(words)))
    starts = np.flatnonzero((data & 0xC0) != 0x80)  # the first byte of each character
    sizes = np.diff(np.append(starts, len(data)))
    owner = owner[starts]
    count = len(starts)
    last = np.append(owner[1:] != owner[:-1], True)  # the character `>`
    begin = np.append(True, owner[1:] != owner[:-1])  # the character `<`
    signed = data.view(np.int8).astype(np.int32).view(np.uint32)  # int8_t sign-extended to 32 bits

    at = np.arange(count)
    state = np.full(count, 2166136261, np.uint32)
    alive = np.ones(count, bool)  # the n-gram that begins here still lies inside its word
    hashes, origins, widths = [], [], []
    for n in range(1, maximum + 1):
        end = np.minimum(at + n - 1, count - 1)  # the n-gram's last character
        alive = alive & (at + n - 1 < count) & (owner[end] == owner)
        for byte in range(int(sizes.max())):
            rows = np.flatnonzero(alive & (sizes[end] > byte))
            state[rows] = (state[rows] ^ signed[starts[end[rows]] + byte]) * np.uint32(16777619)
        if n >= minimum:
            take = alive & ~(begin | last) if n == 1 else alive
            rows = np.flatnonzero(take)
            hashes.append(state[rows] % np.uint32(buckets))
            origins.append(rows)
            widths.append(np.full(len(rows), n))
    order = np.lexsort((np.concatenate(widths), np.concatenate(origins)))
    flat = np.concatenate(hashes)[order].astype(np.int64)
    return flat, np.bincount(owner[np.concatenate(origins)], minlength=len(words))
