"""The report of `textkit similar --report`: every record with those before it that are near to it, as JSON lines.

From a report, what is kept at any higher threshold is found without a model. Its first line says how it was made; then comes
one object for each record: `record`, its number from 1, `file`, `line`, `text`, and `near`, a list of [record, similarity], or
`equal`, the record that has the same text. `source` is the record as it came, where that is not its text; `header` the first
line of a table that has names.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError, quoted
from textkit.retrieval.duplicates.records import BLANK, Records
from textkit.streams.columns import json_object, without_surrogates
from textkit.streams.lines import Reader
from textkit.streams.records import json_bytes

if TYPE_CHECKING:
    from textkit.retrieval.duplicates.near import Found

VERSION = 1
_KIND = "textkit similar"
_AT_ONCE = 1 << 12  # records of a chunk


@dataclass
class Report:
    """A report that was read. `found`: pairs of texts by their numbers, as `duplicates.finding.pairs` gives them."""

    records: Records
    found: Found
    threshold: float


def written(records: Records, found: Iterable[Found], threshold: float, model: str) -> Iterator[tuple[int, bytes]]:
    """The report, in chunks: (number of records, bytes). `found`: the pairs of texts, in order of the later one."""
    head: dict[str, Any] = {"report": _KIND, "version": VERSION, "model": model, "threshold": threshold}
    if records.header is not None:
        head["header"] = records.header
    yield 0, json_bytes(head) + b"\n"
    pairs = _by_text(found, records.firsts)
    waiting = next(pairs, None)
    for start in range(0, len(records), _AT_ONCE):
        lines = []
        stop = min(start + _AT_ONCE, len(records))
        for record in range(start, stop):
            text, number = records.text(record), records.distinct[record]
            value: dict[str, Any] = {
                "record": record + 1, "file": records.file(record), "line": records.lines[record], "text": text
            }  # fmt: skip
            if (source := records.source(record)) != text:
                value["source"] = source
            if number != BLANK and records.firsts[number] != record:
                value["equal"] = records.firsts[number] + 1
            else:
                value["near"] = []
                if waiting is not None and waiting[0] == number:
                    value["near"], waiting = waiting[1], next(pairs, None)
            lines.append(json_bytes(value) + b"\n")
        yield stop - start, b"".join(lines)


def _by_text(found: Iterable[Found], firsts: array[int]) -> Iterator[tuple[int, list[list[float]]]]:
    """(text, its [record, similarity] pairs), for each text that has any."""
    for one, other, similarity in found:
        edges = np.flatnonzero(np.diff(one, prepend=-1, append=-1)) if len(one) else np.empty(0, np.int64)
        records = np.asarray(firsts)[other] + 1
        for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            cut = slice(start, stop)
            yield (
                int(one[start]),
                [list(pair) for pair in zip(records[cut].tolist(), similarity[cut].tolist(), strict=True)],
            )


def read(path: str) -> Report:
    """The report in a file ('-' is stdin). Raises TextkitError, which names file and line, for anything but a whole report."""
    records = Records(every=True)
    one, other, similarity = array("q"), array("q"), array("d")
    head: dict[str, Any] | None = None
    with Reader(None if path == "-" else path) as reader:
        for lines in reader:
            for at, line in enumerate(lines, reader.lines - len(lines) + 1):
                try:
                    value = _value(line)
                    if head is None:
                        head = _head(value)
                        records.header = head.get("header")
                        continue
                    for before, near in _record(records, value):
                        one.append(len(records.texts) - 1)
                        other.append(before)
                        similarity.append(near)
                except _Wrong as error:
                    raise TextkitError(f"{reader.name}:{at}: not a report of `textkit similar`: {error}") from None
    if head is None:
        raise TextkitError(f"{reader.name}: not a report of `textkit similar`: is empty")
    return Report(records, (np.array(one), np.array(other), np.array(similarity)), float(head["threshold"]))


class _Wrong(Exception):
    """What is wrong with a line."""


def _value(line: str) -> dict[str, Any]:
    value, problem = json_object(line)
    if value is None:
        raise _Wrong(problem)
    return value


def _head(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("report") != _KIND:
        raise _Wrong("its first line does not say that it is one")
    version, threshold = value.get("version"), value.get("threshold")
    if version != VERSION:
        raise _Wrong(f"its version is {quoted(version)}; this textkit reads {VERSION}")
    if not isinstance(threshold, float | int) or isinstance(threshold, bool) or not 0 < threshold <= 1:
        raise _Wrong("its threshold is none")
    if not isinstance(value.get("header", ""), str):
        raise _Wrong("its header is no text")
    return value


def _record(records: Records, value: dict[str, Any]) -> Iterator[tuple[int, float]]:
    """Adds a record; gives the (text, similarity) of those that are near to it."""
    file, line, text, source = (value.get(name) for name in ("file", "line", "text", "source"))
    if not isinstance(file, str) or not isinstance(text, str) or not (source is None or isinstance(source, str)):
        raise _Wrong("'file', 'text' and 'source' are texts")
    if not isinstance(line, int) or not _whole(line):
        raise _Wrong(f"'line' is {quoted(line)}")
    number = len(records) + 1
    if value.get("record") != number:
        raise _Wrong(f"'record' is {quoted(value.get('record'))}, not {number}")
    equal, near = value.get("equal"), value.get("near")
    new = records.put(without_surrogates(file), line, without_surrogates(text), source)
    if (equal is None) == (near is None) or not isinstance([] if near is None else near, list):
        raise _Wrong("it has either 'equal' or a list 'near'")
    if (equal is not None) != (not new and bool(text.strip())):
        raise _Wrong("'equal' is for a text that a record before has too")
    for pair in near or ():
        if not isinstance(pair, list) or len(pair) != 2 or not _whole(pair[0]) or not 0 < pair[0] < number:
            raise _Wrong("'near' holds pairs of an earlier record and a similarity")
        if not isinstance(pair[1], float | int) or isinstance(pair[1], bool) or not -1 <= pair[1] <= 1:
            raise _Wrong(f"a similarity is {quoted(pair[1])}")
        before = records.distinct[pair[0] - 1]
        if not new or before == BLANK:
            raise _Wrong("a blank record is near to none")
        yield before, float(pair[1])


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 62
