"""BPE-dropout (Provilkov et al. 2020, arXiv 1910.13267): words of pairs are spelt anew each epoch, by some of the merges.

A word is merged from its characters as usual, but at each step every possible merge is left out with a given probability, and
the first in rank of the others is done. It works on ids: a piece tells which characters it is made of. Each word of a corpus
is spelt several times beforehand, and each epoch draws one of these spellings for each occurrence. An epoch therefore costs no
more than a lookup, and memory for its ids. Knows no network.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textkit.durable import replace_file
from textkit.text.translation import SPACE

if TYPE_CHECKING:
    from textkit.corpora.pair_batches import EncodedPairs
    from textkit.plugin import Epoch
    from textkit.text.translation import Side, TranslationText

MOST = 32  # spellings of a word, at most
_LEAST = 4  # spellings of a word, at least
_ALL = 300_000  # spellings of all words together, at most, unless a word would have fewer than _LEAST


class Merges:
    """A tokenizer's merges by ids: (left, right) -> the rank, and the id that they become."""

    def __init__(self, of: Mapping[tuple[int, int], tuple[int, int]]) -> None:
        self._of = of
        self._parts = {whole: pair for pair, (_, whole) in reversed(list(of.items()))}  # the first merge of each piece

    @classmethod
    def read(cls, side: Side) -> Merges:
        """The merges of tokenizer.json."""
        model = json.loads(side.json)["model"]
        ids: dict[str, int] = model["vocab"]
        merges = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
        return cls({(ids[a], ids[b]): (rank, ids[a + b]) for rank, (a, b) in enumerate(merges)})

    def characters(self, ids: Sequence[int]) -> list[int]:
        """The ids of the characters that these pieces are made of: of the pieces that no merge makes."""
        found, ahead = [], list(reversed(ids))
        while ahead:
            piece = ahead.pop()
            if piece in self._parts:
                ahead.extend(reversed(self._parts[piece]))
            else:
                found.append(piece)
        return found

    def spelt(self, characters: Sequence[int], dropout: float, chance: random.Random) -> list[int]:
        """One spelling of a word, drawn at random."""
        word = list(characters)
        while len(word) > 1:
            found = [
                (*self._of[pair], at)
                for at, pair in enumerate(zip(word, word[1:], strict=False))
                if pair in self._of and chance.random() >= dropout
            ]
            if not found:
                break
            _, whole, at = min(found)
            word[at : at + 2] = [whole]
        return word


