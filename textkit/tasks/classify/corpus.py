"""Labelled lines to train on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

TAB = "\t"


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
