"""Cuts a line into its sentences, as a translation model takes them at once. halving.py cuts one that is too long.

A cut is made only where it is safe, because half a sentence translates worse than two: after a mark that ends a sentence,
before something that may begin one, and not after an abbreviation of the line's language. Cuts fall into white space, which is
kept with the smileys in it, or between two characters if the script needs no space. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from textkit.sentences.abbreviations import Language, guessed, language
from textkit.sentences.marks import (
    CAMEL,
    DOTTED,
    HEARTS,
    MARK,
    NEXT,
    NUMBERED,
    OPENERS,
    QUOTES,
    ROMAN,
    SPECIAL,
    SPEECH,
    days,
    ends,
    goes_on,
    quoted,
    said,
    trailing_smileys,
)


@dataclass(frozen=True)
class Part:
    """A piece of a line without white space around it, and the `space` after it: white space and smileys, which are not
    translated. `goes_on`: whether its sentence goes on in the next piece."""

    text: str
    space: str = ""
    goes_on: bool = False


_ARTICLES = frozenset(
    re.split(
        " ",
        "a an the my your his her our their this that der die das dem den ein eine einen mein meine le la un une el",
    )
)
_NO_WORDS = frozenset(
    re.split(" ", "com org net edu gov io js py md txt html")
)  # what follows the stop in a file's or a site's name
_LOOK_BACK = 120  # characters: an abbreviation and the word before it are shorter


def own_abbreviations(entries: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern that finds one of a user's abbreviations at the end of a text. An entry may lack its last stop; one in lower
    case matches in any case."""
    bare = {entry.strip().rstrip(".") for entry in entries} - {""}
    if not bare:
        return None
    exact = "|".join(re.escape(entry) for entry in sorted(bare) if entry != entry.lower())
    any_case = "|".join(re.escape(entry) for entry in sorted(bare) if entry == entry.lower())
    parts = [part for part in (exact, f"(?i:{any_case})" if any_case else "") if part]
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})\Z")


def sentences(line: str, code: str = "", own: re.Pattern[str] | None = None) -> list[Part]:
    """The sentences of a line, each with the white space and the smileys after it; [] for a blank line.

    White space around the line is left out. `code`: the line's language (ISO 639); "": guessed where it matters. `own`: see
    `own_abbreviations`.
    """
    line = line.strip()
    if not line:
        return []
    if not SPECIAL.search(line):
        cut = _Cut(line, code, own)
        return [*cut.parts(_at_marks(line)), Part(line[cut.start :])]
    trailing = trailing_smileys().search(line)
    end = trailing.start() if trailing and trailing.start() else len(line)
    cut = _Cut(line[:end], code, own)
    return [*cut.parts(ends(True).finditer(cut.line)), Part(line[cut.start : end], line[end:])]


def _at_marks(line: str) -> Iterator[re.Match[str]]:
    """The matches of `ends` in a line that has Latin marks alone."""
    at, end = 0, ends(False)
    while found := MARK.search(line, at):
        match = end.match(line, found.start())
        at = match.end() if match else found.end()
        if match:
            yield match


_AHEAD = re.compile(r"\.\s+([^\s.]{1,20})\.")
_INITIAL = re.compile(r"\.\s[^\W\d_]\.")
_DATE = re.compile(r"\.\s\d\d?\.\s?\d\d?\b")  # 2024. 05. 03.
_BRACKETS = re.compile(r"(?<![:;=])(?<![:;=]-)[()]")
_HOURS = ("a.m", "p.m", "A.M", "P.M")


