"""Writes what is kept of some records, or what is dropped, as text and as JSON lines. Knows no model and no file."""

from __future__ import annotations

import numpy as np

from textkit.retrieval.duplicates.records import BLANK, Records
from textkit.streams.escaping import escaped
from textkit.streams.records import json_bytes, number


class Writer:
    """`of`, `similarity`: what `duplicates.finding` found of the records' distinct texts."""

    def __init__(self, records: Records, of: np.ndarray, similarity: np.ndarray) -> None:
        self._records, self._similarity = records, similarity
        distinct, firsts = np.asarray(records.distinct, np.int64), np.asarray(records.firsts, np.int64)
        blank = distinct == BLANK
        self._of = np.arange(len(distinct))  # the record that each is kept or dropped for
        self._of[~blank] = firsts[of[distinct[~blank]]]
        self._drops = np.bincount(self._of, minlength=len(distinct)) - 1  # how many are dropped for each

    def summary(self) -> str:
        dropped = int(np.count_nonzero(self._of != np.arange(len(self._of))))
        return f"{len(self._of):,} records, {dropped:,} dropped: near-duplicates of {int(np.count_nonzero(self._drops > 0)):,}"

    def kept_text(self, start: int, stop: int) -> bytes:
        """The records start..stop-1 that are kept, as they came."""
        lines = [self._records.source(record) for record in self._kept(start, stop)]
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")

    def kept_jsonl(self, start: int, stop: int) -> bytes:
        return b"".join(
            b'{%b"duplicates": %d}\n' % (self._opened(record), self._drops[record])
            for record in self._kept(start, stop)
        )

    def dropped_text(self, start: int, stop: int) -> bytes:
        """Similarity, place, text, and place and text of the record that is kept, of each record that is dropped."""
        lines = []
        for record in self._dropped(start, stop):
            kept = int(self._of[record])
            cells = [number(self._alike(record))]
            for each in (record, kept):
                cells += [f"{self._records.file(each)}:{self._records.lines[each]}", self._records.text(each)]
            lines.append("\t".join(escaped(cell, tabs=True) for cell in cells) + "\n")
        return "".join(lines).encode("utf-8", "replace")

    def dropped_jsonl(self, start: int, stop: int) -> bytes:
        lines = []
        for record in self._dropped(start, stop):
            kept = int(self._of[record])
            of = {"file": self._records.file(kept), "line": self._records.lines[kept], "text": self._records.text(kept)}
            alike = number(self._alike(record)).encode()
            lines.append(b'{%b"similarity": %b, "of": %b}\n' % (self._opened(record), alike, json_bytes(of)))
        return b"".join(lines)

    def _opened(self, record: int) -> bytes:
        """A record's own fields, its file and its line, up to the next field."""
        own = self._records.fields(record)
        place = json_bytes({"file": self._records.file(record), "line": self._records.lines[record]})[1:-1]
        return (own + b", " if own else b"") + place + b", "

    def _alike(self, record: int) -> float:
        text = self._records.distinct[record]
        return 1.0 if self._records.firsts[text] != record and self._kept_text(text) else float(self._similarity[text])

    def _kept_text(self, text: int) -> bool:
        first = self._records.firsts[text]
        return bool(self._of[first] == first)

    def _kept(self, start: int, stop: int) -> list[int]:
        records = np.arange(start, stop)
        return records[self._of[start:stop] == records].tolist()

    def _dropped(self, start: int, stop: int) -> list[int]:
        records = np.arange(start, stop)
        return records[self._of[start:stop] != records].tolist()
