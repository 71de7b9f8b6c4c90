"""Finds what must come through a translation as it is: what patterns.py lists (URLs, tags, placeholders, emoji ...), words in
scripts that the languages do not use, and what a user's own patterns match. Knows no model; sentinels.py says what stands in
their place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from textkit.text.preserved.patterns import SIGNS, preserved
from textkit.text.scripts import NOT_LATIN, latin


def _whole(text: str, begin: int, end: int) -> tuple[int, int]:
    """A span with a bracket at its end that closes one inside of it, as links to Wikipedia have."""
    while text[end : end + 1] == ")" and text.count("(", begin, end) > text.count(")", begin, end):
        end += 1
    return begin, end


@cache
def _foreign() -> re.Pattern[str]:
    """Words in other scripts than Latin, and what joins them to a name or a sentence."""
    return re.compile(rf"[{NOT_LATIN}](?:[{NOT_LATIN}\u200c\u200d]|[ ,'\u2019\u3000-\u3003-]{{1,2}}(?=[{NOT_LATIN}]))*")


@cache
def reads_latin_alone(*languages: str) -> bool:
    """Whether a translator between `languages` (ISO 639 codes) cannot read words in other scripts than Latin: all of the
    languages are written in Latin letters."""
    return bool(languages) and all(map(latin, languages))


def words_with(characters: str, text: str) -> list[tuple[int, int]]:
    """Where words with one of `characters` are in `text`, as "Škoda" and "Jean-Noël's"; a mark is a word of its own, or with
    its like beside it."""
    found: list[tuple[int, int]] = []
    for match in _runs(characters).finditer(text):
        begin, end = match.span()
        done = found[-1][1] if found else 0
        if begin < done:
            continue
        if match["letters"]:
            while begin > done and _joined(text, begin - 1):
                begin -= 1
            while end < len(text) and _joined(text, end):
                end += 1
        found.append((begin, end))
    return found


@lru_cache(256)
def _runs(characters: str) -> re.Pattern[str]:
    letters, marks = ("".join(filter(is_word, characters)) for is_word in (str.isalnum, _is_mark))
    groups = [f"(?P<{name}>[{re.escape(some)}]+)" for name, some in (("letters", letters), ("marks", marks)) if some]
    return re.compile("|".join(groups) if letters else "|".join(["(?P<letters>(?!))", *groups]))


def _is_mark(character: str) -> bool:
    return not character.isalnum()


def _joined(text: str, at: int) -> bool:
    """Whether the character at `at` is inside of a word: a letter, a digit, or what joins two."""
    if text[at] in "'\u2019-":
        return text[at - 1 : at].isalnum() and text[at + 1 : at + 2].isalnum()
    return text[at].isalnum()


def kept(
    text: str, own: Sequence[re.Pattern[str]] = (), latin_alone: bool = False, unread: str = ""
) -> list[tuple[int, int]]:
    """Where the spans of `text` to be kept are, (begin, end) in order; none overlaps another. What `own` patterns match is
    one span with what it overlaps: a part of a URL does not cut it. Words in other scripts than Latin (`latin_alone`) and words
    with one of the characters `unread` come after all else. An empty match is no span."""
    found: list[tuple[int, int]] = []
    if SIGNS.search(text):
        found += [_whole(text, *match.span("label" if match["label"] else 0)) for match in preserved().finditer(text)]
    if latin_alone and not text.isascii():
        found += [match.span() for match in _foreign().finditer(text)]
    if unread:
        found += words_with(unread, text)
    mine = [match.span() for pattern in own for match in pattern.finditer(text) if match.end() > match.start()]
    if not found and not mine:
        return []
    spans: list[tuple[int, int]] = []
    for at in sorted(range(len(found)), key=lambda at: (found[at][0], at)):
        if not spans or found[at][0] >= spans[-1][1]:
            spans.append(found[at])
    return _united(sorted([*mine, *spans])) if mine else spans


def _united(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted spans, those that overlap made one."""
    found: list[tuple[int, int]] = []
    for begin, end in spans:
        if found and begin < found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found
