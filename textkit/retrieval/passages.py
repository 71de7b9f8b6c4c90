"""What is searched: passages of files with their places, streamed in blocks of bounded size. Knows no model and no index.

A passage is a line, a record of a table, or a part of a paragraph. It keeps the name of its file, the line on which it begins
and the record's own fields. Blank lines are passages too, so that whoever counts lines can; a paragraph is never blank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from textkit.errors import TextkitError, UsageError
from textkit.retrieval.sources import STDIN, Source, Survey, sources
from textkit.streams.columns import records
from textkit.streams.encoding import chosen, foreign
from textkit.streams.lines import Reader

KINDS = ("lines", "tsv", "csv", "jsonl", "paragraphs")
RECORDS = ("tsv", "csv", "jsonl")  # those that have columns
_LONG_LINE = 4000  # characters; a longer line is cut where `Reading.cut` says so
_HELD = 1 << 16  # characters of a paragraph that are held before its first passages are given
_HEAD = 8192  # a NUL among this many first bytes makes a file binary
_NO_TEXT = (b"%PDF-",)  # files without a NUL in their head that are no text


class Passage(NamedTuple):
    """A text and its place: its file (`-` for stdin), its first line from 1, and its record's fields (see streams.columns)."""

    file: str
    line: int
    text: str
    fields: Any = None


@dataclass(frozen=True)
class Passages:
    """Some passages of one file, in its order. Iterating gives each as a Passage."""

    file: str
    lines: Sequence[int]
    texts: list[str]
    fields: Sequence[Any] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, at: int) -> Passage:
        return Passage(self.file, self.lines[at], self.texts[at], self.fields[at] if self.fields else None)

    def __iter__(self) -> Iterator[Passage]:
        return map(self.__getitem__, range(len(self)))


@dataclass(frozen=True)
class Reading:
    """How files become passages. `kind`: one of KINDS; `column`, `delimiter`: as `records` has them.

    `cut`: whether a line or a field of more than 4,000 characters becomes several passages, as a long paragraph does. `skip`:
    whether a record that cannot be used is counted and its text is blank; otherwise it is an error.
    """

    kind: str = "lines"
    column: str | None = None
    delimiter: str | None = None
    cut: bool = False
    skip: bool = False


def check_columns(kind: str | None, column: str | None, delimiter: str | None) -> None:
    """Raises UsageError for columns of what has none. `kind` None: it is not known yet, and may have them."""
    if column is not None and kind is not None and kind not in RECORDS:
        raise UsageError(f"--column {column}: {kind} have no columns; say --input tsv, csv or jsonl")
    if kind in ("tsv", "csv") and column is not None and column.isdecimal() and not int(column):
        raise UsageError("--column 0: columns count from 1")
    if delimiter is not None and kind not in (None, "tsv", "csv"):
        raise UsageError(f"--delimiter: {kind} have no columns; say --input csv or tsv")
    if delimiter is not None and (not delimiter or (kind == "csv" and len(delimiter) > 1)):
        raise UsageError("--delimiter: is empty, or longer than one character, as that of csv is")


def passages(names: Iterable[str], reading: Reading, survey: Survey) -> Iterator[Passages]:
    """The passages of files, folders and stdin (`-`), in order; an empty block says that the input pauses.

    Raises TextkitError for a named file that is missing or damaged. One in a folder that cannot be read is counted in `survey`,
    and so are binaries.
    """
    for source in sources(names, survey):
        yield from of_source(source, reading, survey)


def of_source(source: Source, reading: Reading, survey: Survey, also: Any = None) -> Iterator[Passages]:
    """The passages of one file; see `passages`. `also`: is called with all bytes that are read."""
    try:
        with _TextReader(None if source.name == STDIN else source.name) as reader:
            reader.also = also
            try:
                yield from of_reader(reader, reading, survey, source.name)
            finally:
                if reader.invalid:
                    survey.invalid[reader.name] = reader.invalid, reader.encoding
        survey.files += 1
    except _Binary:
        survey.binary.append(source.name)
    except TextkitError as error:
        if not source.found:
            raise
        survey.unreadable[source.name] = str(error)


