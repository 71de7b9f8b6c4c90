"""A corpus as one long row of ids in a memory-mapped file, and chunks of parallel streams of it. Knows no network.

The chunks of an epoch follow from its seed and number alone, and can begin at any chunk that a resumed training asks for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from textkit.durable import replace_file

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit.plugin import Epoch
    from textkit.text.language import LanguageText

_LINES = 20_000  # encoded at once
_DEVIATION = 5  # standard deviation of the random lengths of chunks (Merity et al. 2018, section 5)
_HALF = 0.05  # probability that a length is drawn around half of bptt instead
_LONGEST = 4  # most deviations above bptt, so that no chunk needs much more memory than the others


class Chunk(NamedTuple):
    """The tokens read at once: ids i64[stream, token + 1], of which all but the first are to be predicted.

    `fresh`: whether the epoch begins here, with the state at zero. `share`: how much of the chunk's gradient is taken.
    """

    ids: torch.Tensor
    fresh: bool
    share: float

    @property
    def examples(self) -> int:
        return self.ids.shape[0]

    @property
    def words(self) -> int:
        """Tokens to be predicted."""
        return self.ids.shape[0] * (self.ids.shape[1] - 1)


def encoded_text(corpus: Corpus, rule: LanguageText, scratch: Path | None = None) -> np.ndarray:
    """All lines of `corpus`, each with its end, one after the other: i32[token].

    They are in a file of the folder `scratch`, made once, or in memory if that is None.
    """
    if scratch is None:
        return np.concatenate([np.zeros(0, np.int32), *_encoded(corpus, rule)])
    key = [list(map(str, corpus.paths)), corpus.part, corpus.seed]
    file = scratch / f"text-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.i32"
    if not file.exists():

        def write(part: Path) -> None:
            with part.open("wb") as stream:
                for ids in _encoded(corpus, rule):
                    stream.write(ids.astype("<i4").tobytes())

        replace_file(file, write)
    return np.memmap(file, "<i4", "r") if file.stat().st_size else np.zeros(0, "<i4")


def _encoded(corpus: Corpus, rule: LanguageText) -> Iterator[np.ndarray]:
    for lines in corpus.chunks(_LINES):
        yield rule.encode(lines).ids.astype(np.int32)


def text_chunks(ids: np.ndarray, epoch: Epoch, streams: int, bptt: int, random_bptt: bool) -> Iterator[Chunk]:
    """The chunks of an epoch from chunk `epoch.start` on.

    The text is a ring that is cut into `streams` equal parts, each epoch at other places. Each part is read from its beginning
    to its end, given the token before it, and each token is predicted once (except for fewer than `streams` at the end). With
    `random_bptt`, chunks have random lengths around `bptt` tokens (Merity et al. 2018, section 5), and `share` is in proportion
    to them. There must be at least as many tokens as streams.
    """
    import torch

    first, ends = _plan(ids, epoch, streams, bptt, random_bptt)
    starts = first + ends[-1] * np.arange(streams)  # [stream]
    for at in range(epoch.start, len(ends)):
        begin, end = int(ends[at - 1]) if at else 0, int(ends[at])
        places = (starts[:, None] + np.arange(begin - 1, end)) % len(ids)  # [stream, token + 1]
        share = (end - begin) / bptt if random_bptt else 1.0
        yield Chunk(torch.from_numpy(ids[places].astype(np.int64)), at == 0, share)


def count_chunks(ids: np.ndarray, epoch: Epoch, streams: int, bptt: int, random_bptt: bool) -> int:
    """How many chunks the epoch has, including those before `epoch.start`."""
    return len(_plan(ids, epoch, streams, bptt, random_bptt)[1])


def _plan(ids: np.ndarray, epoch: Epoch, streams: int, bptt: int, random_bptt: bool) -> tuple[int, np.ndarray]:
    """Where the ring is cut first, and where in a stream each chunk ends, i64[chunk]."""
    length = len(ids) // streams
    random = np.random.default_rng([epoch.seed, epoch.number])
    first = int(random.integers(len(ids)))
    if not random_bptt:
        return first, np.append(np.arange(bptt, length, bptt), length)
    least = min(_DEVIATION, bptt)
    lengths = random.normal(np.where(random.random(length // least + 1) < _HALF, bptt / 2, bptt), _DEVIATION)
    lengths = np.clip(lengths.astype(np.int64), least, bptt + _LONGEST * _DEVIATION)
    ends = np.cumsum(lengths)
    return first, np.append(ends[ends < length], length)


def side_by_side(ids: np.ndarray, streams: int, before: int, tokens: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Reads all of a text once, in at most `streams` parts of equal length, `tokens` at a time.

    Yields what is read and what follows it, i64[stream, token + 1], and where this is text, bool[stream, token]; padding
    stands at the end. `before`: the id before the first.
    """
    whole = np.concatenate([[before], ids]).astype(np.int64)
    length = -(-len(ids) // min(streams, len(ids)))
    starts = np.arange(0, len(ids), length)[:, None]  # [stream, 1]
    for begin in range(0, length, tokens):
        places = starts + np.arange(begin, min(begin + tokens, length) + 1)  # [stream, token + 1]
        yield whole[np.minimum(places, len(ids))], places[:, :-1] < len(ids)
