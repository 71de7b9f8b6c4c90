"""The base of all rules that turn lines into ids. Knows none of the rules; numpy only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True)
class Encoded:
    """Lines as ids, laid end to end: ids i64[total], lengths i64[line]; weight f32[total], or None where all are 1.

    A word that is spelled by n subwords takes n ids of weight 1/n each, so that a weighted mean over a line is the mean
    of its word vectors. `spans` i64[word] then says how many ids each word takes; None: one each.
    """

    ids: np.ndarray
    lengths: np.ndarray
    weight: np.ndarray | None = None
    spans: np.ndarray | None = None


class TextRule(ABC):
    """Turns lines into ids. `len(rule)` is the number of rows of its model's embedding table."""

    kind: ClassVar[str]
    # What else a family has learnt from the data, such as labels, as JSON values. A run keeps it; a bundle does not.
    learnt: Mapping[str, Any] = MappingProxyType({})
    # How many ids `encode` puts before and behind each line (a tokenizer's special tokens); they stay where a line is cut.
    around: tuple[int, int] = (0, 0)

    @abstractmethod
    def encode(self, lines: Sequence[str]) -> Encoded:
        """The ids of each line, in order; words without an id are left out."""

    @abstractmethod
    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        """The line's tokens as (text, first, last + 1); the numbers are positions in the ids of `encode([line])`."""

    def places(self, line: str) -> list[tuple[int, int]] | None:
        """Where in the line each of its ids stands, (first character, the one behind the last); an id that stands for nothing
        in it has an empty place. None if the rule cannot say."""
        return None

    def is_blank(self, line: str) -> bool:
        """Whether a line of nothing but white space has no ids."""
        return True

    @abstractmethod
    def vocabulary(self) -> tuple[list[str], np.ndarray]:
        """Every word that has a row of its own, and its id i64[word]."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """What the manifest says about this rule."""

    @abstractmethod
    def files(self) -> dict[str, bytes]:
        """The files the rule needs beside the manifest."""

    @abstractmethod
    def __len__(self) -> int: ...

    def make_ready(self) -> None:  # noqa: B027 most rules are ready when they are made
        """Makes now what is otherwise made on first use. Raises TextkitError if that fails."""
