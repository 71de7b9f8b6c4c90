"""Turns lines into texts to translate: sentences, split where they are too long, each text once. Knows no graph, no search."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from textkit.sentences.halving import clauses, halves
from textkit.sentences.splitting import Part, sentences
from textkit.text.compiled import compiled
from textkit.text.preserved.framing import cells
from textkit.text.preserved.numerals import COMMA, in_digits, on_24_hours, rewritten, with_colons
from textkit.text.preserved.sentinels import SENTINEL, apart, renumbered

if TYPE_CHECKING:
    from textkit.text.rule import Encoded
    from textkit.text.translation import TranslationText


_DIGIT = re.compile(r"\d")
_BEFORE_SIGN = r"(?<=\d)(?=[$\u00a3\u20ac](?!\d))"  # 5$
_DASH = r"(?<=[^\W\d_])\u2014(?=[^\W\d_])"
_COUNTED = re.compile(r"[\s\d.,:;!?()/+*=<>\u2013\u2212'-]+")


class Piece(NamedTuple):
    """A part of a line: the number of its segment, the space behind it, the number in the line of each of its sentinels, and
    whether its sentence goes on in the next part."""

    segment: int
    space: str
    kept: Sequence[int]
    goes_on: bool = False


Taken = list[list[Piece]]  # for each line its parts


@dataclass(frozen=True)
class Segment:
    """A text to translate."""

    text: str
    ids: np.ndarray  # i64[source], its end last
    prefix: tuple[int, ...]  # target ids that its translation begins with
    key: tuple[int, int]  # its line's number, and its own within the line; random numbers depend on them
    known: str | None = None  # its translation, if it needs no model

    @property
    def real(self) -> bool:
        """Whether it is to be translated: one with no id but its end (of control characters, say) has nothing to translate."""
        return self.known is None and len(self.ids) > 1


@dataclass(frozen=True)
class SegmentMaker:
    """Makes segments of lines.

    `limit`: the most tokens of a text, its end included; `cut`: whether a longer text is cut off there, rather than split;
    `by_sentence`: whether each sentence is a text; `once`: whether a text that occurs twice is one segment; `clauses`: a
    sentence of more words than that is cut where clauses end (0: none is); `own`: finds the user's own abbreviations, behind
    which no sentence ends.
    """

    rule: TranslationText
    limit: int
    cut: bool
    by_sentence: bool
    once: bool
    clauses: int = 0
    own: re.Pattern[str] | None = None

    def make(self, lines: Sequence[str], begins: Sequence[str], first: int) -> tuple[list[Segment], Taken, int]:
        """The segments, what each line takes of them, and how many lines held a text that is too long.

        `begins`: what each line's translation begins with, "" for anything; a line with such a beginning is one text. `first`:
        the number of the first line.
        """
        of_lines = [self._parts(line, bool(begin)) for line, begin in zip(lines, begins, strict=True)]
        texts = {part.text: np.zeros(0, np.int64) for line in of_lines for part, _ in line}
        pieces = self._encode(texts)
        prefixes = self._prefixes(begins)
        numbers: dict[Any, int] = {}
        segments: list[Segment] = []
        taken: Taken = []
        for number, (line, begin) in enumerate(zip(of_lines, begins, strict=True), first):
            taken.append([])
            whole = [
                (piece, numbers_before)
                for part, numbers_before in line
                for piece in (_spaced(pieces[part.text], part.space) if part.text in pieces else (part,))
            ]
            for at, (part, kept) in enumerate(whole):
                prefix = () if at else prefixes[begin]
                key: Any = (part.text, prefix) if self.once else (number, at)
                if key not in numbers:
                    numbers[key] = len(segments)
                    ids = texts[part.text]
                    known = self._known(part.text, ids) if not prefix else None
                    segments.append(Segment(part.text, ids, prefix, (number, at), known))
                taken[-1].append(Piece(numbers[key], part.space, kept, part.goes_on))
        return segments, taken, sum(any(part.text in pieces for part, _ in line) for line in of_lines)

    def _parts(self, line: str, whole: bool) -> list[tuple[Part, Sequence[int]]]:
        """The parts of a line. Their sentinels are numbered from 0 in each, which come with the numbers that they had."""
        if not line or line.isspace():
            return []
        one = whole or not self.by_sentence
        stripped = line.strip()
        framed = () if one else cells(stripped, self.rule.source_language)
        found = [Part(stripped)] if one else [part for cell in framed for part in self._sentences(*cell)]
        if not self.rule.sentinels:
            return [(part, ()) for part in found]
        found = [self._as_read(part) for part in found]
        if line.isascii() or not SENTINEL.search(line):
            return [(part, ()) for part in found]
        return [_numbered(one) for part in found for one in _few(part, self.rule.sentinels)]

    def _sentences(self, cell: str, border: str) -> list[Part]:
        """The sentences of a cell of a line, the border of the cell behind the last."""
        found = sentences(cell, self.rule.source_language, self.own)
        if self.clauses:
            found = [part for sentence in found for part in clauses(sentence, self.clauses)]
        return _spaced(found, found[-1].space + border) if found else [Part("", border)] if border else []

    def _known(self, text: str, ids: np.ndarray) -> str | None:
        """The translation of a text that needs no model: what has no letter and no digit, and can be seen, is its own; numbers
        alone are written as the target's language does. None for another text, and from a model that has not learnt to keep
        anything, which may have learnt to say something of marks."""
        if not self.rule.sentinels:
            return None
        if not any(map(str.isalnum, text)):
            return text if len(ids) > 1 or SENTINEL.search(text) else None
        source, target = self.rule.source_language, self.rule.target_language
        return rewritten(text, source, target) if source and target and _COUNTED.fullmatch(text) else None

    def _as_read(self, part: Part) -> Part:
        """`part` as the model is given it: dashes apart from words, and a currency's sign from the number before it; times of
        twelve hours on a clock of 24 where the target's language has no other; "halb acht" and "at half eight" in digits."""
        source, target = self.rule.source_language, self.rule.target_language
        text = in_digits(part.text, source)
        if _DIGIT.search(text):
            text = compiled(_BEFORE_SIGN).sub(" ", text)
            text = on_24_hours(text) if source == "en" and target in COMMA else with_colons(text, source)
        if "\u2014" in text:
            text = compiled(_DASH).sub(" \u2014 ", text)
        return part if text == part.text else replace(part, text=text)

    def _encode(self, texts: dict[str, np.ndarray]) -> dict[str, list[Part]]:
        """Fills in the ids of each text, and adds to `texts` the parts that a text is split into where it is too long.

        Returns too long texts -> their parts. `texts` then holds the ids of all parts.
        """
        pieces: dict[str, list[Part]] = {}
        waiting = list(texts)
        while waiting:
            found = encoded(self.rule, waiting)
            ends = np.cumsum(found.lengths).tolist()
            again: dict[str, None] = {}
            for text, length, end in zip(waiting, found.lengths.tolist(), ends, strict=True):
                ids = found.ids[end - length : end]
                if length > self.limit and not self.cut and len(text) > 1:
                    count = -(-length // self.limit)  # 2 or more
                    pieces[text] = list(halves(text, (count // 2) / count))
                    again |= dict.fromkeys(part.text for part in pieces[text] if part.text not in texts)
                    continue
                if length > self.limit:
                    pieces[text] = [Part(text)]
                    # A source in reversed order has its beginning last.
                    ids = ids[-self.limit :] if self.rule.reverse else np.append(ids[: self.limit - 1], ids[-1])
                texts[text] = ids
            waiting = list(again)
            texts |= dict.fromkeys(waiting, np.zeros(0, np.int64))
        return {text: list(_leaves(text, pieces)) for text in pieces}

    def _prefixes(self, begins: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """The target ids of each prefix, without their end."""
        known = list(dict.fromkeys(begins))
        targets = self.rule.encode_target(known)
        ends = np.cumsum(targets.lengths).tolist()
        lengths = targets.lengths.tolist()
        each = (targets.ids[end - length : end - 1].tolist() for length, end in zip(lengths, ends, strict=True))
        return {begin: tuple(ids) if begin else () for begin, ids in zip(known, each, strict=True)}


def encoded(rule: TranslationText, texts: Sequence[str]) -> Encoded:
    """The source ids of texts of segments, whose sentinels stand apart from words."""
    return rule.encode([apart(text) for text in texts] if rule.sentinels else texts)


def _leaves(text: str, pieces: dict[str, list[Part]]) -> Iterator[Part]:
    """The parts that `text` was split into, down to the smallest. The stack is explicit: a line may be split into thousands."""
    stack = [Part(text)]
    while stack:
        part = stack.pop()
        split = pieces.get(part.text)
        if split is None or split[0].text == part.text:
            yield part
        else:
            stack += reversed(_spaced(split, part.space))


def _numbered(part: Part) -> tuple[Part, list[int]]:
    text, before = renumbered(part.text)
    return part if text == part.text else replace(part, text=text), before


def _few(part: Part, most: int) -> Iterator[Part]:
    """`part`, cut behind white space so that no piece has more than `most` sentinels; if need be, inside of a word."""
    text, begin, first = part.text, 0, 0  # of what is left: where it begins, and which sentinel is its first
    places = [found.start() for found in SENTINEL.finditer(text)]
    while len(places) - first > most:
        last, over = places[first + most - 1 : first + most + 1]
        cut = text.rfind(" ", last + 1, over) + 1 or text.rfind(" ", begin + 1, over) + 1 or over
        head = text[begin:cut].rstrip()
        yield Part(head, text[begin + len(head) : cut])
        begin, first = cut, bisect_left(places, cut)
    yield replace(part, text=text[begin:]) if begin else part


def _spaced(parts: Sequence[Part], space: str) -> list[Part]:
    """`parts` with `space` behind the last."""
    return [*parts[:-1], replace(parts[-1], space=space)]
