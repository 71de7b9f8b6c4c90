"""What is asked of an index, checked: queries, and how many hits of which kind. Knows no index."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from operator import index
from typing import NamedTuple

from textkit.errors import UsageError, nearest, quoted
from textkit.retrieval.hits import MODES, Mode
from textkit.streams.columns import without_surrogates


class Asked(NamedTuple):
    """`single`: whether one query was given, and not a list of them. The rest as `Index.search` has it."""

    queries: list[str]
    single: bool
    k: int | None
    mode: Mode
    threshold: float | None


def asked(queries: str | Sequence[str], k: int | None, mode: Mode, threshold: float | None) -> Asked:
    """Raises UsageError for what is no text, an unknown mode, `k` that is no whole number from 1 on, and a threshold that is no
    number. Half a surrogate pair in a query becomes U+FFFD, as it does in texts."""
    single = isinstance(queries, str)
    try:
        texts = [queries] if isinstance(queries, str) else list(queries)
    except TypeError:
        raise UsageError(f"queries={quoted(queries)}: is neither a text nor a list of texts") from None
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"queries: {quoted(text)} is no text")
    if mode not in MODES:
        raise UsageError(f"unknown mode {mode!r}{nearest(str(mode), MODES)}")
    return Asked([without_surrogates(text) for text in texts], single, _whole(k), mode, _number(threshold))


def _whole(k: int | None) -> int | None:
    if k is None:
        return None
    try:
        number = index(k)
    except TypeError:
        raise UsageError(f"k={quoted(k)}: is no whole number") from None
    if number < 1:
        raise UsageError(f"k={k}: must be at least 1")
    return number


def _number(threshold: float | None) -> float | None:
    if threshold is None:
        return None
    try:
        number = float(threshold)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if isinstance(threshold, str) or not isfinite(number):
        raise UsageError(f"threshold={quoted(threshold)}: is no number")
    return number
