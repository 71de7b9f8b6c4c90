"""Pairs as ids in memory-mapped files, and batches of them: similar lengths together, within a budget of padded tokens.

The order of an epoch follows from its seed and number alone, and can begin at any batch that a resumed training asks for.
Knows no network and no plugin.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from textkit.corpora.corpus import Corpus
from textkit.corpora.pairs import sides
from textkit.errors import TextkitError, TextkitWarning

if TYPE_CHECKING:
    import torch

    from textkit.corpora.augmenting import Augmenter
    from textkit.plugin import Epoch
    from textkit.text.translation import TranslationText

_LINES = 20_000  # encoded at once
_FACTS = "pairs.json"
_MANY = 0.1  # a share of pairs left out that is worth a warning; fewer are reported at the end


@dataclass(frozen=True)
class EncodedPairs:
    """Pairs as ids, with eos after each side: source i32[total], target i32[total], and where each begins, i64[pair + 1].

    `counts` says how many pairs were kept and why the others were not.
    """

    source: np.ndarray
    target: np.ndarray
    source_starts: np.ndarray
    target_starts: np.ndarray
    start: int
    pad: int
    source_pad: int
    counts: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.source_starts) - 1

    @property
    def source_lengths(self) -> np.ndarray:
        return np.diff(self.source_starts)

    @property
    def target_lengths(self) -> np.ndarray:
        return np.diff(self.target_starts)


class PairBatch(NamedTuple):
    """Pairs as a network takes them. A mask is true at real tokens. In each row, target_in is target_out one step later."""

    source: torch.Tensor  # i64[line, source]
    source_mask: torch.Tensor  # bool[line, source]
    target_in: torch.Tensor  # i64[line, target], start first
    target_out: torch.Tensor  # i64[line, target], eos last
    target_mask: torch.Tensor  # bool[line, target]
    tokens: int | None = None  # of the target, counted beforehand so that nothing waits for a GPU to count them
    agreement: float = 0.0  # R-Drop's weight: above 0 the batch is read twice

    @property
    def examples(self) -> int:
        return self.source.shape[0]

    def twice(self) -> PairBatch:
        """All pairs, and then all pairs once more."""
        return PairBatch(*(part.repeat(2, 1) for part in self[:5]))

    @property
    def words(self) -> int:
        """Target tokens, including eos."""
        return int(self.target_mask.sum()) if self.tokens is None else self.tokens


def encoded_pairs(
    corpus: Corpus,
    rule: TranslationText,
    epoch: Epoch | None,
    max_tokens: int = 0,
    max_ratio: float = 0.0,
    augmenter: Augmenter | None = None,
) -> EncodedPairs:
    """The pairs of `corpus` worth learning from.

    A pair is left out, and counted for the first reason that applies, if a side has no token ("empty"), a side with its eos
    has more than `max_tokens` ids ("long"), or a side has more than `max_ratio` times the other's tokens ("lopsided"); 0 sets
    no limit. If the epoch has a scratch folder, the ids are in files there, made once, and the counts in its facts; a warning
    says if many pairs are left out. Otherwise everything is in memory. `augmenter`: changes the pairs, in each epoch in another
    way; the files are then those of one epoch, and those of the epoch before the last are removed.

    TextkitError if no pair is left, naming the counts.
    """
    seed = () if augmenter is None or epoch is None else (epoch.seed, epoch.number)
    encoding = _Encoding(rule, max_tokens, max_ratio, augmenter, seed)
    if epoch is None or epoch.scratch is None:
        return _opened(*_in_memory(corpus, encoding), rule, corpus)
    key = [list(map(str, corpus.paths)), corpus.part, corpus.seed, max_tokens, max_ratio]
    of_epoch = "" if augmenter is None else f"-{epoch.number}"
    name = f"pairs-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}"
    folder = epoch.scratch / f"{name}{of_epoch}"
    if augmenter is not None and epoch.number > 2:  # epoch 0 tells how many steps there are
        shutil.rmtree(epoch.scratch / f"{name}-{epoch.number - 2}", ignore_errors=True)
    if not folder.exists():
        _write(folder, corpus, encoding)
        _warn_of_many(json.loads((folder / _FACTS).read_bytes()), corpus)
    counts = json.loads((folder / _FACTS).read_bytes())
    epoch.facts["pairs"] = counts
    read = partial(np.memmap, dtype="<i4", mode="r") if counts["kept"] else partial(np.fromfile, dtype="<i4")
    return _opened([read(folder / name) for name in _FILES], counts, rule, corpus)


_FILES = ("source.i32", "target.i32", "source_lengths.i32", "target_lengths.i32")


class _Encoding(NamedTuple):
    """How pairs become ids."""

    rule: TranslationText
    max_tokens: int
    max_ratio: float
    augmenter: Augmenter | None
    seed: Sequence[int]  # of the changes


def _in_memory(corpus: Corpus, encoding: _Encoding) -> tuple[list[np.ndarray], dict[str, int]]:
    counts: dict[str, int] = {}
    parts = list(_encoded(corpus, encoding, counts))
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)], counts


def _write(folder: Path, corpus: Corpus, encoding: _Encoding) -> None:
    """Writes all of the folder or nothing, in flat memory. Another process of the same training may be doing the same."""
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        streams = [stack.enter_context((part / name).open("wb")) for name in _FILES]
        for arrays in _encoded(corpus, encoding, counts):
            for stream, array in zip(streams, arrays, strict=True):
                stream.write(array.astype("<i4").tobytes())
    (part / _FACTS).write_text(json.dumps(counts))
    try:
        os.rename(part, folder)
    except OSError:
        if not folder.exists():
            raise
        shutil.rmtree(part)


def _encoded(corpus: Corpus, encoding: _Encoding, counts: dict[str, int]) -> Iterator[tuple[np.ndarray, ...]]:
    """The pairs that are kept, some at a time: source ids, target ids, lengths of both, i32; fills `counts`."""
    rule, max_tokens, max_ratio, augmenter, seed = encoding
    counts.update(dict.fromkeys(("kept", "empty", "long", "lopsided"), 0))
    for number, lines in enumerate(corpus.chunks(_LINES)):
        lines = lines if augmenter is None else augmenter(lines, [*seed, number])
        sources, targets = sides(lines)
        encoded = rule.encode(sources), rule.encode_target(targets)
        shorter = np.minimum(encoded[0].lengths, encoded[1].lengths) - 1  # without eos
        longer = np.maximum(encoded[0].lengths, encoded[1].lengths) - 1
        keep = np.ones(len(lines), bool)
        for reason, found in (
            ("empty", shorter == 0),
            ("long", longer >= max_tokens if max_tokens else ~keep),
            ("lopsided", longer > max_ratio * shorter if max_ratio else ~keep),
        ):
            counts[reason] += int((keep & found).sum())
            keep &= ~found
        counts["kept"] += int(keep.sum())
        ids = [side.ids[np.repeat(keep, side.lengths)] for side in encoded]
        lengths = [side.lengths[keep] for side in encoded]
        yield tuple(array.astype(np.int32) for array in (*ids, *lengths))


def left_out(counts: Mapping[str, int]) -> str:
    """Why pairs were left out, in words."""
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if reason != "kept" and count)


def _warn_of_many(counts: Mapping[str, int], corpus: Corpus) -> None:
    total = sum(counts.values())
    if 0 < counts["kept"] < (1 - _MANY) * total:
        told = f"{total - counts['kept']:,} of {total:,} pairs are left out: {left_out(counts)}"
        warnings.warn(TextkitWarning(f"{corpus.paths[0]}: {told}"), stacklevel=3)


def _opened(
    arrays: Sequence[np.ndarray], counts: Mapping[str, int], rule: TranslationText, corpus: Corpus
) -> EncodedPairs:
    if not counts["kept"]:
        raise TextkitError(f"{corpus.paths[0]}: no pair is left to learn from: {left_out(counts)}")
    source, target, *lengths = arrays
    source_starts, target_starts = (np.concatenate([[0], np.cumsum(side, dtype=np.int64)]) for side in lengths)
    return EncodedPairs(source, target, source_starts, target_starts, rule.start, rule.pad, rule.source_pad, counts)


def token_batches(pairs: EncodedPairs, epoch: Epoch, batch_tokens: int) -> Iterator[PairBatch | None]:
    """The batches of an epoch from batch `epoch.start` on, each of at most `batch_tokens` padded tokens a side; None for
    batches that other processes learn from.

    Pairs of similar lengths share a batch: they are sorted by target length and then by source length, those of equal lengths
    are shuffled, and then the batches are shuffled. TextkitError if one pair alone has more tokens than that.
    """
    random = np.random.default_rng([epoch.seed, epoch.number])
    order = np.lexsort((random.permutation(len(pairs)), pairs.source_lengths, pairs.target_lengths))
    cuts = _cuts(pairs.source_lengths[order], pairs.target_lengths[order], batch_tokens)
    for number, batch in enumerate(random.permutation(len(cuts) - 1)[epoch.start :], epoch.start):
        yield pair_batch(pairs, order[cuts[batch] : cuts[batch + 1]]) if epoch.owns(number) else None


def count_batches(pairs: EncodedPairs, epoch: Epoch, batch_tokens: int) -> int:
    """How many batches the epoch has, including those before `epoch.start`: the same for every epoch of these pairs."""
    order = np.lexsort((pairs.source_lengths, pairs.target_lengths))
    return len(_cuts(pairs.source_lengths[order], pairs.target_lengths[order], batch_tokens)) - 1


def pair_batch(pairs: EncodedPairs, chosen: np.ndarray) -> PairBatch:
    """The pairs numbered `chosen`, i64[line], as one batch."""
    import torch

    source, source_mask = _padded(pairs.source, pairs.source_starts, chosen, pairs.source_pad)  # [line, source]
    target_out, target_mask = _padded(pairs.target, pairs.target_starts, chosen, pairs.pad)  # [line, target]
    target_in = np.full_like(target_out, pairs.pad)
    target_in[:, 0] = pairs.start
    target_in[:, 1:][target_mask[:, 1:]] = target_out[:, :-1][target_mask[:, 1:]]
    given, mask, read, wanted, real = map(torch.from_numpy, (source, source_mask, target_in, target_out, target_mask))
    return PairBatch(given, mask, read, wanted, real, tokens=int(target_mask.sum()))


def _padded(ids: np.ndarray, starts: np.ndarray, chosen: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """ids i64[line, token], `pad` where the mask bool[line, token] is False."""
    first = starts[chosen]
    lengths = starts[chosen + 1] - first
    at = np.arange(lengths.max())
    mask = at < lengths[:, None]  # [line, token]
    rows = np.full(mask.shape, pad, np.int64)
    rows[mask] = ids[(first[:, None] + at)[mask]]
    return rows, mask


def _cuts(sources: np.ndarray, targets: np.ndarray, batch_tokens: int) -> np.ndarray:
    """Where batches begin among pairs in their order, and at last where the last one ends: i64[batch + 1]."""
    longest = int(max(sources.max(), targets.max()))
    if batch_tokens < longest:
        raise TextkitError(f"batch_tokens={batch_tokens}: the longest pair has {longest} tokens on a side")
    cuts = [0]
    while (first := cuts[-1]) < len(sources):
        ahead = slice(first, first + batch_tokens)
        width = np.maximum.accumulate(np.maximum(sources[ahead], targets[ahead]))
        padded = width * np.arange(1, len(width) + 1)  # ascending: tokens of the wider side if a batch ended here
        cuts.append(first + int(np.searchsorted(padded, batch_tokens, side="right")))
    return np.array(cuts)
