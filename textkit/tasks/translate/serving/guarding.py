"""Looks at each translation, searches a doubtful one again in other ways, and says what stays doubtful.

What repeats itself is searched again with repeats barred, and a word that came back as it is with a capital. A number that was
lost is hidden behind a sentinel or, for a model that has none, behind another number (standing_in.py), and put back in the form
of the target's language. So is a lost name with letters that the source's language lacks. What is still at fault is translated
in halves, and these in halves again (parting.py). Of two translations the one with fewer faults is taken. A number that is lost
in all of them is put where it stood in the source. Each line is judged by itself, so that it does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textkit.searching.options import Search
from textkit.tasks.translate.serving.confidence import DOUBTFUL, LOW
from textkit.tasks.translate.serving.doubts import (
    COPIED,
    LANGUAGE,
    LOOP,
    NUMBERS,
    SHORT,
    brief,
    broken,
    copied,
    doubled_numbers,
    echoes,
    in_target_language,
    loops,
    lost_names,
    lost_numbers,
    short,
    without_echoes,
)
from textkit.tasks.translate.serving.keeping import LOST, inserted, with_spans
from textkit.tasks.translate.serving.n_best import Searching
from textkit.tasks.translate.serving.parting import parted, whole
from textkit.tasks.translate.serving.segments import Segment, encoded
from textkit.tasks.translate.serving.standing_in import with_stand_ins, without_stand_ins
from textkit.tasks.translate.serving.translations import Translation
from textkit.text.preserved.numerals import Number, in_place
from textkit.text.preserved.numerals import numbers as written_in
from textkit.text.preserved.sentinels import numbers, renumbered, replaced, sentinel
from textkit.text.translation import TranslationText

_MORE = 4  # tokens that a word may have more with a capital
_BARRED = (3, 2)  # tokens that a repeated search does not repeat: first long repeats are barred, then shorter ones


def _same(source: str, target: str) -> bool:
    return target.casefold().rstrip(".!") == source.casefold().rstrip(".!")


@dataclass(frozen=True)
class Guard:
    """Judges and mends the best translations of segments. `search`: translates segments with options of the search."""

    rule: TranslationText
    options: Search
    search: Searching

    def __call__(self, segments: Sequence[Segment], found: list[list[Translation]]) -> None:
        """Replaces, in `found`, the best translation of each segment where a better one is found; fills in `doubts`."""
        self._with_capitals(segments, found)
        at_fault = dict.fromkeys(
            at for at, segment in enumerate(segments) if segment.real and self._faults(segment, found[at][0])
        )
        if at_fault:
            self._mend([segments[at] for at in at_fault], [found[at] for at in at_fault])
        for at, segment in enumerate(segments):
            if segment.real:
                best = found[at][0]
                if doubts := (*best.doubts, *self._doubts(segment, best, at in at_fault)):
                    found[at][0] = replace(best, doubts=tuple(dict.fromkeys(doubts)))

    def _mend(self, segments: list[Segment], found: list[list[Translation]]) -> None:
        """Tries one way after the other; each looks at what is still at fault."""
        self._without_loops(segments, found)
        for segment, some in zip(segments, found, strict=True):
            # No search with repeats barred: pairs of tokens occur twice in good sentences, too, far from each other.
            some[0] = replace(some[0], text=without_echoes(some[0].text, segment.text))
        if self.rule.target_language:
            (self._with_numbers if self.rule.sentinels else self._with_stand_ins)(segments, found)
        self._in_halves(segments, found)
        for segment, some in zip(segments, found, strict=True):
            if self.rule.target_language and self.rule.sentinels:
                some[0] = self._by_force(segment, some[0])
            if broken(some[0].text, segment.text):
                some[0] = replace(some[0], text=some[0].text.replace("\ufffd", ""))

    def _without_loops(self, segments: list[Segment], found: list[list[Translation]]) -> None:
        looping = [at for at, segment in enumerate(segments) if self._loops(segment, found[at][0])]
        few = [at for at in looping if brief(segments[at].text)]  # they have no reason to say anything twice
        for size, chosen in ((1, few), *((size, [at for at in looping if at not in few]) for size in _BARRED)):
            again = [at for at in chosen if self._loops(segments[at], found[at][0])]
            tried = [self._capital(segments[at]) for at in again]
            others = self._searched(tried, replace(self.options, no_repeat_ngram_size=size))
            for at, other in zip(again, others, strict=True):
                if not self._loops(segments[at], other):
                    found[at][0] = other

    def _with_capitals(self, segments: Sequence[Segment], found: list[list[Translation]]) -> None:
        """A word or two in small letters that came back as they are: with a capital, the model may know them."""
        small = {
            at: tried
            for at, segment in enumerate(segments)
            if segment.text[:1].islower()
            and segment.real
            and brief(segment.text)
            and _same(segment.text, found[at][0].text)
            and (tried := self._capital(segment)) is not segment
        }
        others = self._searched([*small.values()], self.options)
        for at, other in zip(small, others, strict=True):
            if not _same(segments[at].text, other.text) and not self._loops(segments[at], other):
                found[at][0] = other

    def _in_halves(self, segments: list[Segment], found: list[list[Translation]]) -> None:
        halved = {
            at: halves
            for at, segment in enumerate(segments)
            if self._faults(segment, found[at][0]) and (halves := parted(segment, self.rule))
        }
        if not halved:
            return
        parts = [half.segment for halves in halved.values() for half in halves]
        searched = iter(self._searched([part for part in parts if part.real], self.options))
        of_parts = [[next(searched)] if part.real else [Translation(part.text)] for part in parts]
        self(parts, of_parts)
        ends = iter(of_parts)
        for at, halves in halved.items():
            two = [next(ends)[0] for _ in halves]
            other = whole(halves, two, self.options.length_penalty, self.rule.target_language)
            other = replace(other, doubts=tuple(doubt for doubt in other.doubts if doubt == LOST))
            self._better(segments[at], found[at], other)

    def _searched(self, segments: list[Segment], options: Search) -> list[Translation]:
        return [line[0] for line in self.search(segments, options)] if segments else []

    def _capital(self, segment: Segment) -> Segment:
        """A word or two that begin small, with the capital that sentences of training data begin with; others as they are."""
        text = segment.text[:1].upper() + segment.text[1:]
        if text == segment.text or not brief(text):
            return segment
        ids = encoded(self.rule, [text]).ids
        return replace(segment, text=text, ids=ids) if len(ids) <= len(segment.ids) + _MORE else segment

    def _loops(self, segment: Segment, translation: Translation) -> bool:
        return loops(translation.text, segment.text)

    def _with_numbers(self, segments: list[Segment], found: list[list[Translation]]) -> None:
        for every in (False, True):  # what is lost, and then all numbers, which the lost one may have run into
            hidden: dict[int, tuple[Segment, list[str]]] = {}
            for at, segment in enumerate(segments):
                lost = self._missing(segment, found[at][0])
                if lost and every:
                    names = lost_names("", segment.text, self.rule.source_language)
                    lost = sorted([*written_in(segment.text, self.rule.source_language), *names])
                if lost and (made := self._hidden(segment, lost)):
                    hidden[at] = made
            others = self._searched([segment for segment, _ in hidden.values()], self.options)
            for (at, (_, spans)), other in zip(hidden.items(), others, strict=True):
                self._better(segments[at], found[at], with_spans(other, spans))

    def _with_stand_ins(self, segments: list[Segment], found: list[list[Translation]]) -> None:
        """The same for a model without sentinels. Where tokens are asked for, they would be those of other numbers."""
        given: dict[int, tuple[Segment, list[str], list[str]]] = {}
        for at, segment in enumerate(segments):
            lost = self._lost(segment, found[at][0]) if not found[at][0].tokens else []
            if lost and (made := with_stand_ins(segment.text, lost, self.rule.source_language)):
                text, stand_ins = made
                ids = encoded(self.rule, [text]).ids
                spans = [self._written(segment, number) for number in lost]
                if len(ids) <= len(segment.ids) + len(lost):
                    given[at] = replace(segment, text=text, ids=ids), stand_ins, spans
        others = self._searched([segment for segment, _, _ in given.values()], self.options)
        for (at, (segment, stand_ins, spans)), other in zip(given.items(), others, strict=True):
            whole = without_stand_ins(other.text, stand_ins, spans, self.rule.target_language)
            if whole is not None and not self._loops(segment, other):
                found[at][0] = replace(other, text=whole)

    def _better(self, segment: Segment, found: list[Translation], other: Translation) -> None:
        """Takes another best translation if it has fewer faults."""
        if self._faults(segment, other) < self._faults(segment, found[0]):
            found[0] = other

    def _faults(self, segment: Segment, translation: Translation) -> int:
        """How much speaks against a translation: what is lost of the source counts once each, a loop more than that."""
        kept = len({*numbers(segment.text)} - {*numbers(translation.text)}) + (LOST in translation.doubts)
        lost = len(self._missing(segment, translation)) if self.rule.target_language else 0
        lost += 2 * broken(translation.text, segment.text) + echoes(translation.text, segment.text)
        return kept + lost + 3 * self._loops(segment, translation) + 2 * short(translation.text, segment.text)

    def _by_force(self, segment: Segment, translation: Translation) -> Translation:
        """The translation with the numbers that it lacks, each about where it stood."""
        lost = self._lost(segment, translation)
        if not lost:
            return translation
        text, spans = self._behind(segment, lost)
        return inserted(translation, text, range(len(spans) - len(lost), len(spans)), spans)

    def _lost(self, segment: Segment, translation: Translation) -> list[Number]:
        rule = self.rule
        return lost_numbers(translation.text, segment.text, rule.target_language, rule.source_language)

    def _doubled(self, segment: Segment, translation: Translation) -> list[Number]:
        rule = self.rule
        return doubled_numbers(translation.text, segment.text, rule.target_language, rule.source_language)

    def _missing(self, segment: Segment, translation: Translation) -> list[Number]:
        """The numbers that were lost, or are there too often, and, where they can be hidden, the names."""
        lost = [*{*self._lost(segment, translation), *self._doubled(segment, translation)}]
        if self.rule.sentinels:
            lost += lost_names(translation.text, segment.text, self.rule.source_language)
        return sorted(lost)

    def _hidden(self, segment: Segment, lost: Sequence[Number]) -> tuple[Segment, list[str]] | None:
        """The segment with sentinels instead of the numbers `lost`, and what every sentinel of it stands for: a number, or the
        sentinel that it was before. None where there are not so many sentinels."""
        text, spans = self._behind(segment, lost)
        if len(spans) > self.rule.sentinels:
            return None
        text, order = renumbered(text)
        spans = [spans[number] for number in order]
        ids = encoded(self.rule, [text]).ids
        return (replace(segment, text=text, ids=ids), spans) if len(ids) <= len(segment.ids) + len(lost) else None

    def _behind(self, segment: Segment, lost: Sequence[Number]) -> tuple[str, list[str]]:
        """The segment's text with further sentinels instead of the numbers `lost`, and what every sentinel stands for."""
        first = len(numbers(segment.text))
        text = replaced(segment.text, [number[:2] for number in lost], lambda at: first + at)
        return text, [*map(sentinel, range(first)), *(self._written(segment, number) for number in lost)]

    def _written(self, segment: Segment, number: Number) -> str:
        """A number of the segment as the target's language writes it."""
        given = segment.text[number.begin : number.end]
        return in_place(given, number, self.rule.target_language) if number.plain else given

    def _doubts(self, segment: Segment, translation: Translation, at_fault: bool) -> list[str]:
        """What is doubtful; `at_fault`: whether there were faults before it was mended."""
        found = []
        if at_fault and self._loops(segment, translation):
            found.append(LOOP)
        if at_fault and short(translation.text, segment.text):
            found.append(SHORT)
        if copied(translation.text, segment.text):
            found.append(COPIED)
        elif in_target_language(segment.text, self.rule.source_language, self.rule.target_language):
            found.append(LANGUAGE)
        if translation.confidence is not None and translation.confidence < DOUBTFUL:
            found.append(LOW)
        numbered = at_fault and self.rule.target_language
        if numbered and (self._lost(segment, translation) or self._doubled(segment, translation)):
            found.append(NUMBERS)
        return found
