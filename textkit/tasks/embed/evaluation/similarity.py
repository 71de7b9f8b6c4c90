"""Compares cosines with similarity as people judged it, for word pairs and sentence pairs. Knows no model.

textkit.evaluation.layouts says which columns hold a pair and its score.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from textkit.errors import TextkitError
from textkit.evaluation.correlation import pearson, spearman
from textkit.evaluation.layouts import SENTENCES, WORDS, Layout, Row, layout_of
from textkit.evaluation.result import Result
from textkit.tasks.embed.evaluation.neighbours import unit
from textkit.text.spaces import ascii_words

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts and their scores f64[pair]."""

    first: list[str]
    second: list[str]
    scores: np.ndarray


def parse(name: str, rows: Sequence[Row], layout: Layout) -> Pairs:
    """The pairs of numbered rows. Raises TextkitError naming file and line for a row without two texts and a score."""
    found: list[tuple[str, str, float]] = []
    for at, (number, cells) in enumerate(rows):
        pair = layout.pair(cells)
        if pair is not None:
            found.append(pair)
        elif at or not layout.header:
            what = "two words and a score" if layout.metric == WORDS else "a score and two sentences separated by tabs"
            raise TextkitError(f"{name}: line {number}: not {what}")
    if not found:
        raise TextkitError(f"{name}: holds no pair with a score")
    first, second, scores = zip(*found, strict=True)
    return Pairs(list(first), list(second), np.array(scores))


def parse_words(name: str, lines: Sequence[tuple[int, str]]) -> Pairs:
    """Word pairs of numbered lines, columns separated by tab, comma or spaces; the first line may be a header."""
    rows = [(number, cells_of(line)) for number, line in lines]
    return parse(name, rows, layout_of(name, rows, WORDS) or Layout(0, 1, 2, False, WORDS))


def parse_sentences(name: str, lines: Sequence[tuple[int, str]]) -> Pairs:
    """Sentence pairs of numbered lines, columns separated by tabs, quotes plain characters; the first line may be a header."""
    rows = [(number, line.split("\t")) for number, line in lines]
    return parse(name, rows, layout_of(name, rows, SENTENCES) or Layout(0, 1, 2, False, SENTENCES))


def cells_of(line: str) -> list[str]:
    """The cells of a line, separated by tabs if there are any, otherwise by commas, otherwise by ASCII white space.

    Other white space is part of a word.
    """
    if "\t" in line:
        return line.split("\t")
    if "," in line:
        with suppress(csv.Error):  # a field longer than the module takes is no word
            return next(csv.reader([line]))
    return ascii_words(line)


def evaluate_words(
    pairs: Pairs,
    vectors: Callable[[list[str]], tuple[np.ndarray, np.ndarray, np.ndarray]],
    known_only: bool = False,
    name: str = "the data",
) -> Result:
    """Spearman's rho of cosines and scores over the pairs whose words both have a vector (`known_only`: are in the vocabulary).

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


def evaluate_sentences(pairs: Pairs, embed: Callable[[list[str]], ArrayLike], name: str = "the data") -> Result:
    """Spearman's rho of cosines and scores. `embed`: lines -> f32[line, dim]; the cosine with a zero vector is 0.

    `outside` of the result counts the pairs with a zero vector, where no word of a sentence is known.
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
