"""Reads a SentencePiece .model (or .spm), its pieces and its normalisation, and makes textkit's own rule of it.

SentencePiece itself is not needed (Kudo and Richardson 2018). Field numbers are those of sentencepiece_model.proto, which
never change. Knows no checkpoint, and no vocabulary but the model's own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from textkit.bundle.protobuf import BYTES, FIXED32, VARINT, Damaged, Message
from textkit.errors import TextkitError
from textkit.text.charmap import CharMap
from textkit.text.segmenter import Segmenter, bpe, unigram
from textkit.text.translation import SPACE

MAX_BYTES = 1 << 28  # of a model file; 256,000 pieces take 5 MB
MAX_PIECES = 1 << 21
_LONGEST = 1 << 12  # bytes of a piece

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_MODELS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
_WIRES = {  # message -> field -> wire type; a field of another wire type is damage, one that is not named is skipped
    "model": {1: BYTES, 2: BYTES, 3: BYTES},
    "piece": {1: BYTES, 2: FIXED32, 3: VARINT},
    "trainer": {3: VARINT, 24: VARINT, 35: VARINT},
    "normalizer": {2: BYTES, 3: VARINT, 4: VARINT, 5: VARINT},
}


@dataclass(frozen=True)
class SentencePieceModel:
    """pieces[i] has scores[i] (a log-probability, or for bpe a rank) and types[i], one of the constants above."""

    pieces: list[str]
    scores: list[float]
    types: list[int]
    model_type: str = "unigram"  # unigram | bpe | word | char
    charsmap: bytes = b""  # precompiled: charmap.py
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True
    whitespace_as_suffix: bool = False
    byte_fallback: bool = False

    def segmenter(self, name: str) -> Segmenter:
        """The same tokenisation as a rule to serve. Raises TextkitError, whose line begins with `name`, if there is none."""
        if self.model_type not in ("unigram", "bpe"):
            raise TextkitError(f"{name}: a SentencePiece model of type {self.model_type!r}; unigram and bpe are read")
        if not self.escape_whitespaces or self.whitespace_as_suffix:
            raise TextkitError(
                f"{name}: marks spaces otherwise than by {SPACE!r} in front of a word, which is not read"
            )
        try:
            charmap = CharMap.of(self.charsmap)
        except ValueError as error:
            raise TextkitError(f"{name}: its table of characters (precompiled_charsmap) is damaged: {error}") from None
        matched, scores = self._matched(name, charmap)
        return Segmenter(
            unigram(matched, scores) if self.model_type == "unigram" else bpe(matched),
            charmap,
            prefix=self.add_dummy_prefix,
            squeeze=self.remove_extra_whitespaces,
            spelled=self.byte_fallback,
        )

    def _matched(self, name: str, charmap: CharMap) -> tuple[list[str], list[float]]:
        """The pieces that text can become, with their scores; for bpe in the order in which they are merged, without scores."""
        normal = [at for at, kind in enumerate(self.types) if kind == NORMAL]
        user = [at for at, kind in enumerate(self.types) if kind == USER_DEFINED]
        if not normal:
            raise TextkitError(f"{name}: has no piece that text could become")
        if self.model_type == "bpe":
            if user or UNUSED in self.types:
                raise TextkitError(f"{name}: a bpe model with pieces of a user's own or unused ones, which is not read")
            normal.sort(key=lambda at: -self.scores[at])
            return [self.pieces[at] for at in normal], []
        if any(" " in self.pieces[at] or charmap(self.pieces[at]) != self.pieces[at] for at in user):
            raise TextkitError(f"{name}: a piece of a user's own that normalisation would change, which is not read")
        highest = max(self.scores[at] for at in normal)
        scores = [self.scores[at] for at in normal]
        # SentencePiece prefers a user's piece to any other: its score is its bytes times the highest score, minus 0.1.
        scores += [len(self.pieces[at].encode()) * highest - 0.1 for at in user]
        return [self.pieces[at] for at in [*normal, *user]], scores


def read_model(data: bytes, name: str) -> SentencePieceModel:
    """The model in the bytes of a file. Raises TextkitError, whose line begins with `name`, if they hold none."""
    if len(data) > MAX_BYTES:
        raise TextkitError(f"{name}: {len(data)} bytes, more than the {MAX_BYTES} of a SentencePiece model")
    try:
        return _model(data)
    except Damaged as damage:
        raise TextkitError(f"{name}: not a sound SentencePiece model: {damage}") from None


def _model(data: bytes) -> SentencePieceModel:
    pieces, scores, types = [], [], []
    trainer: dict[int, int] = {}
    normalizer: dict[int, int] = {}
    charsmap = b""
    for number, _, content in _fields(data, "model"):
        if number == 1:
            piece, score, kind = _piece(content)
            pieces.append(piece)
            scores.append(score)
            types.append(kind)
            if len(pieces) > MAX_PIECES:
                raise Damaged(f"more than {MAX_PIECES:,} pieces")
        elif number == 2:
            trainer.update((key, value) for key, value, _ in _fields(content, "trainer"))
        elif number == 3:
            for key, value, text in _fields(content, "normalizer"):
                if key == 2:
                    charsmap = text
                else:
                    normalizer[key] = value
    if not pieces:
        raise Damaged("it has no pieces")
    if len(set(pieces)) < len(pieces):
        raise Damaged("a piece occurs twice")
    if types.count(UNKNOWN) != 1:
        raise Damaged(f"{types.count(UNKNOWN)} pieces stand for unknown text, one must")
    model_type = _MODELS.get(trainer.get(3, 1))
    if model_type is None:
        raise Damaged(f"its model type {trainer[3]} is not known")
    return SentencePieceModel(
        pieces, scores, types, model_type, charsmap,
        add_dummy_prefix=bool(normalizer.get(3, 1)), remove_extra_whitespaces=bool(normalizer.get(4, 1)),
        escape_whitespaces=bool(normalizer.get(5, 1)), whitespace_as_suffix=bool(trainer.get(24, 0)),
        byte_fallback=bool(trainer.get(35, 0)),
    )  # fmt: skip


def _piece(data: bytes) -> tuple[str, float, int]:
    text, score, kind = b"", 0.0, NORMAL
    for number, value, content in _fields(data, "piece"):
        if number == 1:
            text = content
        elif number == 2:
            score = struct.unpack("<f", content)[0]
        else:
            kind = value
    if not 0 < len(text) <= _LONGEST:
        raise Damaged(f"a piece of {len(text)} bytes")
    if not NORMAL <= kind <= BYTE:
        raise Damaged(f"a piece of the unknown type {kind}")
    if not np.isfinite(score):
        raise Damaged("a score is NaN or infinite")
    return _utf8(text, "a piece"), score, kind


def _utf8(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Damaged(f"{what} is not UTF-8") from None


def _fields(data: bytes, message: str) -> Iterator[tuple[int, int, bytes]]:
    """The fields of a message that _WIRES names, in order, each a number or bytes: (field, number, bytes). The four bytes of a
    float are bytes."""
    known = _WIRES[message]
    for number, wire, first, last in Message(data, len(data)).wires(0, len(data)):
        if number in known and known[number] != wire:
            raise Damaged("damaged: not a protobuf of a model")
        if number in known:
            yield (number, 0, data[first:last]) if last else (number, first, b"")
