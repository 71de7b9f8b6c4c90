"""Labelled lines to train on and to measure on: label<tab>text, fastText's lines, TSV, CSV and JSON lines with named columns.

What a file is, its first lines say (textkit.corpora.tables); a file of which most of the first lines have words that begin with
`__label__` is fastText's, unless an option gives a column or the first line is a header. A line whose text is blank teaches
nothing: it is left out, and counted nowhere.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, starmap
from pathlib import Path
from typing import Any, Literal, NamedTuple

from textkit.corpora.corpus import Corpus
from textkit.corpora.headers import is_header, resolved, said
from textkit.corpora.tables import TAB, Role, Source, Table, head_rows, in_one_line, kind_of, opened, rows
from textkit.errors import TextkitError, UsageError
from textkit.evaluation.layouts import LABELS, TEXTS
from textkit.tasks.classify import label_sets
from textkit.tasks.classify.cells import label_of, labels_of, weight_of
from textkit.tasks.classify.claiming import claims as claims
from textkit.tasks.classify.claiming import label_is_second
from textkit.tasks.classify.marked import MARK, are_marked, parts
from textkit.tasks.classify.task import LONGEST_HEAD

Read = tuple[str, tuple[str, ...], float]  # the first fields of a Labelled, which takes longer to make

_KNOWN = 1 << 16  # cells whose labels are remembered
_PART = re.compile(r"(^|[._-])(train|training|dev|devel|valid|validation|val|test)$", re.IGNORECASE)  # of a data set


@dataclass(frozen=True)
class LabelOptions:
    """How labelled lines are read. A mixin for a family's Config.

    A column is given by its name, or by its number from 1; a field of JSON lines by its name, or by the way to it (`a.b`). With
    numbers alone the first row is data, unless it has the usual names in these columns.
    """

    several: bool = False  # a line may have several labels (commas or a JSON list), or none; false: exactly one
    label_column: str = ""  # of TSV, CSV or JSON lines: that of the labels; "": found by its name
    text_column: str = ""  # that of the text; "": found by its name
    weight_column: str = ""  # that of the number that says how much a line counts; "": all count 1
    score_by: Literal["auto", "accuracy", "macro-f1"] = "auto"  # which dev score decides; auto: macro-f1 for several


@dataclass(frozen=True)
class HeadOptions(LabelOptions):
    """How the labelled lines of several heads are read: a file has those of one. A mixin for a family's Config."""

    head_names: tuple[
        str, ...
    ] = ()  # of the heads of DATA's files, in their order, and of --dev's; (): by the files' names
    several_heads: tuple[str, ...] = ()  # heads whose lines may have several labels; several=true: all

    def may_be_several(self, head: str) -> bool:
        """Whether a line may have several labels of a head."""
        return self.several or head in self.several_heads


class Labelled(NamedTuple):
    """A line with the labels that hold of it (several only where a model may give several), and how much it counts."""

    text: str
    labels: tuple[str, ...]
    weight: float = 1.0
    head: str = ""  # the question that the labels answer, where a model answers more than one


def written(labelled: Labelled) -> str:
    """The record of a LabelledCorpus: a JSON list of the labels, a tab, the text; where they are not 1 and "", the weight and
    the head as further cells."""
    record = f"{_json_of(labelled.labels)}{TAB}{in_one_line(labelled.text)}"
    if labelled.weight != 1 or labelled.head:
        head = f"{TAB}{json.dumps(labelled.head, ensure_ascii=False)}" if labelled.head else ""
        return f"{record}{TAB}{labelled.weight!r}{head}"
    return record


def labelled(record: str) -> Labelled:
    """The inverse of `written`."""
    labels, text, *more = record.split(TAB)
    weight = float(more[0]) if more else 1.0
    return Labelled(text, _labels_in(labels), weight, json.loads(more[1]) if len(more) > 1 else "")


