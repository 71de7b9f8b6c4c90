"""Turns the two sides of a translation into ids: a tokenizer.json per side, or one for both, and the special ids.

Knows no graph, no model and no training. Imports numpy; tokenizers is imported when a rule is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any
from unicodedata import combining

import numpy as np

from textkit.errors import quoted
from textkit.text.bounds import MOST_ROWS
from textkit.text.cleaning import cleaned, cleaned_lines
from textkit.text.rule import TOKENIZER_FILE, Encoded, TextRule
from textkit.text.subwords import guarded, ids_of, read_tokenizer
from textkit.text.tokenizer_file import read_checked

if TYPE_CHECKING:
    from typing import Protocol

    class Side(Protocol):
        """One side of a translation: its ids are the rows of the model, `json` its tokenizer.json."""

        json: bytes
        rows: int

        @property
        def tokenizer(self) -> Any: ...

        def encode(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
            """The model's ids of the lines, end to end i64[total], and how many each has i64[line]."""

        def line_pieces(self, line: str) -> list[str]:
            """The pieces of a line, one for each of its ids."""

        def piece(self, row: int) -> str | None:
            """The piece that a row of the model stands for; None where it stands for none."""

        def decode(self, lines: Iterable[Sequence[int]], dropped: frozenset[int]) -> list[str]:
            """The text of lines of rows, without the rows `dropped`."""

        def joined(self, pieces: Sequence[str]) -> str:
            """The text of pieces."""


TARGET_FILE = "target_tokenizer.json"
SPACE = "▁"  # U+2581: begins a piece that follows a space, and the first piece of a line
BYTE = re.compile("<0x([0-9A-F]{2})>")  # a piece that is one byte of a character
# Marks that mean the same as another: of the first, all are replaced where a model cannot read one of them.
_LIKE = (
    ("\u201c\u201d", '"'),
    ("\u00ab\u00bb", '"'),
    ("\u2018\u2019\u02bc", "'"),
    ("\u2039\u203a", "'"),
    ("\u2010\u2011\u2212", "-"),
)


class TokenizerSide:
    """A Side by a tokenizer whose ids are the rows of the model."""

    def __init__(self, content: bytes, name: str) -> None:
        self.json = content
        self.tokenizer = read_tokenizer(content, name)
        self.rows = ids_of(self.tokenizer, content)

    @cached_property
    def unknown(self) -> int | None:
        """The tokenizer's own id for unknown text."""
        model = json.loads(self.json)["model"]
        return model["unk_id"] if "unk_id" in model else self.tokenizer.token_to_id(model.get("unk_token") or "")

    def encode(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The model's ids of the lines, end to end i64[total], and how many each has i64[line]."""
        encodings = guarded(lambda: self.tokenizer.encode_batch_fast(list(lines), add_special_tokens=False))
        ids = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return np.fromiter(chain.from_iterable(ids), np.int64, int(lengths.sum())), lengths

    def line_pieces(self, line: str) -> list[str]:
        """The pieces of a line, one for each of its ids; an unknown one as it stands in the line."""
        encoding = guarded(lambda: self.tokenizer.encode(line, add_special_tokens=False))
        pieces: list[str] = []
        for token, piece, (first, last) in zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True):
            if token == self.unknown:  # its span may include the space before it
                apart = first == 0 or line[first - 1].isspace() or line[first:last][:1].isspace()
                piece = (SPACE if apart else "") + line[first:last].strip()
            pieces.append(piece)
        return pieces

    def piece(self, row: int) -> str | None:
        """The piece that a row of the model stands for; None where it stands for none."""
        return self.tokenizer.id_to_token(row)

    def decode(self, lines: Iterable[Sequence[int]], dropped: frozenset[int]) -> list[str]:
        """The text of lines of rows, without the rows `dropped`."""
        kept = [[row for row in line if row not in dropped] for line in lines]
        return guarded(lambda: self.tokenizer.decode_batch(kept, skip_special_tokens=False))

    def joined(self, pieces: Sequence[str]) -> str:
        """The text of pieces."""
        decoder = self.tokenizer.decoder
        return guarded(lambda: decoder.decode(list(pieces))) if decoder else " ".join(pieces)


