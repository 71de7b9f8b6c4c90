"""Records out, as JSON lines: a record's own fields first, numbers with as many digits as are stable. Knows no model."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

from textkit.streams.columns import Block


def opened(block: Block, at: int, key: str) -> bytes:
    """The beginning of record `at` as a JSON object, its own fields first, up to `"key": `.

    A record that cannot be used has the fields that could be read, and a field "error".
    """
    own = None if block.fields is None else block.fields[at]
    if isinstance(own, tuple) and own[1] and at not in block.problems:  # a JSON line: its source as it stands
        return b"%b, %b: " % (_bytes(own[0].strip()[:-1].rstrip()), _key(key))
    start, value = b"{", None
    if isinstance(own, tuple):
        source, value = own
        own = {}
        if value:
            start = _bytes(source.strip()[:-1].rstrip()) + b", "
    elif own is None:
        own = {} if block.problems.get(at) else {"text" if key != "text" else "source_text": block.texts[at]}
    if block.problems.get(at):
        taken = {*own, *(value or ()), key}
        own = own | {"error" if "error" not in taken else "textkit_error": block.problems[at]}
    if own:
        start += json_bytes(own)[1:-1] + b", "
    return b"%b%b: " % (start, _key(key))


@cache
def _key(name: str) -> bytes:
    return json_bytes(name)


def json_bytes(value: Any) -> bytes:
    """`value` as JSON, in one line."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can spell
        return json.dumps(value).encode()


def number(value: float) -> str:
    """`value` with six digits, which do not depend on the batch that it was computed in."""
    return f"{value:.6g}"


def rounded(value: float) -> float | None:
    """`value` with six digits; None (null) for infinity and nan, which JSON lacks and a broken model may give."""
    return float(number(value)) if math.isfinite(value) else None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