def label_sets_of(corpus: Corpus) -> label_sets.LabelSets:
    """How many lines of each head have each label. Warns of labels that only lines of the split's other parts have."""
    found = _counted(corpus)
    if corpus.part is not None:
        label_sets.tell_lost(corpus.paths[0], _counted(corpus.with_part(None, corpus.seed)), found)
    return found


def _counted(corpus: Corpus) -> label_sets.LabelSets:
    found: label_sets.LabelSets = {}
    for records in corpus.blocks():
        for head, some in groupby(filter(None, records), head_of):
            label_sets.add(found, head, (_labels_in(record.split(TAB, 1)[0]) for record in some))
    return found


def texts(records: Sequence[str]) -> list[str]:
    """The texts of records."""
    return [record.split(TAB, 2)[1] for record in records]


def head_of(record: str) -> str:
    """The head of a record."""
    cells = record.split(TAB, 3)
    return str(json.loads(cells[3])) if len(cells) > 3 else ""


@lru_cache(_KNOWN)
def _json_of(labels: tuple[str, ...]) -> str:
    return json.dumps(labels, ensure_ascii=False)


@lru_cache(_KNOWN)
def _labels_in(cell: str) -> tuple[str, ...]:
    return tuple(json.loads(cell))


class LabelledCorpus(Corpus):
    """A corpus of labelled lines, whose records are as `written` gives them. `options`: LabelOptions."""

    def check(self) -> None:
        """Raises TextkitError for the first thing that is wrong. Reads all of the data: a dev score is due only after a first
        epoch, which may take hours."""
        super().check()
        self._checked: label_sets.LabelSets = {}
        for paths, head, lines in self._sets():
            counts = False
            for block in lines:
                label_sets.add(self._checked, head, (labels for _, labels, _ in block))
                counts = counts or any(weight for _, _, weight in block)
            if not counts:
                weight = " and a weight above 0" if _options(self.options).weight_column else ""
                raise TextkitError(f"{paths[0]}: has no line with a text{weight}")

    def check_dev(self, dev: Corpus) -> None:
        assert isinstance(dev, LabelledCorpus)
        label_sets.compare(dev.paths[0], dev._checked, self._checked)

    def records(self) -> Iterator[list[str]]:
        for _, head, lines in self._sets():
            for block in lines:
                yield [
                    f"{_json_of(labels)}{TAB}{text}"
                    if weight == 1 and not head
                    else written(Labelled(text, labels, weight, head))
                    for text, labels, weight in block
                ]

    def with_paths(self, paths: Iterable[str | Path]) -> Corpus:
        return self._alike(Corpus(paths))  # the split is written as records

    def _sets(self) -> Iterator[tuple[Sequence[Path], str, Iterator[list[Read]]]]:
        """The files that belong together, the head that their labels are of, and the lines."""
        options = _options(self.options)
        yield self.paths, "", _read(self.paths, options, options.several)


class HeadedCorpus(LabelledCorpus):
    """A corpus of the labelled lines of several heads, one file (or more) for each. `options`: HeadOptions.

    A head has the name of its file without endings (`topics.tsv.gz`, `topics-train.tsv`: topics), or that of the folder where
    a file is called for its part alone (`topics/train.tsv`), unless the option head_names names it.
    """

    def _sets(self) -> Iterator[tuple[Sequence[Path], str, Iterator[list[Read]]]]:
        options = self.options if isinstance(self.options, HeadOptions) else HeadOptions()
        heads = options.head_names or tuple(map(_head_by_name, self.paths))
        if len(heads) != len(self.paths):
            raise UsageError(
                f"head_names: names {len(heads)} heads, one for each file, and there are {len(self.paths)}"
            )
        for path, head in zip(self.paths, heads, strict=True):
            if not 0 < len(head) <= LONGEST_HEAD:
                raise UsageError(
                    f"{path}: the head's name has {len(head)} characters: give another one with head_names"
                )
            yield [path], head, _read([path], options, options.may_be_several(head))


