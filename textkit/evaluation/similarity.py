"""Similarity as people judged it against cosines: word pairs, and pairs of sentences. Knows no model.

Word pairs as in WordSim-353, SimLex-999, MEN, RareWords: two words, then columns of which the first number is the
score. Sentence pairs as in the STS benchmark, or any three columns separated by tabs of which one is the score.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from textkit.errors import TextkitError
from textkit.evaluation.correlation import pearson, spearman
from textkit.evaluation.neighbours import unit
from textkit.evaluation.result import Result

WORDS, SENTENCES = "similarity", "sts"
STS_SCORE = 4  # STS benchmark: genre, file, year, id, score, sentence 1, sentence 2, ...


@dataclass(frozen=True)
class Pairs:
    """Two texts and a score, f64[pair]."""

    first: list[str]
    second: list[str]
    scores: np.ndarray


def parse_words(name: str, lines: Sequence[tuple[int, str]]) -> Pairs:
    """Word pairs of numbered lines, columns separated by tab, comma or spaces; the first line may be a header.

    Raises TextkitError naming file and line for a line without two words and a score.
    """
    found: list[tuple[str, str, float]] = []
    for at, (number, line) in enumerate(lines):
        cells = columns(line)
        score = next((value for cell in cells[2:] if (value := as_number(cell)) is not None), None)
        if len(cells) >= 3 and score is not None and cells[0] and cells[1]:
            found.append((cells[0], cells[1], score))
        elif at or len(cells) < 3:
            raise TextkitError(f"{name}: line {number}: not two words and a score")
    return _pairs(name, found)


def parse_sentences(name: str, lines: Sequence[tuple[int, str]]) -> Pairs:
    """Sentence pairs of numbered lines, separated by tabs; quotes are plain characters; a first line may be a header.

    Raises TextkitError naming file and line for a line without a score and two sentences.
    """
    found: list[tuple[str, str, float]] = []
    for at, (number, line) in enumerate(lines):
        cells = line.split("\t")
        pair = sentence_pair(cells)
        if pair is not None:
            found.append(pair)
        elif at or len(cells) < 3:
            raise TextkitError(f"{name}: line {number}: not a score and two sentences separated by tabs")
    return _pairs(name, found)


def sentence_pair(cells: Sequence[str]) -> tuple[str, str, float] | None:
    """The sentences and the score of a line's columns: the score is the fifth of seven, or the first or third of three."""
    places = (STS_SCORE,) if len(cells) >= 7 else (0, 2) if len(cells) == 3 else ()
    for place in places:
        score = as_number(cells[place])
        if score is not None:
            first = 0 if place == 2 else place + 1
            return cells[first], cells[first + 1], score
    return None


def columns(line: str) -> list[str]:
    """What tabs, else commas, else spaces separate."""
    if "\t" in line:
        return [cell.strip() for cell in line.split("\t")]
    if "," in line:
        with suppress(csv.Error):  # a field longer than the module takes: no word
            return [cell.strip() for cell in next(csv.reader([line]))]
    return line.split()


def evaluate_words(
    pairs: Pairs,
    vectors: Callable[[list[str]], tuple[np.ndarray, np.ndarray, np.ndarray]],
    known_only: bool = False,
    name: str = "the data",
) -> Result:
    """Spearman's rho of cosines and scores over the pairs whose two words have a vector (`known_only`: are known).

    `vectors`: words -> f32[word, dim], whether each has a vector bool[word], whether it is in the vocabulary bool[word].
    Raises TextkitError naming `name` where rho is not defined.
    """
    words = list(dict.fromkeys(pairs.first + pairs.second))
    matrix, having, inside = vectors(words)
    place = {word: at for at, word in enumerate(words)}
    one, other = (np.array([place[word] for word in side], np.int64) for side in (pairs.first, pairs.second))
    known = inside[one] & inside[other]
    used = known if known_only else having[one] & having[other]
    matrix = unit(np.array(matrix, np.float32))
    cosines = np.einsum("pd,pd->p", matrix[one[used]], matrix[other[used]])
    value = _rho(cosines, pairs.scores[used], name, f"{int(used.sum())} of {len(one)} pairs have both words")
    detail = {"pearson": pearson(cosines, pairs.scores[used])}
    return Result(WORDS, value, int(used.sum()), len(one), int((~known).sum()), detail=detail)


def evaluate_sentences(pairs: Pairs, embed: Callable[[list[str]], np.ndarray], name: str = "the data") -> Result:
    """Spearman's rho of cosines and scores. `embed`: lines -> f32[line, dim]; the cosine with a zero vector is 0.

    `outside` of the result counts the pairs with such a vector: no word of the sentence is known.
    """
    one, other = (unit(np.array(embed(side), np.float32)) for side in (pairs.first, pairs.second))
    cosines = np.einsum("pd,pd->p", one, other)
    empty = int((~(one.any(axis=1) & other.any(axis=1))).sum())
    value = _rho(cosines, pairs.scores, name, f"{len(cosines)} pairs")
    detail = {"pearson": pearson(cosines, pairs.scores)}
    return Result(SENTENCES, value, len(cosines), len(cosines), empty, detail=detail)


def _rho(cosines: np.ndarray, scores: np.ndarray, name: str, having: str) -> float:
    rho = spearman(cosines, scores)
    if math.isnan(rho):
        raise TextkitError(f"{name}: {having}, from which no correlation can be computed")
    return rho


def _pairs(name: str, found: list[tuple[str, str, float]]) -> Pairs:
    if not found:
        raise TextkitError(f"{name}: holds no pair with a score")
    first, second, scores = zip(*found, strict=True)
    return Pairs(list(first), list(second), np.array(scores))


def as_number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
