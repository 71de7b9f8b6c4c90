"""Reads any of the formats by what is in the file, never by its name; and makes a bundle of what was read.

word2vec text and binary, GloVe text, fastText .bin; each plain, gzip or zstandard.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.fasttext_bin import MAGIC, read_fasttext
from textkit.interop.source import Source
from textkit.interop.table import Foreign, Room
from textkit.interop.text_format import WIDEST, cells, columns, read_text
from textkit.interop.word2vec_binary import read_binary
from textkit.lines import read_lines
from textkit.text import Normalizer, Words

_HEAD = 1 << 20  # bytes looked at to tell the format
_PICKLE = "(gensim's own format?), which is never loaded: save it with save_word2vec_format"
_REFUSED = (  # how files begin that people take for vectors, and what to do with them
    *((b"\x80%c" % protocol, f"a Python pickle {_PICKLE}") for protocol in (2, 3, 4, 5)),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"BZh", "bzip2: unpack it first"),
    (b"\xfd7zXZ", "xz: unpack it first"),
    (b"\x93NUMPY", "a numpy array, which holds no words"),
)


def read(path: str | os.PathLike[str], room: Room | None = None) -> Foreign:
    """The vectors of a file, '-' for stdin. TextkitError naming the file, and the line where it has lines."""
    with Source(path) as source:
        if source.peek(3) == b"\xef\xbb\xbf":  # a byte order mark
            source.skip(3, "its byte order mark")
        head = source.peek(_HEAD)
        if not head:
            raise TextkitError(f"{source.name}: is empty")
        if head.startswith(MAGIC):
            return read_fasttext(source, room or Room())
        for magic, what in _REFUSED:
            if head.startswith(magic):
                raise TextkitError(f"{source.name}: is {what}")
        first, newline, rest = head.partition(b"\n")
        if newline and (header := _header(first)):
            count, dim = header
            if not (count > 0 and 0 < dim <= WIDEST):
                raise TextkitError(f"{source.name}: line 1: {count} vectors of {dim} numbers")
            source.take(len(first) + 1, "its header")
            if _is_text(rest, dim):
                return read_text(source, room or Room(), header, dim)
            return read_binary(source, room or Room(), count, dim)
        line = columns(first)
        if line is None or b"\0" in head:
            raise TextkitError(
                f"{source.name}: is none of word2vec text, word2vec binary, GloVe text, fastText .bin "
                f"(the first line of a text format is two whole numbers, or a word and its numbers)"
            )
        return read_text(source, room or Room(), None, len(line[1]))


def make_bundle(
    read: Foreign,
    folder: Path,
    *,
    source: str,
    sample: Sequence[str] = (),
    made: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Writes what was read as an `embed` bundle. Words are the file's own: nothing is lowercased, nothing split.

    SIF weights come from the file's counts; where it has none, from Zipf's law over its order (most frequent first, as
    the tools write it): p(r) proportional to 1 / r. `sample`: lines of text that SIF's component is taken from;
    `options`: of export_embedding_table.
    """
    from textkit.training.export import export_embedding_table

    rule = Words(read.words, Normalizer(lowercase=False, unicode="none", punctuation="keep"), read.ngrams)
    frequency = "counts in the file" if read.counts is not None else "Zipf's law over the order of the file"
    return export_embedding_table(
        folder,
        rule=rule,
        table=read.table,
        probability=_probability(read),
        sample=sample,
        data=[{"file": os.path.basename(source), "format": read.format}],
        made={"imported": read.format, "probability": frequency, "duplicates": read.duplicates} | (made or {}),
        **options,
    )


def sample_lines(path: str | os.PathLike[str]) -> list[str]:
    """The first lines of a text file, as many as SIF's component is taken from."""
    from textkit.training.parity import SAMPLES

    return list(islice((line for line in read_lines(path) if line.strip()), SAMPLES))


def describe(read: Foreign) -> list[str]:
    """What a user should know of the reading, a line each."""
    said = list(read.notes)
    if read.duplicates:
        said.append(f"{read.duplicates:,} words occur again further down: the first vector of each is kept")
    if read.invalid:
        said.append(f"{read.invalid:,} words hold bytes that are not UTF-8: replaced by U+FFFD")
    return said


def _probability(read: Foreign) -> np.ndarray:
    """f32[id]. An n-gram's is 0: the words that are spelled with it are rare."""
    probability = np.zeros(len(read.table), np.float32)
    size = len(read.words)
    if read.counts is not None:
        probability[:size] = read.counts / max(1, read.tokens)
    else:
        ranks = 1 / np.arange(1, size + 1)
        probability[:size] = ranks / ranks.sum()
    return probability


def _header(first: bytes) -> tuple[int, int] | None:
    """Vectors and numbers a vector, where the first line says so."""
    parts = cells(first)
    if len(parts) != 2 or not all(part.isdigit() and len(part) < 19 for part in parts):
        return None
    return int(parts[0]), int(parts[1])


def _is_text(rest: bytes, dim: int) -> bool:
    """Whether what follows a header is text: its first line reads as a word and numbers, or at least as ASCII."""
    if columns(rest.partition(b"\n")[0], dim) is not None:
        return True
    vector = rest.partition(b" ")[2][: 4 * dim]  # of a binary file, the first vector's bytes
    return all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in vector)
