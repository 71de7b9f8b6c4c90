"""Where a file can be cut: behind a line, behind a record of CSV, between the members of a compressed file. Knows no parts."""

from __future__ import annotations

import codecs
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise

from textkit.errors import TextkitError
from textkit.streams.csv_rows import csv_rows
from textkit.streams.encoding import foreign
from textkit.streams.lines import BLOCK, GZIP, ZSTANDARD, Reader

_HEAD = 4096


def borders(path: str, size: int, targets: Sequence[int], kind: str, delimiter: str, encoding: str | None) -> list[int]:
    """For each of `targets` (rising, in bytes, between 0 and `size`) the place nearest to it, or the first behind it, at which
    the file can be cut. 0 and `size` stand for no cut.

    `kind`: what a record is (lines, tsv, csv, jsonl). `encoding`: that of the text, None for UTF-8. A file that cannot be read
    is not cut.
    """
    if not targets:  # to find where a compressed file can be cut may take as long as to read it
        return []
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
            packed = head.startswith((GZIP, ZSTANDARD))
            if kind in ("parquet", "arrow"):
                places = [end for end, _ in row_groups_of(path, kind)]
                return [_nearest(target, places[:-1], size) for target in targets]
            if packed:
                places = [] if kind == "csv" or not _ends_lines(encoding) else _members(path, size, head)
                return [_nearest(target, places, size) for target in targets]
            if not _ends_lines(encoding) or (encoding is None and foreign(head)):  # who reads it says what it is
                return [_nearest(target, [], size) for target in targets]
            if kind == "csv":
                return _record_ends(path, size, targets, delimiter)
            return _line_ends(file.fileno(), targets, size)
    except OSError:
        return [_nearest(target, [], size) for target in targets]


def row_groups_of(path: str, kind: str) -> list[tuple[int, int]]:
    """For each row group the byte at which it ends, and its rows. None for an Arrow file, and for a file that is damaged."""
    if kind != "parquet":
        return []
    from textkit.streams.arrow import pyarrow, row_groups

    with suppress(OSError, ValueError, pyarrow().ArrowException):
        return row_groups(path)
    return []


def _nearest(target: int, places: Sequence[int], size: int) -> int:
    return min((0, *places, size), key=lambda place: abs(place - target))


def _ends_lines(encoding: str | None) -> bool:
    """Whether the byte 10 is a line's end in an encoding and nothing else, and what follows it is read as if it came first."""
    if encoding is None or encoding.startswith("utf-8"):
        return True
    if codecs.lookup(encoding).name.startswith(("utf-", "utf_", "iso2022", "hz")):
        return False
    return "\n".encode(encoding) == b"\n"


def _line_ends(file: int, targets: Sequence[int], size: int) -> list[int]:
    """For each of `targets`, which rise, the first place at or behind it that has a line feed before it."""
    places: list[int] = []
    for target in targets:
        within = places and target <= places[-1]  # of the line that was looked at last
        places.append(places[-1] if within else _line_end(file, target, size))
    return places


def _line_end(file: int, target: int, size: int) -> int:
    at, amount = max(0, target - 1), _HEAD
    while at < size:
        data = os.pread(file, amount, at)
        if not data:
            break
        if cut := data.find(b"\n") + 1:
            return at + cut
        at += len(data)
        amount = BLOCK
    return size


def _record_ends(path: str, size: int, targets: Sequence[int], delimiter: str) -> list[int]:
    """The same for CSV, where a line end in quotes is text: the file is read to the last target."""
    with open(path, "rb") as file:
        wanted = _line_ends(file.fileno(), targets, size)
        numbers = _lines_before(file.fileno(), wanted)
        ends: list[int] = []  # for each target the line with which a record ends
        with suppress(TextkitError), Reader(path) as reader:  # malformed: the rest of the file is not cut
            for rows, lines in csv_rows(reader, delimiter):
                for line in lines if rows else ():
                    while len(ends) < len(numbers) and line >= numbers[len(ends)]:
                        ends.append(line)
                if len(ends) == len(numbers):
                    break
        found = []
        for place, number, end in zip(wanted, numbers, ends, strict=False):
            for _ in range(end - number):
                place = _line_end(file.fileno(), place + 1, size)
            found.append(place)
    return found + [size] * (len(targets) - len(found))


def _lines_before(file: int, places: Sequence[int]) -> list[int]:
    """How many line feeds there are before each of `places`, which rise."""
    counts, count = [], 0
    for start, stop in pairwise((0, *places)):
        while start < stop:
            data = os.pread(file, min(BLOCK, stop - start), start)
            if not data:
                break
            count += data.count(b"\n")
            start += len(data)
        counts.append(count)
    return counts


def _members(path: str, size: int, head: bytes) -> list[int]:
    """Where the gzip members (or zstandard frames) behind the first one begin."""
    with open(path, "rb") as file, suppress(zlib.error, IndexError, ValueError):
        return list(_gzip_members(file.fileno(), size) if head.startswith(GZIP) else _frames(file.fileno(), size))
    return []


def _gzip_members(file: int, size: int) -> Iterator[int]:
    """bgzip writes how long each member is. Others must be decompressed to find out."""
    at = 0
    while at < size:
        head = os.pread(file, 18, at)
        if head[:4] == GZIP + b"\x08\x04" and head[12:16] == b"BC\x02\x00":
            at += int.from_bytes(head[16:18], "little") + 1
        else:
            at = _inflated(file, at)
        if at < size and os.pread(file, 2, at) == GZIP:
            yield at
        elif at < size:  # padding: it belongs to the last member
            return


def _inflated(file: int, at: int) -> int:
    decoder = zlib.decompressobj(wbits=31)
    while not decoder.eof:
        data = os.pread(file, BLOCK, at)
        if not data:
            raise ValueError
        at += len(data)
        while data and not decoder.eof:
            decoder.decompress(data, BLOCK)
            data = decoder.unconsumed_tail
    return at - len(decoder.unused_data)


def _frames(file: int, size: int) -> Iterator[int]:
    """zstandard's frames state how long their blocks are (RFC 8878), so that nothing need be decompressed."""
    at = 0
    while at < size:
        magic = os.pread(file, 4, at)
        if magic[1:] == b"\x2a\x4d\x18" and 0x50 <= magic[0] <= 0x5F:  # a frame to be skipped
            at += 8 + int.from_bytes(os.pread(file, 4, at + 4), "little")
        elif magic == ZSTANDARD:
            at = _frame_end(file, at)
        else:
            return
        if at < size and os.pread(file, 4, at) == ZSTANDARD:
            yield at


def _frame_end(file: int, at: int) -> int:
    about = os.pread(file, 1, at + 4)[0]
    single = about >> 5 & 1
    sizes = (1 if single else 0, 2, 4, 8)
    at += 5 + (1 - single) + (0, 1, 2, 4)[about & 3] + sizes[about >> 6]
    last = False
    while not last:
        block = int.from_bytes(os.pread(file, 3, at), "little")
        last, kind = bool(block & 1), block >> 1 & 3
        if kind == 3:
            raise ValueError
        at += 3 + (1 if kind == 1 else block >> 3)
        if not os.pread(file, 1, at - 1):
            raise ValueError
    return at + (4 if about >> 2 & 1 else 0)
