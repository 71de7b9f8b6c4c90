"""Tokenizers whose pieces are spelled in bytes, with a visible character for each byte (Radford et al. 2019)."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

SPACE = "▁"  # U+2581: how other tokenizers show a space in a piece


def is_byte_level(tokenizer: Any) -> bool:
    """Whether a character of a piece stands for a byte, as the decoder of this tokenizers.Tokenizer says."""
    if tokenizer.decoder is None:
        return False
    decoder = json.loads(tokenizer.decoder.__getstate__())
    return "ByteLevel" in [part.get("type") for part in (decoder, *decoder.get("decoders", ()))]


@lru_cache(1 << 16)  # the pieces of a vocabulary come again and again
def bytes_of(piece: str) -> bytes:
    """The bytes that a piece stands for."""
    return bytes(BYTES[character] for character in piece if character in BYTES)


def text_of(piece: str) -> str:
    """A piece as text. The bytes of an incomplete character are written as <0xE4>."""
    content = bytes_of(piece)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in content)


def shown(piece: str) -> str:
    """A piece as text in which a space is visible. A special token, whose name is no bytes, stays as it is."""
    return text_of(piece).replace(" ", SPACE) if BYTES.keys() >= set(piece) else piece


def _byte_characters() -> dict[str, int]:
    """The byte that each character stands for. A visible character stands for the byte of its own code; those from U+0100 on
    stand for the other bytes, in order."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {chr(0x100 + at): byte for at, byte in enumerate(hidden)}


BYTES = _byte_characters()
