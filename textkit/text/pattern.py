r"""Which regular expressions of a stranger's tokenizer may run: those that cannot take for ever. Knows no tokenizer.

The library's engine goes back and tries again, and a few characters make it try for ever: `(x+x+)+y`. What is taken is
a choice of sequences of single characters and classes of them. One of each sequence may be repeated without end before
others that must be found, so that a line of n characters takes n * n steps at most; groups are not repeated. Where nothing
that must be found follows, nothing is tried again: such an end of a sequence may be repeated as it likes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from textkit.errors import quoted

LONGEST = 1000  # characters of a pattern
_MOST_TIMES = 64  # that a repetition with bounds may ask for
_DEEPEST = 4  # groups within groups
_DEAR = 16  # what a way to match counts that takes n * n steps; one that takes n counts 1
_MOST_COST = 256  # of a pattern; choices multiply
MOST_COST = 384  # of all patterns of a tokenizer
_UNREADABLE = "does not read as a regular expression"

# cl100k as its makers write it: what `++` has taken is not given back.
_CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|"
KNOWN = frozenset({_CL100K + r"\s", _CL100K + r"\s+"})
_ESCAPE = re.compile(
    r"\\(?:[pP]\{\^?\w{1,40}\}|x[0-9a-fA-F]{2}|x\{[0-9a-fA-F]{1,8}\}|u[0-9a-fA-F]{4}|[sSdDwWhHnrtfvabB]|[^\w\s])"
)
_OPEN_GROUP = re.compile(r"\((?:\?(?:i:|[:=!])|(?!\?))")
_TIMES = re.compile(r"[*+?][?+]?|\{(\d{1,6})?(,)?(\d{1,6})?\}(?![?+*])")


class Judged(NamedTuple):
    """What speaks against a pattern, empty where nothing does; what it costs, of MOST_COST; whether it may match nothing,
    and so between any two characters."""

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
    """Why a pattern may be hard."""


class _Found(NamedTuple):
    """What was read: the ways in which it may match one text, those that repeat a part without end apart, and the most
    such parts of one; `empty`: whether it can be left out, surely; `thin`: whether it may match nothing."""

    plain: int = 1
    dear: int = 0
    endless: int = 0
    empty: bool = False
    thin: bool = False


def _choice(text: str, at: int, depth: int) -> tuple[int, _Found]:
    """Reads sequences with `|` between them: where they end, and what they are."""
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
        # Behind the last part that must be found nothing fails, and that one fails at once: neither is gone back into.
        # Of what is in a group that is not sure.
        if depth or number <= last or part.dear:
            ways = min(ways * (part.plain + part.dear), 1 << 40)
        if depth or number < last or part.dear:
            endless += part.endless
    plain, dear = (0, ways) if endless else (ways, 0)
    return at, _Found(plain, dear, endless, last < 0, all(part.thin for part in parts))


def _repeated(part: _Found, times: re.Match[str]) -> _Found:
    """A part with `?`, `*` or numbers behind it."""
    choices = _choices(times)
    plain, endless = part.plain + max(choices, 1) - 1, part.endless + (choices == 0)
    least = int(times[1] or 0) if times[0][0] == "{" else times[0][0] == "+"
    empty = part.empty or not (least or times[0].startswith("{,"))  # of `{,3}` it is not sure
    return part._replace(plain=plain, endless=endless, empty=empty, thin=part.thin or not least)


def _choices(times: re.Match[str]) -> int:
    """How many numbers of times a repetition allows; 0: without end."""
    if times[0][0] in "*+":
        return 0
    if times[0][0] == "?":
        return 2
    least, comma, most = (times[group] for group in (1, 2, 3))
    if not (least or most):  # it stands for itself
        raise _Hard(_UNREADABLE)
    if int(most or least or 0) > _MOST_TIMES or int(least or 0) > _MOST_TIMES:
        raise _Hard(f"repeats a part more than {_MOST_TIMES} times")
    if not comma:
        return 1
    return abs(int(most) - int(least or 0)) + 1 if most else 0


def _part(text: str, at: int, depth: int) -> tuple[int, _Found]:
    """Reads one part: where it ends, and what it is."""
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
    """Where a class of characters ends that begins at `at`."""
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
