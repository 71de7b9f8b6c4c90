"""Batches of lines of about the same length, and the longest line that an encoder takes. Light: no torch at the top."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from textkit.corpora.batching import WINDOW, line_batches, padded
from textkit.plugin import Epoch

if TYPE_CHECKING:
    from textkit.corpora.corpus import Corpus
    from textkit.tasks.classify.corpus import Labelled
    from textkit.text.rule import TextRule
    from textkit_plugins.encoder.classification import Batch
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


def batch_of(
    lines: Sequence[Labelled],
    rule: TextRule,
    numbers: Mapping[str, int],
    config: ClassifierOptions | FewShotOptions,
    several: bool,
    head: int = 0,
) -> Batch:
    """Labelled lines as a network reads them; `numbers`: the number of each label."""
    import torch

    from textkit_plugins.encoder.classification import Batch

    ids, weight = padded(rule, [line.text for line in lines], read_tokens(config))
    count = np.array([line.weight for line in lines], np.float32)
    wanted = wanted_of(lines, numbers, several)
    if not several:
        count *= wanted >= 0
        wanted = np.maximum(wanted, 0)
    tensors = [torch.from_numpy(array) for array in (ids, weight, wanted, count)]
    return Batch(tensors[0], tensors[1], tensors[2], tensors[3], head)


def wanted_of(lines: Sequence[Labelled], numbers: Mapping[str, int], several: bool) -> np.ndarray:
    """i64[line], -1 for a label that was not in the training; or f32[line, label] where several may hold."""
    if not several:
        return np.array([numbers.get(line.labels[0], -1) if line.labels else -1 for line in lines], np.int64)
    wanted = np.zeros((len(lines), len(numbers)), np.float32)
    for at, line in enumerate(lines):
        for label in line.labels:
            if label in numbers:
                wanted[at, numbers[label]] = 1
    return wanted


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
