"""Pairs of lines to train on: TSV files, or two files whose lines belong together. Knows no plugin, no ids, no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from textkit.corpora.corpus import Corpus
from textkit.errors import TextkitError
from textkit.streams.lines import Reader, read_blocks

TAB = "\t"


def pair(line: str) -> tuple[str, str]:
    """The two sides of a line of a PairCorpus."""
    source, _, target = line.partition(TAB)
    return source, target


def sides(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The sources and the targets of lines of a PairCorpus."""
    pairs = [pair(line) for line in lines]
    return [source for source, _ in pairs], [target for _, target in pairs]


class PairCorpus(Corpus):
    """A corpus of lines "source<tab>target", each with exactly one tab; an empty side is kept as such.

    If there are two files and the first has no tab in its first line with text, they belong together line by line (a tab
    inside such a line is read as a space). Anything else is TSV, whose columns after the second are ignored. Raises
    TextkitError for two files of unequal length, naming both counts, and for a line of a TSV file without a tab.
    """

    pair = staticmethod(pair)

    @property
    def aligned(self) -> bool:
        """Whether the paths are two files that belong together."""
        return len(self.paths) == 2 and TAB not in _first_text(self.paths[0])

    def check(self) -> None:
        super().check()
        if self.aligned:
            counts = tuple(map(_count, self.paths))
            if counts[0] != counts[1]:
                raise self._unequal(*counts)
        else:
            for path in self.paths:
                first = _first_text(path)
                if first and TAB not in first:
                    raise TextkitError(
                        f"{path}: has no tab in its first line: pairs are TSV files, or two files of lines"
                    )
        # This fails now, and not when a dev score is due: a first epoch may take hours.
        if not any(source.strip() and target.strip() for source, target in map(pair, self.lines())):
            raise TextkitError(f"{self.paths[0]}: has no pair of lines with text on both sides")

    def records(self) -> Iterator[list[str]]:
        if self.aligned:
            yield from self._zipped()
            return
        for path in self.paths:
            number = 0  # of lines before the block
            for block in read_blocks(path):
                yield [_two_columns(path, number + at, line) for at, line in enumerate(block, 1)]
                number += len(block)

    def _zipped(self) -> Iterator[list[str]]:
        held: tuple[list[str], list[str]] = [], []
        readers = tuple(map(read_blocks, self.paths))
        done = 0
        while True:
            for lines, reader in zip(held, readers, strict=True):
                if not lines:
                    lines += next(reader, [])
            n = min(map(len, held))
            if not n:
                break
            done += n
            yield [
                f"{source.replace(TAB, ' ')}{TAB}{target.replace(TAB, ' ')}"
                if TAB in source or TAB in target
                else f"{source}{TAB}{target}"
                for source, target in zip(held[0][:n], held[1][:n], strict=True)
            ]
            for lines in held:
                del lines[:n]
        if any(held):
            rest = [len(lines) + sum(map(len, reader)) for lines, reader in zip(held, readers, strict=True)]
            raise self._unequal(done + rest[0], done + rest[1])

    def _unequal(self, first: int, second: int) -> TextkitError:
        return TextkitError(
            f"{self.paths[0]} has {first} lines, {self.paths[1]} {second}: line by line they must belong together"
        )


def _two_columns(path: Path, number: int, line: str) -> str:
    columns = line.count(TAB)
    if columns == 1:
        return line
    if columns:
        return TAB.join(line.split(TAB, 2)[:2])
    if line and not line.isspace():
        raise TextkitError(f"{path}, line {number}: has no tab: a pair is source<tab>target")
    return TAB


def _first_text(path: Path) -> str:
    """The first line with text in it; "" if there is none."""
    for block in read_blocks(path):
        for line in block:
            if line and not line.isspace():
                return line
    return ""


def _count(path: Path) -> int:
    with Reader(path) as reader:
        return sum(map(len, reader))
