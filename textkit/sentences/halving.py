"""Cuts a sentence that is too long for a translation model in two, where that does the least harm. Knows no model."""

from __future__ import annotations

import re

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
        low = max(0, aim - reach)
        cuts = [match for match in pattern.finditer(text, low, aim + reach) if 0 < match.end() < len(text)]
        for match in sorted(cuts, key=lambda match: abs(match.end() - aim)):
            first, second = text[: match.end()], text[match.end() :]
            bare = first.rstrip()
            if bare and second.strip():
                rest = second.lstrip()
                return Part(bare, first[len(bare) :] + second[: len(second) - len(rest)]), Part(rest)
    end = min(aim + _LONGEST_CLUSTER, len(text) - 1)
    aim = next((at for at in range(aim, end) if not _joins(text[at])), aim)  # not between a letter and its accent
    return Part(text[:aim]), Part(text[aim:])


def _joins(character: str) -> bool:
    import unicodedata

    return unicodedata.combining(character) != 0 or character in "\u200d\ufe0f"
