"""Spells words that are not in the table: by hashed character n-grams, or by byte-pair pieces. numpy only.

Knows no lines and no model: words in, rows of an embedding table out.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from textkit import process
from textkit.errors import TextkitError, quoted, told
from textkit.text.tokenizer_file import read_checked

BUCKETS_FILE = "buckets.i32"
PIECES_FILE = "pieces.json"

_TRIED = ("", "a", " b. C1\té▁<0xE4>\n")
_MANY = 1 << 16  # words; for more, reading the file is faster than having the library make a table
_HASHED_AT_ONCE = 1 << 16  # characters whose n-grams are hashed together


@dataclass(frozen=True)
class NGrams:
    """Hashed character n-grams of a word, as in fastText: Bojanowski et al. 2017, section 3.2; FNV-1a over UTF-8 bytes.

    `kept`: the buckets that have a row, ascending i32; None: every bucket has one. Rows begin at `first`.
    """

    minimum: int
    maximum: int
    buckets: int
    first: int
    kept: np.ndarray | None = None

    def __len__(self) -> int:
        return self.buckets if self.kept is None else len(self.kept)

    def rows(self, words: Sequence[str | bytes]) -> tuple[np.ndarray, np.ndarray]:
        """The rows of each word's n-grams, end to end i64[total], and how many each word has i64[word]."""
        return self.rows_of_buckets(*hash_ngrams(words, self.minimum, self.maximum, self.buckets))

    def rows_of_buckets(self, buckets: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the `buckets` i64[total] that have one, end to end, and how many of each of `counts` are left."""
        if self.kept is None:
            return buckets + self.first, counts
        place = np.searchsorted(self.kept, buckets)
        found = np.take(self.kept, place, mode="clip") == buckets if len(self.kept) else np.zeros(len(buckets), bool)
        owner = np.repeat(np.arange(len(counts)), counts)
        return place[found] + self.first, np.bincount(owner[found], minlength=len(counts))

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

    @cached_property
    def _size(self) -> int:
        return ids_of(self.tokenizer, self.json)

    def __len__(self) -> int:
        return self._size

    def rows(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The rows of each word's pieces, end to end i64[total], and how many each word has i64[word]."""
        encodings = guarded(lambda: self.tokenizer.encode_batch_fast(list(words), add_special_tokens=False))
        ids = [encoding.ids for encoding in encodings]
        counts = np.fromiter(map(len, ids), np.int64, len(ids))
        return np.array([piece for word in ids for piece in word], np.int64) + self.first, counts

    def spec(self) -> dict[str, Any]:
        return {"kind": "pieces", "file": PIECES_FILE, "first": self.first}

    def files(self) -> dict[str, bytes]:
        return {PIECES_FILE: self.json.encode()}


def subwords_from_spec(spec: Mapping[str, Any] | None, read: Callable[[str], bytes]) -> NGrams | Pieces | None:
    """The subwords that a manifest describes; `read` gives the bytes of a file beside it. Raises ValueError, KeyError or
    TypeError if the description is wrong, and TextkitError for a file that is no tokenizer.
    """
    if spec is None:
        return None
    if spec["kind"] == "pieces":
        pieces = Pieces(read_checked(spec["file"], read).decode("utf-8"), int(spec["first"]))
        len(pieces)  # makes the tokenizer, so that a bad file fails here
        return pieces
    if spec["kind"] != "ngrams" or spec["hash"] != "fasttext-fnv1a":
        raise ValueError(f"unknown subwords {quoted(spec['kind'])}")
    kept = np.frombuffer(read(spec["kept"]), "<i4") if spec["kept"] else None
    ngrams = NGrams(int(spec["min"]), int(spec["max"]), int(spec["buckets"]), int(spec["first"]), kept)
    if (
        ngrams.maximum and not 1 <= ngrams.minimum <= ngrams.maximum
    ):  # maximum 0: no word is spelled, and the rows belong to n-grams of words
        raise ValueError(f"n-grams of {ngrams.minimum} to {ngrams.maximum} characters")
    if not 1 <= ngrams.buckets < 2**31:
        raise ValueError(f"n-grams in {ngrams.buckets} buckets")
    given = np.empty(0, "<i4") if kept is None else kept
    if len(given) and not (given[0] >= 0 and given[-1] < ngrams.buckets and (np.diff(given) > 0).all()):
        raise ValueError(f"{BUCKETS_FILE}: not ascending numbers below {ngrams.buckets}")
    return ngrams


def read_tokenizer(content: bytes, name: str) -> Any:
    """A tokenizers.Tokenizer from its file's bytes, without padding and truncation. Raises TextkitError, which names the file,
    if it is not a tokenizer, or panics at an ordinary line."""
    from tokenizers import Tokenizer

    try:
        with _hushed():
            tokenizer = Tokenizer.from_str(content.decode("utf-8"))
            tokenizer.no_padding()
            tokenizer.no_truncation()
            for line in _TRIED:
                for special in (False, True):
                    with contextlib.suppress(Exception):  # it may know too few words; a panic is not an Exception
                        tokenizer.decode(tokenizer.encode(line, add_special_tokens=special).ids, False)
            return tokenizer
    except BaseException as error:  # the library raises plain Exception; its panics are not one
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        raise TextkitError(f"{name}: not a tokenizer: {told(error)}") from error


def ids_of(tokenizer: Any, content: str | bytes) -> int:
    """One more than the largest id of the tokenizer whose file is `content`; ids may have gaps."""
    if tokenizer.get_vocab_size() <= _MANY:
        return max(tokenizer.get_vocab().values(), default=-1) + 1
    vocabulary = json.loads(content)["model"]["vocab"]
    last = len(vocabulary) - 1 if isinstance(vocabulary, list) else max(vocabulary.values(), default=-1)
    return max(last, max(tokenizer.get_added_tokens_decoder(), default=-1)) + 1


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Inside, nothing reaches stderr, where the library reports a panic; the exception carries the reason."""
    try:
        saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is no stderr
        yield
        return
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def guarded(call: Callable[[], Any]) -> Any:
    """Return `call()`. Raises TextkitError for any failure of a model's tokenizer, even a pattern that backtracks too far."""
    process.guard()
    try:
        return call()
    except BaseException as error:  # such a pattern raises PanicException, which is not an Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        raise TextkitError(f"the model's tokenizer failed: {told(error)}") from error


def hash_ngrams(
    words: Sequence[str | bytes], minimum: int, maximum: int, buckets: int
) -> tuple[np.ndarray, np.ndarray]:
    """The bucket of every character n-gram of `<word>`, word by word in fastText's order: i64[total], counts i64[word].

    Follows fastText to the letter (dictionary.cc, computeSubwords): by start and then by length; a boundary mark alone is
    no n-gram; bytes of 128 and above enter FNV-1a sign-extended.
    """
    if not words:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    encoded = [word if isinstance(word, bytes) else word.encode("utf-8", "surrogatepass") for word in words]
    data = np.frombuffer(b"<" + b"><".join(encoded) + b">", np.uint8)
    starts = np.flatnonzero((data & 0xC0) != 0x80)  # the first byte of each character
    sizes = np.diff(np.append(starts, len(data))).astype(np.int32)
    widths = np.fromiter(map(len, encoded), np.int64, len(words)) + 2
    owner = np.repeat(np.arange(len(words), dtype=np.int32), widths)[starts]
    signed = data.view(np.int8).astype(np.int32).view(np.uint32)  # int8_t sign-extended to 32 bits
    flat: list[np.ndarray] = []
    counts = np.zeros(len(words), np.int64)
    for begin in range(0, len(starts), _HASHED_AT_ONCE):
        buckets_here, owners = _hash_range(
            signed, starts, sizes, owner, begin, min(begin + _HASHED_AT_ONCE, len(starts)), minimum, maximum, buckets
        )
        flat.append(buckets_here)
        counts += np.bincount(owners, minlength=len(words))
    return np.concatenate(flat), counts


def _hash_range(
    signed: np.ndarray, starts: np.ndarray, sizes: np.ndarray, owner: np.ndarray,
    begin: int, stop: int, minimum: int, maximum: int, buckets: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The n-grams that start at the characters begin..stop-1: their buckets i64[n-gram], and the word of each."""
    at = np.arange(begin, stop)
    last = len(starts) - 1
    state = np.full(len(at), 2166136261, np.uint32)
    alive = np.ones(len(at), bool)  # the n-gram that begins here still lies inside its word
    # The first and the last character of `<word>` are boundary marks, which are no n-grams of length 1.
    mark = (at == 0) | (owner[at] != owner[at - 1]) | (at == last) | (owner[at] != owner[np.minimum(at + 1, last)])
    hashes, origins, widths = [], [], []
    for n in range(1, maximum + 1):
        end = np.minimum(at + n - 1, last)  # the n-gram's last character
        alive &= (at + n - 1 <= last) & (owner[end] == owner[at])
        if not alive.any():
            break
        for byte in range(int(sizes[end].max())):
            rows = np.flatnonzero(alive & (sizes[end] > byte))
            state[rows] = (state[rows] ^ signed[starts[end[rows]] + byte]) * np.uint32(16777619)
        if n >= minimum:
            rows = np.flatnonzero(alive & ~mark if n == 1 else alive)
            hashes.append(state[rows] % np.uint32(buckets))
            origins.append(rows)
            widths.append(np.full(len(rows), n))
    if not hashes:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    order = np.lexsort((np.concatenate(widths), np.concatenate(origins)))
    return np.concatenate(hashes)[order].astype(np.int64), owner[at[np.concatenate(origins)]]
