"""Cuts a line into what a translation model takes at once: its sentences, and the parts of one that is too long.

A cut is made only where it is safe to, for half a sentence translates worse than two: after a mark that ends a sentence,
before something that may begin one, and not after an abbreviation. Cuts fall into white space, which is kept, or between two
characters where a script needs none. Knows no model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A piece of a line, without white space around it, and the white space that follows it."""

    text: str
    space: str = ""


# Possessive quantifiers and the looks back keep the time linear: a run of 100,000 dots is looked at once.
_CLOSERS = "\"'”’»«)\\]}›“"
_OPENERS = "\\-\"'“‘„«»(\\[{¿¡‹–—"
# One or more marks with what closes behind them, and white space; or ideographic marks, which need no space; or line ends.
_END = re.compile(
    rf"(?<![.!?…])[.!?…]++[{_CLOSERS}]*+(?P<space>\s++)(?=[{_OPENERS}]*+\s?[^\W_])"
    r"|(?<![。！？])[。！？]++[」』）”’]*+(?P<wide>\s*+)(?=\S)"
    r"|(?P<lines>(?<![^\S\n\r])[^\S\n\r]*+[\n\r]\s*+)(?=\S)"
)
_BEGINS = re.compile(rf"[{_OPENERS}\s]*+(\S?)")
_LAST_WORD = re.compile(rf"([^\s{_OPENERS}]*+)$")
_LONGEST_WORD = 40  # characters: none that is longer is an abbreviation

# What is followed by a capital all the same. Without the dot, in lower case; English and German, and what many share.
_WORDS = """
    mr mrs ms dr prof st sr jr rev hon gen col lt sgt capt cmdr gov sen rep pres vs etc cf al fig figs eq no nos vol ed eds
    pp p approx dept est inc ltd co corp jan feb mar apr jun jul aug sep sept oct nov dec mt ft ave blvd rd op
    nr hr fr frl bzw ca bspw evtl ggf inkl exkl max min mio mrd tel str abs art abb bd hg hrsg jh jhd kap od s sog ua usf
    vgl zb zzt dh dgl verf geb gest verh vorm ehem ev kath phil dipl ing med jur mag
    m mme mlle sra srta d ud uds av
"""
_ABBREVIATIONS = frozenset(_WORDS.split())
_DOTTED = re.compile(r"[^\W\d_](\.[^\W\d_])+")  # e.g, z.B, U.S
_SHORT_NUMBER = re.compile(r"\d{1,2}|[IVXLCDM]{1,5}")  # the 3. of a date, Louis XIV.


def sentences(line: str) -> list[Part]:
    """The sentences of a line, with the white space between them; that around the line is left out. [] for a blank one."""
    line = line.strip()
    parts, start = [], 0
    for match in _END.finditer(line):
        space = next(match.start(name) for name in ("space", "wide", "lines") if match[name] is not None)
        if match["space"] is not None and "\n" not in match["space"] and not _ends(line, start, match):
            continue
        parts.append(Part(line[start:space], line[space : match.end()]))
        start = match.end()
    return [*parts, Part(line[start:])] if line else []


def _ends(line: str, start: int, match: re.Match[str]) -> bool:
    """Whether the marks that matched end a sentence that began at `start`."""
    begins = _BEGINS.match(line, match.end())
    follows = begins[1] if begins else ""
    if follows.islower():
        return False
    marks = line[match.start() : match.start("space")]
    if not marks.startswith(".") or marks.startswith(".."):
        return True
    found = _LAST_WORD.search(line[max(start, match.start() - _LONGEST_WORD) : match.start()])
    word = found[1] if found else ""
    if word.lower() in _ABBREVIATIONS or _DOTTED.fullmatch(word) or (len(word) == 1 and word.isalpha() and word != "I"):
        return False
    if word != "I" and _SHORT_NUMBER.fullmatch(word):
        return match.end() - match.start("space") > 1  # a number ends a sentence where two spaces say so
    return not follows.isdigit() or not word.isdigit()


_CLAUSE = re.compile(r"[,;:)\]”»…][\"'”’»)]*+\s++|[。、，；：]++|\s[–—-]\s|[.!?]\s")
_SPACE = re.compile(r"\s+")
_LONGEST_CLUSTER = (
    32  # characters: where there are more accents they are no letter's, and a line of them alone is halved
)


def halves(text: str, share: float = 0.5) -> tuple[Part, Part]:
    """`text`, of two characters or more, cut in two: the first takes about `share` of it.

    Where a clause ends, if that is anywhere near, else between words, else between characters.
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
