"""English text that may be redistributed: WikiText-2 (CC BY-SA 3.0), detokenised, and Tatoeba (CC BY 2.0 FR)."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

LICENCE = "CC BY-SA 4.0"
NOTE = (
    "WikiText-2 train (Merity et al. 2016, CC BY-SA 3.0), detokenised, sentences with <unk> left out; English side of the"
    " Tatoeba en-de pairs of 2018-05-13 (tatoeba.org and manythings.org/anki, CC BY 2.0 FR)"
)
HELD = 100  # one sentence in this many is kept from training


def wikitext(path: Path) -> Iterator[list[str]]:
    """Rows of consecutive sentences of WikiText. Headings and sentences with <unk> are left out and end a row."""
    for line in lines(path):
        row: list[str] = []
        for sentence in re.split(r"(?<= [.!?]) (?=[A-Z\"])", line.strip()):
            if sentence and "<unk>" not in sentence and not line.strip().startswith("="):
                row.append(detokenized(sentence))
            elif row:
                yield row
                row = []
        if row:
            yield row


def detokenized(text: str) -> str:
    """The text with WikiText's ` @-@ `, ` 's`, ` ,` and spaced brackets written normally."""
    text = re.sub(r" @([-,.])@ ", r"\1", text)
    text = re.sub(r" (['’](?:s|re|ve|ll|d|m|t)\b)", r"\1", text)
    text = re.sub(r" ([,.;:!?)\]%])", r"\1", text)
    text = re.sub(r"([(\[$£]) ", r"\1", text)
    return re.sub(r'" ([^"]*) "', r'"\1"', text)


def tatoeba(path: Path) -> Iterator[str]:
    """Each English sentence of a file of pairs once."""
    yield from dict.fromkeys(line.split("\t")[0] for line in lines(path))


def lines(path: Path) -> Iterator[str]:
    """The lines of a file, plain or gzip."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        yield from stream


def held_out(sentence: str) -> bool:
    """Whether a sentence is kept from training to choose the best weights, which its hash decides."""
    return int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:8], "big") % HELD == 0
