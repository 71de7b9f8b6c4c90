"""Labelled lines to train on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from textkit.corpora.corpus import Corpus
from textkit.errors import TextkitError
from textkit.streams.lines import read_blocks

TAB = "\t"


@dataclass(frozen=True)
class LabelOptions:
    """How labelled lines are read. A mixin for a family's Config."""

    several: bool = False  # a line may have several labels, or none; false: exactly one
    label_column: str = ""  # of TSV, CSV or JSON lines with names: that of the labels; "": found by its name
    text_column: str = ""  # that of the text
    weight_column: str = ""  # that of the number that says how much a line counts; "": all count 1
    score_by: Literal["auto", "accuracy", "macro-f1"] = "auto"  # which dev score decides; auto: macro-f1 for several


class Labelled(NamedTuple):
    """A line with the labels that hold of it (several only where a model may give several), and how much it counts."""

    text: str
    labels: tuple[str, ...]
    weight: float = 1.0
    head: str = ""  # the question that the labels answer, where a model answers more than one


def written(labelled: Labelled) -> str:
    """The record of a LabelledCorpus: a JSON list of the labels, a tab, the text; where they are not 1 and "", the weight and
    the head as further cells."""
    cells = [json.dumps(labelled.labels, ensure_ascii=False), " ".join(labelled.text.splitlines()).replace(TAB, " ")]
    if labelled.weight != 1 or labelled.head:
        cells += [repr(labelled.weight), *([json.dumps(labelled.head, ensure_ascii=False)] if labelled.head else ())]
    return TAB.join(cells)


def labelled(record: str) -> Labelled:
    """The inverse of `written`."""
    labels, text, *more = record.split(TAB)
    weight = float(more[0]) if more else 1.0
    return Labelled(text, tuple(json.loads(labels)), weight, json.loads(more[1]) if len(more) > 1 else "")


def texts(records: Sequence[str]) -> list[str]:
    """The texts of records."""
    return [record.split(TAB, 2)[1] for record in records]


class LabelledCorpus(Corpus):
    """A corpus of labelled lines, whose records are as `written` gives them."""

    def records(self) -> Iterator[list[str]]:
        for path in self.paths:
            number = 0
            for block in read_blocks(path):
                done = []
                for line in block:
                    number += 1
                    if line.isspace() or not line:
                        continue
                    label, tab, text = line.partition(TAB)
                    if not tab:
                        raise TextkitError(f"{path}, line {number}: has no tab: a line is label<tab>text")
                    several = self.options is not None and self.options.several
                    done.append(written(Labelled(text, tuple(label.split(",")) if several else (label,))))
                yield done

    def with_paths(self, paths: Iterable[str | Path]) -> Corpus:
        return self._alike(Corpus(paths))  # the split is written as records
