"""How text becomes the terms that are matched. Knows no index.

tantivy cuts at what is no letter and no digit, drops accents, lowercases and stems. What it cannot know is prepared here: text
without spaces between words becomes single characters and pairs of them, marks on letters are left out, and a code such as
AB-12/7 is also a term as a whole.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

from textkit.text.scripts import IDEOGRAPHS, UNSPACED

LONGEST = 100  # bytes of a term; a longer one is left out
JOINT = "\u01c0"  # a letter that stands for a mark inside of a code: the click of a language that no code is written in
_CODE = re.compile(r"\w+(?:[^\w\s]\w+)+")
_DIGIT = re.compile(r"\d")
_FIGURE = re.compile("[0-9]")  # the same in ASCII, in half the time
_HANGUL = "\uac00-\ud7af"
_MARK = re.compile(r"[^\w]")
# What is written on letters and left out as often, where no letter is composed of both: accents of stress, and the vowels of
# Hebrew and Arabic. Then what lengthens an Arabic word, and what is not seen: soft hyphens and joiners.
_ON_LETTERS = (
    "\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4"
    "\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u0640\u00ad\u2060\ufeff"
)


def prepared(text: str) -> str:
    """`text` as tantivy's analyser takes it: its words, and behind them its codes as words."""
    said = text
    if not text.isascii():
        text = _on_letters().sub("", unicodedata.normalize("NFKC", text))
        said = text if text.isascii() else _runs().sub(_pairs, text)
    codes = _joined_codes(text)
    return f"{said} {' '.join(codes)}" if codes else said


def _joined_codes(text: str) -> list[str]:
    """Each word of `text` that has a digit and a mark inside, with JOINT for every mark."""
    if not (_FIGURE if text.isascii() else _DIGIT).search(text):
        return []
    words = [word for word in text.split() if not word.isalnum() and _DIGIT.search(word)]
    if not words:
        return []
    return [_MARK.sub(JOINT, found) for word in words for found in _CODE.findall(word) if _DIGIT.search(found)]


@cache
def _on_letters() -> re.Pattern[str]:
    return re.compile(f"[{_ON_LETTERS}]+")


@cache
def _words(plain: bool) -> re.Pattern[str]:
    """The words of a text, with what is written on their letters, if it is not `plain` ASCII."""
    return re.compile(r"\w+" if plain else f"\\w[\\w{_ON_LETTERS}]*")


@cache
def _runs() -> re.Pattern[str]:
    """Text without spaces. The pattern takes longer to compile than a query to search."""
    return re.compile(f"[{IDEOGRAPHS}{UNSPACED}{_HANGUL}]+")


def _pairs(run: re.Match[str]) -> str:
    """A run of characters without spaces as the characters and the pairs of neighbours."""
    letters = run[0]
    both = [*letters, *(letters[at : at + 2] for at in range(len(letters) - 1))]
    return f" {' '.join(both)} "


@cache
def analyser() -> Any:
    """tantivy's analyser for prepared text."""
    import tantivy

    filters = tantivy.Filter
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (filters.remove_long(LONGEST), filters.ascii_fold(), filters.lowercase(), filters.stemmer("english")):
        builder = builder.filter(step)
    return builder.build()


def terms(text: str) -> list[str]:
    """The terms of `text` in their order, repeated ones as often as they occur."""
    found: list[str] = analyser().analyze(prepared(text))
    return found


def telling(query: str) -> list[str]:
    """The terms of a query that name something: codes, numbers, and words written as names in the midst of a query."""
    found: list[str] = []
    words = query.split()
    shouted = query.isupper()
    for at, word in enumerate(words):
        bare = word.strip("\"'()[]{}<>.,;:!?¿¡“”„«»‘’")
        named = bare[:1].isupper() and not shouted and (at > 0 or len(words) == 1 or not bare[1:].islower())
        if len(bare) > 1 and (_DIGIT.search(bare) or named):
            whole = [code.lower() for code in _joined_codes(bare)]
            found += whole or terms(bare)
    return list(dict.fromkeys(found))


def has_digit(term: str) -> bool:
    """Whether a term is a number or a code."""
    return _DIGIT.search(term) is not None


def matched(text: str, wanted: set[str]) -> list[tuple[int, int]]:
    """Where the words of `text` lie (start, end) that have a term of `wanted`."""
    found = []
    for word in _words(text.isascii()).finditer(text):
        if not word[0].isascii() and _runs().search(word[0]):
            found += _matched_run(word[0], word.start(), wanted)
        elif len(word[0]) <= LONGEST and wanted.intersection(_of_word(word[0])):
            found.append(word.span())
    return found


@lru_cache(1 << 14)
def _of_word(word: str) -> tuple[str, ...]:
    """The terms of a word, which texts repeat."""
    return tuple(terms(word))


def _matched_run(letters: str, start: int, wanted: set[str]) -> list[tuple[int, int]]:
    hit = [letter in wanted for letter in letters]
    for at in range(len(letters) - 1):
        if letters[at : at + 2] in wanted:
            hit[at] = hit[at + 1] = True
    spans: list[tuple[int, int]] = []
    for at, there in enumerate(hit, start):
        if there and spans and spans[-1][1] == at:
            spans[-1] = spans[-1][0], at + 1
        elif there:
            spans.append((at, at + 1))
    return spans