class TranslationText(TextRule):
    """Source lines and target lines as ids, and ids of the target as text.

    `start`, `eos`, `pad`, `unk` are ids of the target, `source_eos` and `source_pad` of the source. Without `target` one
    tokenizer serves both sides and an id means the same on both (`shared`). `reverse`: a line's source ids stand in
    reversed order, but eos still comes last (Sutskever et al. 2014, section 3.3). `source_size`, `target_size`: the rows of
    the embedding tables, if they have more than the tokenizers have ids. `clean`: a line first loses its invisible
    characters, and its ligatures and full-width forms are spelled out (cleaning.py). `source_language`: the ISO 639 code of
    the language by whose rules lines are cut into sentences; "": each line's language is guessed. `target_language`: that of
    the translations. `sentinels`: how many sentinels (preserved/sentinels.py) the model has learnt to copy.
    """

    kind = "translation"
    clean = False
    source_language = target_language = ""
    sentinels = 0

    def __init__(
        self,
        tokenizer: bytes,
        target: bytes | None = None,
        *,
        start: int,
        eos: int,
        pad: int,
        unk: int,
        source_eos: int | None = None,
        source_pad: int | None = None,
        source_size: int = 0,
        target_size: int = 0,
        reverse: bool = False,
        clean: bool = False,
        source_language: str = "",
        target_language: str = "",
        sentinels: int = 0,
    ) -> None:
        self.start, self.eos, self.pad, self.unk = start, eos, pad, unk
        self.clean, self.source_language, self.target_language = clean, source_language, target_language
        self.sentinels = sentinels
        self.source_eos = eos if source_eos is None else source_eos
        self.source_pad = pad if source_pad is None else source_pad
        self.reverse = reverse
        self.shared = target is None
        self.source: Side = TokenizerSide(tokenizer, TOKENIZER_FILE)
        self.target: Side = self.source if target is None else TokenizerSide(target, TARGET_FILE)
        self._size = max(source_size, self.source.rows, self.source_eos + 1, self.source_pad + 1)
        self.target_size = max(target_size, self.target.rows, start + 1, eos + 1, pad + 1, unk + 1)
        self._special = frozenset((start, eos, pad))
        self._is_read: dict[str, bool] = {}  # character -> whether a piece of the source holds it

    def __len__(self) -> int:
        return self._size

    def encode(self, lines: Sequence[str]) -> Encoded:
        """The source ids of each line, eos after each."""
        ids, lengths = self.source.encode(cleaned_lines(lines) if self.clean else lines)
        if self.reverse:
            ends = np.cumsum(lengths)
            ids = ids[np.repeat(2 * ends - lengths, lengths) - 1 - np.arange(len(ids))]
        return ended(ids, lengths, self.source_eos)

    def encode_target(self, lines: Sequence[str]) -> Encoded:
        """The target ids of each line, eos after each and no start before."""
        return ended(*self.target.encode(cleaned_lines(lines) if self.clean else lines), self.eos)

    def unread(self, line: str) -> str:
        """The characters of a line that no piece of the source holds: it would spell them by bytes, or they are unknown."""
        characters = {*line}
        for character in characters.difference(self._is_read):
            read = self._normalized(cleaned(character) if self.clean else character)
            forms = {character, character.lower(), read, read.lower()}
            seen = any(self._readable.issuperset(form) for form in forms)
            self._is_read[character] = seen or character.isspace() or bool(combining(character))
        return "".join(sorted(character for character in characters if not self._is_read[character]))

    def _normalized(self, text: str) -> str:
        """`text` as the source's tokenizer sees it."""
        normalizer = self.source.tokenizer.normalizer
        return str(normalizer.normalize_str(text)) if normalizer else text

    def readable(self, line: str) -> str:
        """A line, as long as before, in which marks that the source cannot read are those that mean the same."""
        unread = self.unread(line)
        for marks, like in _LIKE if unread else ():
            if not {*marks}.isdisjoint(unread) and like in self._readable:
                line = line.translate(dict.fromkeys(map(ord, marks), like))
        return line

    @cached_property
    def _readable(self) -> frozenset[str]:
        """The characters of the source's pieces, without those of <unk>, <0x41> and the like."""
        return frozenset("".join(piece for piece in self.source.tokenizer.get_vocab() if piece[:1] != "<")) - {SPACE}

    def decode(self, lines: Iterable[Sequence[int]]) -> list[str]:
        """The text of lines of target ids; start, eos and pad are left out, and an unknown word reads `<unk>`."""
        return self.target.decode(lines, self._special)

    def source_tokens(self, line: str) -> list[str]:
        """The pieces of the source, one for each id of `encode([line])`; an unknown one as it stands in the line."""
        pieces = self.source.line_pieces(cleaned(line) if self.clean else line)
        return [*(reversed(pieces) if self.reverse else pieces), self.source.piece(self.source_eos) or "</s>"]

    def target_token(self, token: int) -> str:
        """The piece that a target id stands for; empty if it stands for none."""
        return self.target.piece(token) or ""

    def detokenized(self, pieces: Sequence[str]) -> str:
        """The text of target pieces, among which may be source pieces that replace unknown words."""
        return self.target.joined(pieces)

    def tokens(self, line: str) -> list[tuple[str, int, int]]:
        return [(piece, at, at + 1) for at, piece in enumerate(self.source_tokens(line))]

    def vocabulary(self) -> tuple[list[str], np.ndarray]:
        pieces = {row: self.source.piece(row) for row in range(len(self))}
        known = {row: piece for row, piece in pieces.items() if piece is not None}
        return list(known.values()), np.fromiter(known, np.int64, len(known))

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "tokenizer": TOKENIZER_FILE,
            "target_tokenizer": None if self.shared else TARGET_FILE,
            "start": self.start, "eos": self.eos, "pad": self.pad, "unk": self.unk,
            "source_eos": self.source_eos, "source_pad": self.source_pad,
            "source_size": len(self), "target_size": self.target_size,
            "reverse": self.reverse, "clean": self.clean, "source_language": self.source_language,
            **({"target_language": self.target_language} if self.target_language else {}),
            **({"sentinels": self.sentinels} if self.sentinels else {}),
        }  # fmt: skip

    def files(self) -> dict[str, bytes]:
        files = {TOKENIZER_FILE: self.source.json}
        if not self.shared:
            files[TARGET_FILE] = self.target.json
        return files


