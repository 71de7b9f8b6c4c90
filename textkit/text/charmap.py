"""Replaces characters by a table, always by its longest key: SentencePiece's normalisation. Knows no tokenizer; numpy only.

The library `tokenizers` has a normalizer for this, `Precompiled`, but it looks up a whole grapheme and takes the first,
shortest key. So it drops the second accent of a decomposed Vietnamese letter, and any mark after a character that has a rule.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from textkit.errors import TextkitError

MAX_PLACES = 1 << 20  # trie nodes that are visited; nmt_nfkc, the usual table, has 225,000 keys, most of them Korean
_LONGEST = 1 << 10  # bytes of a key
_BEYOND = "\U00010000-\U0010ffff"  # the lookup tables of the module re end before these
_KEYS = {"table", "single", "first", "following"}


class Table:
    """SentencePiece's precompiled_charsmap: u32 size of a trie, the trie, then the values, each ended by NUL.

    The trie is a double array as darts-clone writes it (Aoe 1989): each unit u32 holds a label in its lowest byte, the
    offset of its children in its upper bits, and whether a key ends here. If one does, the child with the label 0 holds the
    place of the key's value. Raises ValueError for bytes that are no such table.
    """

    def __init__(self, data: bytes) -> None:
        size = struct.unpack_from("<I", data)[0] if len(data) >= 4 else 0
        if not 0 < size <= len(data) - 4 or size % 4:
            raise ValueError("its size does not fit")
        self.units = np.frombuffer(data, "<u4", size // 4, 4)
        self.values = data[4 + size :]

    def value(self, at: int) -> str:
        end = self.values.find(b"\0", at)
        if at > len(self.values) or end < 0:
            raise ValueError("it points outside of itself")
        return self.values[at:end].decode("utf-8")

    def longest(self, text: str) -> tuple[int, str] | None:
        """The length in characters of the longest key that `text` begins with, and the key's value."""
        units, found = self.units, None
        place = _base(0, int(units[0]))
        for at, byte in enumerate(text.encode("utf-8", "replace")):
            place ^= byte
            unit = int(units[place]) if place < len(units) else 0
            if byte == 0 or unit & 0x800000FF != byte:
                break
            place = _base(place, unit)
            if unit & 0x100 and place < len(units):
                found = at + 1, int(units[place]) & 0x7FFFFFFF
        if found is None:
            return None
        return len(text.encode("utf-8", "replace")[: found[0]].decode("utf-8", "replace")), self.value(found[1])

    def entries(self) -> Iterator[tuple[str, int]]:
        """Each key and the place of its value, shorter keys first. Raises ValueError for a damaged table."""
        labels = np.arange(1, 256, dtype=np.int64)
        visited = 0
        keys: Sequence[bytes] = [b""]
        nodes = np.zeros(1, np.int64)  # places in `units`
        for _ in range(_LONGEST):
            if not len(nodes):
                return
            visited += len(nodes)
            if visited > MAX_PLACES:  # branches may share their ends, so a small table can spell very many keys
                break
            unit = self.units[nodes].astype(np.int64)
            base = _base(nodes, unit)  # [node]
            ends = np.flatnonzero(unit & 0x100)
            if (base[ends] >= len(self.units)).any():
                raise ValueError("it points outside of itself")
            values = self.units[base[ends]].astype(np.int64) & 0x7FFFFFFF
            yield from zip([keys[at].decode("utf-8") for at in ends.tolist()], values.tolist(), strict=True)
            nodes, keys = self._children(labels, base, keys)
        raise ValueError(f"it has more than {MAX_PLACES:,} places, or goes in circles")

    def _children(self, labels: np.ndarray, base: np.ndarray, keys: Sequence[bytes]) -> tuple[np.ndarray, list[bytes]]:
        """Places and keys of the children of the nodes with the offsets `base` i64[node], a thousand nodes at a time."""
        units = self.units
        places, names = [np.zeros(0, np.int64)], []
        for start in range(0, len(base), 1024):
            child = base[start : start + 1024, None] ^ labels  # [node, label]
            inside = child < len(units)
            unit = units[np.where(inside, child, 0)].astype(np.int64)
            node, label = np.nonzero(inside & ((unit & 0x800000FF) == labels))
            places.append(child[node, label])
            names += [keys[start + n] + bytes((c + 1,)) for n, c in zip(node.tolist(), label.tolist(), strict=True)]
        return np.concatenate(places), names


