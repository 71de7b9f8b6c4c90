"""Reads a file of test data and tells by its lines what it measures: analogies, word pairs or sentence pairs.

By its name or its first line it is CSV, TSV (quotes are plain characters), JSON lines, or columns with white space between.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from textkit.columns import whole_csv
from textkit.errors import TextkitError
from textkit.evaluation import analogies, similarity
from textkit.evaluation.analogies import Section
from textkit.evaluation.layouts import Layout, Row, as_number, by_name, layout_of
from textkit.evaluation.similarity import Pairs
from textkit.fields import parsed
from textkit.lines import Reader
from textkit.spaces import ascii_words

METRICS = (similarity.WORDS, analogies.METRIC, similarity.SENTENCES)
_LOOKED_AT = 100  # lines that decide
_KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_PACKED = (".gz", ".zst")
_ENDS = ".,;:!?\u3002\uff01\uff1f"  # of sentences, which may have four words too

Line = tuple[int, str]


def read(
    path: str | os.PathLike[str],
    metric: str | None = None,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    split: Callable[[str], list[str]] = ascii_words,
) -> tuple[str, list[Section] | Pairs]:
    """The metric that a file (plain, gzip or zstandard; '-' for stdin) is for, or `metric`, and its data.

    `columns`: the two texts and the score, by name or number, where neither header nor layout is to say; `delimiter`: what
    parts columns. `split`: a line of an analogy as words, where it is not four words with white space between. Blank lines
    are left out, and those that begin with `#` but for sentences. Raises TextkitError naming the file, and the line where
    one is at fault.
    """
    with Reader(None if os.fspath(path) == "-" else path) as reader:
        lines = list(_numbered(chain.from_iterable(reader)))
        name = reader.name
    if not any(not line.startswith("#") for _, line in lines):
        raise TextkitError(f"{name}: holds no data")
    plain = [(number, line) for number, line in lines if not line.startswith("#")]
    told = metric == analogies.METRIC or (metric is None and columns is None and _are_analogies(plain[:_LOOKED_AT]))
    if told:
        return analogies.METRIC, analogies.parse(name, plain, split)
    layout, rows = _table(name, lines, metric, columns, delimiter)
    if layout is None:
        if metric is not None:
            layout = Layout(0, 1, 2, False, metric)
            return metric, similarity.parse(name, rows, layout)
        number, line = plain[0]
        raise TextkitError(
            f"{name}: line {number}: {line[:40]!r} is no analogy (four words), no word pair (two words and a "
            f"score) and no sentence pair (a score and two sentences, separated by tabs)"
        )
    return layout.metric, similarity.parse(name, rows, layout)


def task_of(paths: Sequence[str]) -> str | None:
    """The task whose models the data in these files is for: pairs with scores and analogies are for `embed`, two sides for
    `translate`, running text for `language`; None for stdin, which is read once. TextkitError for a table of pairs whose layout
    is not known.
    """
    if "-" in paths:
        return None
    with Reader(paths[0]) as reader:
        lines = list(islice(_numbered(chain.from_iterable(reader)), _LOOKED_AT))
    plain = [(number, line) for number, line in lines if not line.startswith("#")]
    if not plain:
        return "embed"
    if _are_analogies(plain) or _table(paths[0], lines)[0] is not None:
        return "embed"
    if _kind_of(paths[0], plain) in ("csv", "jsonl") or all(line.count("\t") > 1 for _, line in plain):
        return "embed"  # a table, though none that is known: it is refused there
    two_columns = all(line.count("\t") == 1 for _, line in plain)
    return "translate" if two_columns or len(paths) > 1 else "language"


def _table(
    name: str, lines: Sequence[Line], metric: str | None = None, columns: Sequence[str] | None = None,
    delimiter: str | None = None,
) -> tuple[Layout | None, list[Row]]:  # fmt: skip
    """The layout of a table of pairs, None where it is none, and its rows, numbered."""
    plain = [(number, line) for number, line in lines if not line.startswith("#")]
    kind = _kind_of(name, plain)
    if kind == "csv" and delimiter is None and plain[0][1].count("\t") > 1:
        kind = "tsv"  # whatever its name says: STS benchmark's files are called .csv
    if kind == "jsonl":
        rows = list(_objects(name, plain))
        return layout_of(name, rows, metric, columns), rows
    if kind == "csv" and (delimiter is None or len(delimiter) == 1):
        rows = whole_csv(lines, name, delimiter or ",")
    elif delimiter is not None or kind == "tsv":
        rows = [(number, line.split(delimiter or "\t")) for number, line in lines]
    elif metric == similarity.SENTENCES:
        rows = [(number, line.split("\t")) for number, line in lines]
    else:
        rows = [(number, similarity.cells_of(line)) for number, line in lines]
    data = [row for row in rows if not row[1][0].startswith("#")]
    try:
        layout = layout_of(name, data, metric, columns) if data else None
    except TextkitError:
        # Numbers in running text are no table: its lines differ in how many words they have.
        if (
            metric
            or columns
            or delimiter
            or kind
            or any("\t" in line for _, line in plain)
            or len({len(row[1]) for row in data}) == 1
        ):
            raise
        layout = None
    if layout and layout.metric == similarity.SENTENCES:  # a sentence may begin with a hash, a comment has no score
        data = [row for row in rows if not row[1][0].startswith("#") or layout.pair(row[1])]
    return layout, data


def _kind_of(name: str, lines: Sequence[Line]) -> str:
    """What a file is by its name, or its first line: csv, tsv, jsonl, or ""."""
    base = os.path.basename(name).lower()
    for packed in _PACKED:
        base = base.removesuffix(packed)
    return _KINDS.get(os.path.splitext(base)[1]) or ("jsonl" if lines[0][1].lstrip().startswith("{") else "")


def _numbered(lines: Iterator[str]) -> Iterator[Line]:
    """Lines that are not blank, with their numbers."""
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _objects(name: str, lines: Sequence[Line]) -> Iterator[Row]:
    """JSON lines as rows under a header, the fields of the first."""
    header: list[str] | None = None
    for number, line in lines:
        try:
            value = parsed(line)
        except (ValueError, RecursionError) as error:
            raise TextkitError(f"{name}: line {number}: malformed JSON: {str(error)[:80]}") from None
        if not isinstance(value, dict):
            raise TextkitError(f"{name}: line {number}: not a JSON object")
        if header is None:
            header = list(value)
            yield number, header
        cells = (value.get(field, "") for field in header)
        yield number, [cell if isinstance(cell, str) else json.dumps(cell) for cell in cells]


def _are_analogies(lines: Sequence[Line]) -> bool:
    """Whether most lines have four words, no score among them and no sentence's end; `: section` says it alone."""
    if lines[0][1].startswith(":"):
        return True
    if by_name(similarity.cells_of(lines[0][1])):
        return False
    rest = [line for _, line in lines[1:]] or [lines[0][1]]
    return 2 * sum(line.startswith(":") or _is_analogy(ascii_words(line)) for line in rest) > len(rest)


def _is_analogy(words: Sequence[str]) -> bool:
    scored = any(as_number(word) is not None for word in words[2:])
    return len(words) == 4 and not scored and words[3][-1] not in _ENDS
