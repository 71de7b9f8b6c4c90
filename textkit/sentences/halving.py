"""Cuts a sentence that is too long for a translation model, where that does the least harm. Knows no model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from textkit.sentences.splitting import Part

_CLAUSE = re.compile(r"[,;:)\]”»…][\"'”’»)]*+\s++|[。、，；：]++|\s[–—-]\s|[.!?]\s")
_SPACE = re.compile(r"\s+")
_LONGEST_CLUSTER = 32  # characters: more accents than that belong to no letter, and a line of accents alone is halved


def halves(text: str, share: float = 0.5) -> tuple[Part, Part]:
    """`text`, of two characters or more, cut in two; the first part takes about `share` of it.

    The cut is made where a clause ends nearby, otherwise between words, otherwise between characters.
    """
    aim = min(max(1, round(len(text) * share)), len(text) - 1)
    near = max(1, len(text) // 4)
    for pattern, reach in ((_CLAUSE, near), (_SPACE, len(text))):
        for cut in _cuts(pattern, text, aim, reach):
            first, second = text[:cut], text[cut:]
            bare = first.rstrip()
            if bare and second.strip():
                rest = second.lstrip()
                return Part(bare, first[len(bare) :] + second[: len(second) - len(rest)]), Part(rest)
    end = min(aim + _LONGEST_CLUSTER, len(text) - 1)
    aim = next((at for at in range(aim, end) if not _joins(text[at])), aim)  # not between a letter and its accent
    return Part(text[:aim]), Part(text[aim:])


def clauses(sentence: Part, most: int) -> Iterator[Part]:
    """`sentence`, cut where clauses end so that each part has at most `most` words, as far as clauses end in good places. All
    parts but the last go on."""
    text = sentence.text
    if len(text.split()) > most and (cuts := _cuts(_CLAUSE, text, len(text) // 2, len(text) // 3)):
        cut = cuts[0]
        bare = text[:cut].rstrip()
        yield from clauses(Part(bare, text[len(bare) : cut], goes_on=True), most)
        yield from clauses(replace(sentence, text=text[cut:]), most)
        return
    yield sentence


def _cuts(pattern: re.Pattern[str], text: str, aim: int, reach: int) -> list[int]:
    """Where matches end within `reach` of `aim`, and something follows; the nearest first."""
    ends = (found.end() for found in pattern.finditer(text, max(0, aim - reach), aim + reach))
    return sorted((end for end in ends if 0 < end < len(text)), key=lambda end: abs(end - aim))


def _joins(character: str) -> bool:
    import unicodedata

    return unicodedata.combining(character) != 0 or character in "\u200d\ufe0f"
