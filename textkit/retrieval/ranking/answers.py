"""Whether a text can hold the answer of a question: a number for "how many", a name for "who" (answer types; Voorhees 1999).

Words and meaning both prefer the text that repeats the question. What answers it says something else besides, of a kind that an
English question announces: such a text is told by a few patterns. Knows no index.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Literal

Kind = Literal["time", "number", "name"]

_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_NUMERALS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
    "|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|dozen|half|third|quarter|once|twice"
    "|several|both|none|first|second"
)
_QUANTITIES = (
    "percentage|percent|number|population|amount|score|distance|height|length|rate|temperature|weight|size|price|cost|ratio|share"
    "|proportion|age|total|capacity|speed|area"
)
_PLACES = (
    "city|country|state|town|place|region|county|continent|river|island|location|province|nation|village|capital|area"
)
_NAMED = (
    "company|team|person|king|queen|president|player|group|organization|organisation|university|school|party|book|film|song|album"
    "|band|language|name|named|called"
)
_MANY = "many|much|old|long|far|tall|high|large|big|deep|wide|heavy|fast|often"
# A question is looked at as words in small letters with single spaces. The first pattern that is found says the kind.
_QUESTIONS: tuple[tuple[Kind, str], ...] = (
    ("time", r"\bwhen\b|\b(?:what|which) (?:\w+ )?(?:year|century|decade|day|month|date|time|era|period)s?\b|\bhow long ago\b"),
    ("number", rf"\bhow (?:{_MANY})\b|\bwhat (?:is |was |were |are )?(?:the |a )?(?:\w+ ){{0,2}}(?:{_QUANTITIES})s?\b"),
    ("name", rf"\b(?:who|whom|whose|where)\b|\b(?:what|which) (?:\w+ )?(?:{_PLACES})\b"),
    ("name", rf"^(?:which|what|name)\b.*\b(?:{_NAMED})\b"),
)  # fmt: skip
# How such a question begins, behind a preposition or without, unless it ends in a question mark: "people who need help" asks
# for no name.
_ASKING = frozenset(("who", "whom", "whose", "when", "where", "what", "which", "how", "name"))
_PREPOSITIONS = frozenset(
    ("after", "at", "before", "by", "during", "for", "from", "in", "of", "on", "since", "to", "under", "until", "with")
)
_NUMBER = rf"\d[\d.,]*|\b(?:{_NUMERALS})\b"
_TIME = rf"\b\d{{1,4}}\b|\bcentur\w+|\b(?:{_MONTHS})\b"
_WHILE = r"\b(?:during|after|before|until|since|when|while)\b"
_WORD = r"[^\W\d_][\w'’-]*"
_SENTENCE_END = r"[.!?][\"”’)]?\s*$"
# Words that begin a sentence and name nothing.
_COMMON = frozenset((
    "a", "after", "all", "although", "an", "and", "another", "as", "at", "because", "before", "both", "but", "by",
    "despite", "during", "each", "even", "for", "from", "had", "has", "have", "he", "her", "his", "how", "however",
    "i", "if", "in", "into", "is", "it", "its", "many", "most", "no", "not", "of", "on", "one", "only", "or", "other",
    "over", "so", "some", "since", "such", "than", "that", "the", "their", "then", "there", "these", "they", "this",
    "those", "though", "thus", "to", "under", "until", "was", "we", "were", "what", "when", "where", "which", "while",
    "who", "with", "within", "without", "you",
))  # fmt: skip


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """Compiled when it is asked for: a start costs nothing for it."""
    return re.compile(pattern, re.IGNORECASE)


def wanted(query: str) -> Kind | None:
    """What kind of answer a question announces; None for a query that is no such question."""
    words = _words(query)
    asks = words[:1] if not words or words[0] not in _PREPOSITIONS else words[1:2]
    if not query.rstrip().endswith("?") and not _ASKING.intersection(asks):
        return None
    said = " ".join(words)
    for kind, pattern in _QUESTIONS:
        if _pattern(pattern).search(said):
            return kind
    return None


def likely(kind: Kind, query: str) -> Callable[[str], float]:
    """Texts -> how well each says, beside what the question says itself, something of the kind that answers it: from 0 to 1."""
    known = set(_words(query))
    if kind == "name":
        return lambda text: min(1.0, _names(text, known) / 2)
    return partial(_number if kind == "number" else _time, known)


def _number(known: set[str], text: str) -> float:
    new = _new(_NUMBER, text, known)
    return 1.0 if any(found[0].isdigit() for found in new) else 0.7 if new else 0.0


def _time(known: set[str], text: str) -> float:
    new = _new(_TIME, text, known)
    if any(found.isdigit() and len(found) > 2 for found in new):
        return 1.0
    return 0.6 if new else 0.3 if _pattern(_WHILE).search(text) else 0.0


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def _new(pattern: str, text: str, known: set[str]) -> list[str]:
    """What matches in small letters, and is not `known`."""
    found = (one.lower() for one in _pattern(pattern).findall(text))
    return [one for one in found if one not in known]


def _names(text: str, known: set[str]) -> int:
    """How many words are written as names and are not `known`."""
    count = 0
    for word in _pattern(_WORD).finditer(text):
        low = word[0].lower()
        if word[0][0].isupper() and low not in known and low not in _COMMON:
            begins = word.start() == 0 or _pattern(_SENTENCE_END).search(text[max(0, word.start() - 8) : word.start()])
            count += not (begins and len(low) < 3)
    return count
