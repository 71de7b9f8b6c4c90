"""Word vectors as text, a word and its numbers a line: word2vec's (a header counts them) and GloVe's (no header).

A word is what stands before the last `dim` numbers of its line, so that the few words with spaces in GloVe's files are
read as they are. Knows no bundle.
"""

from __future__ import annotations

import numpy as np

from textkit.decimals import parse_decimals
from textkit.errors import TextkitError
from textkit.interop.source import Source
from textkit.interop.table import Foreign, Growing, Names, Room

BLOCK = 1 << 22  # bytes of text parsed at once
WIDEST = 1 << 16  # numbers a vector; no tool makes vectors of more


def read_text(source: Source, room: Room, header: tuple[int, int] | None, dim: int) -> Foreign:
    """Reads the lines behind the header (word2vec: vectors, numbers a vector), or all lines (None: GloVe).

    Raises TextkitError naming the file and the line of the first one that is no word and `dim` finite numbers, or where
    the header's count is not kept.
    """
    count, most = (None if header is None else header[0]), room.max_vocab
    if count is not None:
        source.expect(count * (2 * dim + 2) - 1, f"{count:,} vectors of {dim} numbers")
        room.check(source.name, room.wanted(count), 0, dim)
        most = most if most is not None and most < count else None
    reserved = room.wanted(count) if count is not None and source.plain else None
    names, table = Names(), Growing(dim, reserved)
    first = 1 if header is None else 2
    done = 0  # lines behind the header
    for block in source.blocks(BLOCK):
        lines = block.split(b"\n")
        lines.pop()
        if not lines[-1].strip():
            lines = _without_blank_end(source, lines, first + done)
        while lines and (most is None or len(table) < most):
            part = lines[: None if most is None else most - len(table)]
            if count is not None and done + len(part) > count:
                place = f"{source.name}: line {first + count}"
                raise TextkitError(f"{place}: the header promises {count:,} vectors, here is one more")
            words, values = _parse(source.name, part, first + done, dim)
            fresh = names.add(words)
            table.append(values if fresh is None else values[fresh])
            room.check(source.name, len(table), 0, dim)
            done += len(part)
            lines = lines[len(part) :]
        if most is not None and len(table) == most:
            break
    else:
        if count is not None and done < count:
            raise TextkitError(
                f"{source.name}: the header promises {count:,} vectors, the file has {done:,}: truncated?"
            )
    words = names.done()
    if not words:
        raise TextkitError(f"{source.name}: holds no word")
    name = "GloVe text" if header is None else "word2vec text"
    return Foreign(name, words, table.done(), duplicates=names.duplicates, invalid=names.invalid)


def columns(line: bytes, dim: int | None = None) -> tuple[bytes, list[bytes]] | None:
    """A line's word and its numbers: the last `dim` columns, for None as many as there are; None for any other line."""
    parts = cells(line)
    if dim is None:
        dim = next((n for n, part in enumerate(reversed(parts)) if not _is_number(part)), len(parts) - 1)
    if not 0 < dim < len(parts) or dim > WIDEST:
        return None
    word = line.replace(b"\t", b" ").strip(b" \r")
    for _ in range(dim):
        word = word[: word.rfind(b" ")].rstrip(b" ")
    numbers = parts[-dim:]
    # `word 1 2 3 4` where 3 numbers are due is a number too many, no word called `word 1`.
    if not all(map(_is_number, numbers)) or (len(parts) > dim + 1 and _is_number(parts[-dim - 1])):
        return None
    return word, numbers


def cells(line: bytes) -> list[bytes]:
    """What spaces and tabs separate. No other white space does: words hold U+00A0, and some tools write them so."""
    return [part for part in line.rstrip(b"\r").replace(b"\t", b" ").split(b" ") if part]


def _parse(name: str, lines: list[bytes], first: int, dim: int) -> tuple[list[bytes], np.ndarray]:
    """Words and f32[line, dim]. The first of `lines` is line `first` of the file."""
    words: list[bytes] = []
    numbers: list[bytes] = []
    for line in lines:
        word, _, rest = line.partition(b" ")
        if rest.count(b" ") != dim - 1 or not word:  # a space at the end, as fastText writes; tabs; spaces in the word
            word, rest = _odd(line, dim) or (b"", b"")
        words.append(word)
        numbers.append(rest)
    try:
        values = parse_decimals(numbers)
    except ValueError:
        values = np.empty(0, np.float32)
    if len(values) != len(lines) * dim or not all(words) or not np.isfinite(values).all():
        raise _reason(name, lines, first, dim)
    return words, values.reshape(len(lines), dim)


def _odd(line: bytes, dim: int) -> tuple[bytes, bytes] | None:
    line = line.rstrip(b" \t\r")
    word, _, rest = line.partition(b" ")
    if word and rest.count(b" ") == dim - 1 and b"\t" not in line:
        return word, rest
    found = columns(line, dim)
    return (found[0], b" ".join(found[1])) if found else None


def _reason(name: str, lines: list[bytes], first: int, dim: int) -> TextkitError:
    """What is wrong with the first bad line; slow, and read once."""
    for number, line in enumerate(lines, first):
        where = f"{name}: line {number}"
        parts = cells(line)
        if not parts:
            return TextkitError(f"{where}: is blank")
        if columns(line, dim) is None:
            if len(parts) != dim + 1:
                return TextkitError(f"{where}: {len(parts)} columns, a word and {dim} numbers are expected")
            bad = next((part for part in parts[1:] if not _is_number(part)), b"")
            return TextkitError(f"{where}: {bad[:40].decode('utf-8', 'replace')!r} is not a number")
        values = np.array([float(part) for part in parts[-dim:]])
        with np.errstate(over="ignore"):
            bad_at = ~np.isfinite(values.astype(np.float32))
        if bad_at.any():
            return TextkitError(f"{where}: {parts[-dim:][int(np.argmax(bad_at))].decode()} is no finite number")
    return TextkitError(f"{name}: cannot be read from line {first} on")


def _without_blank_end(source: Source, lines: list[bytes], first: int) -> list[bytes]:
    """Blank lines are forgiven at the end of a file, and nowhere else."""
    while lines and not lines[-1].strip():
        lines.pop()
    if source.peek(1):
        raise TextkitError(f"{source.name}: line {first + len(lines)}: is blank")
    return lines


def _is_number(part: bytes) -> bool:
    try:
        float(part)
    except ValueError:
        return False
    return b"_" not in part  # Python's own spelling
