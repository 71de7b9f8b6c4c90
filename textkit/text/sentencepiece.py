"""SentencePiece's tokenisation with the model's own vocabulary, as MarianMT has it: a rule like translation.py's.

The library `tokenizers` segments text (Unigram or BPE). This module does the rest as SentencePiece and MarianTokenizer do:
it takes special tokens and a language's code (`>>fr<<`) out of the line first, replaces characters (charmap.py) and marks
spaces. Text without a piece is looked up in the model's vocabulary, which may know it though the tokenizer does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from textkit.errors import TextkitError, quoted
from textkit.text.bounds import MOST_ROWS
from textkit.text.charmap import CharMap, loads
from textkit.text.rule import TOKENIZER_FILE
from textkit.text.segmenter import Segmenter
from textkit.text.subwords import guarded, read_tokenizer
from textkit.text.tokenizer_file import read_checked
from textkit.text.translation import BYTE, SPACE, TranslationText, numbers_of

CHARACTERS_FILE = "characters.json"
VOCABULARY_FILE = "vocabulary.json"
SIDES = ("source", "target")


class PieceSide:
    """One side: a segmenter, and `vocabulary`, piece -> row of the model. It has the interface of translation.Side.

    `specials` are taken out of a line before it is segmented. `silent`: SentencePiece's control pieces, which are not text.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        vocabulary: Mapping[str, int],
        unk: int,
        specials: Sequence[str],
        silent: Sequence[str],
    ) -> None:
        self.segmenter, self.known, self.unk = segmenter, dict(vocabulary), unk
        self.json = segmenter.tokenizer
        self.rows = max(self.known.values(), default=-1) + 1
        self.silent = tuple(silent)
        self._special = re.compile("(" + "|".join(map(re.escape, sorted(specials, key=len, reverse=True))) + ")")
        self._loaded: tuple[Any, np.ndarray] | None = None
        self._pieces: dict[int, str] = {}

    @property
    def tokenizer(self) -> Any:
        return self._tokenizer()[0]

    def _tokenizer(self) -> tuple[Any, np.ndarray]:
        """The tokenizer, made on first use, and the model's row of each of its ids i64[id]; -1: the text must be looked up."""
        if self._loaded is None:
            tokenizer = read_tokenizer(self.segmenter.tokenizer, TOKENIZER_FILE)
            pieces = tokenizer.get_vocab()
            last = max(pieces.values(), default=0)  # ids may have gaps, and there may be none
            if last >= MOST_ROWS:
                raise TextkitError(f"{TOKENIZER_FILE}: has the id {last}; at most {MOST_ROWS - 1} is read")
            table = np.full(last + 1, self.unk, np.int64)
            for piece, at in pieces.items():
                table[at] = self.known.get(piece, self.unk)
            table[0] = -1
            self._loaded = tokenizer, table
        return self._loaded

    def encode(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The model's ids of the lines, end to end i64[total], and how many each has i64[line]."""
        cut = [self._cut(line) for line in lines]
        texts = [part for parts in cut for part in parts if isinstance(part, str) and part]
        rows = iter(self._rows(texts))
        ids: list[int] = []
        lengths = []
        for parts in cut:
            before = len(ids)
            for part in parts:
                if isinstance(part, int):
                    ids.append(part)
                elif part:
                    ids += next(rows)
            lengths.append(len(ids) - before)
        return np.array(ids, np.int64), np.array(lengths, np.int64)

    def _cut(self, line: str) -> list[str | int]:
        """The line in order: the rows of what is taken out of it, and the normalised text in between."""
        if "<" not in line:
            return [self.segmenter.normalized(line)]
        parts: list[str | int] = []
        for at, text in enumerate(self._special.split(line)):
            if at % 2:
                parts.append(self.known.get(text, self.unk))
                continue
            end = text.find("<<") + 2 if text.startswith(">>") else 0
            if end > 1:
                parts.append(self.known.get(text[:end], self.unk))
            parts.append(self.segmenter.normalized(text[end if end > 1 else 0 :]))
        return parts

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        tokenizer, table = self._tokenizer()
        encodings = guarded(lambda: tokenizer.encode_batch_fast(list(texts), add_special_tokens=False))
        rows = []
        for text, encoding in zip(texts, encodings, strict=True):
            ids = encoding.ids
            rows.append(self._looked_up(text) if 0 in ids else table[ids].tolist())
        return rows

    def pieces(self, text: str) -> list[str]:
        """The pieces of normalised text. A stretch without a piece counts as one, or as one per byte (`spelled`)."""
        encoding = guarded(lambda: self.tokenizer.encode(text, add_special_tokens=False))
        pieces: list[str] = []
        open_ = False  # whether the last piece is such a stretch
        for at, piece, (first, last) in zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True):
            if at:
                pieces.append(piece)
            elif self.segmenter.spelled:
                pieces += [f"<0x{byte:02X}>" for byte in text[first:last].encode()]
            elif open_:
                pieces[-1] += text[first:last]
            else:
                pieces.append(text[first:last])
            open_ = at == 0
        return pieces

    def _looked_up(self, text: str) -> list[int]:
        return [self.known.get(piece, self.unk) for piece in self.pieces(text)]

    def line_pieces(self, line: str) -> list[str]:
        """The pieces of a line, one for each of its ids."""
        parts: list[str] = []
        names = self._names()
        for part in self._cut(line):
            if isinstance(part, int):
                parts.append(names.get(part, ""))
            elif part:
                parts += self.pieces(part)
        return parts

    def _names(self) -> dict[int, str]:
        if not self._pieces:
            self._pieces = {row: piece for piece, row in self.known.items()}
        return self._pieces

    def piece(self, row: int) -> str | None:
        """The piece that a row of the model stands for; None where it stands for none."""
        return self._names().get(row)

    def decode(self, lines: Iterable[Sequence[int]], dropped: frozenset[int]) -> list[str]:
        """The text of lines of rows, without the rows `dropped`."""
        names = self._names()
        return [self.joined([names.get(row, "") for row in line if row not in dropped]) for line in lines]

    def joined(self, pieces: Sequence[str]) -> str:
        text = "".join(piece for piece in pieces if piece not in self.silent)
        if self.segmenter.spelled:
            text = re.sub(f"(?:{BYTE.pattern})+", _unspelled, text)
        return text.replace(SPACE, " ").strip()

    def files(self) -> dict[str, bytes]:
        return {
            TOKENIZER_FILE: self.segmenter.tokenizer,
            CHARACTERS_FILE: self.segmenter.characters.to_json(),
            VOCABULARY_FILE: json.dumps(self.known, ensure_ascii=False, separators=(",", ":")).encode(),
        }


