"""Sentinels: characters that stand for what must come through a translation as it is, such as a URL, a tag or an emoji.

Before a text is translated, each such span becomes a sentinel; the network learns to put the same sentinel into its
translation, where the span takes its place again. Sentinels are characters for private use (plane 15), which no text of a
person holds: an ordinary tokenizer can read and write them, and one that a text holds all the same is itself a span to be kept.
Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

MOST_SENTINELS = 64  # of a vocabulary
_FIRST = 0xF0000
_ALL = 0xFFFE  # sentinels of a line, before it is cut into sentences; U+FFFFE and U+FFFFF are no characters
SENTINEL = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + _ALL - 1)}]")


def sentinel(number: int) -> str:
    """The sentinel `number`, from 0. Raises ValueError beyond the last."""
    if not 0 <= number < _ALL:
        raise ValueError(f"there is no sentinel {number}")
    return chr(_FIRST + number)


def numbers(text: str) -> list[int]:
    """The numbers of the sentinels in `text`, in their order there."""
    if text.isascii():  # quick, and so is all that follows for most texts
        return []
    return [ord(found) - _FIRST for found in SENTINEL.findall(text)]


def renumbered(text: str) -> tuple[str, list[int]]:
    """`text` with its sentinels numbered from 0 in their order, and the numbers that they had."""
    before: list[int] = []

    def counted(found: re.Match[str]) -> str:
        before.append(ord(found[0]) - _FIRST)
        return sentinel(len(before) - 1)

    return SENTINEL.sub(counted, text), before


def restored(text: str, spans: Sequence[str]) -> str:
    """`text` with each sentinel replaced by its span. A sentinel without a span, and a second one of a number, is left out."""
    if text.isascii() or not SENTINEL.search(text):
        return text
    done: set[int] = set()

    def span(found: re.Match[str]) -> str:
        number = ord(found[0]) - _FIRST
        if number in done or number >= len(spans):
            return ""
        done.add(number)
        return spans[number]

    return SENTINEL.sub(span, text)


def replaced(text: str, spans: Sequence[tuple[int, int]], number: Callable[[int], int] = lambda at: at) -> str:
    """`text` with sentinels instead of `spans`, (begin, end) in order; the one at position `at` gets `number(at)`."""
    parts, done = [], 0
    for at, (begin, end) in enumerate(spans):
        parts += [text[done:begin], sentinel(number(at))]
        done = end
    return "".join([*parts, text[done:]])
