"""Replaces unknown words of a translation by the source words that they looked at (Luong et al. 2015, "Addressing the Rare
Word Problem in Neural Machine Translation"). Knows pieces and where they looked; no model."""

from __future__ import annotations

from collections.abc import Sequence

from textkit.text.translation import SPACE, TranslationText


def replaced(rule: TranslationText, ids: Sequence[int], source: Sequence[str], looked: Sequence[int]) -> list[str]:
    """The pieces of target `ids`; an unknown one is replaced by the word of the pieces `source` at `looked[target]`."""
    pieces = []
    for id, at in zip(ids, looked, strict=True):
        pieces.append(word_at(source, at) if id == rule.unk else rule.target_token(id))
    return pieces


def shown(rule: TranslationText, ids: Sequence[int]) -> list[str]:
    """The pieces of target `ids`, with one space before each unknown one, because most unknown pieces are words."""
    pieces = map(rule.target_token, ids)
    return [
        SPACE + piece.removeprefix(SPACE) if id == rule.unk else piece for id, piece in zip(ids, pieces, strict=True)
    ]


def word_at(pieces: Sequence[str], at: int) -> str:
    """The whole word that piece number `at` is part of, with the sign for a space before it where the source has one."""
    first = last = at
    while first > 0 and _continue(pieces[first - 1], pieces[first]):
        first -= 1
    while last + 1 < len(pieces) and _continue(pieces[last], pieces[last + 1]):
        last += 1
    return "".join(pieces[first : last + 1])


def _continue(piece: str, after: str) -> bool:
    """Whether `after` is part of the same word as `piece`: letters follow letters, with no space between."""
    return bool(piece) and piece[-1].isalnum() and after[:1].isalnum()