@dataclass(frozen=True)
class Spellings:
    """The words of one side of a corpus. Each kind of word has `count` spellings, one after the other."""

    word: np.ndarray  # i64[occurrence]: its kind of word
    line: np.ndarray  # i64[line + 1]: the first occurrence of each line
    ids: np.ndarray  # i32[total]: all spellings, end to end
    starts: np.ndarray  # i64[kind * count + 1]: where each begins
    count: int

    @classmethod
    def of(
        cls, ids: np.ndarray, starts: np.ndarray, side: Side, eos: int, dropout: float, seed: int, most: int = MOST
    ) -> Spellings:
        """The words of lines whose ids stand end to end, an eos after each; `starts`: where each begins, i64[line + 1].
        `most`: spellings of a word."""
        merges, chance = Merges.read(side), random.Random(seed)
        begins = np.array([(side.piece(row) or "").startswith(SPACE) for row in range(side.rows)])
        first = begins[ids] | (ids == eos)
        first[starts[:-1]] = True
        words = np.flatnonzero(first)
        _, examples, word = np.unique(_hashed(ids, words), return_index=True, return_inverse=True)
        count = min(most, max(_LEAST, _ALL // len(examples)))
        ends = np.append(words[1:], len(ids))
        spelt = [
            merges.spelt(characters, dropout, chance)
            for characters in (merges.characters(ids[words[at] : ends[at]].tolist()) for at in examples)
            for _ in range(count)
        ]
        ends = np.cumsum(np.fromiter(map(len, spelt), np.int64, len(spelt)))
        laid = np.fromiter(chain.from_iterable(spelt), np.int32, int(ends[-1]))
        return cls(word, np.searchsorted(words, starts), laid, np.concatenate([[0], ends]), count)

    def drawn(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """All lines, with one spelling drawn for each word: ids, and where each line begins."""
        chosen = self.word * self.count + generator.integers(self.count, size=len(self.word))
        ids, starts = _laid(self.ids, self.starts[chosen], self.starts[chosen + 1] - self.starts[chosen])
        return ids, starts[self.line]


def respelt(
    pairs: EncodedPairs, rule: TranslationText, dropout: float, max_tokens: int, epoch: Epoch, changing: bool = False
) -> EncodedPairs:
    """The pairs as `epoch` spells them.

    A pair that would have more than `max_tokens` ids on a side (0: no limit) stays as it is. If the epoch has a scratch folder,
    the spellings are in a file there, made once. `changing`: the pairs themselves are others in each epoch, and so are their
    spellings, which are then not kept.
    """
    generator = np.random.default_rng([epoch.seed, epoch.number])
    sides = [side.drawn(generator) for side in _spellings(pairs, rule, dropout, epoch, changing)]
    if max_tokens:
        long = np.any([np.diff(starts) > max_tokens for _, starts in sides], axis=0)
        plain = [(pairs.source, pairs.source_starts), (pairs.target, pairs.target_starts)]
        sides = [_instead(side, before, long) for side, before in zip(sides, plain, strict=True)]
    (source, source_starts), (target, target_starts) = sides
    return replace(pairs, source=source, target=target, source_starts=source_starts, target_starts=target_starts)


def _spellings(
    pairs: EncodedPairs, rule: TranslationText, dropout: float, epoch: Epoch, changing: bool
) -> list[Spellings]:
    """The spellings of the source and of the target."""

    def made() -> list[Spellings]:
        sides = (pairs.source, pairs.source_starts, rule.source, rule.source_eos), (
            pairs.target, pairs.target_starts, rule.target, rule.eos,
        )  # fmt: skip
        most = _LEAST if changing else MOST
        return [Spellings.of(*side, dropout, epoch.seed + number, most) for number, side in enumerate(sides)]

    if epoch.scratch is None or changing:
        return made()
    file = epoch.scratch / f"spellings-{dropout:g}.npz"
    if not file.exists():
        arrays = {f"{at}.{name}": part for at, side in enumerate(made()) for name, part in vars(side).items()}

        def write(part: Path) -> None:
            with part.open("wb") as stream:
                np.savez(stream, **arrays)

        replace_file(file, write)
    with np.load(file, allow_pickle=False) as found:
        return [Spellings(*(found[f"{at}.{field.name}"] for field in fields(Spellings))) for at in (0, 1)]


def _hashed(ids: np.ndarray, words: np.ndarray) -> np.ndarray:
    """A hash of each word's ids, u64[word]; with 64 bits, two different words hardly ever share one."""
    lengths = np.diff(np.append(words, len(ids)))
    at = np.arange(len(ids)) - np.repeat(words, lengths)  # the place in its word
    mixed = (ids.astype(np.uint64) << np.uint64(32)) + at.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):  # splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.add.reduceat(mixed, words)


def _instead(
    new: tuple[np.ndarray, np.ndarray], old: tuple[np.ndarray, np.ndarray], lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ids and starts of `new`, except that `lines`, bool[line], are taken from `old`."""
    if not lines.any():
        return new
    starts = np.where(lines, len(new[0]) + old[1][:-1], new[1][:-1])
    return _laid(np.concatenate([new[0], old[0]]), starts, np.where(lines, np.diff(old[1]), np.diff(new[1])))


def _laid(ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of `ids` that begin at `starts`, laid end to end, and where each of them begins now."""
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return ids[np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])], ends
