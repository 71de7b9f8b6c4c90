"""Looks at texts while they are drawn: ends them at a stop string, and passes on the parts that are certain. Knows no graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from textkit.tasks.language.serving.healing import Prompt, says_nothing
from textkit.text.language import LanguageText


def joined(rule: LanguageText, prompt: str, text: str) -> str:
    """The prompt and what follows it, with a space between if the model's tokens are whole words."""
    return prompt + (" " if rule.words and text and prompt and not prompt[-1].isspace() else "") + text


class Watch:
    """Watches the tokens of a batch as they are drawn: ends texts with a stop string and passes on parts of the first text."""

    def __init__(
        self, rule: LanguageText, stop: Sequence[str], samples: int, lines: int, prompt: str,
        tell: Callable[[str], None] | None, begun: Sequence[Prompt] = (), most: int = 0,
    ) -> None:  # fmt: skip
        self._rule, self._stop, self._tell = rule, stop, tell
        self._prompt, self._most = prompt, most
        self._begun = begun or [Prompt(np.zeros(0, np.int64))] * lines
        self._ids: list[list[list[int]]] = [[[] for _ in range(samples)] for _ in range(lines)]
        self._told = 0  # characters
        self._text = ""  # of the first `_read` tokens of the first sample; those from `_known` on are decoded again
        self._known = self._read = 0
        self._held = max(map(len, self._stop), default=1) - 1  # characters at the end that may yet begin a stop string
        # The most tokens that a stop string may span: a character has at most four bytes, and each may be a token.
        self._tail = 4 * max(map(len, self._stop), default=0) + 8

    def __call__(self, step: int, rows: np.ndarray, token: np.ndarray, going: np.ndarray) -> np.ndarray:
        stops = np.zeros(going.shape, bool)
        for row, sample in zip(*np.nonzero(going), strict=True):
            ids = self._ids[rows[row]][sample]
            ids.append(int(token[row, sample]))
            begun = self._begun[rows[row]]
            if self._stop:
                text = self._rule.decode([ids[-self._tail :]])[0]
                text = text[len(begun.left) :] if len(ids) <= self._tail else text
                stops[row, sample] = any(string in text for string in self._stop)
            if begun.first is not None and len(ids) == self._most:
                stops[row, sample] |= not says_nothing(self._rule, begun, ids)
        if self._tell is not None and going[0, 0] and not stops[0, 0]:
            text = self._whole_characters()[len(self._begun[0].left) :]
            self.say(text[: max(0, len(text) - self._held)])  # the rest may become a stop string
        return stops

    def _whole_characters(self) -> str:
        """The first text, without a character at its end whose bytes are incomplete (it decodes as U+FFFD).

        However long the text is, only a few tokens are decoded each time: those that were new last time, so that the next
        word is not taken for the first one, and those drawn since.
        """
        ids = self._ids[0][0]
        before, text = self._rule.decode([ids[self._known : self._read], ids[self._known :]])
        new = text[len(before) :]
        if new and not new.endswith("\ufffd"):
            self._text += new
            self._known, self._read = self._read, len(ids)
            return self._text
        return self._text + new.rstrip("\ufffd")

    def say(self, text: str) -> None:
        """Pass on what is new in `text`, the certain part of the first text."""
        if self._tell is not None and len(text) > self._told:
            before = (
                ""
                if self._told or self._begun[0].first is not None
                else joined(self._rule, self._prompt, "x")[len(self._prompt) : -1]
            )
            self._tell(before + text[self._told :])
            self._told = len(text)
