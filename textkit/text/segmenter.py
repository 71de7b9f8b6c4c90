"""SentencePiece's segmentation: normalises text, and cuts it with a tokenizer.json that holds nothing but pieces.

Knows no model's vocabulary, no special tokens and no file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textkit.text.charmap import CharMap
from textkit.text.translation import SPACE

_UNKNOWN = " "  # the tokenizer's piece for unknown text; no text is cut into it, because spaces are marked first


@dataclass(frozen=True)
class Segmenter:
    """Text -> pieces, as a SentencePiece model cuts it. `tokenizer`: a tokenizer.json with nothing but the model in it.

    `prefix`: a space is put in front of each line; `squeeze`: spaces are stripped, and a run of them becomes one; `spelled`:
    text without a piece is spelled in bytes, such as `<0xE2>`.
    """

    tokenizer: bytes
    characters: CharMap
    prefix: bool = True
    squeeze: bool = True
    spelled: bool = False

    def normalized(self, text: str) -> str:
        """The text with its characters replaced and its spaces marked."""
        if not text:
            return ""
        text = self.characters(text)
        if self.squeeze:
            # SentencePiece strips the mark at the end of a line as well, and only there.
            text = SPACE.join(filter(None, text.split(" "))).rstrip(SPACE)
            return SPACE + text if text and self.prefix else text
        text = text.replace(" ", SPACE)
        return SPACE + text if self.prefix else text


def unigram(pieces: Sequence[str], scores: Sequence[float]) -> bytes:
    """A tokenizer.json of pieces with their log-probabilities (Kudo 2018); their ids start at 1, and 0 is unknown text."""
    vocabulary = [[_UNKNOWN, 0.0], *([piece, score] for piece, score in zip(pieces, scores, strict=True))]
    model = {"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": False}
    return _tokenizer(model, split=SPACE in pieces and not any(SPACE in piece[1:] for piece in pieces))


def bpe(pieces: Sequence[str]) -> bytes:
    """A tokenizer.json of pieces in the order in which they are merged (Sennrich et al. 2016); ids as in `unigram`."""
    ids = {piece: at for at, piece in enumerate([_UNKNOWN, *pieces])}
    merges = [
        [piece[:at], piece[at:]]
        for piece in pieces
        for at in range(1, len(piece))
        if piece[:at] in ids and piece[at:] in ids
    ]
    model = {
        "type": "BPE", "dropout": None, "unk_token": _UNKNOWN, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": False, "ignore_merges": False,
        "vocab": ids, "merges": merges,
    }  # fmt: skip
    return _tokenizer(model, split=SPACE in pieces and not any(SPACE in piece[1:] for piece in pieces))


def _tokenizer(model: Mapping[str, Any], split: bool) -> bytes:
    """A tokenizer.json with `model`. `split`: no piece spans two words, so that each word can be looked up by itself."""
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": True}
    entries: dict[str, Any] = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": metaspace if split else None, "post_processor": None, "decoder": None, "model": model,
    }  # fmt: skip
    return json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