class _Cut:
    """One line being cut; `start` is where the current sentence begins."""

    def __init__(self, line: str, code: str, own: re.Pattern[str] | None) -> None:
        self.line, self.code, self.own = line, code, own
        self.start = 0
        self.answers = False  # whether the sentence before was a question
        self.open = self.looked = 0  # open brackets, and up to where they are counted

    @cached_property
    def rules(self) -> Language:
        return language(self.code or guessed(self.line))

    def parts(self, matches: Iterable[re.Match[str]]) -> list[Part]:
        """All sentences but the last."""
        found = []
        for match in matches:
            kind = match.lastgroup or "none"
            kind = kind if kind in _KINDS else "none"
            begin = match.start(kind)
            if begin == self.start or not _KINDS[kind](self, match):
                continue
            found.append(Part(self.line[self.start : begin], self.line[begin : match.end()]))
            self.start, self.answers = match.end(), "?" in match[0]
        return found

    def _marked(self, match: re.Match[str]) -> bool:
        """Whether marks end a sentence."""
        if "\n" in match["space"]:
            return True
        following = NEXT.match(self.line, match.end())
        follows = (following[1] if following else "") or ""
        # Georgian letters are lower case to Python, but no Georgian sentence begins with a capital.
        if follows[:1].islower() and follows[0] != follows[0].title() and not CAMEL.match(follows):
            return False
        end = match.end()
        if QUOTES.search(match["closers"]) and (SPEECH.match(self.line, end) or said().match(self.line, end)):
            return False
        tail = self.line[max(self.start, match.start() - _LOOK_BACK) : match.start()]
        if match["marks"] == ".":
            return self._stopped(tail, follows, match.start())
        words = tail.split()
        # "I... I do not know."
        return not (match["marks"][:2] in ("..", "…") and words and words[-1].lower() == follows.lower())

    def _stopped(self, tail: str, follows: str, end: int) -> bool:
        """Whether a full stop after `tail`, before the word `follows`, ends a sentence."""
        if not tail or tail[-1].isspace():
            return True
        if self.own is not None and self.own.search(tail):
            return False
        words = tail.split()
        word = words[-1].lstrip(OPENERS.replace("\\", ""))
        before = words[-2] if len(words) > 1 else ""
        alone = self.start == end - len(words[-1])
        starts = self._starts(follows, end)
        if alone and NUMBERED.fullmatch(word):  # 1.1. Introduction
            return self.answers
        if word.isdecimal():
            return self._counted(word, before, follows, starts, alone, end)
        kind = self.rules.kind(word)
        if before.endswith("."):  # z. B., и т. д.
            kind = self.rules.kind(before.lstrip("([\"'„“«") + word) or kind
        if word in _HOURS or before + word in _HOURS:
            return not days().match(self.line, self.line.index(follows, end))
        if kind and not (len(word) == 1 and kind == "number" and not follows[:1].isdigit()):
            if kind == "initial":
                ahead = _AHEAD.match(self.line, end)
                return not (
                    alone or before.endswith(".") or (ahead and self.rules.kind(ahead[1]) in ("title", "initial"))
                )
            return self._abbreviated(kind, before, follows, starts)
        if len(word) > 4 and word.lower().endswith(("str", "straße", "gasse")) and self.rules is language("de"):
            return word.lower().endswith(("straße", "gasse")) or (starts and not follows[:1].isdigit())
        if DOTTED.fullmatch(word):
            return starts
        if len(word) == 1 and word.isalpha() and word < "\u2e80":
            return self._initial(word, before, starts, alone, end)
        if self.rules.ordinals and before[:1].isupper() and ROMAN.fullmatch(word):  # Ludwig XIV.
            return starts
        return True

    def _starts(self, follows: str, end: int) -> bool:
        """Whether a word certainly begins a sentence. An initial never does: "by J. A. Smith"."""
        if follows.lower() not in self.rules.starters:
            return False
        behind = self.line.find(follows, end) + 1
        return len(follows) > 1 or self.line[behind : behind + 1] != "."

    def _abbreviated(self, kind: str, before: str, follows: str, starts: bool) -> bool:
        if kind == "never":
            return False
        if kind == "title":
            return starts and before.lower() in _ARTICLES
        if kind == "number":
            return not (follows[:1].isdigit() or (len(follows) > 1 and ROMAN.fullmatch(follows)))
        if kind == "month":
            return not follows[:1].isdigit() and (starts or not before[:1].isdigit())
        return starts if kind == "unless" else True

    def _counted(self, word: str, before: str, follows: str, starts: bool, alone: bool, end: int) -> bool:
        """Whether a full stop after a number ends a sentence: it does after a count, but not after an ordinal or in a list."""
        if len(word) > 3:
            return not _DATE.match(self.line, end)
        if alone:
            return self.answers
        if len(word) < 3 and follows[:1].isdigit():
            return False
        rules = self.rules
        if len(word) == 3 or not rules.ordinals:
            return True
        if follows.lower() in rules.third:
            return False
        return starts or before.lower() not in rules.before  # German alone writes nouns with a capital

    def _initial(self, word: str, before: str, starts: bool, alone: bool, end: int) -> bool:
        """Whether a full stop after a single letter ends a sentence: it does after a word, a mark or a grade, not in a name."""
        if word == "г":  # "год" after a year, or "город" before a city
            return before[:1].isdigit() and not before.endswith(",")
        if alone:
            return self.answers and starts
        beside = (len(before) == 2 and before[1] == ".") or _INITIAL.match(self.line, end)  # I. M. Pei
        if word == "I" and not self.rules.ordinals and not beside:
            return True
        return starts or before.lower() in self.rules.nouns

    def _wide(self, match: re.Match[str]) -> bool:
        """Whether another script's mark ends a sentence: not between digits, nor where one goes on after a quotation."""
        line, end = self.line, match.end()
        if line[end].isdigit() and line[match.start() - 1 : match.start()].isdigit() and not match["wide"]:
            return False
        if not match["brackets"]:
            return bool(match["wide"]) or not quoted().match(line, end)
        return not (said() if match["wide"] else goes_on()).match(line, end)

    def _smiled(self, match: re.Match[str]) -> bool:
        """Whether smileys without a mark end a sentence."""
        following = NEXT.match(self.line, match.end())
        follows = (following[1] if following else "") or ""
        if not follows[:1].isupper() and not CAMEL.match(follows):
            return False
        loved = re.search(f"[{HEARTS}]|<3", match[0])  # it may be a word: "I ❤ New York."
        return not loved or follows.lower() in self.rules.starters

    def _bracketed(self, match: re.Match[str]) -> bool:
        """Whether closing brackets are a smiley: no bracket is open, and they are not part of a list's "а)"."""
        at = match.start()
        for bracket in _BRACKETS.finditer(self.line, self.looked, at):
            self.open = max(0, self.open + (1 if bracket[0] == "(" else -1))
        self.looked = match.end()
        closing = match[0].count(")")
        smile = not self.open and (closing > 1 or self.line[at - 2 : at].isalpha())
        self.open = max(0, self.open - closing)
        return smile

    def _glued(self, match: re.Match[str]) -> bool:
        """Whether a stop without a space ends a sentence."""
        tail = self.line[max(self.start, match.start() - _LOOK_BACK) : match.start()]
        word = tail.split()[-1]
        following = NEXT.match(self.line, match.end())
        follows = (following[1] if following else "") or ""
        if not word.isalpha() or follows.lower() in _NO_WORDS or self.rules.kind(word):
            return False
        if self.own is not None and self.own.search(tail):
            return False
        return follows.lower() in self.rules.starters or (
            word.islower() and self.line[match.end() + len(follows) :][:1] == " "
        )

    def _always(self, match: re.Match[str]) -> bool:
        return True


_KINDS = {
    "space": _Cut._marked, "wide": _Cut._wide, "lines": _Cut._always, "smileys": _Cut._smiled, "none": _Cut._glued,
    "smile": _Cut._bracketed, "greek": _Cut._always,
}  # fmt: skip
