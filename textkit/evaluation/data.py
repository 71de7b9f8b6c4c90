"""Reads a file of test data and tells by its lines what it measures: analogies, word pairs or sentence pairs."""

from __future__ import annotations

import os
from itertools import chain

from textkit.errors import TextkitError
from textkit.evaluation import analogies, similarity
from textkit.evaluation.analogies import Section
from textkit.evaluation.similarity import Pairs
from textkit.lines import Reader

METRICS = (similarity.WORDS, analogies.METRIC, similarity.SENTENCES)
_LOOKED_AT = 100  # lines that decide


def read(path: str | os.PathLike[str], metric: str | None = None) -> tuple[str, list[Section] | Pairs]:
    """The metric that a file (plain, gzip or zstandard; '-' for stdin) is for, or `metric`, and its data.

    Blank lines and lines that begin with `#` are left out. Raises TextkitError naming the file, and the line where one
    is at fault.
    """
    with Reader(None if os.fspath(path) == "-" else path) as reader:
        numbered = enumerate(chain.from_iterable(reader), 1)
        lines = [(number, line) for number, line in numbered if line.strip() and not line.startswith("#")]
        name = reader.name
    if not lines:
        raise TextkitError(f"{name}: holds no data")
    if metric is None:
        metric = guess([line for _, line in lines[:_LOOKED_AT]])
        if metric is None:
            number, line = lines[0]
            raise TextkitError(
                f"{name}: line {number}: {line[:40]!r} is no analogy (four words), no word pair (two words and a "
                f"score) and no sentence pair (a score and two sentences, separated by tabs)"
            )
    if metric == analogies.METRIC:
        return metric, analogies.parse(name, lines)
    parse = similarity.parse_words if metric == similarity.WORDS else similarity.parse_sentences
    return metric, parse(name, lines)


def guess(lines: list[str]) -> str | None:
    """What most lines look like; the first of several may be a header and has no say, but for `: section`."""
    if lines[0].startswith(":"):
        return analogies.METRIC
    kinds = [kind for line in lines[1:] if (kind := _kind(line))]
    return max(kinds, key=kinds.count) if kinds else _kind(lines[0])


def _kind(line: str) -> str | None:
    pair = similarity.sentence_pair(line.split("\t"))
    if pair and any(" " in text.strip() for text in pair[:2]):
        return similarity.SENTENCES
    parts = similarity.columns(line)
    if len(parts) >= 3 and any(similarity.as_number(part) is not None for part in parts[2:]):
        return similarity.WORDS
    if pair:
        return similarity.SENTENCES
    return analogies.METRIC if line.startswith(":") or len(line.split()) == 4 else None
