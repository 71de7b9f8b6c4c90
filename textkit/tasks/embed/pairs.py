"""Pairs of texts to train sentence encoders on, with scores or hard negatives: TSV, CSV, JSON lines, STS benchmark's columns.

What a file is, its first lines say (textkit.corpora.tables). The plugin's option `objective` says what a third column is. A
pair of which a text is blank teaches nothing: it is left out, and counted nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textkit.corpora.corpus import Corpus
from textkit.corpora.headers import is_header, resolved, said
from textkit.corpora.tables import TAB, Role, Row, Source, Table, head_rows, in_one_line, kind_of, opened, rows
from textkit.errors import TextkitError, UsageError, quoted
from textkit.evaluation.layouts import PAIRS, SCORES, STS_SCORE, as_number, by_name, folded, layout_of

CONTRAST, SIMILARITY, TEACHER = "contrast", "similarity", "teacher"  # the values of the option `objective`
# What headers call the two texts, without case and signs. Where there is no score, short names may be texts themselves.
_NAMES = (
    *(names for names in PAIRS if len(names[0]) > 2 and names[0] != "first"),
    ("anchor", "positive"), ("query", "positive"), ("query", "answer"), ("query", "passage"), ("query", "document"),
    ("question", "answer"), ("question", "passage"), ("question", "context"), ("sentence", "paraphrase"),
    ("text", "paraphrase"), ("text", "summary"), ("title", "abstract"), ("title", "body"), ("source", "target"),
)  # fmt: skip
_NEGATIVES = frozenset({"negative", "hardnegative", "neg"})
_TEXTS = "text1_column and text2_column"


@dataclass(frozen=True)
class PairColumns:
    """How pairs of texts are read that belong together. A mixin for a family's Config.

    A column is given by its name, or by its number from 1; a field of JSON lines by its name, or by the way to it (`a.b`). With
    numbers alone the first row is data, unless it has the usual names in these columns.
    """

    text1_column: str = ""  # of TSV, CSV or JSON lines: that of the first text; "": found by its name or place
    text2_column: str = ""  # that of the second text
    negative_column: str = (
        ""  # contrast: that of a text that is near the first and not meant; "": found, if there is one
    )


@dataclass(frozen=True)
class PairOptions(PairColumns):
    """The same for a Config with an option `objective`, which says what a pair is for: contrast, similarity or teacher."""

    score_column: str = ""  # similarity: that of the number that says how alike the texts are; "": found


def pair(record: str) -> tuple[str, str, str]:
    """The two texts of a record, and its score or hard negative, or ""."""
    first, second, third = [*record.split(TAB, 2), "", ""][:3]
    return first, second, third


def texts_of(record: str) -> list[str]:
    """The texts of a record, without a score."""
    cells = record.split(TAB)
    return cells[:2] if len(cells) > 2 and _spells_score(cells[2]) else cells


class TextPairs(Corpus):
    """A corpus of records "text1<tab>text2", with "<tab>negative" behind some of them (objective=contrast), or with
    "<tab>score" behind each (objective=similarity); with objective=teacher records are the lines of any text. `options`:
    PairColumns, and those of a Config without `objective` are read as with contrast.
    """

    def check(self) -> None:
        """Raises TextkitError for the first thing that is wrong. Reads all of the data: a dev score is due only after a first
        epoch, which may take hours."""
        super().check()
        if _objective(self.options) == TEACHER:
            if not any(line and not line.isspace() for block in self.records() for line in block):
                raise TextkitError(f"{self.paths[0]}: has no line with text")
        elif not sum(map(len, self.records())):
            raise TextkitError(f"{self.paths[0]}: has no pair of two texts")

    def records(self) -> Iterator[list[str]]:
        if _objective(self.options) == TEACHER:
            yield from super().records()
            return
        for path in self.paths:
            with opened(path) as source:
                if source.head:
                    yield from _records(source, self.options)

    def with_paths(self, paths: Iterable[str | Path]) -> Corpus:
        return self._alike(Corpus(paths))  # the split is written as records


def _objective(options: Any) -> str:
    return str(getattr(options, "objective", CONTRAST))


def _records(source: Source, options: Any) -> Iterator[list[str]]:
    scored = _objective(options) == SIMILARITY
    table = _table(source, options if isinstance(options, PairColumns) else PairColumns(), scored)
    for numbers, block in rows(source, table):
        found = []
        for number, (first, second, *more) in zip(numbers, block, strict=True):
            if not first or first.isspace() or not second or second.isspace():
                continue
            record = f"{in_one_line(first)}{TAB}{in_one_line(second)}"
            if scored:
                record += f"{TAB}{_score(source, number, more[0])!r}"
            elif more and more[0] and not more[0].isspace():
                negative = in_one_line(more[0])
                # A space behind it tells a text from a score that is spelled alike.
                record += f"{TAB}{negative} " if _spells_score(negative) else f"{TAB}{negative}"
            found.append(record)
        yield found


def _spells_score(cell: str) -> bool:
    """Whether a cell of a record is a score, which is spelled as Python's repr does."""
    value = as_number(cell)
    return value is not None and repr(value) == cell


