"""Carries a record's own fields to the output: every one has its own name, and values stay as the source wrote them.

Knows no file, no model and no output.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed does not know it
from typing import Any

_BLANK = " \t\n\r"


class Number(str):
    """A number as the source spells it, which is no text."""


# Numbers are skipped over, not computed: one may be larger than any float, or have more digits than int() takes.
_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number)


class Carried:
    """Names for the fields that records bring along. `ours`: the names that the output needs for its own fields.

    `renamed` maps each name that could not stay to its new one: that of the second of two columns with the same name, and
    that of a field with one of our names.
    """

    def __init__(self, ours: Sequence[str] = ()) -> None:
        self.ours = frozenset(ours)
        self.renamed: dict[str, str] = {}

    def names(self, header: Sequence[str], width: int) -> list[str]:
        """The names of `width` cells under a header. A cell without a name goes by its number."""
        given = [header[at] if at < len(header) else "" for at in range(width)]
        used = self.ours | set(given)  # a name that stays as it is goes to no other field
        seen = {"", *self.ours}
        names: list[str] = []
        for at, name in enumerate(given):
            new = name
            if name in seen:
                wanted = name or str(at + 1)
                new = _free(f"source_{wanted}" if wanted in self.ours else wanted, used)
                if name:
                    self.renamed.setdefault(name, new)
            used |= {new}
            seen.add(new)
            names.append(new)
        return names

    def object(self, source: str, value: Mapping[str, Any]) -> str:
        """The source of a JSON object, its fields renamed where they have one of our names; all else stays byte for byte."""
        if self.ours.isdisjoint(value):
            return source
        used = self.ours | set(value)
        parts = []
        for name, spelled, rest in _members(source):
            if name in self.ours:
                new = _free(f"source_{name}", used)
                used |= {new}
                self.renamed.setdefault(name, new)
                spelled = json.dumps(new, ensure_ascii=False)
            parts.append(f"{spelled}: {rest}")
        return "{" + ", ".join(parts) + "}"


def parsed(source: str) -> Any:
    """The value of a JSON text. Where Python cannot hold a number, all are Numbers. Raises ValueError as json.loads does."""
    try:
        return json.loads(source)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of thousands of digits
        return _DECODER.decode(source)


def found(value: Any, path: Sequence[str]) -> tuple[bool, Any]:
    """Whether a value has something at `path`, and what. A path is names of fields and numbers of list items (from 0).

    A field whose own name has dots in it takes precedence over nested ones.
    """
    if not path:
        return True, value
    if isinstance(value, list):
        at = int(path[0]) if path[0].isdecimal() and len(path[0]) < 10 else len(value)
        return found(value[at], path[1:]) if at < len(value) else (False, None)
    if isinstance(value, dict):
        for end in range(len(path), 0, -1):
            name = ".".join(path[:end])
            if name in value:
                there = found(value[name], path[end:])
                if there[0]:
                    return there
    return False, None


def _members(source: str) -> Iterator[tuple[str, str, str]]:
    """Name, its spelling and the value's spelling of each member of a JSON object, which is known to be well-formed."""
    at = _skip(source, 0) + 1
    while source[at := _skip(source, at)] != "}":
        at += source[at] == ","
        start = _skip(source, at)
        name, end = scanstring(source, start + 1, False)
        value = _skip(source, _skip(source, end) + 1)
        _, at = _DECODER.raw_decode(source, value)
        yield name, source[start:end], source[value:at]


def _skip(source: str, at: int) -> int:
    while source[at] in _BLANK:
        at += 1
    return at


def _free(name: str, used: frozenset[str] | set[str]) -> str:
    """`name`, with a number after it where it is taken."""
    new, number = name, 1
    while new in used:
        number += 1
        new = f"{name}_{number}"
    return new
