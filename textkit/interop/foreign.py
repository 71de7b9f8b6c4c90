"""Reads word vectors in any format, told by the content of a file and never by its name, and makes a bundle of them.

The formats are word2vec text and binary, GloVe text, fastText .bin and .ftz; each plain, gzip or zstandard. A supervised model
of fastText may be read as a classifier instead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.fasttext.bin import MAGIC, is_supervised, read_fasttext
from textkit.interop.fasttext.classifier import Classifier, read_classifier
from textkit.interop.source import Source
from textkit.interop.table import Foreign, Room
from textkit.interop.text_format import LONGEST, SHOWN, WIDEST, Layout, cells, layout_of, read_text
from textkit.interop.word2vec_binary import read_binary
from textkit.streams.lines import read_lines
from textkit.text.normalizer import Normalizer
from textkit.text.spaces import has_spaces
from textkit.text.words import Words

_HEAD = 1 << 20  # bytes looked at to tell the format
_PICKLE = "(gensim's own format?), which is never loaded: save it with save_word2vec_format"
_REFUSED = (  # the beginnings of files that people take for vectors, and what to do with such files
    *((b"\x80%c" % protocol, f"a Python pickle {_PICKLE}") for protocol in (2, 3, 4, 5)),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"BZh", "bzip2: unpack it first"),
    (b"\xfd7zXZ", "xz: unpack it first"),
    (b"\xff\xfe\0\0", "UTF-32: say so with --encoding utf-32"),  # before UTF-16, whose mark it begins with
    (b"\0\0\xfe\xff", "UTF-32: say so with --encoding utf-32"),
    (b"\xff\xfe", "UTF-16: say so with --encoding utf-16"),
    (b"\xfe\xff", "UTF-16: say so with --encoding utf-16"),
    (b"\x93NUMPY", "a numpy array, which holds no words"),
)


def read(path: str | os.PathLike[str], room: Room | None = None) -> Foreign:
    """The vectors of a file, '-' for stdin. Raises TextkitError, which names the file, and the line if there are lines."""
    found = read_as("embed", path, room)
    assert isinstance(found, Foreign)
    return found


def read_as(task: str | None, path: str | os.PathLike[str], room: Room | None = None) -> Foreign | Classifier:
    """What a file holds, for `task`: `embed` or `classify`. None: a supervised model of fastText is for `classify`, all else is
    for `embed`. Raises what `read` raises, and TextkitError for a file that is not for the task."""
    room = room or Room()
    with Source(path, room.encoding) as source:
        if source.peek(3) == b"\xef\xbb\xbf":  # a byte order mark
            source.skip(3, "its byte order mark")
        head = source.peek(_HEAD)
        if not head:
            raise TextkitError(f"{source.name}: is empty")
        if task == "classify" and not head.startswith(MAGIC):
            raise TextkitError(f"{source.name}: is no model of fastText, and no other file becomes a classifier")
        if task == "classify" or (task is None and is_supervised(head)):
            return read_classifier(source, room)
        return _vectors(source, room, head)


def _vectors(source: Source, room: Room, head: bytes) -> Foreign:
    """`head`: the first bytes of the file, which are still to be read."""
    if head.startswith(MAGIC):
        return read_fasttext(source, room)
    for magic, what in _REFUSED:
        if head.startswith(magic):
            raise TextkitError(f"{source.name}: is {what}")
    if b"\n" not in head:
        head = source.peek(LONGEST)  # one line of the widest vectors
    first, _, rest = head.partition(b"\n")
    header = _header(first, rest)
    if header is None:
        found = None if b"\0" in head else layout_of(_shown(head))
        if found is None:
            raise TextkitError(
                f"{source.name}: is none of word2vec text, word2vec binary, GloVe text, fastText .bin or .ftz "
                f"(the first line of a text format is two whole numbers, or a word and its numbers)"
            )
        return read_text(source, room, None, found[0])
    count, dim = header
    if not 0 < dim <= WIDEST or not (count or rest):
        raise TextkitError(f"{source.name}: line 1: {count} vectors of {dim} numbers")
    source.take(min(len(first) + 1, len(head)), "its header")
    found = layout_of(_shown(rest), dim)
    if found or _is_text(rest, dim):
        return read_text(source, room, count, found[0] if found else Layout(b" ", dim))
    return read_binary(source, room, count, dim)


def make_bundle(
    read: Foreign,
    folder: Path,
    *,
    source: str,
    sample: Sequence[str] = (),
    made: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Writes what was read as an `embed` bundle. The words stay as in the file: nothing is lowercased or split.

    SIF weights come from the file's counts. If it has none, they come from Zipf's law over its order (most frequent first, as
    the tools write it): p(r) proportional to 1 / r. `sample`: lines of text that SIF's component is taken from; `options`:
    for export_embedding_table.
    """
    from textkit.tasks.embed.exporting.export import export_embedding_table

    normalizer = Normalizer(lowercase=False, unicode="none", punctuation="keep")
    # fastText cuts texts at ASCII white space alone. A table whose words hold white space needs the same.
    ascii_only = read.format.startswith("fastText") or any(map(has_spaces, read.words))
    spaces = "ascii" if ascii_only else "unicode"
    rule = Words(
        read.words, normalizer, read.ngrams, spaces=spaces, classifier=read.classifier, word_ngrams=read.word_ngrams
    )
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
    """The first lines of a text file that are not blank, as many as SIF's component is taken from."""
    from textkit.exporting.parity import SAMPLES

    return list(islice((line for line in read_lines(path) if line.strip()), SAMPLES))


