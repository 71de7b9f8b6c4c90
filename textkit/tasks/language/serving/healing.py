"""Begins a prompt's continuation at a boundary of tokens: what was typed of a word, or the space before one, is no token that
the model has learnt to go on from.

The last tokens are left out, and the first one drawn must begin with their text: "I want to " goes on with " sleep", and "The
weath" with " weather". Of the tokens at the end as many are left out as one token can stand for. Knows no graph.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textkit.text.language import LanguageText

_MOST = 8  # tokens left out
_LAST = b"\xff" * 8  # behind the text of any token


@dataclass(frozen=True)
class Prompt:
    """A prompt's ids i64[token]; where it is healed what is `left` of it, with which the first of `first` i64[row] begins."""

    ids: np.ndarray
    left: str = ""
    first: np.ndarray | None = None


class Healer:
    """Finds where prompts are to begin again. `unknown`: whether the word for unknown ones may be drawn."""

    def __init__(self, rule: LanguageText, unknown: bool) -> None:
        never = {rule.eos} | (set() if unknown or rule.unk is None else {rule.unk})
        known = sorted((rule.spelling(row), row) for row in range(len(rule)) if row not in never)
        self._rule = rule
        self._texts = [text for text, _ in known]
        self._rows = np.array([row for _, row in known], np.int64)

    def healed(self, prompt: str, ids: np.ndarray) -> Prompt:
        """`ids`: the prompt's, its end left out."""
        if not len(ids):
            return Prompt(ids)
        if self._rule.words:
            return Prompt(ids) if prompt[-1].isspace() else self._within_word(prompt, ids)
        return self._after_space(prompt, ids) if prompt[-1].isspace() else self._within(ids)

    def _within_word(self, prompt: str, ids: np.ndarray) -> Prompt:
        text = self._rule.normalized(prompt.split()[-1])
        return self._made(ids[:-1], text.encode(), ids[-1])

    def _after_space(self, prompt: str, ids: np.ndarray) -> Prompt:
        """However much white space there is: the next word begins with one space."""
        encoded = self._rule.encode([prompt.rstrip()]).ids[:-1]
        rows = np.array([row for row in self._beginning(b" ") if self._rule.spelling(row).strip()], np.int64)
        return Prompt(encoded, " ", rows) if len(rows) else Prompt(ids)

    def _within(self, ids: np.ndarray) -> Prompt:
        texts = [self._rule.spelling(row) for row in ids[-_MOST:].tolist()]
        for count in range(len(texts), 0, -1):
            text = b"".join(texts[-count:])
            if text and _is_text(text) and len(self._beginning(text)):
                return self._made(ids[:-count], text, ids[-1] if count == 1 else -1, ids)
        return Prompt(ids)

    def _made(self, ids: np.ndarray, left: bytes, last: int, whole: np.ndarray | None = None) -> Prompt:
        """Nothing is healed where nothing but what stands there already can come."""
        rows = self._beginning(left)
        if not len(rows) or rows.tolist() == [last]:
            return Prompt(np.append(ids, last) if whole is None else whole)
        return Prompt(ids, left.decode(), rows)

    def _beginning(self, text: bytes) -> np.ndarray:
        """The rows whose text begins with `text`."""
        return self._rows[bisect_left(self._texts, text) : bisect_left(self._texts, text + _LAST)]


def says_nothing(rule: LanguageText, begun: Prompt, ids: Sequence[int]) -> bool:
    """Whether the first of `ids` is what was left out of the prompt, and no more."""
    return begun.first is not None and len(ids) > 0 and rule.spelling(ids[0]) == begun.left.encode()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
