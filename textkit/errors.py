"""What a user did wrong or met: one line on stderr, no traceback, an exit code. Knows nothing of the rest of textkit."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from textkit.version import DISTRIBUTION

MOST_QUOTED = 80  # the most characters from a file that a message shows
_MOST_LISTED = 1000  # of a list of names; those that are textkit's own are shorter


class TextkitError(Exception):
    """Something failed that the user can understand: the message is one line and names the file, line or option."""

    exit_code = 1


class UsageError(TextkitError):
    """The command line alone shows that it cannot work: an unknown name, a value out of range."""

    exit_code = 2


class TextkitWarning(UserWarning):
    """Something that the user should know, though the work goes on. On the command line: one line on stderr, unless -q."""


def is_address(name: str) -> bool:
    """Whether `name` is an address such as s3://bucket/file, not a path. Of the two strokes a Path keeps one."""
    return re.match(r"[A-Za-z][A-Za-z0-9+]+:/", name) is not None


def no_such_file(name: str) -> str:
    """What is wrong with the name of a file that is not there."""
    if is_address(name):
        return f"{name}: is an address, and only models (-m) are read from one; mount it or copy it, and name the file"
    return f"{name or repr(name)}: no such file"


def nearest(name: str, known: Iterable[str], shortened: bool = False) -> str:
    """'; did you mean X?' for the closest of `known`; without a close one, a list of all; '' where there are none.

    Of those that are alike, the closest has the least edit distance. `shortened`: whether the first words of a name stand for
    it, as --beam does for --beam-size.
    """
    import difflib  # takes 8 ms, and only an error needs it

    known = sorted(known)
    asked = name.lstrip("-")
    found = []
    for one in known:
        bare = one.lstrip("-")
        ends = [at for at, letter in enumerate(bare) if at and letter in "-_"] if shortened else []
        for form in (bare, *(bare[:end] for end in ends)):
            if difflib.SequenceMatcher(None, form, asked).ratio() >= 0.6:
                found.append((_distance(asked, form), len(bare), one))
    if found:
        return f"; did you mean {min(found)[2]!r}?"
    return f"; there is {listed(known)}" if known else ""


def bounded(text: str) -> str:
    """A name or a type from a file, cut where it is longer than a message should show."""
    return text if len(text) <= MOST_QUOTED else f"{text[: MOST_QUOTED - 1]}…"


def listed(names: Sequence[str]) -> str:
    """Names that may come from a file, as many as a message has room for: a table may have thousands of columns."""
    shown: list[str] = []
    size = 0
    for name in names:
        one = bounded(name)
        size += len(one)
        if shown and size > _MOST_LISTED:
            return f"{', '.join(shown)} and {len(names) - len(shown):,} more"
        shown.append(one)
    return ", ".join(shown)


def _distance(one: str, other: str) -> int:
    """How many letters must be put in, left out, changed or swapped with the next (optimal string alignment)."""
    last: list[int] = []
    before: list[int] = []
    row: list[int] = [*range(len(other) + 1)]
    for at, letter in enumerate(one, 1):
        last, before, row = before, row, [at]
        for to, wanted in enumerate(other, 1):
            row.append(min(before[to] + 1, row[-1] + 1, before[to - 1] + (letter != wanted)))
            if last and to > 1 and letter == other[to - 2] and wanted == one[at - 2]:
                row[to] = min(row[to], last[to - 2] + 1)
    return row[-1]


def pip_install(extra: str = "") -> str:
    """The command that installs the packages of an extra, or those that textkit always needs."""
    return f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install {DISTRIBUTION}"


def file_of(error: OSError) -> str:
    """The file that an OSError is about: the one it names, otherwise one open for writing where it was raised, or ''."""
    if isinstance(error.filename, (str, bytes)) and error.filename:
        return os.fsdecode(error.filename)
    found = ""
    trace = error.__traceback__
    while trace is not None:  # a failed write names no file; the nearest frame with an open file does
        for value in trace.tb_frame.f_locals.values():
            name, mode = getattr(value, "name", None), getattr(value, "mode", None)
            if isinstance(value, io.IOBase) and isinstance(name, str) and set(str(mode)) & set("wax+"):
                found = name
        trace = trace.tb_next
    return found


def one_line(error: BaseException) -> str:
    """The message of any exception as a single line, with its type where the message alone says nothing."""
    try:
        text = " ".join(str(error).split())
    except BaseException:  # a stranger's class may raise anything here as well
        text = ""
    if isinstance(error, TextkitError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def quoted(value: Any) -> str:
    """A value from a file as a message shows it: its repr, cut short, with nothing that a terminal would obey."""
    text = repr(value[: MOST_QUOTED + 1] if isinstance(value, (str, bytes)) else value)
    if len(text) <= MOST_QUOTED + 2:
        return text
    end = text[-1] if text[-1] in "'\"" else ""
    return f"{text[: MOST_QUOTED - len(end)]}…{end}"


def told(error: BaseException) -> str:
    """A library's message about a file, cut as `quoted` cuts, because it may hold any amount of the file's text."""
    text = " ".join(str(error).split())
    text = "".join(c if c.isprintable() else "?" for c in text[: MOST_QUOTED + 1])
    return text if len(text) <= MOST_QUOTED else f"{text[: MOST_QUOTED - 1]}…"
