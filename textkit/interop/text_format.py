"""Reads word vectors as text, one word and its numbers per line: word2vec's (a header counts them) and GloVe's (no header).

A word is what stands before the last `dim` numbers of its line. One separator divides the fields of a file: the space, or the
tab in files without spaces. So a word may hold any other white space, as gensim reads it, and the few words with spaces in
GloVe's files are read as they are. Knows no bundle.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.source import Source
from textkit.interop.table import Foreign, Growing, Names, Room
from textkit.streams.decimals import parse_decimals

BLOCK = 1 << 22  # bytes of text parsed at once
WIDEST = 1 << 16  # numbers per vector; no tool makes vectors of more
LONGEST = 1 << 23  # bytes of a line: the widest vector, its numbers written out in full, and a word
SHOWN = 50  # lines that tell how the file is laid out


@dataclass(frozen=True)
class Layout:
    """The separator of a line's fields, b" " or b"\\t" (None: either), and how many numbers a line has."""

    separator: bytes | None
    dim: int

    def cut(self, line: bytes) -> tuple[bytes, list[bytes]] | None:
        """A line's word, which may be empty, and its `dim` numbers; None for any other line."""
        line = line.rstrip(b" \t\r")
        separator = self.separator
        if separator is None:
            line, separator = line.replace(b"\t", b" "), b" "
        elif separator not in line:
            # A line that has only the other kind of separator is clear, whatever other lines have.
            separator = b" " if separator == b"\t" else b"\t"
        rest = line
        numbers: list[bytes] = []
        while len(numbers) < self.dim:
            at = rest.rfind(separator)
            if at < 0:
                return None
            if at + 1 < len(rest):  # separators may stand in a row
                numbers.append(rest[at + 1 :])
            rest = rest[:at]
        word = rest.strip(separator)
        # If 3 numbers are due, `word 1 2 3 4` has a number too many, and not the word `word 1`.
        if not all(map(is_number, numbers)) or (separator in word and is_number(word[word.rfind(separator) + 1 :])):
            return None
        return word, numbers[::-1]

    def trailing(self, line: bytes) -> int:
        """How many numbers a line ends with, apart from its first field."""
        parts = [part for part in line.rstrip(b" \t\r").split(self.separator) if part]
        return next((n for n, part in enumerate(reversed(parts)) if not is_number(part)), len(parts) - 1)


def layout_of(lines: list[bytes], dim: int | None = None) -> tuple[Layout, int] | None:
    """The layout of the first `lines` of a file, and how many of them it fits; None if no layout fits any line.

    `dim`: how many numbers a line has; None if no header says it, and then as many as most lines end with.
    """
    best: tuple[Layout, int] | None = None
    for separator in (b" ", b"\t", None):
        width = dim
        if width is None:
            counts = Counter(n for line in lines if (n := Layout(separator, 0).trailing(line)) > 0)
            width = counts.most_common(1)[0][0] if counts else 0
        if not 0 < width <= WIDEST:
            continue
        layout = Layout(separator, width)
        words = [found[0] for line in lines if (found := layout.cut(line)) is not None]
        # `cat\t1 2`: if no header says how many numbers there are, the one after the tab is not part of the word.
        if dim is None and separator == b" " and words and all(is_number(word.rpartition(b"\t")[2]) for word in words):
            words = [word for word in words if b"\t" not in word]
        if len(words) > (best[1] if best else 0):
            best = layout, len(words)
    return best


def read_text(source: Source, room: Room, count: int | None, layout: Layout) -> Foreign:
    """Reads the lines after the header, which promises `count` vectors, or all lines (None: GloVe).

    More lines than the header promises are read and counted, because a header by GloVe does not count `<unk>`. Raises
    TextkitError, which names the file and the line, for the first line that is not a word and finite numbers, and if the
    header promises more lines. `room.skip` leaves such lines out.
    """
    dim, most = layout.dim, room.max_vocab
    if count is not None and not room.skip:
        source.expect(max(0, count * (2 * dim + 2) - 1), f"{count:,} vectors of {dim} numbers")
        room.check(source.name, room.wanted(count), 0, dim)
    reserved = room.wanted(count) if count is not None and source.plain and not room.skip else None
    lines_of = _Lines(source, room, layout, 1 if count is None else 2)
    names, table = Names(source.encoding), Growing(dim, reserved)
    for block in source.blocks(BLOCK, LONGEST, lambda: lines_of.number):
        lines = block.split(b"\n")
        lines.pop()
        if not lines[-1].strip():
            lines = lines_of.without_blank_end(lines)
        while lines and (most is None or len(table) < most):
            part = lines[: None if most is None else most - len(table)]
            words, values = lines_of.parse(part)
            fresh = names.add(words)
            table.append(values if fresh is None else values[fresh])
            room.check(source.name, len(table), 0, dim)
            lines = lines[len(part) :]
        if most is not None and len(table) == most:
            break
    else:
        if count is not None and lines_of.done != count:
            lines_of.notes.append(f"the header promises {count:,} vectors, the file has {lines_of.done:,}")
            if lines_of.done < count and not room.skip:
                raise TextkitError(f"{source.name}: {lines_of.notes[-1]}: truncated?")
            lines_of.notes[-1] += ": all are read"
    known = names.done()
    if not known:
        raise TextkitError(f"{source.name}: holds no word")
    return Foreign(
        "GloVe text" if count is None else "word2vec text", known, table.done(), duplicates=names.duplicates,
        invalid=names.invalid, apart=names.apart, encoding=names.shown, skipped=lines_of.skipped,
        first_problem=lines_of.problem, notes=lines_of.notes,
    )  # fmt: skip


