r"""Which regular expressions of a stranger's tokenizer may run: those that cannot take for ever. Knows no tokenizer.

The library's engine goes back and tries again, and a few characters make it try for ever: `(x+x+)+y`. What is taken is
a choice of sequences of single characters and classes of them. One of each sequence may be repeated without end, so that a
line of n characters takes n * n steps at most; groups are not repeated. The patterns of widely used tokenizers that have
two such are known by name.
"""

from __future__ import annotations

import re

from textkit.errors import quoted

LONGEST = 1000  # characters of a pattern
_MOST_TIMES = 64  # that a repetition with bounds may ask for
_DEEPEST = 4  # groups within groups
_MOST_WAYS = 4096  # to match one text: choices multiply
_UNREADABLE = "does not read as a regular expression"

KNOWN = frozenset(
    {
        # cl100k, and those made after it: Llama 3 and Qwen 2
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        # o200k
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    }
)
_ESCAPE = re.compile(
    r"\\(?:[pP]\{\^?\w{1,40}\}|x[0-9a-fA-F]{2}|x\{[0-9a-fA-F]{1,8}\}|u[0-9a-fA-F]{4}|[sSdDwWhHnrtfvabB]|[^\w\s])"
)
_OPEN_GROUP = re.compile(r"\((?:\?(?:i:|[:=!])|(?!\?))")
_TIMES = re.compile(r"[*+?][?+]?|\{(\d{1,6})?(,)?(\d{1,6})?\}(?![?+*])")


def wrong(text: str) -> str:
    """What speaks against a pattern; empty where nothing does."""
    if text in KNOWN:
        return ""
    try:
        end, ways, endless = _choice(text, 0, 0)
    except _Hard as why:
        return str(why)
    if end < len(text):
        return _UNREADABLE
    if endless > 1:
        return "repeats two parts without end, so that it may take for ever"
    return f"has more than {_MOST_WAYS} ways to match" if ways > _MOST_WAYS else ""


class _Hard(Exception):
    """Why a pattern may be hard."""


def _choice(text: str, at: int, depth: int) -> tuple[int, int, int]:
    """Reads sequences with `|` between them: where they end, in how many ways they match one text, and the most parts
    without end that one of them has."""
    if depth > _DEEPEST:
        raise _Hard("nests groups too deep")
    ways = most = 0
    while True:
        at, more, endless = _sequence(text, at, depth)
        ways, most = ways + more, max(most, endless)
        if at >= len(text) or text[at] != "|":
            return at, ways, most
        at += 1


def _sequence(text: str, at: int, depth: int) -> tuple[int, int, int]:
    ways, endless = 1, 0
    while at < len(text) and text[at] not in "|)":
        group = text[at] == "("
        at, more, inner = _part(text, at, depth)
        if times := _TIMES.match(text, at):
            at = times.end()
            if group and times[0] != "?":
                raise _Hard("repeats a group, so that it may take for ever")
            choices = _choices(times)
            endless += choices == 0
            more += max(choices, 1) - 1
        ways, endless = min(ways * more, 1 << 40), endless + inner
    return at, ways, endless


def _choices(times: re.Match[str]) -> int:
    """How many numbers of times a repetition allows; 0: without end."""
    if times[0][0] in "*+":
        return 0
    if times[0][0] == "?":
        return 2
    least, comma, most = (times[group] for group in (1, 2, 3))
    if int(most or least or 0) > _MOST_TIMES or int(least or 0) > _MOST_TIMES:
        raise _Hard(f"repeats a part more than {_MOST_TIMES} times")
    if not comma:
        return 1
    return abs(int(most) - int(least or 0)) + 1 if most else 0


def _part(text: str, at: int, depth: int) -> tuple[int, int, int]:
    """Reads one part: where it ends, in how many ways it matches one text, and the parts without end in it."""
    if text[at] == "(":
        opened = _OPEN_GROUP.match(text, at)
        if not opened:
            raise _Hard(f"has a group that begins with {quoted(text[at : at + 4])}")
        end, ways, endless = _choice(text, opened.end(), depth + 1)
        if end >= len(text) or text[end] != ")":
            raise _Hard(_UNREADABLE)
        return end + 1, ways, endless
    if text[at] == "[":
        return _class(text, at, 0), 1, 0
    if text[at] == "\\":
        return _escape(text, at), 1, 0
    if text[at] in "*+?{":
        raise _Hard(_UNREADABLE)
    return at + 1, 1, 0


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
