"""Turns lines into the ids that a language model reads, and ids into text: a tokenizer.json and the id that ends a line.

Knows no graph, no model and no training. Imports numpy; tokenizers is imported when a rule is made.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from textkit.text.byte_level import bytes_of, is_byte_level, text_of
from textkit.text.cleaning import cleaned, cleaned_lines
from textkit.text.rule import TOKENIZER_FILE, Encoded, TextRule
from textkit.text.tokenizer_file import read_checked
from textkit.text.translation import TokenizerSide, ended, flag_of, numbers_of

_LONGEST = 8  # tokens: more than a character has bytes
EOS_NAME = "<eos>"  # how the end of a line is shown


class LanguageText(TextRule):
    """Lines as ids, `eos` after each, and ids as text.

    `unk`: the id of unknown words; None if every text can be spelled. `words`: whether a token is a whole word (white space
    is not kept, and words are joined by one space) or a piece of one (nothing is lost). A line of nothing but white space is
    blank: eos alone. `size`: the rows of the embedding table, if it has more than there are ids. `clean`: a line first loses
    its invisible characters, and its ligatures and full-width forms are spelled out (textkit/text/cleaning.py).
    """

    kind = "language"

    def __init__(
        self, tokenizer: bytes, *, eos: int, unk: int | None, words: bool, size: int = 0, clean: bool = False
    ) -> None:
        self.eos, self.unk, self.words, self.clean = eos, unk, words, clean
        self.side = TokenizerSide(tokenizer, TOKENIZER_FILE)
        self._size = max(size, self.side.rows, eos + 1, 0 if unk is None else unk + 1)
        self._special = frozenset((eos,))
        self._spelled: dict[int, bytes] = {}  # of the ids that were asked for; healing asks again and again

    def __len__(self) -> int:
        return self._size

    def encode(self, lines: Sequence[str]) -> Encoded:
        """The ids of each line, eos after each."""
        lines = cleaned_lines(lines) if self.clean else lines
        return ended(*self.side.encode(["" if line.isspace() else line for line in lines]), self.eos)

    def decode(self, lines: Iterable[Sequence[int]]) -> list[str]:
        """The text of lines of ids; eos is left out. Bytes that do not complete a character read U+FFFD."""
        return self.side.decode(lines, self._special)

    def token(self, token: int) -> str:
        """The piece that an id stands for, as text, with the space before it. The bytes of an incomplete character are
        written as <0xE4>. Empty if the id stands for no piece."""
        if token == self.eos:
            return EOS_NAME
        piece = self.side.piece(token) or ""
        return text_of(piece) if self._byte_level else piece

    def spelling(self, token: int) -> bytes:
        """The bytes that an id stands for in a text, white space included; empty for the end of a line."""
        known = self._spelled.get(token)
        if known is None:
            piece = "" if token == self.eos else self.side.piece(token) or ""
            known = self._spelled[token] = bytes_of(piece) if self._byte_level else piece.encode()
        return known

    def ends_inside(self, ids: Sequence[int]) -> bool:
        """Whether the text of `ids` breaks off inside a character, so that its last bytes read U+FFFD."""
        decoder = getincrementaldecoder("utf-8")("replace")
        decoder.decode(b"".join(map(self.spelling, ids[-_LONGEST:])))
        return bool(decoder.getstate()[0])

    def normalized(self, text: str) -> str:
        """`text` in the form in which the tokenizer cuts it."""
        text = cleaned(text) if self.clean else text
        normalizer = self.side.tokenizer.normalizer
        return text if normalizer is None else normalizer.normalize_str(text)

    def count_words(self, lines: Iterable[str]) -> int:
        """The number of words between white space, whatever the tokens are. A perplexity per word is a mean over them."""
        return sum(len(line.split()) for line in lines)

    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        return [(self.token(int(token)), at, at + 1) for at, token in enumerate(self.encode([line]).ids)]

    def vocabulary(self) -> tuple[list[str], np.ndarray]:
        pieces = {
            row: self.token(row) for row in range(len(self)) if row == self.eos or self.side.piece(row) is not None
        }
        return list(pieces.values()), np.fromiter(pieces, np.int64, len(pieces))

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "tokenizer": TOKENIZER_FILE,
            "eos": self.eos, "unk": self.unk, "words": self.words, "size": len(self), "clean": self.clean,
        }  # fmt: skip

    def files(self) -> dict[str, bytes]:
        return {TOKENIZER_FILE: self.side.json}

    @cached_property
    def _byte_level(self) -> bool:
        """Whether a character of a piece stands for a byte."""
        return is_byte_level(self.side.tokenizer)


def from_spec(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> LanguageText:
    """The rule that a manifest describes. Raises KeyError, TypeError or ValueError if the description is wrong."""
    numbers = numbers_of(spec, ("eos", "size") if spec["unk"] is None else ("eos", "size", "unk"))
    flags = {"words": flag_of(spec, "words"), "clean": flag_of(spec, "clean", False)}
    rule = LanguageText(
        read_checked(spec["tokenizer"], read), eos=numbers["eos"], unk=numbers.get("unk"), size=numbers["size"], **flags
    )
    if len(rule) != numbers["size"]:
        raise ValueError("ids beyond size")
    return rule
