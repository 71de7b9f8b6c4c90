"""Numbers that a translation lost, put through it behind numbers that models copy: for models without sentinels.

Rare numbers are cut into pieces and come out wrong, 19.99 as 1999. Such a number is replaced by one that is frequent and stands
nowhere else in the text; where the translation has that one once, the number takes its place, in the form of the target's
language. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from textkit.text.preserved.numerals import Number, numbers

_COUNTS = ("27", "38", "45", "56", "63", "74", "89")
_YEARS = ("1990", "1985", "1978", "1994", "1982")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")


def with_stand_ins(text: str, lost: Sequence[Number], language: str) -> tuple[str, list[str]] | None:
    """`text`, which is in `language`, with another number in the place of each of `lost`, and those numbers; None where there
    are not enough."""
    known = {number.value for number in numbers(text, language)}
    chosen: list[str] = []
    for number in lost:
        kind = _YEARS if _YEAR.fullmatch(text[number.begin : number.end]) else _COUNTS
        one = next((other for other in kind if other not in known and other not in chosen), None)
        if one is None:
            return None
        chosen.append(one)
    return _put(text, [(number.begin, number.end, one) for number, one in zip(lost, chosen, strict=True)]), chosen


def without_stand_ins(text: str, stand_ins: Sequence[str], spans: Sequence[str], language: str) -> str | None:
    """`text`, which is in `language`, with `spans` in the places of the stand-ins; None where one is missing or there twice."""
    found = {one: [number for number in numbers(text, language) if number.value == one] for one in stand_ins}
    if any(len(places) != 1 for places in found.values()):
        return None
    return _put(text, sorted((*found[one][0][:2], span) for one, span in zip(stand_ins, spans, strict=True)))


def _put(text: str, places: Sequence[tuple[int, int, str]]) -> str:
    """`text` with another text in each of `places`, (begin, end, text) in order."""
    parts, done = [], 0
    for begin, end, other in places:
        parts += [text[done:begin], other]
        done = end
    return "".join([*parts, text[done:]])