def of_reader(reader: Reader, reading: Reading, survey: Survey, name: str) -> Iterator[Passages]:
    """The passages that an open Reader gives, as of a file `name`."""
    if reading.kind == "paragraphs":
        yield from _paragraphs(reader, name)
        return
    for block in records(reader, reading.kind, reading.column, reading.skip, reading.delimiter):
        if block.problems:
            survey.problem = survey.problem or block.problems[min(block.problems)]
            survey.records += len(block.problems)
        if reading.cut and any(len(text) > _LONG_LINE for text in block.texts):
            yield from _cut_lines(Passages(name, block.numbers, block.texts, block.fields))
        else:
            yield Passages(name, block.numbers, block.texts, block.fields)


class _Binary(Exception):
    """The file is no text."""


class _TextReader(Reader):
    """A Reader that raises _Binary where the first bytes, decompressed, are no text in the encoding that is read."""

    def chunks(self) -> Iterator[bytes]:
        head: bytes | None = b""
        wide = (chosen() or "").startswith(("utf-16", "utf-32", "utf_16", "utf_32"))
        for data in super().chunks():
            if head is not None and not wide:
                head += data
                if (b"\0" in head[:_HEAD] and not foreign(head)) or head.startswith(_NO_TEXT):
                    raise _Binary
                if len(head) >= _HEAD:
                    head = None
            yield data


def _cut_lines(block: Passages) -> Iterator[Passages]:
    """The passages of a block some of whose lines are long: a long line becomes several, all with its number."""
    from textkit.retrieval.cutting import cut

    lines: list[int] = []
    texts: list[str] = []
    fields: list[Any] | None = None if block.fields is None else []
    for passage in block:
        parts = [part for _, part in cut(passage.text)] if len(passage.text) > _LONG_LINE else [passage.text]
        lines += [passage.line] * len(parts)
        texts += parts
        if fields is not None:
            fields += [passage.fields] * len(parts)
    yield Passages(block.file, lines, texts, fields)


def _paragraphs(reader: Reader, name: str) -> Iterator[Passages]:
    held = _Paragraph()
    for lines in reader:
        if not lines:  # a pause ends no paragraph: its next line may still come
            yield Passages(name, [], [])
            continue
        found: list[tuple[int, str]] = []
        for number, line in enumerate(lines, reader.lines - len(lines) + 1):
            line = line.strip()
            if line:
                held.add(number, line)
                if held.size > _HELD:
                    found += held.taken(last=False)
            elif held.size:
                found += held.taken()
        if found:
            yield Passages(name, [line for line, _ in found], [text for _, text in found])
    if held.size:
        found = held.taken()
        yield Passages(name, [line for line, _ in found], [text for _, text in found])


class _Paragraph:
    """The lines of a paragraph whose end has not come yet."""

    def __init__(self) -> None:
        self.size = 0
        self._numbers: list[int] = []
        self._lines: list[str] = []

    def add(self, number: int, line: str) -> None:
        self._numbers.append(number)
        self._lines.append(line)
        self.size += len(line) + 1

    def taken(self, last: bool = True) -> list[tuple[int, str]]:
        """(first line, text) of each passage; the paragraph is then empty. `last` False: the last passage stays and goes on."""
        from bisect import bisect_right
        from itertools import accumulate

        from textkit.retrieval.cutting import PASSAGE, cut

        text = " ".join(self._lines)
        if len(text) <= PASSAGE:
            found = [(self._numbers[0], text)]
        else:
            begins = [0, *accumulate(len(line) + 1 for line in self._lines[:-1])]
            found = [(self._numbers[bisect_right(begins, at) - 1], part) for at, part in cut(text)]
        self.size, self._numbers, self._lines = 0, [], []
        if not last and found:
            self.add(*found.pop())
        return found
