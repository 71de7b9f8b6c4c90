"""Lays words out in one array of characters, and hashes its n-grams. Knows no rule, no rows and no model; numpy only.

The hash of an n-gram is a polynomial of its characters modulo 2^64. It is the same wherever the n-gram stands, and that of a
longer one is made of that of a shorter one with one multiplication.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

SPACE, END = 32, 10
SALT = 0xD6E8FEB86659FD93
IN_WORD, GAP, WORD = 1, 2, 3  # kinds of characters: part of a word, white space, a word by itself
_MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_MULTIPLIER, -1, 1 << 64)
_MODULUS = 1 << 64
_BREAKS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # what str.splitlines takes for a line's end, but for \n
_AT_ONCE = 1 << 14  # characters hashed together: the arrays stay in a processor's cache


class LaidOut(NamedTuple):
    """Lines as one text: " word word \\n" each, and "\\n" where there is no word.

    points u32[character]; ends i64[line]: the place of each line's "\\n"; words i64[line]: how many words each line has.
    """

    points: np.ndarray
    ends: np.ndarray
    words: np.ndarray

    def blocks(self) -> Iterator[LaidOut]:
        """The same in blocks of whole lines, of about _AT_ONCE characters."""
        for lines, place in portions(self.ends, _AT_ONCE):
            yield LaidOut(self.points[place], self.ends[lines] - place.start, self.words[lines])


def portions(ends: np.ndarray, most: int) -> Iterator[tuple[slice, slice]]:
    """Which lines go together, and where their characters are: at most `most` of these, but for a line that has more. `ends`
    i64[line]: the place of each line's "\\n"."""
    first = begin = 0
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, begin + most)))
        stop = int(ends[last - 1]) + 1
        yield slice(first, last), slice(begin, stop)
        first, begin = last, stop


def one_text(lines: Sequence[str]) -> str:
    """The lines with "\\n" between them, and a space for each line end inside of one."""
    text = "\n".join(lines)
    if text.count("\n") >= len(lines) or any(character in text for character in _BREAKS):
        text = "\n".join([" ".join(line.splitlines()) for line in lines])
    return text


def laid_out(given: np.ndarray, kind: np.ndarray) -> LaidOut:
    """Lines with "\\n" behind each, cut into words. `given` u32[character]; `kind` u8[character]: IN_WORD, GAP or WORD."""
    told, border = told_apart(kind)
    begins = told.copy()
    begins[1:] &= border
    ends = np.flatnonzero(given == END)
    before = np.cumsum(begins, dtype=np.int64)  # words up to each character
    words = np.diff(before[ends], prepend=0)
    # Every character of a word takes a place, with one more for the space before each word; so do the "\n" of a line, and the
    # space before it where the line has a word.
    takes = told.astype(np.int8)
    takes += begins
    takes[ends] = 1 + (words > 0)
    places = np.cumsum(takes, dtype=np.int64)
    points = np.full(int(places[-1]), SPACE, np.uint32)
    places -= 1
    points[places[told]] = given[told]
    ends = places[ends]
    points[ends] = END
    return LaidOut(points, ends, words)


def told_apart(kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which characters bool[character] are of a word, and between which bool[character - 1] and the next one a word may end: at
    a gap, and on both sides of a word of one character."""
    told = kind != GAP
    apart = kind == WORD
    return told, ~(told[1:] & told[:-1]) | apart[1:] | apart[:-1]


def character_ngrams(
    text: LaidOut, shortest: int, longest: int, across: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of the n-grams of `shortest` characters, then of longer ones: their hashes u64, and where each begins, ascending.

    No n-gram is a space alone, none holds an end of a line and, unless it may reach `across`, none has a space inside.
    """
    points = text.points
    values = points.astype(np.uint64)
    values += np.uint64(1)
    on_line = points != END
    letter = on_line & (points != SPACE)
    inside = on_line if across else letter
    hashes, run = values, inside  # run: whether all of n - 2 characters may stand inside an n-gram
    for n in range(1, min(longest, len(points)) + 1):
        if n > 1:
            more = values[n - 1 :] * np.uint64(pow(_MULTIPLIER, n - 1, _MODULUS))
            more += hashes[: len(more)]
            hashes = more
        if n > 3:
            run = run[: len(run) - 1] & inside[n - 3 :]
        if n < shortest:
            continue
        if n == 1:
            good = letter
        elif n == 2:
            good = on_line[:-1] & on_line[1:] & (letter[:-1] | letter[1:])
        else:
            good = on_line[: len(hashes)] & run[1 : len(hashes) + 1] & on_line[n - 1 :]
        some = hashes[good]
        some += np.uint64(n * SALT % _MODULUS)
        yield some, np.flatnonzero(good)


def word_ngrams(text: LaidOut, longest: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of words, then of n-grams of more and more words: their hashes u64, and how many each line has, i64[line]."""
    words = word_hashes(text)
    yield words.copy(), text.words
    yield from ngrams_of(words, text.words, longest)


def word_hashes(text: LaidOut) -> np.ndarray:
    """The hash of each word, u64[word]."""
    points = text.points
    gap = (points == SPACE) | (points == END)
    starts = np.flatnonzero(~gap[1:] & gap[:-1]) + 1
    stops = np.flatnonzero(gap[1:] & ~gap[:-1]) + 1
    words = polynomials(points, starts, stops, *_powers(len(points)))
    words ^= words >> np.uint64(31)
    words *= np.uint64(_MULTIPLIER)
    return words


def polynomials(
    points: np.ndarray, starts: np.ndarray, stops: np.ndarray, powers: np.ndarray, inverses: np.ndarray
) -> np.ndarray:
    """The polynomial of the characters of each word, u64[word], which are those from `starts` to `stops` of `points`. `powers`
    of the factor, and of its inverse, u64: at least as many as there are characters."""
    values = points.astype(np.uint64)
    values += np.uint64(1)
    values *= powers[: len(points)]
    sums = np.zeros(len(points) + 1, np.uint64)  # of all characters before each place, each times a power of its place
    np.cumsum(values, out=sums[1:])
    words: np.ndarray = sums.take(stops)
    words -= sums.take(starts)
    words *= inverses.take(starts)
    return words


def ngrams_of(words: np.ndarray, counts: np.ndarray, longest: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of pairs of words, then of n-grams of more of them: their hashes u64, and how many each line has, i64[line].

    `words` u64[word]: the hash of each word; `counts` i64[line]: how many words each line has."""
    left = np.repeat(np.cumsum(counts), counts) - np.arange(len(words))  # words from here to the end of the line
    hashes = words
    for n in range(2, longest + 1):
        whole = left >= n
        hashes = hashes[: max(0, len(words) - n + 1)] * np.uint64(SALT) + words[n - 1 :]
        yield hashes[whole[: len(hashes)]], np.maximum(counts - n + 1, 0)


_tables: tuple[np.ndarray, np.ndarray] = (np.empty(0, np.uint64), np.empty(0, np.uint64))


def _powers(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The first powers of _MULTIPLIER and of its inverse, modulo 2^64."""
    global _tables
    tables = _tables  # another thread may put longer ones there
    if len(tables[0]) < size:
        most = max(size, 2 * _AT_ONCE)
        tables = _tables = powers_of(_MULTIPLIER, most), powers_of(_INVERSE, most)
    return tables


def powers_of(base: int, size: int) -> np.ndarray:
    """The first powers of a number, modulo 2^64: u64[size], of which 1 is the first."""
    factors = np.full(size, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors)
