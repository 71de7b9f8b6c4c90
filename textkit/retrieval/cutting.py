"""Cuts texts that are too long for one vector into overlapping passages, at the ends of sentences. Knows no file.

A vector of a whole chapter is near to nothing in particular. Passages of about a hundred words are what dense retrieval is
trained and measured on (Karpukhin et al. 2020), and an overlap keeps a thought whole that a cut would divide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

PASSAGE = 800  # the most characters of a passage
OVERLAP = 200  # the most characters that a passage repeats of the one before
_AT_ONCE = 1 << 14  # characters that are looked at together, which bounds the time of the patterns
_SPACE = re.compile(r"\s+")


def cut(text: str) -> Iterator[tuple[int, str]]:
    """The passages of `text`, each with the position of its first character. A text that is short enough stays as it is."""
    if len(text) <= PASSAGE:
        if text and not text.isspace():
            yield 0, text
        return
    held: list[tuple[int, int]] = []  # where the sentences of the next passage begin and end
    fresh = 0  # how many of them no passage has yet
    for start, end in _pieces(text):
        if fresh and end - held[0][0] > PASSAGE:
            yield held[0][0], text[held[0][0] : held[-1][1]]
            fresh = 0
            while held and (held[-1][1] - held[0][0] > OVERLAP or end - held[0][0] > PASSAGE):
                del held[0]
        held.append((start, end))
        fresh += 1
    if fresh:
        yield held[0][0], text[held[0][0] : held[-1][1]]


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Where the sentences of `text` begin and end; what is longer than a passage is cut between words, or anywhere."""
    from textkit.sentences.splitting import sentences  # its patterns take time to compile

    at = 0
    while at < len(text):
        part = text[at : _edge(text, at, _AT_ONCE)]
        start = at + len(part) - len(part.lstrip())
        for sentence in sentences(part):
            end = start + len(sentence.text)
            while end - start > PASSAGE:
                edge = _edge(text, start, PASSAGE)
                yield start, edge
                start = edge + (len(text[edge:end]) - len(text[edge:end].lstrip()) if text[edge].isspace() else 0)
            if end > start:
                yield start, end
            start = end + len(sentence.space)
        at += len(part)


def _edge(text: str, start: int, most: int) -> int:
    """Where a piece of at most `most` characters from `start` on may end: before the last white space in it, if it has any."""
    if len(text) - start <= most:
        return len(text)
    last = 0
    for space in _SPACE.finditer(text, start + most // 2, start + most):
        last = space.start()
    return last or start + most
