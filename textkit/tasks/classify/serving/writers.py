"""Writes labels: one line each, columns separated by tabs, or JSON lines. Knows no model.

There is one output record for each input record. One that could not be used (`Block.problems`) has no label, and null in JSON,
so that line n of the output belongs to record n of the input. Numbers have six digits: the rest of a batch could only change
later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from textkit.streams.columns import Block
from textkit.streams.escaping import escaped
from textkit.streams.records import json_bytes, number, opened, rounded
from textkit.tasks.classify.serving.answers import Classified, Share
from textkit.tasks.classify.serving.explaining import Weighed

_JOINED = str.maketrans({"\\": "\\\\", ",": "\\,", "\n": "\\n", "\r": "\\r", "\t": "\\t"})

Words = Sequence[Sequence[Weighed]]  # the weighed words of each line


def spelled(label: str, several: bool) -> str:
    """A label as text has it. Where several are joined by commas, a comma in one is `\\,` and a backslash `\\\\`."""
    return label.translate(_JOINED) if several else escaped(label, tabs=True)


@dataclass(frozen=True)
class Writer:
    """Writes answers about `labels` (Classifier.labels); `several`: as in the head.

    `listed`: how many of the likeliest labels to list, with their probabilities; 0: none. `pairs`: whether text has the
    probability behind each label. Where a method takes `words`, the weight of each is written too.
    """

    labels: Sequence[str]
    several: bool
    listed: int = 0
    pairs: bool = False

    def text(self, block: Block, answers: Classified, words: Words | None = None) -> bytes:
        """One line each: the label, or those that hold with commas between; with `pairs` or `listed` each label and its
        probability, with tabs between; then each word and its weight."""
        if self.several or self.pairs or self.listed or words is not None:
            return _joined(self._with_words(self._cells(answers), block, words))
        return b"".join(map(self._lines.__getitem__, answers.numbers.tolist()))

    def tsv(self, block: Block, answers: Classified, words: Words | None = None) -> bytes:
        """One line each: label, probability and text, or with `listed` so many labels and probabilities, and the text; then
        each word and its weight. Where several labels hold, both cells have them with commas between."""
        rows = []
        for found in answers.listed(self.listed) if self.listed else answers.held():
            if self.listed:
                cells = self._flat(found)
                rows.append(cells + [""] * (2 * min(self.listed, len(self.labels)) - len(cells)))
            else:
                rows.append([",".join(self._names(found)), ",".join(map(_share, found))])
        rows = [[*cells, escaped(text, tabs=True)] for cells, text in zip(rows, block.texts, strict=True)]
        return _joined(self._with_words(rows, block, words))

    def colors(
        self, block: Block, answers: Classified, words: Words, color: Callable[[str, Sequence[Weighed]], str]
    ) -> bytes:
        """One line each for a terminal: what `text` has before the words, and the text with its words in colours."""
        every = zip(self._cells(answers), block.texts, words, strict=True)
        return _joined([[*cells, color(text, of_line)] for cells, text, of_line in every])

    def jsonl(self, block: Block, answers: Classified, words: Words | None = None, key: str = "label") -> bytes:
        """One object each: the record's own fields, then `key`, "probability", with `listed` "labels", a list of objects, and
        with `words` "spans". Where several labels may hold, the first two are lists. null for a record without a text."""
        ranked = answers.listed(self.listed) if self.listed else None
        lines = []
        for at, found in enumerate(answers.held()):
            start = opened(block, at, key)
            if at in block.problems:
                lines.append(b"%bnull}\n" % start)
                continue
            names: list[str] = [self.labels[one] if one >= 0 else "" for one, _ in found]
            shares = [None if share is None else rounded(share) for _, share in found]
            rest: dict[str, Any] = {"probability": shares if self.several else shares[0]}
            if ranked is not None:
                rest["labels"] = [
                    {"label": self.labels[one], "probability": rounded(share or 0.0)} for one, share in ranked[at]
                ]
            if words is not None:
                rest["spans"] = [
                    {"start": word.start, "end": word.stop, "weight": rounded(word.weight)} for word in words[at]
                ]
            lines.append(b"%b%b, %b\n" % (start, json_bytes(names if self.several else names[0]), json_bytes(rest)[1:]))
        return b"".join(lines)

    def _cells(self, answers: Classified) -> list[list[str]]:
        """The labels of each line, with probabilities where they are wanted."""
        if self.listed:
            return [self._flat(found) for found in answers.listed(self.listed)]
        if self.pairs:
            return [self._flat(found) for found in answers.held()]
        return [[",".join(self._names(found))] for found in answers.held()]

    def _with_words(self, rows: list[list[str]], block: Block, words: Words | None) -> list[list[str]]:
        for cells, text, of_line in zip(rows, block.texts, words, strict=True) if words is not None else ():
            for word in of_line:
                cells += [escaped(text[word.start : word.stop], tabs=True), number(word.weight)]
        return rows

    def _flat(self, found: Sequence[Share]) -> list[str]:
        """Labels and probabilities, one after the other."""
        cells: list[str] = []
        for one, share in found:
            cells += self._spelled[one], "" if share is None else number(share)
        return cells

    def _names(self, found: Sequence[Share]) -> list[str]:
        return [self._spelled[one] for one, _ in found]

    @cached_property
    def _spelled(self) -> list[str]:
        """Each label as it is written; the last stands for none (-1)."""
        return [*(spelled(label, self.several) for label in self.labels), ""]

    @cached_property
    def _lines(self) -> list[bytes]:
        return [_joined([[label]]) for label in self._spelled]


def _share(found: Share) -> str:
    return "" if found[1] is None else number(found[1])


def _joined(rows: Sequence[Sequence[str]]) -> bytes:
    return "".join(["\t".join(cells) + "\n" for cells in rows]).encode("utf-8", "replace")
