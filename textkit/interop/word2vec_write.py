"""Writes word vectors in word2vec's formats, text and binary, as the original tool, gensim and fastText read them.

The vectors come from another tool's file, or from a model to serve.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from textkit.errors import TextkitError, UsageError
from textkit.streams.decimals import EXACT_DIGITS, format_decimals

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder

FORMATS = ("word2vec", "word2vec-binary")
_ENDINGS = {".bin": "word2vec-binary", ".vec": "word2vec", ".txt": "word2vec"}
_SPACE = re.compile("[\0\t\n\v\f\r ]")
_ROWS = 1 << 10  # rows written at once


def format_of(path: str, chosen: str | None) -> str:
    """The format to write: the chosen one, otherwise that of the file's ending; text for '-'. Raises UsageError for neither."""
    if chosen is not None or path == "-":
        return chosen or "word2vec"
    found = _ENDINGS.get(os.path.splitext(path)[1].lower())
    if found is None:
        raise UsageError(
            f"{path}: ends in none of .bin, .vec, .txt: choose --format word2vec, word2vec-binary or sentence-transformers"
        )
    return found


def holdable(words: Sequence[str]) -> np.ndarray:
    """The rows i64 of the words that the formats can hold: not empty, and without ASCII white space or NUL."""
    return np.array([row for row, word in enumerate(words) if word and not _SPACE.search(word)], np.int64)


def write_word2vec(out: BinaryIO, words: Sequence[str], table: np.ndarray, binary: bool) -> int:
    """Writes the words with their vectors f32[word, dim]; returns how many words the format cannot hold and are left out.

    Text has nine significant digits, which give back every f32 exactly. Raises TextkitError if no word is left.
    """
    rows = holdable(words)
    if not len(rows):
        raise TextkitError("there is no word that word2vec's formats can hold")
    dim = table.shape[1]
    out.write(b"%d %d\n" % (len(rows), dim))
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        vectors = np.ascontiguousarray(table[part], "<f4")
        names = [words[row].encode("utf-8", "replace") for row in part]
        if binary:  # with a newline after each vector, as the original tool writes it
            lines = [b"%b %b\n" % (name, vector.tobytes()) for name, vector in zip(names, vectors, strict=True)]
        else:
            numbers = format_decimals(vectors, EXACT_DIGITS).split(b"\n")
            lines = [b"%b %b\n" % pair for pair in zip(names, numbers, strict=False)]
        out.write(b"".join(lines))
    return len(words) - len(rows)


def vectors_of(
    model: str, device: str = "auto", threads: int | None = None, warn: Callable[[str], None] = lambda said: None
) -> tuple[list[str], np.ndarray]:
    """Words and vectors f32[word, dim] of `model`: another tool's file if it is one ('-': stdin), otherwise a model to serve.

    A model's vectors are what its graph gives for each word of its vocabulary, not normalised.
    """
    if model == "-" or os.path.isfile(model):
        from textkit.interop.foreign import describe, read

        found = read(model)
        for said in describe(found):
            warn(said)
        return found.words, found.table[: len(found.words)]
    embedder = opened(model, device, threads)
    return embedder.words(), embedder.matrix()


def opened(model: str, device: str = "auto", threads: int | None = None) -> Embedder:
    """The model of that name or in that folder. Raises UsageError, which begins with the name, where there is none."""
    from textkit.tasks.embed.serving.embedder import Embedder

    try:
        return Embedder(model, device, threads)
    except UsageError as error:
        raise UsageError(str(error).removeprefix("-m ")) from None
