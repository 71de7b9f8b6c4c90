"""Cuts a line into the words that are explained, and finds the word that a token is part of. Knows no model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from textkit.text.scripts import IDEOGRAPHS, UNSPACED

_CHUNK = re.compile(r"\S+")

Span = tuple[int, int]  # the first character and the one behind the last


@cache
def _unspaced() -> re.Pattern[str]:
    """A character of a script that has no spaces between words is a word by itself, with the marks that follow it.

    Compiled when words are asked for, because that takes 5 ms.
    """
    return re.compile(f"[{UNSPACED}{IDEOGRAPHS}]")


def words_of(line: str) -> list[Span]:
    """Where the words of a line are, in order. Punctuation around a word is a word of its own, inside it it is part of it."""
    found: list[Span] = []
    for chunk in _CHUNK.finditer(line):
        start, stop = chunk.span()
        first, last = start, stop
        while first < last and _is_mark(line[first]):
            first += 1
        while last > first and _is_mark(line[last - 1]):
            last -= 1
        if start < first:
            found.append((start, first))
        found += _parts(line, first, last)
        if last < stop and first < last:
            found.append((last, stop))
    return found


def _parts(line: str, start: int, stop: int) -> list[Span]:
    """A word without punctuation around it, or its characters where the script has no spaces."""
    unspaced = _unspaced()
    if not unspaced.search(line, start, stop):
        return [(start, stop)] if start < stop else []
    found: list[Span] = []
    whole = False  # whether the last part may go on
    for at in range(start, stop):
        apart = bool(unspaced.match(line, at))
        if found and (unicodedata.category(line[at]).startswith("M") or (whole and not apart)):
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
            whole = not apart
    return found


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


def owners(words: Sequence[Span], tokens: Sequence[Span]) -> list[int]:
    """The number of the word that each token shares most characters with; -1 for one that is part of no word, such as the sign
    for the beginning of a line."""
    found, at = [], 0
    for start, stop in tokens:
        while at and words[at - 1][1] > start:  # tokens may overlap
            at -= 1
        while at < len(words) and words[at][1] <= start:
            at += 1
        best, most = -1, 0
        for number in range(at, len(words)):
            if words[number][0] >= stop:
                break
            shared = min(stop, words[number][1]) - max(start, words[number][0])
            if shared > most:
                best, most = number, shared
        found.append(best)
    return found
