"""The text a model is trained on: lines of files, read as often as needed and never held in memory. Knows no model.

A Corpus can be one part of the 70/20/10 split. A hash of the seed and a line's number decides the line's part, so a part of
a corpus larger than memory needs no list of its lines. A Corpus can also sample itself while somebody else reads it.
"""

from __future__ import annotations

import hashlib
import math
import random
import stat
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.streams.lines import check_readable, read_blocks
from textkit.task import load
from textkit.task_registry import tasks

if TYPE_CHECKING:
    from textkit.plugin import Plugin

SHARES = {"train": 70, "dev": 20, "test": 10}  # percent of the lines
_HASHED = 1 << 20  # bytes read at once


def corpus_of(plugin: Plugin[Any, Any], paths: Iterable[str | Path], options: Any = None) -> Corpus:
    """The data of `plugin` in `paths`: the kind of corpus that its task's families learn from, unless it names another.

    `options`: the plugin's Config, on which it may depend how a file is read (which column is the text).
    """
    corpus: Corpus = load(plugin.corpus or tasks.get(plugin.task).corpus)(paths)
    corpus.options = options
    return corpus


class Corpus:
    """The lines of `paths` (plain, gzip or zstandard), file after file; with `part`, those of one part of the split.

    Each iteration reads the files again. Errors are those of textkit.streams.lines: a file is missing, a directory, binary,
    empty or damaged.
    """

    def __init__(self, paths: Iterable[str | Path], part: str | None = None, seed: int = 0) -> None:
        self.paths: Sequence[Path] = tuple(Path(path) for path in paths)
        self.part = part
        self.seed = seed  # of the split
        self.options: Any = None  # the plugin's Config, where a plugin reads the files
        self.held_out = False  # the test lines, which only measure: nothing is fitted to them

    def lines(self) -> Iterator[str]:
        """Each line without its line end, blank ones too."""
        return chain.from_iterable(self.blocks())

    def chunks(self, n: int) -> Iterator[list[str]]:
        """As `lines`, in lists of `n`; the last one may be shorter."""
        held: list[str] = []
        for block in self.blocks():
            held += block
            whole = len(held) - len(held) % n
            for start in range(0, whole, n):
                yield held[start : start + n]
            del held[:whole]
        if held:
            yield held

    def blocks(self) -> Iterator[list[str]]:
        """As `lines`, in lists of whatever length is fastest to read."""
        if self.part is None:
            yield from self.records()
            return
        for block, parts in self._parts():
            yield [block[at] for at in np.flatnonzero(parts == list(SHARES).index(self.part))]

    def _parts(self) -> Iterator[tuple[list[str], np.ndarray]]:
        number = 0  # of the block's first line, through all files
        for block in self.records():
            yield block, parts_of(np.arange(number, number + len(block)), self.seed)
            number += len(block)

    def records(self) -> Iterator[list[str]]:
        """The records of all files as lines, whatever the part. A kind of corpus whose files are not lines overrides this."""
        for path in self.paths:
            yield from read_blocks(path)

    def split(self, seed: int, dev: Path, test: Path) -> dict[str, int]:
        """Writes the dev and the test lines to files; returns how many lines each part has, including the training part.

        The training lines are then those of `with_part("train", seed)`.
        """
        counts = np.zeros(len(SHARES), np.int64)
        whole = self.with_part(None, seed)
        with (
            dev.open("w", encoding="utf-8", newline="\n") as held,
            test.open("w", encoding="utf-8", newline="\n") as kept,
        ):
            for block, parts in whole._parts():
                counts += np.bincount(parts, minlength=len(SHARES))
                held.writelines(f"{block[at]}\n" for at in np.flatnonzero(parts == 1))
                kept.writelines(f"{block[at]}\n" for at in np.flatnonzero(parts == 2))
        return dict(zip(SHARES, counts.tolist(), strict=True))

    def with_part(self, part: str | None, seed: int) -> Corpus:
        """A corpus of the same files with the lines of one part of the split."""
        return self._alike(type(self)(self.paths, part, seed))

    def with_paths(self, paths: Iterable[str | Path]) -> Corpus:
        """A corpus of the same kind with other files, which hold records as `records` gives them."""
        return self._alike(type(self)(paths))

    def _alike(self, corpus: Corpus) -> Corpus:
        corpus.options = self.options
        return corpus

    def sampled(self, size: int, seed: int) -> Sampled:
        """This corpus, keeping a sample of at most `size` lines with text from the first pass that reaches the end."""
        return Sampled(self, size, seed)

    def check(self) -> None:
        """Raises TextkitError for the first file that cannot be read twice or holds no text, before work is done."""
        check_readable(self.paths)
        for path in self.paths:
            if not stat.S_ISREG(path.stat().st_mode):
                raise TextkitError(f"{path}: is no regular file, and training reads its data more than once")
            next(read_blocks(path), None)

    def check_dev(self, dev: Corpus) -> None:
        """Raises TextkitError if nothing that these lines teach can be scored on `dev`, and warns if some of it cannot. Both
        have been checked."""