def _unspelled(found: re.Match[str]) -> str:
    return bytes(int(byte, 16) for byte in BYTE.findall(found[0])).decode("utf-8", "replace")


class SentencePieceText(TranslationText):
    """The rule of a MarianMT model. `specials`: the special tokens that a line may hold (`</s>`, `<unk>`, `<pad>`).

    `start`, `eos`, `pad`, `unk` are rows of the target, `source_eos`, `source_pad`, `source_unk` of the source;
    `source_size` and `target_size` are the rows of the tables. Without `target_vocabulary` both sides share one vocabulary.
    """

    kind = "sentencepiece"
    source: PieceSide
    target: PieceSide

    def __init__(
        self, source: Segmenter, target: Segmenter, vocabulary: Mapping[str, int],
        target_vocabulary: Mapping[str, int] | None = None, *,
        start: int, eos: int, pad: int, unk: int, source_eos: int, source_pad: int, source_unk: int,
        source_size: int, target_size: int, specials: Sequence[str] = ("</s>", "<unk>", "<pad>"),
        silent: Sequence[str] = (), source_language: str = "",
    ) -> None:  # fmt: skip
        self.source_language = source_language
        self.start, self.eos, self.pad, self.unk = start, eos, pad, unk
        self.source_eos, self.source_pad, self.source_unk = source_eos, source_pad, source_unk
        self.reverse = False
        self.shared = target_vocabulary is None
        self.source = PieceSide(source, vocabulary, source_unk, specials, silent)
        self.target = PieceSide(
            target, vocabulary if target_vocabulary is None else target_vocabulary, unk, specials, silent
        )
        if self.source.rows > source_size or self.target.rows > target_size:
            raise TextkitError(
                f"{VOCABULARY_FILE}: a piece has an id beyond the {source_size} and {target_size} of the model"
            )
        if max(source_eos, source_pad, source_unk) >= source_size or max(start, eos, pad, unk) >= target_size:
            raise TextkitError(f"a special id is beyond the {source_size} and {target_size} rows of the model")
        self._size, self.target_size = source_size, target_size
        self.specials = tuple(specials)
        self._special = frozenset((start, eos, pad, unk))

    def _stored(self) -> tuple[dict[str, dict[str, str]], dict[str, bytes]]:
        """The names of each side's files, and the files; both sides share a file if its content is the same."""
        names: dict[str, dict[str, str]] = {}
        files: dict[str, bytes] = {}
        for side, found in zip(SIDES, (self.source.files(), self.target.files()), strict=True):
            names[side] = {}
            for name, content in found.items():
                if side == "target" and files[name] != content:
                    name = f"target_{name}"
                files[name] = content
                names[side][name.removeprefix("target_")] = name
        return names, files

    def make_ready(self) -> None:
        for side in (self.source, self.target):
            _ = side.tokenizer

    def spec(self) -> dict[str, Any]:
        names, _ = self._stored()
        spec: dict[str, Any] = {"kind": self.kind}
        for name, side in zip(SIDES, (self.source, self.target), strict=True):
            spec[name] = {
                "tokenizer": names[name][TOKENIZER_FILE], "characters": names[name][CHARACTERS_FILE],
                "vocabulary": names[name][VOCABULARY_FILE], "prefix": side.segmenter.prefix,
                "squeeze": side.segmenter.squeeze, "spelled": side.segmenter.spelled,
            }  # fmt: skip
        spec |= {key: getattr(self, key) for key in _NUMBERS if key != "source_size"}
        spec |= {"source_size": len(self), "specials": list(self.specials), "silent": list(self.source.silent)}
        return spec | {"source_language": self.source_language}

    def files(self) -> dict[str, bytes]:
        return self._stored()[1]


