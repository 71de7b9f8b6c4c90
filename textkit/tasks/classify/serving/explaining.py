"""What each word of a line does for its label: its share of the attention, or what is lost where it is left out.

Leaving out is occlusion (Zeiler and Fergus 2014; for text Li et al. 2016, arXiv 1612.08220). Knows no way to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from textkit.serving.padding import places_left
from textkit.tasks.classify.serving.answers import Classification, Classified
from textkit.tasks.classify.serving.sources import Graph, Read
from textkit.tasks.classify.serving.words import Span, owners, words_of

if TYPE_CHECKING:
    from textkit.tasks.classify.serving.classifier import Classifier

MOST_WORDS = 100  # of a line that are left out, one after the other; each needs a run of the whole line
_LEAST = 1e-12  # the lowest probability whose logarithm is taken
_AT_ONCE = 4096  # lines with a word left out


class Weighed(NamedTuple):
    """A word, from character `start` to before `stop` of the line, and its weight."""

    start: int
    stop: int
    weight: float


class Explanation(NamedTuple):
    """What is answered about a line, and the weight of its words in the likeliest label."""

    answer: Classification
    words: list[Weighed]


class Explained(Sequence[Explanation]):
    """The explanations of some lines, in order. `cut`: how many lines had more than MOST_WORDS words, of which only the first
    so many were weighed."""

    def __init__(self, answers: Classified, words: list[list[Weighed]], cut: int = 0) -> None:
        self.answers, self.words, self.cut = answers, words, cut

    def __len__(self) -> int:
        return len(self.words)

    @overload
    def __getitem__(self, at: int) -> Explanation: ...
    @overload
    def __getitem__(self, at: slice) -> list[Explanation]: ...
    def __getitem__(self, at: int | slice) -> Explanation | list[Explanation]:
        if isinstance(at, slice):
            return [self[place] for place in range(len(self))[at]]
        return Explanation(self.answers[at], self.words[at])


def explained(classifier: Classifier, lines: Sequence[str]) -> Explained:
    """What Classifier.explain gives."""
    read = classifier.source.encode(lines)
    answers = classifier.decide(read)
    likeliest = np.where(answers.seen, answers.likeliest, -1).tolist()
    words = [words_of(line) if number >= 0 else [] for line, number in zip(lines, likeliest, strict=True)]
    if classifier.attends and isinstance(classifier.source, Graph):
        found = shares(classifier.source, read, lines, words)
        if found is not None:
            return Explained(answers, found)
    some = [of_line[:MOST_WORDS] for of_line in words]
    counts = classifier.source.counts
    losses = _losses(classifier, lines, some, likeliest, answers.probabilities)
    classifier.source.counts = counts  # of the lines that the user gives
    return Explained(answers, losses, sum(len(of_line) > MOST_WORDS for of_line in words))


def shares(
    source: Graph, read: Read, lines: Sequence[str], words: Sequence[Sequence[Span]]
) -> list[list[Weighed]] | None:
    """The share of each word in its line's vector, the sum over its tokens; None if the rule cannot say where tokens are.

    `read`: what `source.encode(lines)` gave."""
    rule = source.bundle.rule
    places = []
    for line, of_line in zip(lines, words, strict=True):
        of_tokens = rule.places(line) if of_line else []
        if of_tokens is None:
            return None
        places.append([of_tokens[at] for at in places_left(len(of_tokens), source.limit, rule.around)])
    found = []
    for of_line, tokens, importance in zip(words, places, source.importance(read), strict=True):
        weights = np.zeros(len(of_line) + 1)  # the last is for what is part of no word (-1)
        np.add.at(weights, owners(of_line, tokens), importance[: len(tokens)])
        found.append(_weighed(of_line, weights[:-1]))
    return found


def _losses(
    classifier: Classifier, lines: Sequence[str], words: Sequence[Sequence[Span]], labels: Sequence[int],
    before: np.ndarray,
) -> list[list[Weighed]]:  # fmt: skip
    """For each word how much the logarithm of the label's probability falls where the word is left out. In a line without any
    word that the model knows every label is equally likely."""
    variants = [(line, *span) for line, of_line in enumerate(words) for span in of_line]
    after = np.empty(len(variants))
    size = max(1, min(_AT_ONCE, classifier.lines_at_once))
    chance = 0.5 if classifier.head.several else 1 / len(classifier.labels)
    for begin in range(0, len(variants), size):
        part = variants[begin : begin + size]
        given = classifier.answer([_without(lines[line], start, stop) for line, start, stop in part])
        likely = given.probabilities[np.arange(len(part)), [labels[line] for line, _, _ in part]]
        after[begin : begin + size] = np.where(given.seen, likely, chance)
    weights = np.array([before[line, labels[line]] for line, _, _ in variants], np.float64)
    weights = np.log(np.maximum(weights, _LEAST)) - np.log(np.maximum(after, _LEAST))
    found, begin = [], 0
    for of_line in words:
        found.append(_weighed(of_line, weights[begin : begin + len(of_line)]))
        begin += len(of_line)
    return found


def _without(line: str, start: int, stop: int) -> str:
    """The line without a word, and without one of the spaces around it."""
    if start and line[start - 1].isspace() and (stop == len(line) or line[stop].isspace()):
        start -= 1
    return line[:start] + line[stop:]


def _weighed(words: Sequence[Span], weights: np.ndarray) -> list[Weighed]:
    return [Weighed(start, stop, weight) for (start, stop), weight in zip(words, weights.tolist(), strict=True)]
