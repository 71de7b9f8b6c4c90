"""Cuts a text into words at ASCII white space alone, as word2vec, GloVe and fastText do.

U+00A0 and other Unicode white space is part of a word. A word may even hold ASCII white space, because files of gensim and
GloVe have such words. Where a text holds such a word exactly as it is written, that word is found, not the parts of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SPACES = " \t\n\v\f\r"
_RUN = re.compile(f"[^{SPACES}]*")  # matches at any place, if only nothing, which no type checker knows
_WORD = re.compile(f"[^{SPACES}]+")
# str.split cuts at these as well.
_OTHERS = "\x1c\x1d\x1e\x1f\x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def ascii_words(text: str) -> list[str]:
    """The words that ASCII white space separates."""
    return _WORD.findall(text) if _has_others(text) else text.split()


def ascii_lines(text: str) -> list[list[str]]:
    """The words of each line, the lines separated by newlines."""
    cut = _WORD.findall if _has_others(text) else str.split
    return [cut(line) for line in text.split("\n")]


def _has_others(text: str) -> bool:
    """Whether a text holds white space that is not ASCII white space."""
    others = _OTHERS[:4] if text.isascii() else _OTHERS
    return any(character in text for character in others)


def has_spaces(word: str) -> bool:
    """Whether a word holds white space of any kind, so that str.split would cut it."""
    return word.split() != [word]


class Cutter:
    """Text -> its words. Where some of `words` with ASCII white space stand, the longest is taken."""

    def __init__(self, words: Iterable[str]) -> None:
        self._phrases: dict[str, list[str]] = {}  # the text before the first white space -> words
        for word in words:
            if not word.isalnum() and any(space in word for space in SPACES):
                self._phrases.setdefault(_RUN.match(word).group(), []).append(word)  # type: ignore[union-attr]
        for phrases in self._phrases.values():
            phrases.sort(key=len, reverse=True)

    def __call__(self, text: str) -> list[str]:
        if not self._phrases:
            return ascii_words(text)
        words: list[str] = []
        at, size = 0, len(text)
        while at < size:  # at a place where a word may begin
            run = _RUN.match(text, at).group()  # type: ignore[union-attr]
            for phrase in self._phrases.get(run, ()):
                end = at + len(phrase)
                if text.startswith(phrase, at) and (end == size or text[end] in SPACES):
                    words.append(phrase)
                    break
            else:
                end = at + len(run)
                if run:
                    words.append(run)
                elif end < size:  # white space: a word may begin after it
                    at += 1
                    continue
            at = end + 1
        return words
