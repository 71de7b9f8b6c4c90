r"""Decides which regular expressions of a stranger's tokenizer may run: those that cannot take for ever. Knows no tokenizer.

The library's engine backtracks, and a few characters can make it backtrack for ever: `(x+x+)+y`. An accepted pattern is a
choice of sequences of single characters and character classes. Before the last part that must match, a sequence may repeat
one part without end, so a line of n characters takes n * n steps at most; groups are not repeated. After that part nothing
can fail, so nothing is tried again: the parts there may all be repeated without end.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from textkit.errors import quoted

LONGEST = 1000  # characters of a pattern
_MOST_TIMES = 64  # the highest count in a repetition with bounds
_DEEPEST = 4  # groups within groups, and classes within classes
_DEAR = 16  # the cost of a way to match that takes n * n steps; one that takes n steps costs 1
_MOST_COST = 256  # of a pattern; the choices within a sequence multiply
MOST_COST = 384  # of all patterns of a tokenizer
_UNREADABLE = "does not read as a regular expression"

# cl100k as its makers write it: `++` gives nothing back.
_CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|"
KNOWN = frozenset({_CL100K + r"\s", _CL100K + r"\s+"})
_ESCAPE = re.compile(
    r"\\(?:[pP]\{\^?\w{1,40}\}|x[0-9a-fA-F]{2}|x\{[0-9a-fA-F]{1,8}\}|u[0-9a-fA-F]{4}|[sSdDwWhHnrtfvabB]|[^\w\s])"
)
_OPEN_GROUP = re.compile(r"\((?:\?(?:i:|[:=!])|(?!\?))")
_TIMES = re.compile(r"[*+?][?+]?|\{(\d{1,6})?(,)?(\d{1,6})?\}(?![?+*])")


class Judged(NamedTuple):
    """The verdict on a pattern: what is wrong with it, empty if nothing is; its cost, out of MOST_COST; whether it may match
    the empty text, and so between any two characters."""

    wrong: str = ""
    cost: int = 4 * _DEAR
    thin: bool = False


def judged(text: str) -> Judged:
    if text in KNOWN:
        return Judged()
    try:
        end, found = _choice(text, 0, 0)
    except _Hard as why:
        return Judged(str(why))
    if end < len(text):
        return Judged(_UNREADABLE)
    if found.endless > 1:
        return Judged("repeats two parts without end, so that it may take for ever")
    cost = found.plain + _DEAR * found.dear
    return Judged(f"has more than {_MOST_COST} ways to match" if cost > _MOST_COST else "", cost, found.thin)


class _Hard(Exception):
    """Why a pattern may take too long, or cannot be judged."""


class _Found(NamedTuple):
    """What was read. `plain`: in how many ways it may match one text; `dear`: the ways that repeat a part without end, which
    `plain` does not count; `endless`: the most such parts in one way. `empty`: whether it can surely be left out; `thin`:
    whether it may match the empty text."""

    plain: int = 1
    dear: int = 0
    endless: int = 0
    empty: bool = False
    thin: bool = False


def _choice(text: str, at: int, depth: int) -> tuple[int, _Found]:
    """Reads sequences with `|` between them; returns where they end, and what was read."""
    if depth > _DEEPEST:
        raise _Hard("nests groups too deep")
    choices = []
    while True:
        at, found = _sequence(text, at, depth)
        choices.append(found)
        if at >= len(text) or text[at] != "|":
            break
        at += 1
    plain, dear = sum(each.plain for each in choices), sum(each.dear for each in choices)
    empty, thin = any(each.empty for each in choices), any(each.thin for each in choices)
    return at, _Found(plain, dear, max(each.endless for each in choices), empty, thin)


def _sequence(text: str, at: int, depth: int) -> tuple[int, _Found]:
    parts = []
    while at < len(text) and text[at] not in "|)":
        group = text[at] == "("
        at, part = _part(text, at, depth)
        if times := _TIMES.match(text, at):
            at = times.end()
            if group and times[0] != "?":
                raise _Hard("repeats a group, so that it may take for ever")
            part = _repeated(part, times)
        parts.append(part)
    ways, endless = 1, 0
    last = max((number for number, part in enumerate(parts) if not part.empty), default=-1)
    for number, part in enumerate(parts):
        # After the last part that must match nothing fails, and that part fails at once: no backtracking into either.
        # Inside a group this is not certain.
        if depth or number <= last or part.dear:
            ways = min(ways * (part.plain + part.dear), 1 << 40)
        if depth or number < last or part.dear:
            endless += part.endless
    plain, dear = (0, ways) if endless else (ways, 0)
    return at, _Found(plain, dear, endless, last < 0, all(part.thin for part in parts))


def _repeated(part: _Found, times: re.Match[str]) -> _Found:
    """A part with `?`, `*`, `+` or numbers after it."""
    choices = _choices(times)
    plain, endless = part.plain + max(choices, 1) - 1, part.endless + (choices == 0)
    least = int(times[1] or 0) if times[0][0] == "{" else times[0][0] == "+"
    empty = part.empty or not (least or times[0].startswith("{,"))  # `{,3}` is not sure to allow none
    return part._replace(plain=plain, endless=endless, empty=empty, thin=part.thin or not least)


def _choices(times: re.Match[str]) -> int:
    """How many different counts a repetition allows (`{2,4}`: 3); 0: without end."""
    if times[0][0] in "*+":
        return 0
    if times[0][0] == "?":
        return 2
    least, comma, most = (times[group] for group in (1, 2, 3))
    if not (least or most):  # `{}` and `{,}` stand for themselves
        raise _Hard(_UNREADABLE)
    if int(most or least or 0) > _MOST_TIMES or int(least or 0) > _MOST_TIMES:
        raise _Hard(f"repeats a part more than {_MOST_TIMES} times")
    if not comma:
        return 1
    return abs(int(most) - int(least or 0)) + 1 if most else 0


def _part(text: str, at: int, depth: int) -> tuple[int, _Found]:
    """Reads one part; returns where it ends, and what was read."""
    if text[at] == "(":
        opened = _OPEN_GROUP.match(text, at)
        if not opened:
            raise _Hard(f"has a group that begins with {quoted(text[at : at + 4])}")
        end, found = _choice(text, opened.end(), depth + 1)
        if end >= len(text) or text[end] != ")":
            raise _Hard(_UNREADABLE)
        looks = opened[0] in ("(?=", "(?!")
        return end + 1, found._replace(empty=found.empty and not looks, thin=found.thin or looks)
    if text[at] == "[":
        return _class(text, at, 0), _Found()
    if text[at] == "\\":
        return _escape(text, at), _Found(thin=text[at : at + 2] in (r"\b", r"\B"))
    if text[at] in "*+?{":
        raise _Hard(_UNREADABLE)
    return at + 1, _Found(thin=text[at] in "^$")


def _escape(text: str, at: int) -> int:
    escape = _ESCAPE.match(text, at)
    if not escape:
        raise _Hard(f"has {quoted(text[at : at + 3])}")
    return escape.end()


def _class(text: str, at: int, depth: int) -> int:
    """Where the character class that begins at `at` ends."""
    if depth > _DEEPEST:
        raise _Hard("nests classes too deep")
    at += 2 if text.startswith("[^", at) else 1
    first = True
    while at < len(text):
        if text[at] == "]" and not first:
            return at + 1
        if text[at] == "[":
            at = _class(text, at, depth + 1)
        elif text[at] == "\\":
            at = _escape(text, at)
        else:
            at += 1
        first = False
    raise _Hard(_UNREADABLE)