def _score(source: Source, number: int, value: Any) -> float:
    score = None
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        score = as_number(str(value))
    if score is None:
        raise source.error(number, f"the score is {quoted(value)}: no number")
    return score


def _table(source: Source, options: PairColumns, scored: bool) -> Table:
    other, objective = ("negative_column", CONTRAST) if scored else ("score_column", SIMILARITY)
    if getattr(options, other, ""):
        raise UsageError(f"{other}: has an effect with objective={objective} alone")
    third = getattr(options, "score_column", "") if scored else options.negative_column
    given = options.text1_column, options.text2_column, third
    kind = kind_of(
        source,
        lambda cells: is_header(cells, _roles(cells, given, scored)) or (scored and by_name(cells) is not None),
        any(map(str.isdecimal, given)),
    )
    looked = head_rows(source, kind)
    if scored and not any(given):
        return _by_layout(source, kind, looked)
    roles = _roles(looked[0][1], given, scored)
    table = resolved(source.name, kind, looked, roles)
    if scored:
        return _with_header(table, looked)
    if not (options.text1_column and options.text2_column):
        _refuse_scores(source, looked, table)
    return table


def _roles(cells: Sequence[str], given: tuple[str, str, str], scored: bool) -> tuple[Role, ...]:
    """The roles in a table with this first row: if one known pair of names is among its cells, it alone names the texts."""
    names = [folded(cell) for cell in cells]
    pairs = [pair for pair in _NAMES if names.count(pair[0]) == names.count(pair[1]) == 1]
    if len(pairs) != 1 or any(given[:2]):
        pairs = list(_NAMES)
    third = (
        Role("score", "score_column", frozenset(SCORES), given[2], text=False)
        if scored
        else Role("negative", "negative_column", _NEGATIVES, given[2], needed=False)
    )
    return (
        Role("text1", "text1_column", frozenset(first for first, _ in pairs), given[0]),
        Role("text2", "text2_column", frozenset(second for _, second in pairs), given[1]),
        third,
    )


def _by_layout(source: Source, kind: str, looked: Sequence[Row]) -> Table:
    """A table of pairs with scores as `textkit evaluate` finds it; here only tabs and commas separate columns."""
    roles = _roles((), ("", "", ""), True)
    advice = f"{said(roles)}; objective=contrast learns pairs without scores"
    layout = layout_of(source.name, looked, say=advice) if len(looked[0][1]) > 2 else None
    if layout is None:
        raise source.error(looked[0][0], f"has no score: a line is text1<tab>text2<tab>score: {advice}")
    places: tuple[int | str, ...] = layout.first, layout.second, layout.score
    if kind == "jsonl":
        return Table(kind, roles, tuple(looked[0][1][int(place)] for place in places), True, 0)
    longer = not layout.header and layout.score == STS_SCORE  # some rows of STS benchmark name a licence too
    width = 1 + max(layout.first, layout.second, layout.score) if longer else len(looked[0][1])
    return Table(kind, roles, places, layout.header, width, longer)


def _with_header(table: Table, looked: Sequence[Row]) -> Table:
    """The same table; its first row is a header too if it has no number where the score is."""
    if table.header or as_number(looked[0][1][int(table.places[2])]) is not None:
        return table
    return Table(table.kind, table.roles, table.places, True, table.width)


def _refuse_scores(source: Source, looked: Sequence[Row], table: Table) -> None:
    """A table with scores has pairs that belong together and others that do not."""
    number, first = looked[0]
    if table.header:
        unused = [cell for at, cell in enumerate(first) if at not in table.places and cell not in table.places]
        shown = next((repr(cell) for cell in unused if folded(cell) in SCORES), "")
    else:
        thirds = [cells[2] for _, cells in looked if len(cells) == 3]
        numbers = sum(as_number(cell) is not None for cell in thirds)
        shown = "column 3" if len(table.roles) == 3 and 2 * numbers > len(thirds) else ""
    if shown:
        raise source.error(
            number,
            f"{shown} looks like a score, which sentence-encoder learns with objective=similarity; here every pair is one that "
            f"belongs together: say so with {_TEXTS} (names, or numbers from 1)",
        )
