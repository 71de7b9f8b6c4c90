"""Sentinels: characters that stand for what must come through a translation as it is, such as a URL, a tag or an emoji.

Before a text is translated, each such span becomes a sentinel; the network learns to put the same sentinel into its
translation, where the span takes its place again. Sentinels are characters for private use (plane 15), which no text of a
person holds: an ordinary tokenizer can read and write them, and one that a text holds all the same is itself a span to be kept.
Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from textkit.text.compiled import compiled

MOST_SENTINELS = 64  # of a vocabulary
_FIRST = 0xF0000
_ALL = 0xFFFE  # sentinels of a line, before it is cut into sentences; U+FFFFE and U+FFFFF are no characters
_RANGE = f"{chr(_FIRST)}-{chr(_FIRST + _ALL - 1)}"
SENTINEL = re.compile(f"[{_RANGE}]")


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


# What a sentinel is set apart from: a word, which would be another one to a tokenizer without the space before it. Not a
# number's own ending, as in 21st, 1990s, 5kg.
_BEFORE = rf"(?<=[^\W_]|[.,:;!?\u2026)])(?=[{_RANGE}])"
_BEHIND = rf"(?<=[{_RANGE}])(?=[^\W_](?<!\d)|\()(?!(?:s|st|nd|rd|th|ers?|ten|x|k?[gm]|[cm]m)(?!\w))"
_LOOSE = r"(?<=\S) +(?= \S|[.,;!?](?:\s|\Z))"  # a second space, or one before a mark
_PUNCTUATION = ".,:;!?\u2026)"


def apart(text: str) -> str:
    """`text` with a space between each sentinel and a word beside it: a tag's words are then read as any others.

    >>> ascii(apart(f"{sentinel(0)}not{sentinel(1)} now"))
    "'\\\\U000f0000 not \\\\U000f0001 now'"
    """
    if text.isascii() or not SENTINEL.search(text):
        return text
    return compiled(_BEHIND).sub(" ", compiled(_BEFORE).sub(" ", text))


def as_close(text: str, source: str) -> str:
    """`text`, a translation of `source`, in which a sentinel is as close to the words beside it as it is in `source`. Two that
    meet get a space between them: in a source something stands between any two, and 20 and 23 are not 2023."""
    if source.isascii() or not SENTINEL.search(source):
        return text
    beside = {
        ord(one[0]) - _FIRST: (source[: one.start()][-1:], source[one.end() :][:1]) for one in SENTINEL.finditer(source)
    }
    parts, done = [], 0
    for found in SENTINEL.finditer(text):
        before, behind = beside.get(ord(found[0]) - _FIRST, ("", ""))
        own = text[done : found.start()]
        last, next_ = own.rstrip(" ")[-1:], text[found.end() :].lstrip(" ")[:1]
        if before.isalnum() or (before and before in _PUNCTUATION and last and last in _PUNCTUATION):
            own = own.rstrip(" ")
        elif before in ("", " ") and own[-1:].isalnum():
            own += " "
        parts += [own, found[0]]
        done = found.end()
        if behind.isalnum() or (behind == "(" == next_):
            done += len(text[done:]) - len(text[done:].lstrip(" "))
        elif (behind in ("", " ") and text[done : done + 1].isalnum()) or SENTINEL.match(text, done):
            parts.append(" ")
    text = "".join([*parts, text[done:]])
    loose = compiled(_LOOSE)
    return text if loose.search(source) else loose.sub("", text)
