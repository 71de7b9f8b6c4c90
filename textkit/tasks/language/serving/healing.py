"""Begins a prompt's continuation at a token boundary, because a model has not learnt to go on from the beginning of a word, or
from the space before one.

The prompt's last tokens are left out, and the first token drawn must begin with their text: "I want to " goes on with
" sleep", and "The weath" with " weather". As many tokens are left out at the end as one token can replace. Knows no graph.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textkit.text.language import LanguageText

_MOST = 8  # tokens left out at most
_LAST = b"\xff" * 8  # sorts behind all that may follow in a token


@dataclass(frozen=True)
class Prompt:
    """A prompt's ids i64[token]. If it is healed, `left` is the text left out, and the next token is one of `first` i64[row],
    which all begin with that text."""

    ids: np.ndarray
    left: str = ""
    first: np.ndarray | None = None


class Healer:
    """Finds where prompts must begin again. `unknown`: whether the token for unknown words may be drawn."""

    def __init__(self, rule: LanguageText, unknown: bool) -> None:
        never = {rule.eos} | (set() if unknown or rule.unk is None else {rule.unk})
        known = sorted((rule.spelling(row), row) for row in range(len(rule)) if row not in never)
        self._rule = rule
        self._texts = [text for text, _ in known]
        self._rows = np.array([row for _, row in known], np.int64)
        self._longest = max(map(len, self._texts), default=0)

    def healed(self, prompt: str, ids: np.ndarray) -> Prompt:
        """The prompt as it is to be continued; `ids`: its ids without the end of the line."""
        if not len(ids):
            return Prompt(ids)
        if self._rule.words:
            return Prompt(ids) if prompt[-1].isspace() else self._within_word(prompt, ids)
        return self._after_space(prompt, ids) if prompt[-1].isspace() else self._within(ids)

    def _within_word(self, prompt: str, ids: np.ndarray) -> Prompt:
        text = self._rule.normalized(prompt.split()[-1])
        return self._made(ids[:-1], text.encode(), ids[-1])

    def _after_space(self, prompt: str, ids: np.ndarray) -> Prompt:
        """Leaves out all white space at the end, however much it is: the next word begins with one space."""
        encoded = self._rule.encode([prompt.rstrip()]).ids[:-1]
        rows = np.array([row for row in self._beginning(b" ") if self._rule.spelling(row).strip()], np.int64)
        return Prompt(encoded, " ", rows) if len(rows) else Prompt(ids)

    def _within(self, ids: np.ndarray) -> Prompt:
        texts = [self._rule.spelling(row) for row in ids[-_MOST:].tolist()]
        for count in range(len(texts), 0, -1):
            text = b"".join(texts[-count:])
            if 0 < len(text) <= self._longest and self._begins(text) and _is_text(text):
                return self._made(ids[:-count], text, ids[-1] if count == 1 else -1, ids)
        return Prompt(ids)

    def _made(self, ids: np.ndarray, left: bytes, last: int, whole: np.ndarray | None = None) -> Prompt:
        """The healed prompt; unchanged where only the token that stands there already could come."""
        rows = self._beginning(left)
        if not len(rows) or rows.tolist() == [last]:
            return Prompt(np.append(ids, last) if whole is None else whole)
        return Prompt(ids, left.decode(), rows)

    def _begins(self, text: bytes) -> bool:
        """Whether the text of some row begins with `text`."""
        at = bisect_left(self._texts, text)
        return at < len(self._texts) and self._texts[at].startswith(text)

    def _beginning(self, text: bytes) -> np.ndarray:
        """The rows whose text begins with `text`."""
        return self._rows[bisect_left(self._texts, text) : bisect_left(self._texts, text + _LAST)]


def says_nothing(rule: LanguageText, begun: Prompt, ids: Sequence[int]) -> bool:
    """Whether the first of `ids` is just the text that was left out of the prompt."""
    return begun.first is not None and len(ids) > 0 and rule.spelling(ids[0]) == begun.left.encode()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
