"""word2vec's binary format: a header line, then for each word its bytes, a space and `dim` little-endian f32.

The original tool ends each vector with a newline, gensim does not; both are read. Knows no bundle.
"""

from __future__ import annotations

import re

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.source import Source
from textkit.interop.table import Foreign, Growing, Names, Room

LONGEST = 1 << 16  # bytes of a word; more means that the file is something else
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")  # rare in words, frequent in numbers that are taken for a word
_BLOCK = 1 << 22  # bytes of vectors taken at once


def read_binary(source: Source, room: Room, count: int, dim: int) -> Foreign:
    """Reads the `count` vectors f32[dim] after the header.

    Raises TextkitError, which names the file, for a file that ends early or goes on. An empty word, NaN or infinity is an
    error as well, which names the vector by its number and word; with `room.skip` such vectors are left out.
    """
    source.expect(count * (4 * dim + 2), f"{count:,} vectors of {dim} numbers")
    wanted = room.wanted(count)
    room.check(source.name, wanted, 0, dim)
    names, table = Names(source.encoding), Growing(dim, wanted if source.plain else None)
    done = 0  # vectors read, duplicates too
    problems: list[str] = []
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
            start, first, done = end, done, done + len(words)
            words, values, wrong = _sound(source.name, words, vectors, first, dim)
            if wrong and not room.skip:
                raise TextkitError(wrong[0])
            problems += wrong if not problems else [""] * len(wrong)
            fresh = names.add(words)
            table.append(values if fresh is None else values[fresh])
        rest = rest[start:]
    if done == count and (rest + source.peek(1)).strip(b"\n"):
        raise TextkitError(f"{source.name}: goes on behind the {count:,} vectors that its header promises")
    known = names.done()
    if not known:
        raise TextkitError(f"{source.name}: holds no word")
    return Foreign(
        "word2vec binary", known, table.done(), duplicates=names.duplicates, invalid=names.invalid, apart=names.apart,
        encoding=names.shown, skipped=len(problems), first_problem=problems[0] if problems else "",
    )  # fmt: skip


def _sound(
    name: str, words: list[bytes], vectors: list[bytes], done: int, dim: int
) -> tuple[list[bytes], np.ndarray, list[str]]:
    """The vectors that have a word and finite numbers f32[word, dim], and what is wrong with the others. The first has the
    number `done` + 1 in the file.
    """
    values = np.frombuffer(b"".join(vectors), "<f4").reshape(len(words), dim)
    sound = np.isfinite(values).all(axis=1)
    numbers = _CONTROL.search(b"".join(words)) and [_holds_numbers(word) for word in words]
    if sound.all() and all(words) and not (numbers and any(numbers)):
        return words, values, []
    problems = []
    for at, word in enumerate(words):
        if numbers and numbers[at]:
            problems.append(
                f"{name}: the word of vector {done + at + 1} holds control characters: a word before it has a space, which "
                f"this format cannot say, or the file is damaged"
            )
            sound[at] = False
            continue
        if not word:
            problems.append(f"{name}: vector {done + at + 1} has no word: damaged, or not word2vec's binary format")
        elif not sound[at]:
            problems.append(
                f"{name}: vector {done + at + 1} ({word[:40].decode('utf-8', 'replace')!r}) holds NaN or infinity"
            )
    kept = [at for at, word in enumerate(words) if word and sound[at]]
    return [words[at] for at in kept], values[kept], problems


def _holds_numbers(word: bytes) -> bool:
    """Whether some of a word's bytes are those of numbers: there are controls, and NUL or bytes that are not UTF-8."""
    if not _CONTROL.search(word):
        return False
    try:
        return "\0" in word.decode("utf-8")
    except UnicodeDecodeError:
        return True


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
        if b"\n" in word:
            raise TextkitError(
                f"{name}: vector {done + len(words) + 1} has no word: damaged, or not word2vec's binary format"
            )
        words.append(word)
        vectors.append(data[space + 1 : end])
        at = end
    return words, vectors, at