def describe(read: Foreign) -> list[str]:
    """What a user should know about the reading, one line each."""
    said = list(read.notes)
    if read.duplicates:
        said.append(f"{read.duplicates:,} words occur again further down: the first vector of each is kept")
    if read.invalid:
        apart = ", and by \\xNN where that name is taken" if read.apart else ""
        said.append(f"{read.invalid:,} words hold bytes that are not {read.encoding}: replaced by U+FFFD{apart}")
    if read.skipped:
        what = "1 record" if read.skipped == 1 else f"{read.skipped:,} records"
        said.append(f"{what} left out that cannot be read; the first: {read.first_problem}")
    return said


def _probability(read: Foreign) -> np.ndarray:
    """The probability f32[id] of each row. An n-gram's is 0, because the words that are spelled with it are rare."""
    probability = np.zeros(len(read.table), np.float32)
    size = len(read.words)
    if read.counts is not None:
        probability[:size] = read.counts / max(1, read.tokens)
    else:
        ranks = 1 / np.arange(1, size + 1)
        probability[:size] = ranks / ranks.sum()
    return probability


def _header(first: bytes, rest: bytes) -> tuple[int, int] | None:
    """The number of vectors, and of numbers per vector, if the first line says so.

    `5 2` may also be a word and its one number. It is, if all lines after it have one number and none has two.
    """
    parts = cells(first)
    if len(parts) != 2 or not all(part.isdigit() and len(part) < 19 for part in parts):
        return None
    count, dim = map(int, parts)
    lines = _shown(rest)
    one = layout_of(lines, 1)
    if dim <= WIDEST and one and one[1] == len(lines) != count and not (dim and layout_of(lines, dim)):
        return None
    return count, dim


def _shown(head: bytes) -> list[bytes]:
    """The first lines of the file that are not blank. The last line of `head` is left out if it may be cut."""
    lines = head.split(b"\n", SHOWN)
    if len(lines) > 1 and len(head) >= _HEAD or len(lines) > SHOWN:
        lines.pop()
    return [line for line in lines if line.strip()]


def _is_text(rest: bytes, dim: int) -> bool:
    """Whether the bytes after a header are text (ASCII), though no layout of text fits them."""
    vector = rest.partition(b" ")[2][: 4 * dim]  # of a binary file, the first vector's bytes
    return all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in vector)
