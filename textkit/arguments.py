"""Rewords errors for callers from Python: options (`--precision fp4`) become arguments (`precision=fp4`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from textkit.errors import TextkitError

_commanded: ContextVar[bool] = ContextVar("commanded", default=False)  # whether a command line was typed
_OTHERS = {"-m": "model", "-o": "output", "--as": "task", "--from": "source"}  # arguments that have another name
_SWITCHES = ("--resume", "--overwrite", "--explain", "--known-only")  # options without a value
# An option, and its value where the next word is no part of the sentence.
_OPTION = r"(?<![\w-])(-[mo](?= )|--[a-z][a-z-]+)(?:[ =]((?!(?:of|to|and|or|is|goes|replaces|with)\b)[^\s:;,()]+))?"


@contextmanager
def of_a_command_line() -> Iterator[None]:
    """Inside, errors speak of options."""
    token = _commanded.set(True)
    try:
        yield
    finally:
        _commanded.reset(token)


@contextmanager
def of_arguments() -> Iterator[None]:
    """Inside, errors speak of arguments, unless a command line was typed."""
    try:
        yield
    except TextkitError as error:
        said = str(error) if _commanded.get() else in_arguments(str(error))
        if said == str(error):
            raise
        raise type(error)(said) from error


def in_arguments(text: str) -> str:
    """A message about options as one about arguments."""
    return _pattern().sub(_argument, text)


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(_OPTION)


def _argument(found: re.Match[str]) -> str:
    option, value = found[1], found[2]
    if option == "--set":
        return f"options: {value}" if value else "options"
    name = _OTHERS.get(option) or option[2:].replace("-", "_")
    if option in _SWITCHES:
        return f"{name}=True {value}" if value else f"{name}=True"
    return f"{name}={value}" if value else name
