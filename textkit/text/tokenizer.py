"""Turns lines into ids by a tokenizer.json as it stands. Knows no file system, no graph and no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from textkit.errors import TextkitError
from textkit.text.byte_level import is_byte_level, shown
from textkit.text.cleaning import cleaned_lines
from textkit.text.rule import TOKENIZER_FILE, Encoded, TextRule
from textkit.text.subwords import guarded, ids_of, read_tokenizer
from textkit.text.tokenizer_file import read_checked

_PARTS = re.compile(r"\s+|\S+")


class Pretokenized(TextRule):
    """A Hugging Face tokenizer.json with its special tokens; padding and truncation settings in the file are ignored.

    `clean`: first remove invisible characters, and spell out ligatures and full-width forms. A line of which nothing is left
    has no ids, not even special tokens.
    """

    kind = "tokenizer"

    def __init__(self, json: bytes, clean: bool = False) -> None:
        self._json, self.clean = json, clean
        self.tokenizer = read_tokenizer(json, TOKENIZER_FILE)
        self._size = ids_of(self.tokenizer, json)
        empty = guarded(lambda: self.tokenizer.encode("")).ids
        if max(empty, default=-1) >= self._size:  # no table would have such a row
            raise TextkitError(f"{TOKENIZER_FILE}: puts the id {max(empty)} around lines, and has only {self._size}")
        self.around = _around(self.tokenizer) if empty else (0, 0)

    def __len__(self) -> int:
        return self._size

    def encode(self, lines: Sequence[str]) -> Encoded:
        given = cleaned_lines(lines) if self.clean else list(lines)
        ids = [encoding.ids for encoding in guarded(lambda: self.tokenizer.encode_batch_fast(given))]
        if self.clean:
            ids = [[] if not line or line.isspace() else found for line, found in zip(given, ids, strict=True)]
        flat = np.array([token for line in ids for token in line], np.int64)
        return Encoded(flat, np.fromiter(map(len, ids), np.int64, len(ids)))

    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        line = cleaned_lines([line])[0] if self.clean else line
        if self.clean and not line.strip():
            return []
        pieces = guarded(lambda: self.tokenizer.encode(line)).tokens
        return [(token, at, at + 1) for at, token in enumerate(self._named(pieces))]

    def places(self, line: str) -> list[tuple[int, int]]:
        given = cleaned_lines([line])[0] if self.clean else line
        if self.clean and not given.strip():
            return []
        found: list[tuple[int, int]] = guarded(lambda: self.tokenizer.encode(given)).offsets
        if given == line:
            return found
        place = _origin(given, line)
        return [(place[start], place[stop]) for start, stop in found]

    def vocabulary(self) -> tuple[list[str], np.ndarray]:
        vocabulary = sorted(self.tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        return self._named([word for word, _ in vocabulary]), np.array([at for _, at in vocabulary], np.int64)

    def _named(self, pieces: Sequence[str]) -> list[str]:
        """Pieces as people read them."""
        return list(map(shown, pieces)) if self._byte_level else list(pieces)

    @cached_property
    def _byte_level(self) -> bool:
        return is_byte_level(self.tokenizer)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "file": TOKENIZER_FILE} | ({"clean": True} if self.clean else {})

    def files(self) -> dict[str, bytes]:
        return {TOKENIZER_FILE: self._json}


def _origin(cleaned: str, line: str) -> list[int]:
    """Where in `line` each character of the cleaned line is from, and the end; about where, if a word was changed twice."""
    place: list[int] = []
    for part in _PARTS.finditer(line):
        place += [part.start() + at for at in _aligned(cleaned_lines([part[0]])[0], part[0])]
    if len(place) != len(cleaned):  # something was left out that reaches over several words
        place = [at * len(line) // len(cleaned) for at in range(len(cleaned))]
    return [*place, len(line)]


def _aligned(cleaned: str, word: str) -> list[int]:
    """Where in `word` each character of the cleaned word is from: both begin and end alike."""
    most = min(len(cleaned), len(word))
    first = next((at for at in range(most) if cleaned[at] != word[at]), most)
    last = next((at for at in range(most - first) if cleaned[-1 - at] != word[-1 - at]), most - first)
    inner, size = len(cleaned) - first - last, len(word) - first - last
    middle = [first + at * size // inner for at in range(inner)]
    return [*range(first), *middle, *range(len(word) - last, len(word))]


def _around(tokenizer: Any) -> tuple[int, int]:
    """How many ids the tokenizer puts before and behind a line; (0, 0) if it cannot even spell a letter."""
    try:
        added = guarded(lambda: tokenizer.encode("a")).special_tokens_mask
    except TextkitError:
        return 0, 0
    own = [at for at, special in enumerate(added) if not special]
    return (own[0], len(added) - 1 - own[-1]) if own else (0, 0)


def from_spec(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> Pretokenized:
    """The rule that a manifest describes. Raises KeyError, TypeError or ValueError if the description is wrong."""
    return Pretokenized(read_checked(spec["file"], read), spec.get("clean", False))
