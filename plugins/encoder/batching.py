"""Batches of lines of about the same length, and the longest line that an encoder takes. Light: no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from textkit.corpora.batching import WINDOW, line_batches
from textkit.plugin import Epoch

if TYPE_CHECKING:
    from textkit.corpora.corpus import Corpus
    from textkit_plugins.encoder.classifying import ClassifierOptions
    from textkit_plugins.encoder.few import FewShotOptions
    from textkit_plugins.encoder.options import EncoderOptions
    from textkit_plugins.encoder.sentences import SentenceOptions

Line = TypeVar("Line")
SORTED = 32  # batches whose lines are sorted by length together


def limit_of(config: EncoderOptions) -> int:
    """The most tokens of a line that an encoder takes; 0: any number."""
    return config.positions if config.encoder == "transformer" else 0


def read_tokens(config: ClassifierOptions | FewShotOptions | SentenceOptions) -> int:
    """The most tokens of a line that are read in training: `longest`, or as many as the encoder takes."""
    return min(config.longest, limit_of(config) or config.longest)


def cut_by_length(lines: Sequence[Line], size: int, length: Callable[[Line], int]) -> list[list[Line]]:
    """Batches of `size` lines of about the same length; the last one may be smaller."""
    ordered = sorted(lines, key=length)
    return [ordered[at : at + size] for at in range(0, len(ordered), size)]


def sorted_batches(corpus: Corpus, epoch: Epoch) -> Iterator[list[str]]:
    """As `line_batches`, but a batch has lines of about the same length, so that little of it is padding."""
    size = epoch.batch_size
    if not size:
        yield from line_batches(corpus, epoch)
        return
    group, skipped = divmod(epoch.start, SORTED)
    random = np.random.default_rng([epoch.seed, epoch.number, 1])
    for _ in range(group):
        random.permutation(SORTED)  # the draws of the groups that are left out
    for lines in line_batches(corpus, dataclasses.replace(epoch, batch_size=size * SORTED, start=group)):
        cut = cut_by_length(lines, size, len)
        order = [at for at in random.permutation(SORTED) if at < len(cut)]
        for at in order[skipped:]:
            yield cut[at]
        skipped = 0


def batches_in_turn(corpus: Corpus, epoch: Epoch, kind: Callable[[str], str]) -> Iterator[list[str]]:
    """Batches of lines of one `kind` each and of about the same length; the kinds take turns, each as often as it has batches.

    Memory holds WINDOW lines. The order depends on (epoch.seed, epoch.number) alone.
    """
    random = np.random.default_rng([epoch.seed, epoch.number])
    done = 0
    for lines in corpus.chunks(WINDOW):
        apart: dict[str, list[str]] = {}
        for at in random.permutation(len(lines)):
            if lines[at]:
                apart.setdefault(kind(lines[at]), []).append(lines[at])
        cut: list[list[str]] = []
        for same in (apart[name] for name in sorted(apart)):
            size = epoch.batch_size or len(same)
            for begin in range(0, len(same), size * SORTED):
                cut += cut_by_length(same[begin : begin + size * SORTED], size, len)
        for at in random.permutation(len(cut)):
            done += 1
            if done > epoch.start:
                yield cut[at]