def _head_by_name(path: Path) -> str:
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    stem, part = _PART.sub("", Path(name).stem), _PART.fullmatch(Path(name).stem)
    return path.absolute().parent.name if part else stem


def labelled_lines(
    paths: Iterable[str | os.PathLike[str]], options: LabelOptions | None = None
) -> Iterator[list[Labelled]]:
    """The labelled lines of files (plain, gzip or zstandard; "-" for stdin) in blocks, one file after the other.

    Without options each line has exactly one label. Raises TextkitError for a file that cannot be read, or whose columns are
    not clear (it names the options that say them), and for a line without a label, or with one that is too long, with
    several where one is wanted, with another number of columns, or with a weight that is no number from 0.
    """
    options = options or LabelOptions()
    for block in _read(paths, options, options.several):
        yield list(starmap(Labelled, block))


def _read(paths: Iterable[str | os.PathLike[str]], options: LabelOptions, several: bool) -> Iterator[list[Read]]:
    for path in paths:
        with opened(path) as source:
            if not source.head:
                continue
            roles = _roles(options)
            if are_marked([line for _, line in source.head]) and not any(role.given for role in roles):
                yield from _marked_lines(source, several)
            else:
                yield from _table_lines(source, _table(source, roles), several)


def _options(options: Any) -> LabelOptions:
    return options if isinstance(options, LabelOptions) else LabelOptions()


def _roles(options: LabelOptions) -> tuple[Role, ...]:
    roles = (
        Role("label", "label_column", LABELS, options.label_column, text=False),
        Role("text", "text_column", TEXTS, options.text_column),
    )
    weight = Role("weight", "weight_column", given=options.weight_column, text=False)
    return (*roles, weight) if options.weight_column else roles


def _table(source: Source, roles: tuple[Role, ...]) -> Table:
    kind = kind_of(source, lambda cells: is_header(cells, roles), any(role.given.isdecimal() for role in roles))
    number, line = source.head[0]
    told = any(role.given for role in roles)
    if kind == "tsv" and TAB not in line and not told:
        raise source.error(
            number,
            f"has no tab: a line is label<tab>text, or begins with {MARK}; CSV and JSON lines name their columns",
        )
    looked = head_rows(source, kind)
    table = resolved(source.name, kind, looked, roles, ordered=False)
    if not table.header and not told and label_is_second([cells for _, cells in looked]):
        raise source.error(number, f"column 2 looks like the label, and column 1 like the text: {said(roles)}")
    return table


def _table_lines(source: Source, table: Table, several: bool) -> Iterator[list[Read]]:
    known: dict[str, tuple[str, ...]] = {}
    weighted = len(table.roles) > 2
    for numbers, block in rows(source, table):
        found = []
        for number, row in zip(numbers, block, strict=True):
            cell, text = row[0], row[1]
            if not text or text.isspace():
                continue
            try:
                labels = known.get(cell) if type(cell) is str else None
                if labels is None:
                    labels = labels_of(cell, several)
                    if type(cell) is str and len(known) < _KNOWN:
                        known[cell] = labels
                weight = weight_of(row[2]) if weighted else 1.0
            except ValueError as error:
                raise source.error(number, str(error)) from None
            found.append((text if text.isprintable() else in_one_line(text), labels, weight))
        yield found


def _marked_lines(source: Source, several: bool) -> Iterator[list[Read]]:
    for first, block in source.lines():
        found = []
        for number, line in enumerate(block, first):
            marked, text = parts(line)
            if not text:
                continue
            try:
                labels = tuple(dict.fromkeys(map(label_of, marked)))
            except ValueError as error:
                raise source.error(number, str(error)) from None
            if not several and not labels:
                raise source.error(number, f"has no label, a word that begins with {MARK}")
            if not several and len(labels) > 1:
                raise source.error(number, f"has {len(labels)} labels: several=true learns several labels of a line")
            found.append((in_one_line(text), labels, 1.0))
        yield found