_NUMBERS = ("start", "eos", "pad", "unk", "source_eos", "source_pad", "source_unk", "source_size", "target_size")


def from_spec(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> SentencePieceText:
    """The rule that a manifest describes. Raises KeyError, TypeError or ValueError if the description is wrong."""
    numbers = numbers_of(spec, _NUMBERS)
    for key in ("specials", "silent"):
        if not isinstance(spec[key], list) or not all(isinstance(text, str) and text for text in spec[key]):
            raise ValueError(f"{key} is {quoted(spec[key])}")
    if not spec["specials"]:
        raise ValueError("no specials")
    segmenters: list[Segmenter] = []
    vocabularies: list[str] = []
    for name in SIDES:
        side = spec[name]
        if any(type(side[key]) is not bool for key in ("prefix", "squeeze", "spelled")):
            raise ValueError(f"{name} is {quoted(side)}")
        characters = CharMap.from_json(read(side["characters"]))
        flags = {key: side[key] for key in ("prefix", "squeeze", "spelled")}
        segmenters.append(Segmenter(read_checked(side["tokenizer"], read), characters, **flags))
        vocabularies.append(side["vocabulary"])
    source = _vocabulary(read(vocabularies[0]))
    target = None if vocabularies[1] == vocabularies[0] else _vocabulary(read(vocabularies[1]))
    return SentencePieceText(
        segmenters[0], segmenters[1], source, target, specials=spec["specials"], silent=spec["silent"],
        source_language=spec.get("source_language", ""), **numbers,
    )  # fmt: skip


def _vocabulary(data: bytes) -> dict[str, int]:
    entries = loads(data)
    if not isinstance(entries, dict) or not all(type(row) is int and 0 <= row < MOST_ROWS for row in entries.values()):
        raise ValueError(f"{VOCABULARY_FILE}: not a table of pieces and their rows")
    return entries