def from_spec(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> TranslationText:
    """The rule that a manifest describes. Raises KeyError, TypeError or ValueError if the description is wrong."""
    numbers = numbers_of(spec, ("start", "eos", "pad", "unk", "source_eos", "source_pad", "source_size", "target_size"))
    flag_of(spec, "reverse")
    rule = TranslationText(
        read_checked(spec["tokenizer"], read),
        read_checked(spec["target_tokenizer"], read) if spec["target_tokenizer"] else None,
        reverse=spec["reverse"],
        clean=flag_of(spec, "clean", False),
        source_language=spec.get("source_language", ""),
        target_language=spec.get("target_language", ""),
        sentinels=spec.get("sentinels", 0),
        **numbers,
    )
    if (len(rule), rule.target_size) != (numbers["source_size"], numbers["target_size"]):
        raise ValueError("ids beyond source_size or target_size")
    return rule


def numbers_of(spec: Mapping[str, Any], keys: Iterable[str]) -> dict[str, int]:
    """The ids and sizes that a manifest states. Raises ValueError for a value that cannot be one."""
    numbers = {key: spec[key] for key in keys}
    for key, value in numbers.items():
        if type(value) is not int or not 0 <= value <= MOST_ROWS:
            raise ValueError(f"{key} is {quoted(value)}")
    return numbers


def flag_of(spec: Mapping[str, Any], key: str, default: bool | None = None) -> bool:
    """True or False as the manifest states, or `default` if it does not. Raises ValueError for any other value."""
    value = spec[key] if default is None else spec.get(key, default)
    if type(value) is not bool:
        raise ValueError(f"{key} is {quoted(value)}")
    return value


def ended(ids: np.ndarray, lengths: np.ndarray, eos: int) -> Encoded:
    """`ids` with `eos` after each line."""
    laid = np.full(len(ids) + len(lengths), eos, np.int64)
    inner = np.ones(len(laid), bool)
    inner[np.cumsum(lengths + 1) - 1] = False
    laid[inner] = ids
    return Encoded(laid, lengths + 1)
