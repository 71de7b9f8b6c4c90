"""Checks the model of a stranger's tokenizer.json: its type, and the bounds of its vocabulary.

Knows no file. The library loads about 200,000 pieces or merges per second. It keeps a Unigram's pieces as a trie of their
bytes, at 350 bytes per node, and walks it by recursion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from textkit.errors import quoted

MOST_ENTRIES = 1 << 20  # pieces and merges
_LONGEST_PIECE = 256  # characters of a Unigram's piece
_MOST_PIECES = 1 << 22  # bytes of all pieces of a Unigram
_MOST_PLACES = 1 << 21  # nodes of their trie
_LONGEST_WORD = 1000  # characters of a word that WordPiece cuts: time grows with the third power of its length
_KINDS = ("BPE", "Unigram", "WordLevel", "WordPiece")


class Wrong(Exception):
    """A phrase that says what is wrong with a tokenizer."""


def require(truth: Any, phrase: str) -> None:
    if not truth:
        raise Wrong(phrase)


def text(value: Any, where: str, most: int, needed: bool = False) -> None:
    """Raises Wrong for anything but text of at most `most` characters; None is fine if the text is not `needed`."""
    good = isinstance(value, str) and len(value) <= most
    if not good and (needed or value is not None):
        raise Wrong(f"{where} is {quoted(value)}, not text of at most {most} characters")


def whole(value: Any, where: str, least: int, most: int) -> None:
    """Raises Wrong for anything but None or a whole number from `least` to `most`."""
    if value is not None and not (isinstance(value, int) and least <= value <= most):
        raise Wrong(f"{where} is {quoted(value)}, not a whole number from {least} to {most}")


def check(model: Any, rest: bytes | None = None) -> None:
    """Raises Wrong for a model that must not be loaded. `rest`: the file from its vocabulary on, if `model` is without it."""
    require(isinstance(model, dict), "not a tokenizer: no model")
    kind = _kind(model)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise Wrong(f"has a model of the type {quoted(kind)}, which a model may not have")
    # The library cuts the prefix even off pieces that are shorter than it.
    prefix = kind == "BPE" and model.get("continuing_subword_prefix")
    require(not prefix, f"has byte pairs that continue with {quoted(prefix)}")
    for key, least, most in (("unk_id", 0, 1 << 24), ("max_input_chars_per_word", 0, _LONGEST_WORD)):
        whole(model.get(key, 0), f"model's {key}", least, most)
    require(model.get("dropout") in (None, 0), "the model drops merges at random (dropout)")
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        text(model.get(key), f"model's {key}", 16)
    text(model.get("unk_token"), "model's unk_token", 256)
    if rest is None:
        few(sum(map(len, _vocabulary(model))))
    elif kind == "Unigram" or rest.count(b",") > MOST_ENTRIES:
        texts, entries = counted(rest)
        few(entries)
    if kind == "Unigram":
        _unigram(_pieces(model.get("vocab")) if rest is None else texts)


def _kind(model: Mapping[str, Any]) -> Any:
    """The type that a model states. Files of the library before 0.9 state none; the library then goes by their other keys."""
    if "type" in model:
        return model["type"]
    if "merges" in model:
        return "BPE"
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    if not isinstance(model.get("vocab"), dict):
        return None
    return "WordPiece" if model.keys() & {"max_input_chars_per_word", "continuing_subword_prefix"} else "WordLevel"


def _vocabulary(model: Mapping[str, Any]) -> list[Any]:
    """A model's pieces, and its merges if it has any."""
    found = [model[key] for key in ("vocab", "merges") if model.get(key) is not None]
    for value in found:
        require(isinstance(value, (list, dict)), f"has pieces that are {quoted(value)}")
    return found


def few(entries: int) -> None:
    require(entries <= MOST_ENTRIES, f"has {entries} pieces and merges; at most {MOST_ENTRIES} are read")


def _pieces(vocabulary: Any) -> list[bytes]:
    """The pieces of a Unigram's vocabulary."""
    require(isinstance(vocabulary, list), "has a Unigram whose vocabulary is no list")
    for entry in vocabulary:
        if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)):
            raise Wrong(f"has a Unigram whose vocabulary has {quoted(entry)}")
    return [entry[0].encode("utf-8", "surrogatepass") for entry in vocabulary]


def counted(rest: bytes) -> tuple[list[bytes], int]:
    """All texts in a stretch of JSON (those with escapes a little too long), and the number of pieces and merges. Each of
    these ends with a comma, and one that is a list has a comma inside as well. Takes a tenth of the time of parsing."""
    if b"\\" in rest:
        rest = rest.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    parts = rest.split(b'"')
    between = b"".join(parts[::2]).translate(None, b" \t\r\n")
    require(
        b"[[[" not in between and between.count(b"[[") <= 2, "has lists within lists for pieces"
    )  # they would be counted too low
    return parts[1::2], between.count(b",") - between.count(b"[")


def _unigram(pieces: list[bytes]) -> None:
    longest = max(pieces, key=len, default=b"")
    long = len(longest) > _LONGEST_PIECE and len(longest.decode("utf-8", "replace")) > _LONGEST_PIECE
    if long or len(longest) > 4 * _LONGEST_PIECE:
        raise Wrong(f"has a piece of more than {_LONGEST_PIECE} characters")
    size = sum(map(len, pieces))
    require(size <= _MOST_PIECES, f"has pieces of {size} bytes; at most {_MOST_PIECES} are read")
    if size > _MOST_PLACES:
        require(_places(pieces) <= _MOST_PLACES, f"has pieces whose beginnings are more than {_MOST_PLACES}")


def _places(pieces: Iterable[bytes]) -> int:
    """The number of distinct beginnings of the pieces; stops counting as soon as there are too many."""
    places = length = 0
    while (pieces := [piece for piece in pieces if len(piece) > length]) and places <= _MOST_PLACES:
        length += 1
        places += len({piece[:length] for piece in pieces})
    return places