class CharMap:
    """text -> text. `single`: keys of one character; `first`, `following`: the first and later characters of longer keys."""

    def __init__(self, single: dict[str, str], first: str, following: str, table: bytes) -> None:
        self.single, self.first, self.following = single, first, following
        self._data = table
        self._table: Table | None = None
        plain = _class(char for char in single if char.isascii())
        self._ascii = re.compile(plain) if plain else None
        self._places: re.Pattern[str] | None = None

    @classmethod
    @lru_cache(maxsize=1)  # takes 2 s, and both sides of a translation have the same one
    def of(cls, data: bytes) -> CharMap:
        """The map of a precompiled_charsmap; empty `data` replaces nothing. Raises ValueError for a damaged one."""
        if not data:
            return cls({}, "", "", b"")
        table = Table(data)
        single, long = {}, []
        for key, at in table.entries():
            value = table.value(at)
            if len(key) == 1:
                single[key] = value
            elif key:
                long.append(key)
        first = {key[0] for key in long}
        following = {char for key in long for char in key[1:]}
        return cls(single, "".join(sorted(first)), "".join(sorted(following)), data if long else b"")

    def __call__(self, text: str) -> str:
        if text.isascii() and not (self.following and self.following[0].isascii()):  # no key of several characters
            return self._ascii.sub(self._one, text) if self._ascii else text
        if self._places is None:
            # Finds every stretch in which a key may begin. A key that begins in a stretch also ends in it.
            ways = [_class(self.first) + _class(self.following) + "+"] if self.first else []
            ways += [_class(self.single)] if self.single else []
            self._places = re.compile("|".join(ways) or "(?!)")
        return self._places.sub(self._replaced, text)

    def _one(self, found: re.Match[str]) -> str:
        return self.single.get(found[0], found[0])

    def _replaced(self, found: re.Match[str]) -> str:
        text = found[0]
        if len(text) == 1:
            return self.single.get(text, text)
        if self._table is None:
            self._table = Table(self._data)
        parts, at = [], 0
        while at < len(text):
            try:
                size, value = self._table.longest(text[at : at + _LONGEST]) or (1, text[at])
            except ValueError as error:
                raise TextkitError(f"the model's table of characters is damaged: {error}") from None
            parts.append(value)
            at += size
        return "".join(parts)

    def to_json(self) -> bytes:
        entries = {
            "table": base64.b64encode(self._data).decode(), "single": self.single,
            "first": self.first, "following": self.following,
        }  # fmt: skip
        return json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> CharMap:
        """Raises ValueError for anything but what `to_json` writes."""
        entries = loads(data)
        if not isinstance(entries, dict) or set(entries) != _KEYS:
            raise ValueError("not a table of characters")
        single, first, following = entries["single"], entries["first"], entries["following"]
        if not (isinstance(single, dict) and isinstance(first, str) and isinstance(following, str)):
            raise ValueError("not a table of characters")
        if not all(len(key) == 1 and isinstance(value, str) for key, value in single.items()):
            raise ValueError("its single characters are none")
        table = base64.b64decode(entries["table"], validate=True)
        if bool(first) != bool(following) or bool(first) != bool(table):
            raise ValueError("half a table of characters")
        if table:
            Table(table)
        return cls(single, first, following, table)


def safe_growth(data: bytes) -> int:
    """The most characters that a precompiled_charsmap makes of a key, if the library `tokenizers` can follow all of it.

    The library looks at no bounds, and panics outside of the table. Raises ValueError for a table in which that may happen.
    """
    table = Table(data)
    values = table.values.decode("utf-8")
    every = table.units.astype(np.int64)
    nodes = np.flatnonzero(every < 1 << 31)  # the others match no byte
    units = every[nodes]
    base = _base(nodes, units)
    if (base | 0xFF >= len(every)).any():
        raise ValueError("it points outside of itself")
    at = every[base[units & 0x100 != 0]] & 0x7FFFFFFF
    inside = at[at < len(table.values)]
    if (at > len(table.values)).any() or (np.frombuffer(table.values, np.uint8)[inside] & 0xC0 == 0x80).any():
        raise ValueError("it points outside of its values")
    return max(map(len, values.split("\0")))


def loads(data: bytes) -> Any:
    """The JSON in a file of a model. Raises ValueError for any other content, also for JSON that is nested too deep."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _base(place: Any, unit: Any) -> Any:
    """The base of a unit's children: each child lies at the base XOR its label."""
    return place ^ ((unit >> 10) << ((unit & 0x200) >> 6))


def _class(chars: Iterable[str]) -> str:
    """A character class of `chars`, "" for none. If one of them is beyond U+FFFF, all characters beyond it are in it."""
    codes = sorted(set(map(ord, chars)))
    ranges: list[list[int]] = []
    for code in codes:
        if code > 0xFFFF:
            break
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    body = "".join(f"\\u{first:04x}-\\u{last:04x}" for first, last in ranges)
    if codes and codes[-1] > 0xFFFF:
        body += _BEYOND
    return f"[{body}]" if body else ""
