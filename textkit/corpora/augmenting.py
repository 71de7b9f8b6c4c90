"""Pairs of lines, changed in both sides alike, so that a translator meets what its pairs lack: capitals, other numbers, rare
names, sentences without an end, and sentinels for what must stay as it is. Knows no ids and no network.

Each change has a rate, the share of pairs that it is tried on. The same seed, epoch and pair give the same change.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from textkit.corpora.names import invented, listed
from textkit.corpora.pairs import TAB, pair
from textkit.corpora.typos import mistyped
from textkit.text.preserved.keeping import kept, reads_latin_alone
from textkit.text.preserved.numerals import Number, numbers, written
from textkit.text.preserved.sentinels import replaced

if TYPE_CHECKING:
    from pathlib import Path

    from textkit.corpora.corpus import Corpus

# The changes, in the order in which they are made, and the rates that they have if none is said.
RATES: Mapping[str, float] = {
    "join": 0.1,  # two pairs become one
    "fragments": 0.05,  # a part before or behind a comma becomes a pair
    "numbers": 0.5,  # a number that both sides have becomes another one
    "names": 0.5,  # a name that both sides have becomes another one
    "copy": 0.02,  # the target becomes its own source
    "keep": 0.15,  # a name or number, or an end or beginning, becomes a sentinel on both sides
    "punctuation": 0.1,  # the last mark is left out, or repeated
    "typos": 0.05,  # a slip of the fingers in a word of the source, or in two
    "case": 0.1,  # both sides in capitals, or the source in small letters
}
_END = re.compile(r"[.!?\u2026]+[\"'\u201c\u201d\u2019]*\Z")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_JOINED = 200  # characters that two joined sources have at most
_KEPT = 6  # of a pair's own names and numbers, how many become sentinels at most


def rates(said: str) -> dict[str, float]:
    """The rates that `augment` states: names of changes with commas between, each with a rate of its own or not.

    >>> rates("case:0.2,numbers")
    {'case': 0.2, 'numbers': 0.5}

    Raises ValueError for an unknown change, a change named twice, and a rate that is no share.
    """
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in said.split(","))):
        name, colon, rate = part.partition(":")
        if name not in RATES:
            raise ValueError(f"augment={said}: {name!r} is no change; there are {', '.join(RATES)}")
        if name in found:
            raise ValueError(f"augment={said}: {name!r} occurs twice")
        try:
            found[name] = float(rate) if colon else RATES[name]
        except ValueError:
            raise ValueError(f"augment={said}: {rate!r} is no number") from None
        if not 0 <= found[name] <= 1:
            raise ValueError(f"augment={said}: a rate is at least 0 and at most 1")
    return found


@dataclass(frozen=True)
class Augmenter:
    """Changes pairs. `rates`: change -> rate; languages: ISO 639 codes; `sentinels`: how many there are."""

    rates: Mapping[str, float]
    source_language: str
    target_language: str
    sentinels: int

    def __call__(self, lines: Sequence[str], seed: Sequence[int]) -> list[str]:
        """The pairs `lines` (source, tab, target), changed: as many, each in its place. Without sentinels none is made."""
        found = []
        for at, line in enumerate(lines):
            chance = random.Random(f"{list(seed)} {at}")
            found.append(TAB.join(self._changed(pair(line), pair(lines[chance.randrange(len(lines))]), chance)))
        return found

    def _changed(self, both: tuple[str, str], other: tuple[str, str], chance: random.Random) -> tuple[str, str]:
        if not all(side.strip() for side in both):
            return both
        for name, change in self._changes.items():
            if chance.random() < self.rates.get(name, 0):
                both = change(both, other, chance)
        # What is replaced in every line that is served is replaced in every pair.
        return self._all_kept(both) if self.sentinels else both

    @cached_property
    def _changes(self) -> dict[str, Callable[[tuple[str, str], tuple[str, str], random.Random], tuple[str, str]]]:
        return {
            "join": self._joined,
            "fragments": self._fragment,
            "numbers": self._numbers,
            "names": self._names,
            "copy": lambda both, other, chance: (both[1], both[1]),
            "keep": self._kept if self.sentinels else lambda both, other, chance: both,
            "punctuation": self._punctuation,
            "typos": lambda both, other, chance: (mistyped(both[0], chance), both[1]),
            "case": self._case,
        }

    def _joined(self, both: tuple[str, str], other: tuple[str, str], chance: random.Random) -> tuple[str, str]:
        if len(both[0]) + len(other[0]) > _JOINED or not all(map(_END.search, (*both, *other))):
            return both
        return f"{both[0]} {other[0]}", f"{both[1]} {other[1]}"

    def _fragment(self, both: tuple[str, str], other: tuple[str, str], chance: random.Random) -> tuple[str, str]:
        parts = [side.split(", ") for side in both]
        if any(len(part) != 2 for part in parts):
            return both
        source, target = (part[at] for part, at in zip(parts, [chance.randrange(2)] * 2, strict=True))
        alike = 0.6 < (len(source) + 5) / (len(target) + 5) < 1.5
        return (source, target) if alike and len(source) > 3 and len(target) > 3 else both

    def _numbers(self, both: tuple[str, str], other: tuple[str, str], chance: random.Random) -> tuple[str, str]:
        for source, target in reversed(self._shared_numbers(both)):
            if source.value == "1" or not source.plain or chance.random() < 0.2:
                continue  # "1 day" but "2 days"
            value, grouped = _drawn(chance)
            new = [written(value, language, grouped) for language in (self.source_language, self.target_language)]
            both = (
                both[0][: source.begin] + new[0] + both[0][source.end :],
                both[1][: target.begin] + new[1] + both[1][target.end :],
            )
        return both

    def _shared_numbers(self, both: tuple[str, str]) -> list[tuple[Number, Number]]:
        """The numbers that each side has once, in the order of the source; those out of order in the target are left out."""
        sides = [list(numbers(both[0], self.source_language)), list(numbers(both[1], self.target_language))]
        once = [
            {one.value: one for one in side if sum(one.value == more.value for more in side) == 1} for side in sides
        ]
        found: list[tuple[Number, Number]] = []
        for value, one in once[0].items():
            if value in once[1] and (not found or found[-1][1].end < once[1][value].begin):
                found.append((one, once[1][value]))
        return found

    def _names(self, both: tuple[str, str], other: tuple[str, str], chance: random.Random) -> tuple[str, str]:
        for name in _shared_names(both):
            new = invented(chance) if chance.random() < 0.4 else listed(chance)
            pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
            both = pattern.sub(new, both[0]), pattern.sub(new, both[1])
        return both

    def _kept(self, both: tuple[str, str], other: tuple[str, str], chance: random.Random) -> tuple[str, str]:
        """Marks some of what both sides have by words in angle brackets, which `_all_kept` takes for tags."""
        spans = [(source[:2], target[:2]) for source, target in self._shared_numbers(both)]
        for name in _shared_names(both):
            places = [
                [match.span() for match in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", side)] for side in both
            ]
            if len(places[0]) == len(places[1]) == 1:
                spans.append((places[0][0], places[1][0]))
        chance.shuffle(spans)
        source, target = both
        chosen = spans[: chance.randint(1, _KEPT)] if spans and chance.random() < 0.7 else []
        if chosen:
            return _tagged(source, [span[0] for span in chosen]), _tagged(target, [span[1] for span in chosen])
        return _with_tags(source, target, chance)

    def _all_kept(self, both: tuple[str, str]) -> tuple[str, str]:
        """The pair with sentinels for what both sides have to keep, in the order of the source."""
        source, target = both
        spans = [
            (begin, end)
            for begin, end in kept(source, (), reads_latin_alone(self.source_language, self.target_language))
            if target.count(source[begin:end]) == 1
        ][: self.sentinels]
        if not spans:
            return both
        places: list[tuple[int, int, int]] = []  # in the target: begin, end, number
        used: list[tuple[int, int]] = []
        for begin, end in spans:
            at = target.find(source[begin:end])
            if source.count(source[begin:end]) == 1 and all(at >= b or at + end - begin <= a for a, b, _ in places):
                places.append((at, at + end - begin, len(used)))
                used.append((begin, end))
        places.sort()
        changed = replaced(target, [place[:2] for place in places], lambda at: places[at][2])
        return replaced(source, used), changed

    def _punctuation(self, both: tuple[str, str], other: tuple[str, str], chance: random.Random) -> tuple[str, str]:
        ends = [_END.search(side) for side in both]
        if not all(ends):
            return both
        if chance.random() < 0.6:  # without an end
            source, target = (side[: end.start()] for side, end in zip(both, ends, strict=True) if end)
            return (source, target) if source.strip() and target.strip() else both
        mark = both[0][-1]
        if mark not in "!?." or both[1][-1] != mark:
            return both
        more = mark * chance.randint(1, 3) if mark != "." else ".."
        return both[0] + more, both[1] + more

    def _case(self, both: tuple[str, str], other: tuple[str, str], chance: random.Random) -> tuple[str, str]:
        source, target = both
        return (source.upper(), target.upper()) if chance.random() < 0.5 else (source.lower(), target)


class Augmented:
    """A corpus of pairs whose lines are changed, to learn a vocabulary from: capitals and sentinels are in it."""

    def __init__(self, corpus: Corpus, augmenter: Augmenter, seed: Sequence[int]) -> None:
        self.corpus, self.augmenter, self.seed = corpus, augmenter, seed
        self.paths: Sequence[Path] = corpus.paths

    def chunks(self, n: int) -> Iterator[list[str]]:
        for number, lines in enumerate(self.corpus.chunks(n)):
            yield self.augmenter(lines, [*self.seed, number])


def _shared_names(both: tuple[str, str]) -> list[str]:
    """Words with a capital inside of the source that the target has as well: names, of people and of places."""
    words = [match for match in _WORD.finditer(both[0]) if match[0][0].isupper() and len(match[0]) > 2]
    theirs = set(_WORD.findall(both[1]))
    found = []
    for match in words:
        inside = match.start() > 0 and both[0][: match.start()].rstrip("\"'\u201c ")[-1:] not in (
            "",
            ".",
            "!",
            "?",
            ":",
        )
        # "Toms", a genitive, would be left behind.
        alone = not any(other.startswith(match[0]) and other != match[0] for other in theirs)
        if match[0] in theirs and alone and not match[0].isupper() and (inside or match[0] in _FREQUENT):
            found.append(match[0])
    return list(dict.fromkeys(found))


_FREQUENT = frozenset(
    ("Tom", "Mary", "John", "Maria", "Peter", "Paul", "Anna", "Bob", "Bill", "Alice", "Ken", "Jim", "Mike")
)


def _tagged(side: str, spans: Sequence[tuple[int, int]]) -> str:
    """`side` with a tag instead of each span."""
    for number, (begin, end) in sorted(enumerate(spans), key=lambda numbered: -numbered[1][0]):
        side = f"{side[:begin]}<a{number}>{side[end:]}"
    return side


def _with_tags(source: str, target: str, chance: random.Random) -> tuple[str, str]:
    """Tags where emoji, hashtags and links stand: before both sides, behind them, or before their last marks."""
    tags = "".join(f"<a{number}>" + " " * chance.randint(0, 1) for number in range(chance.randint(1, 3))).strip()
    space = " " * (chance.random() < 0.8)
    if chance.random() < 0.3:
        return tags + space + source, tags + space + target
    ends = [_END.search(side) for side in (source, target)]
    if chance.random() < 0.3 and all(ends):
        source, target = (
            f"{side[: end.start()]} {tags}{side[end.start() :]}"
            for side, end in zip((source, target), ends, strict=True)
            if end
        )
        return source, target
    return source + space + tags, target + space + tags


def _drawn(chance: random.Random) -> tuple[str, bool]:
    """A number drawn at random, and whether its thousands are marked."""
    kind = chance.random()
    if kind < 0.3:
        return str(chance.randint(2, 31)), False
    if kind < 0.5:
        return str(chance.randint(32, 999)), False
    if kind < 0.7:
        return str(chance.randint(1500, 2099)), False
    if kind < 0.85:
        return str(chance.choice((1, 5, 10, 50, 100)) * chance.randint(1000, 99_999)), True
    whole = chance.choice((chance.randint(0, 9), chance.randint(10, 99), chance.randint(100, 9999)))
    return (
        f"{whole}.{chance.randint(0, 99):02d}" if chance.random() < 0.6 else f"{whole}.{chance.randint(1, 9)}",
        whole > 999,
    )