class Sampled(Corpus):
    """A corpus that samples itself while it is read.

    `sample` and `total` (the number of its lines) are None until a pass is complete.
    """

    def __init__(self, corpus: Corpus, size: int, seed: int) -> None:
        super().__init__(corpus.paths, corpus.part, corpus.seed)
        self.corpus = corpus
        self.size = size
        self.sample_seed = seed
        self.sample: list[str] | None = None
        self.total: int | None = None

    def with_part(self, part: str | None, seed: int) -> Corpus:
        return self.corpus.with_part(part, seed)

    def with_paths(self, paths: Iterable[str | Path]) -> Corpus:
        return self.corpus.with_paths(paths)

    def check(self) -> None:
        self.corpus.check()

    def blocks(self) -> Iterator[list[str]]:
        if self.sample is not None:
            yield from self.corpus.blocks()
            return
        reservoir = Reservoir(self.size, self.sample_seed)
        total = 0
        for block in self.corpus.blocks():
            reservoir.add([line for line in block if line and not line.isspace()])
            total += len(block)
            yield block
        self.sample, self.total = reservoir.kept, total


class Reservoir:
    """`size` items drawn uniformly from a stream of unknown length: Li 1994, algorithm L, which skips what is not taken."""

    def __init__(self, size: int, seed: int) -> None:
        self.kept: list[str] = []
        self._size = size
        self._random = random.Random(seed)
        self._seen = 0
        self._width = 1.0
        self._next = size - 1  # the number of the next item taken, once the first `size` are in

    def add(self, items: Sequence[str]) -> None:
        room = self._size - len(self.kept)
        self.kept += items[:room]
        if room > 0 and len(self.kept) == self._size:
            self._skip()
        if len(self.kept) == self._size and self._size:
            while self._next < self._seen + len(items):
                self.kept[self._random.randrange(self._size)] = items[self._next - self._seen]
                self._skip()
        self._seen += len(items)

    def _skip(self) -> None:
        self._width *= math.exp(math.log(1 - self._random.random()) / self._size)
        self._next += int(math.log(1 - self._random.random()) / math.log1p(-min(self._width, 1 - 1e-16))) + 1


def describe_file(path: Path) -> dict[str, Any]:
    """What a run remembers of a data file; TextkitError where it cannot be read."""
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as stream:
            while block := stream.read(_HASHED):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise TextkitError(f"{path}: {error.strerror}") from error
    return {"file": str(path.resolve()), "bytes": size, "sha256": digest.hexdigest()}


def parts_of(numbers: np.ndarray, seed: int) -> np.ndarray:
    """The part of each line from its number: i64[line] -> i64[line], the index of a part in SHARES; always the same.

    splitmix64 (Steele et al. 2014) of the number and the seed gives a figure from 0 to 99, which decides the part.
    """
    key = _splitmix64(np.array([seed], np.int64).astype(np.uint64))
    share = _splitmix64(numbers.astype(np.uint64) ^ key) % np.uint64(100)
    return np.searchsorted(np.cumsum(list(SHARES.values())), share, side="right")


def _splitmix64(value: np.ndarray) -> np.ndarray:
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = value ^ (value >> np.uint64(31))
    return mixed
