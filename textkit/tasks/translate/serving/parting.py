"""Cuts a segment in two, and makes the translation of both that of the whole: a model that breaks down at a long sentence may
still know its halves. Knows no graph."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from textkit.sentences.abbreviations import within
from textkit.sentences.halving import halves
from textkit.tasks.translate.serving.keeping import with_spans
from textkit.tasks.translate.serving.segments import Segment, encoded
from textkit.tasks.translate.serving.translations import Translation, joined
from textkit.text.preserved.sentinels import renumbered, sentinel
from textkit.text.translation import TranslationText

_FEWEST = 6  # words of a segment that is cut; fewer say nothing by halves
_ENDS = ".!?\u2026\u3002"


class Half(NamedTuple):
    """A part of a segment, the white space behind it, and what its sentinels were in the whole."""

    segment: Segment
    space: str
    sentinels: list[str]


def parted(segment: Segment, rule: TranslationText) -> list[Half]:
    """The two halves of a segment; none of one that is too short, or whose translation has to begin in a certain way."""
    if segment.prefix or len(segment.text.split()) < _FEWEST:
        return []
    made = []
    for part in halves(segment.text):
        text, order = renumbered(part.text)
        ids = encoded(rule, [text]).ids
        if len(ids) > len(segment.ids):  # it holds what a word's middle does not; the model takes no more, perhaps
            return []
        known = None if any(map(str.isalnum, text)) else text
        made.append(
            Half(replace(segment, text=text, ids=ids, known=known), part.space, [sentinel(number) for number in order])
        )
    return made


def whole(parts: list[Half], found: list[Translation], length_penalty: float, language: str) -> Translation:
    """The translation of a segment into `language`, of those of its halves."""
    own = []
    for at, (half, one) in enumerate(zip(parts, found, strict=True)):
        made = part_of(with_spans(one, half.sentinels), half.segment.text, at > 0, at + 1 < len(parts), language)
        own.append(([made], half.space))
    of_both = joined(own, 0, length_penalty)
    assert of_both is not None  # each half has one
    return of_both


def part_of(found: Translation, source: str, goes_on: bool, ends_later: bool, language: str) -> Translation:
    """The translation of `source` into `language` as it stands in a sentence that it goes on with, or that ends later."""
    text = _unended(found.text, source) if ends_later else found.text
    if goes_on and source[:1].islower():
        text = within(text, language)
    return found if text == found.text else replace(found, text=text)


def _unended(text: str, source: str) -> str:
    """A translation without the end of a sentence, which its source has not."""
    last = source[-1:]
    if last in _ENDS or text[-1:] not in _ENDS:
        return text
    bare = text.rstrip(_ENDS)
    return bare + last if last in ",;:" and bare[-1:] != last else bare
