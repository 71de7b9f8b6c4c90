"""All records of an input, held so that few bytes are spent on each: equal texts are held once. Knows no model and no
output."""

from __future__ import annotations

import csv
import io
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from textkit.retrieval.passages import Passages
from textkit.streams.fields import Carried
from textkit.streams.records import json_bytes

BLANK = -1


@dataclass
class Records:
    """Records in order, and their distinct texts in the order in which they first come.

    `distinct`: for each record the number of its text, or BLANK. `kind`, `delimiter`: how the records are written where they
    are read. `every`: whether each record's own form is kept, or only that of the first of equal texts, the only one that a
    filter prints. `carried`: names the records' own fields where they are written as JSON; without it, records are written as
    they came.
    """

    kind: str = "lines"
    delimiter: str | None = None
    every: bool = False
    carried: Carried | None = None
    texts: list[str] = field(default_factory=list)
    firsts: array[int] = field(default_factory=lambda: array("q"))  # the record in which each text comes first
    distinct: array[int] = field(default_factory=lambda: array("q"))
    lines: array[int] = field(default_factory=lambda: array("q"))
    header: str | None = None
    _files: list[tuple[int, str]] = field(default_factory=list)  # (first record, file)
    _forms: dict[int, Any] = field(default_factory=dict)  # record -> its own form, where that is not its text
    _numbers: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.distinct)

    def add(self, passages: Passages, named: bool = False) -> list[str]:
        """Adds some records; returns those of their texts that are new, blank ones left out. `named`: whether a name has said
        which column has the text, so that a table has a header."""
        if passages.texts and (not self._files or self._files[-1][1] != passages.file):
            self._files.append((len(self), passages.file))
        if named and self.header is None and passages.fields and self.kind in ("tsv", "csv"):
            self.header = self._row(list(passages.fields[0]))
        first, before = len(self), len(self.texts)
        for at, text in enumerate(passages.texts):
            if not text or text.isspace():
                number = BLANK
            else:
                number = self._numbers.setdefault(text, len(self.texts))
                if number == len(self.texts):
                    self.texts.append(text)
                    self.firsts.append(first + at)
            self.distinct.append(number)
            own = self.every or number == BLANK or self.firsts[number] == first + at
            form = self._form(text, passages.fields[at] if passages.fields else None) if own else None
            if form is not None:
                self._forms[first + at] = form
        self.lines.extend(passages.lines)
        return self.texts[before:]

    def put(self, file: str, line: int, text: str, source: str | None) -> bool:
        """Adds one record, as a report has it; returns whether its text is new (a blank one is not)."""
        return bool(self.add(Passages(file, [line], [text], None if source is None else [source])))

    def file(self, record: int) -> str:
        return self._files[bisect_right(self._files, record, key=lambda item: item[0]) - 1][1]

    def text(self, record: int) -> str:
        """The text of a record; of a blank one "", whatever white space it has."""
        number = self.distinct[record]
        return "" if number == BLANK else self.texts[number]

    def source(self, record: int) -> str:
        """A record as it came: its line, its row, its JSON object."""
        form = self._forms.get(record)
        return form if isinstance(form, str) else self.text(record)

    def fields(self, record: int) -> bytes:
        """A record's own fields as JSON, without the braces."""
        form = self._forms.get(record)
        return form if isinstance(form, bytes) else b'"text": ' + json_bytes(self.text(record))

    def _form(self, text: str, fields: Any) -> str | bytes | None:
        """What is kept of a record besides its text."""
        if isinstance(fields, str):
            return fields
        if fields is None:
            return (text or None) if text.isspace() and self.carried is None else None
        if self.carried is None:
            return self._row(list(fields.values())) if isinstance(fields, dict) else fields[0]
        if isinstance(fields, dict):
            names = self.carried.names(list(fields), len(fields))
            return json_bytes(dict(zip(names, fields.values(), strict=True)))[1:-1]
        source, value = fields
        return self.carried.object(source, value).strip()[1:-1].strip().encode("utf-8", "replace") if value else b""

    def _row(self, cells: Sequence[str]) -> str:
        if self.kind == "tsv":
            return (self.delimiter or "\t").join(cells)
        written = io.StringIO()
        csv.writer(written, delimiter=self.delimiter or ",", lineterminator="\n").writerow(cells)
        return written.getvalue().removesuffix("\n")
