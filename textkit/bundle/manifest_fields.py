"""The type and the bounds of each field of manifest.json, in one table; a task's own fields are in its record. Knows no file.

The bounds are what a model can need, so that no number in a file costs memory or time without limit: a table of 16 million
rows, vectors of a million numbers, n-grams of 64 characters. Fields that the table calls `Anything` are for people to read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from textkit.errors import quoted
from textkit.kinds import Anything, Each, Flag, Kinds, Maybe, Record, Text, Whole, Wrong
from textkit.task import Task
from textkit.text.bounds import LONGEST_NGRAM, LONGEST_PHRASE, MOST_ROWS
from textkit.text.preserved.sentinels import MOST_SENTINELS

MOST_NUMBERS = 1 << 24  # of all inputs (or outputs) of a graph, per position on the free axes: a line's state, say
_DEEPEST = 16  # levels of nested objects and lists
_LARGEST = 1 << 63  # no count of anything is larger


class Axis:
    """An axis of a port: a name where it is free, a number where it is fixed."""

    def check(self, value: Any, where: str) -> None:
        (Text(100) if isinstance(value, str) else Whole(0, MOST_ROWS)).check(value, where)


_FILE = Text(100)
_ROW, _ROWS = Whole(0, MOST_ROWS), Whole(1, MOST_ROWS)
_IDS = dict.fromkeys(("start", "eos", "pad", "unk", "source_eos", "source_pad"), _ROW)
_SIZES = {"source_size": _ROWS, "target_size": _ROWS}
_SEGMENTER = Record(tokenizer=_FILE, characters=_FILE, vocabulary=_FILE, prefix=Flag(), squeeze=Flag(), spelled=Flag())
_WORDS = {"spaces": Text(choices=("unicode", "ascii")), "classifier": Flag(), "word_ngrams": Whole(1, LONGEST_PHRASE)}
_CLEAN = {"clean": Flag()}  # absent: false
_LANGUAGE = {"source_language": Text(35), "target_language": Text(35)}  # absent: guessed line by line; not said
_SENTINELS = {"sentinels": Whole(0, MOST_SENTINELS)}  # absent: none
_NORMALIZER = Record(
    _CLEAN,
    lowercase=Flag(),
    unicode=Text(choices=("NFC", "NFKC", "NFD", "NFKD", "none")),
    punctuation=Text(choices=("split", "keep")),
)
_SUBWORDS = Kinds(
    "unknown subwords",
    pieces=Record(file=_FILE, first=_ROW),
    ngrams=Record(
        min=Whole(1, LONGEST_NGRAM), max=Whole(0, LONGEST_NGRAM), buckets=Whole(1, 2**31 - 1),
        hash=Text(choices=("fasttext-fnv1a",)), first=_ROW, kept=Maybe(_FILE),
    ),
)  # fmt: skip
_DTYPES = (  # numpy's numeric types
    "float16", "float32", "float64", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool",
)  # fmt: skip
_PORTS = Each(Record(name=Text(200), dtype=Text(choices=_DTYPES), axes=Each(Axis(), 16)), 1000)
_PIECES = Each(Text(1000), 1000)

FIELDS: Mapping[str, Any] = {
    "name": Text(),
    "task": Text(),
    "text": Kinds(
        "unknown kind",
        words=Record(
            _WORDS,
            words=_FILE,
            normalizer=_NORMALIZER,
            subwords=Maybe(_SUBWORDS),
        ),
        tokenizer=Record(_CLEAN, file=_FILE),
        hashed=Record(
            hash=Text(),
            normalizer=_NORMALIZER,
            word_ngrams=Whole(0, LONGEST_NGRAM),
            min=Whole(1, LONGEST_NGRAM),
            max=Whole(0, LONGEST_NGRAM),
            across=Flag(),
            digits=Flag(),
            buckets=Whole(1, MOST_ROWS),
            kept=Maybe(_FILE),
        ),
        fasttext=Record(
            words=_FILE,
            word_ngrams=Whole(1, LONGEST_PHRASE),
            min=Whole(1, LONGEST_NGRAM),
            max=Whole(0, LONGEST_NGRAM),
            buckets=_ROW,
            kept=Maybe(_FILE),
            composed=Flag(),
        ),
        translation=Record(
            _CLEAN | _LANGUAGE | _SENTINELS,
            tokenizer=_FILE,
            target_tokenizer=Maybe(_FILE),
            reverse=Flag(),
            **_IDS,
            **_SIZES,
        ),
        sentencepiece=Record(
            _LANGUAGE,
            source=_SEGMENTER,
            target=_SEGMENTER,
            specials=_PIECES,
            silent=_PIECES,
            source_unk=_ROW,
            **_IDS,
            **_SIZES,
        ),
        language=Record(_CLEAN, tokenizer=_FILE, eos=_ROW, unk=Maybe(_ROW), words=Flag(), size=_ROWS),
    ),
    "plugin": Record(name=Text(200), version=Text(200)),
    "textkit": Text(),
    "graphs": Each(Record(file=_FILE, inputs=_PORTS, outputs=_PORTS), 16, dict),
    "files": Each(Record(sha256=Text(64), bytes=Whole(0, 1 << 53)), 100, dict),
    "limits": Record(tokens=_ROWS),  # and the task's own
    "defaults": Each(Anything(), 100, dict),  # the task's settings bound each of them
    "served_by": Text(100),  # the distribution that the task comes from, where it is not textkit's own
    "data": Each(Anything(), 10_000),
    "licence": Text(10_000),
    "scores": Each(Anything(), 10_000),
    "parity": Each(Anything(), 10_000, dict),
    "precision": Text(choices=("fp32", "fp16", "int8")),
    "made": Each(Anything(), 10_000, dict),
}


def check(values: Mapping[str, Any], task: Task) -> None:
    """Raises Wrong for the first field that breaks the bounds of the table, or of the task. `values` has every field."""
    limits = Record(task.limits, **FIELDS["limits"].fields)
    for key, kind in {**FIELDS, **task.facts, "limits": limits}.items():
        try:
            kind.check(values[key], key)
        except Wrong as wrong:
            if key != "text":
                raise
            raise Wrong(f"how text becomes ids is not described rightly: {wrong}") from None
    for graph, stated in values["graphs"].items():
        for side in ("inputs", "outputs"):
            numbers = 0
            for port in stated[side]:
                numbers += (size := math.prod(axis for axis in port["axes"] if isinstance(axis, int)))
                if size > MOST_NUMBERS:
                    raise Wrong(
                        f"graph {quoted(graph)}: port {quoted(port['name'])} has more than {MOST_NUMBERS} numbers"
                    )
            if numbers > MOST_NUMBERS:
                raise Wrong(f"graph {quoted(graph)}: its {side} have more than {MOST_NUMBERS} numbers, all together")


def sound(values: Any) -> None:
    """Raises Wrong for what JSON allows and no manifest has: deep nesting, numbers beyond 64 bits, half a surrogate pair.

    Goes level by level instead of by recursion, so that deep nesting cannot exhaust Python's stack.
    """
    level = [values]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += [*value, *value.values()]
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str):
                if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
                    raise Wrong(f"{quoted(value)} has half a character")
            elif isinstance(value, (int, float)) and not -_LARGEST <= value < 2 * _LARGEST:
                raise Wrong(f"{quoted(value)} is too large a number")
        level = inner
        if not level:
            return
    raise Wrong(f"nested more than {_DEEPEST} deep")