class _Lines:
    """The lines of one file: which comes next, how many were read, and what was wrong with those that are left out."""

    def __init__(self, source: Source, room: Room, layout: Layout, first: int) -> None:
        self.source, self.name, self.skip, self.layout = source, source.name, room.skip, layout
        self.number = self.first = first
        self.skipped = self.blank = 0
        self.problem = ""
        self.notes: list[str] = []

    @property
    def done(self) -> int:
        """Lines so far that are vectors, or should be."""
        return self.number - self.first - self.blank

    def parse(self, lines: list[bytes]) -> tuple[list[bytes], np.ndarray]:
        """Words and f32[line, dim] of the next `lines`."""
        dim, first = self.layout.dim, self.number
        self.number += len(lines)
        words: list[bytes] = []
        numbers: list[bytes] = []
        gaps = dim - 1 if self.layout.separator == b" " else -1
        for line in lines:
            word, _, rest = line.partition(b" ")
            if rest.count(b" ") != gaps or not word:
                word, rest = self._odd(line)  # a space at the end, as fastText writes; tabs; spaces in the word
            words.append(word)
            numbers.append(rest)
        try:
            values = parse_decimals(numbers)
        except ValueError:
            values = np.empty(0, np.float32)
        if len(values) == len(lines) * dim and all(words) and np.isfinite(values).all():
            return words, values.reshape(len(lines), dim)
        return self._one_by_one(lines, first)

    def _odd(self, line: bytes) -> tuple[bytes, bytes]:
        line = line.rstrip(b" \t\r")
        word, _, rest = line.partition(b" ")
        if word and rest.count(b" ") == self.layout.dim - 1 and self.layout.separator == b" ":
            return word, rest
        found = self.layout.cut(line)
        return (found[0], b" ".join(found[1])) if found else (b"", b"")

    def _one_by_one(self, lines: list[bytes], first: int) -> tuple[list[bytes], np.ndarray]:
        """Parses lines one by one, which is slow, because something is wrong with one of them: finds which, and what."""
        words: list[bytes] = []
        rows: list[np.ndarray] = []
        for number, line in enumerate(lines, first):
            cut = self.layout.cut(line)
            with np.errstate(over="ignore"):
                row = np.array([float(part) for part in cut[1]]).astype(np.float32) if cut else None
            if cut and cut[0] and row is not None and np.isfinite(row).all():
                words.append(cut[0])
                rows.append(row)
                continue
            self.blank += not line.strip()
            problem = f"{self.name}: line {number}: {self._reason(line, cut, row)}"
            if not self.skip:
                raise TextkitError(problem)
            self.skipped += 1
            self.problem = self.problem or problem
        return words, np.array(rows, np.float32).reshape(len(rows), self.layout.dim)

    def _reason(self, line: bytes, cut: tuple[bytes, list[bytes]] | None, row: np.ndarray | None) -> str:
        dim = self.layout.dim
        parts = [part for part in line.rstrip(b" \t\r").split(self.layout.separator) if part]
        if not line.strip():
            return "is blank"
        if cut is None and len(parts) == dim + 1:
            bad = next((part for part in parts[1:] if not is_number(part)), b"")
            return f"{bad[:40].decode('utf-8', 'replace')!r} is not a number"
        if cut is None or row is None or not cut[0]:
            return f"{len(parts)} columns, a word and {dim} numbers are expected"
        return f"{cut[1][int(np.argmin(np.isfinite(row)))][:40].decode()} is no finite number"

    def without_blank_end(self, lines: list[bytes]) -> list[bytes]:
        """The lines without blank ones at the end. These are forgiven at the end of a file, and nowhere else."""
        kept = list(lines)
        while kept and not kept[-1].strip():
            kept.pop()
        if not self.source.peek(1):
            return kept
        if self.skip:
            return lines
        raise TextkitError(f"{self.name}: line {self.number + len(kept)}: is blank")


def cells(line: bytes) -> list[bytes]:
    """The fields that spaces and tabs separate."""
    return [part for part in line.rstrip(b"\r").replace(b"\t", b" ").split(b" ") if part]


def is_number(part: bytes) -> bool:
    try:
        float(part)
    except ValueError:
        return False
    return b"_" not in part  # `1_000` is Python's own spelling
