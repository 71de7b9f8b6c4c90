"""word2vec's binary format: a header line, then for each word its bytes, a space and `dim` little-endian f32.

The original tool ends each vector with a newline, gensim does not; both are read. Knows no bundle.
"""

from __future__ import annotations

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.source import Source
from textkit.interop.table import Foreign, Growing, Names, Room

LONGEST = 1 << 16  # bytes of a word; more says that the file is something else
_BLOCK = 1 << 22  # bytes of vectors taken at once


def read_binary(source: Source, room: Room, count: int, dim: int) -> Foreign:
    """Reads the `count` vectors f32[dim] behind the header.

    Raises TextkitError naming the file, and the vector by its number and word, for a file that ends early or goes on,
    and for NaN and infinity.
    """
    source.expect(count * (4 * dim + 2), f"{count:,} vectors of {dim} numbers")
    wanted = room.wanted(count)
    room.check(source.name, wanted, 0, dim)
    names, table = Names(), Growing(dim, wanted if source.plain else None)
    done = 0  # vectors read, duplicates too
    rest = b""
    while done < count and len(table) < wanted:
        data = source.some()
        if not data:
            raise source.short(f"vector {done + 1:,} of the {count:,} that its header promises")
        rest = rest + data if rest else data
        start = 0
        while done < count and len(table) < wanted:
            most = min(count - done, wanted - len(table), _BLOCK // (4 * dim) + 1)
            words, vectors, end = _records(source.name, rest, start, done, most, 4 * dim)
            if not words:
                break
            fresh = names.add(words)
            values = _finite(source.name, words, vectors, done, dim)
            table.append(values if fresh is None else values[fresh])
            done += len(words)
            start = end
        rest = rest[start:]
    if done == count and (rest + source.peek(1)).strip(b"\n"):
        raise TextkitError(f"{source.name}: goes on behind the {count:,} vectors that its header promises")
    return Foreign("word2vec binary", names.done(), table.done(), duplicates=names.duplicates, invalid=names.invalid)


def _finite(name: str, words: list[bytes], vectors: list[bytes], done: int, dim: int) -> np.ndarray:
    """The vectors f32[word, dim], of which the first is number `done` + 1 of the file."""
    values = np.frombuffer(b"".join(vectors), "<f4").reshape(len(words), dim)
    sound = np.isfinite(values).all(axis=1)
    if not sound.all():
        bad = int(np.argmin(sound))
        word = words[bad][:40].decode("utf-8", "replace")
        raise TextkitError(f"{name}: vector {done + bad + 1} ({word!r}) holds NaN or infinity")
    return values


def _records(name: str, data: bytes, at: int, done: int, most: int, width: int) -> tuple[list[bytes], list[bytes], int]:
    """Up to `most` whole records of `data` from `at` on: words, vectors of `width` bytes, and where the next begins."""
    words: list[bytes] = []
    vectors: list[bytes] = []
    size = len(data)
    while len(words) < most:
        space = data.find(b" ", at, at + LONGEST)
        if space < 0:
            if size - at >= LONGEST:
                raise TextkitError(
                    f"{name}: vector {done + len(words) + 1} has no word: damaged, or not word2vec's binary format"
                )
            break
        end = space + 1 + width
        if end > size:
            break
        word = data[at:space].lstrip(b"\n")
        if not word or b"\n" in word:
            raise TextkitError(
                f"{name}: vector {done + len(words) + 1} has no word: damaged, or not word2vec's binary format"
            )
        words.append(word)
        vectors.append(data[space + 1 : end])
        at = end
    return words, vectors, at
