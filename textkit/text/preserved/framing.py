"""What frames the words of a line, and is none of them: the mark of a list, a heading or a quotation before them, and what
stands between the cells of a table. A translator leaves it as it is. Knows no model.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from textkit.text.compiled import compiled

_MARK = (
    r"(?:[-*+\u2022\u2023\u2043\u25aa\u25ab\u25cb\u25cf\u25e6\u2013\u2014]|>{1,5}|#{1,6}"
    r"|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{2,4})\))"
)
_HEAD = re.compile(rf"\s*(?:{_MARK}[^\S\n]+(?:\[[ xX]\][^\S\n]+)?){{1,5}}(?=\S)")
# "2. " marks a list in English. In languages where a point makes an ordinal it may count what follows; German says when.
_NUMBER = re.compile(r"\s*\d{1,3}\.[^\S\n]+(?=[^\W\d_])")
_ORDINALS = frozenset((
    "bs", "cs", "da", "de", "et", "fi", "fo", "hr", "hu", "is", "lb", "lv", "nb", "nn", "no", "pl", "sk", "sl", "sr", "sv",
    "tr",
))  # fmt: skip
_COUNTED = {
    "de": r"(?i:jan|febr?|märz|apr|mai\b|jun|jul|aug|sept?|okt|nov|dez|advent|auflage|ausgabe|band\b|bezirk|bundesliga|etage"
    r"|fassung|folge|geburtstag|gebot|gruppe|grad|halb|hilfe|jahr|jubiläum|kapitel|klasse|könig|kreis|liga|lektion|lesung|mal\b"
    r"|mannschaft|mahnung|monat|obergeschoss|og\b|pers|platz|preis|quartal|rang\b|reihe|reich|runde|satz|schritt|schul|semester"
    r"|sieger|sinfonie|spieltag|staffel|stelle|stock|stufe|symphonie|tag|teil|termin|uhr|untergeschoss|versuch|viertel"
    r"|vorsitzende|weihnacht|welt|woche|zeile|zug\b)",
}
_BORDER = r"(?:(?:^|(?<=\s))\|+(?!\S)|[^\S\n]{3,}|\t)[^\S\n]*(?:\|+(?!\S)[^\S\n]*)*"


def head(line: str, language: str = "") -> int:
    """How many characters at the beginning of `line` mark a list, a heading or a quotation: "- ", "## ", "> ", "a) ", and "1. "
    where that is no ordinal in a `language` that is known."""
    found = _HEAD.match(line)
    at = found.end() if found else 0
    number = _NUMBER.match(line, at) if language else None
    return at if number is None or _may_count(line, number.end(), language) else number.end()


def _may_count(line: str, at: int, language: str) -> bool:
    """Whether a number with a point may be an ordinal that counts the word at `at`."""
    counted = _COUNTED.get(language)
    return language in _ORDINALS and (counted is None or compiled(counted).match(line, at) is not None)


def borders(line: str) -> list[tuple[int, int]]:
    """Where tabs, lone strokes ("a | b") and wide gaps divide `line` into cells, (begin, end) in order."""
    if not ("\t" in line or "|" in line or "   " in line):
        return []
    return [found.span() for found in compiled(_BORDER).finditer(line)]


def frames(line: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of `spans`, (begin, end), that are within the head of `line` or one of its borders."""
    first, edges = head(line), borders(line)
    begins = [begin for begin, _ in edges]
    found = []
    for begin, end in spans:
        before = bisect_right(
            begins, begin
        )  # borders that begin there or before: the last is the only one that may hold it
        if end <= first or (before and end <= edges[before - 1][1]):
            found.append((begin, end))
    return found


def cells(line: str, language: str = "") -> list[tuple[str, str]]:
    """The cells of `line`, which has no white space around it and may be of a known language, each with what stands behind it.
    The first is empty, and has the head behind it, where there is one.

    >>> cells("- cat | dog")
    [('', '- '), ('cat', ' | '), ('dog', '')]
    """
    at = head(line, language)
    found = [("", line[:at])] if at else []
    for begin, end in borders(line):
        if begin >= at and end > begin:
            text = line[at:begin].rstrip()
            found.append((text, line[at + len(text) : end]))
            at = end
    return [*found, (line[at:], "")]
