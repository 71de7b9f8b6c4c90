"""Word vectors as other tools keep them: words, a table of rows, and how large a table may get. Knows no format."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from textkit.errors import TextkitError
from textkit.exporting.onnx_format import LARGEST
from textkit.exporting.quantize import PRECISIONS
from textkit.tasks.embed.exporting.graph import row_bytes
from textkit.text.subwords import NGrams

_BYTES = re.compile("[\udc80-\udcff]")  # bytes that are no character, as "surrogateescape" decodes them
_UNKNOWN = 1 << 26  # bytes of rows allocated at first if the file's size says nothing


@dataclass
class Foreign:
    """What was read: row i of `table` f32[row, dim] belongs to words[i]; the rows of `ngrams` follow the words' rows.

    `counts` i64[word]: how often each occurred in the `tokens` words of training, if the file says so.
    """

    format: str
    words: list[str]
    table: np.ndarray
    ngrams: NGrams | None = None
    counts: np.ndarray | None = None
    tokens: int = 0
    classifier: bool = False  # fastText's: trained with labels, on n-grams of up to `word_ngrams` words
    word_ngrams: int = 1
    duplicates: int = 0  # words seen before: the first wins
    invalid: int = 0  # words that are no text in `encoding`
    apart: bool = False  # whether one of them is named by its bytes, because its name with U+FFFD was taken
    encoding: str = "UTF-8"
    skipped: int = 0  # records left out because they could not be read
    first_problem: str = ""  # what is wrong with the first of them
    notes: list[str] = field(default_factory=list)  # what was left out and why, one line each


@dataclass(frozen=True)
class Room:
    """How much may be read: rows that fit an ONNX file at `precision` (None: any number), and at most `max_vocab` words.

    `skip`: records that cannot be read are left out and counted; otherwise they are an error. `encoding`: that of the words.
    `word_ngrams`: whether a fastText classifier's word n-grams are kept.
    """

    precision: str | None = None
    max_vocab: int | None = None
    skip: bool = False
    encoding: str = "utf-8"
    word_ngrams: bool = False

    def wanted(self, words: int) -> int:
        """How many of a file's `words` to read."""
        return words if self.max_vocab is None else min(words, self.max_vocab)

    def check(self, name: str, words: int, others: int, dim: int) -> None:
        """Refuses `words` rows of words and `others` rows of n-grams if they do not fit, and says which options help."""
        if self.precision is None or self._fits(words + others, dim, self.precision):
            return
        row = row_bytes(dim, PRECISIONS[self.precision])
        size = (words + others) * row
        ways = []
        most = LARGEST // row - others
        if most > 0:
            ways.append(f"--max-vocab {most}")
        ways += [f"--precision {other}" for other in ("fp16", "int8") if self._fits(words + others, dim, other)]
        if not ways:
            ways.append("a smaller --max-vocab with --precision int8")
        rows = f"{words:,} vectors" if not others else f"{words:,} words and {others:,} n-grams"
        raise TextkitError(
            f"{name}: {rows} of {dim} numbers take {size / 1e9:.1f} GB at {self.precision}, an ONNX file holds 2 GB: "
            f"use {' or '.join(ways)}"
        )

    @staticmethod
    def _fits(rows: int, dim: int, precision: str) -> bool:
        return rows * row_bytes(dim, PRECISIONS[precision]) <= LARGEST


class Growing:
    """A table f32[row, dim] whose rows arrive bit by bit, in little more memory than the table's own.

    `expected` rows are reserved at once if the caller knows that the file can hold so many; pages that are never written
    cost nothing. Otherwise the array grows by a quarter each time, in place if the system can.
    """

    def __init__(self, dim: int, expected: int | None = None) -> None:
        first = max(1, _UNKNOWN // (4 * dim)) if expected is None else max(1, expected)
        self._rows = np.empty((first, dim), np.float32)
        self._length = 0

    def append(self, rows: np.ndarray) -> None:
        end = self._length + len(rows)
        if end > len(self._rows):
            self._rows.resize((max(end, len(self._rows) * 5 // 4), self._rows.shape[1]), refcheck=False)
        self._rows[self._length : end] = rows
        self._length = end

    def __len__(self) -> int:
        return self._length

    def done(self) -> np.ndarray:
        """The table; nothing may be appended after this."""
        self._rows.resize((self._length, self._rows.shape[1]), refcheck=False)
        return self._rows


class Names:
    """Words in order, each once. Words that `encoding` cannot read are told apart by bytes; they and duplicates are counted."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.encoding = encoding
        self._ids: dict[str, None] = {}
        self.duplicates = 0
        self.invalid = 0
        self.apart = False

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def shown(self) -> str:
        """The encoding's name as messages show it."""
        return "UTF-8" if self.encoding == "utf-8" else self.encoding

    def decode(self, word: bytes) -> str:
        try:
            return word.decode(self.encoding)
        except UnicodeDecodeError:
            self.invalid += 1
            return word.decode(self.encoding, "surrogateescape")

    def add(self, words: list[bytes]) -> list[int] | None:
        """Adds words; returns the positions of those that are new, None if all are."""
        if not words:
            return None
        known, before = self._ids, len(self._ids)
        try:
            decoded = b"\n".join(words).decode(self.encoding).split("\n")
        except UnicodeDecodeError:
            decoded = list(map(self.decode, words))
        fresh: list[int] = []
        for at, word in enumerate(decoded):
            size = len(known)
            known[word] = None
            if len(known) > size:
                fresh.append(at)
        self.duplicates += len(words) - len(fresh)
        return None if len(known) - before == len(words) else fresh

    def done(self) -> list[str]:
        """The words. In a word that could not be read, U+FFFD stands for bytes that are no character; if another word has that
        name already, `\\xNN` stands for each of them.
        """
        if not self.invalid:
            return list(self._ids)
        taken = {word for word in self._ids if not _BYTES.search(word)}
        words: list[str] = []
        for word in self._ids:
            if _BYTES.search(word):
                shown = word.encode(self.encoding, "surrogateescape").decode(self.encoding, "replace")
                while shown in taken:
                    self.apart = True
                    shown = _BYTES.sub(lambda found: f"\\x{ord(found.group()) - 0xDC00:02x}", word)
                    word += "_"
                taken.add(shown)
                words.append(shown)
            else:
                words.append(word)
        return words
