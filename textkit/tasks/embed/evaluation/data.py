"""Reads a file of test data and tells from its lines what it holds: analogies, word pairs or sentence pairs.

The file's name or its first line says whether it is CSV, TSV (quotes are plain characters), JSON lines, or columns separated
by white space.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice

from textkit.errors import TextkitError
from textkit.evaluation.layouts import Layout, Row, as_number, by_name, layout_of, names_labels
from textkit.evaluation.measuring import NOT, SURE
from textkit.streams.csv_rows import whole_csv
from textkit.streams.fields import parsed
from textkit.streams.lines import Reader
from textkit.tasks.embed.evaluation import analogies, similarity
from textkit.tasks.embed.evaluation.analogies import Section
from textkit.tasks.embed.evaluation.judged import are_judged
from textkit.tasks.embed.evaluation.similarity import Pairs
from textkit.text.spaces import ascii_words

METRICS = (similarity.WORDS, analogies.METRIC, similarity.SENTENCES)
_LOOKED_AT = 100  # first lines, which decide what a file is
_KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_PACKED = (".gz", ".zst")
_ENDS = tuple(".,;:!?\u3002\uff01\uff1f")  # of sentences, which may have four words too
_QUOTES = "\"')]\u201d\u2019\u201c\u00bb"  # that follow them

Line = tuple[int, str]


def read(
    path: str | os.PathLike[str],
    metric: str | None = None,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    split: Callable[[str], list[str]] = ascii_words,
) -> tuple[str, list[Section] | Pairs]:
    """The metric that a file (plain, gzip or zstandard; '-' for stdin) is for, or `metric`, and its data.

    `columns`: the two texts and the score, by name or number, where header and layout should not decide; `delimiter`: what
    separates columns; `split`: splits an analogy into words where neither tabs nor ASCII white space make four of it. Blank
    lines are left out, and so are lines that begin with `#`, except in sentence pairs. Raises TextkitError naming the file,
    and the line where one is at fault.
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
        pair = "; --metric mrr measures pairs of a query and its document" if line.count("\t") == 1 else ""
        raise TextkitError(
            f"{name}: line {number}: {line[:40]!r} is no analogy (four words), no word pair (two words and a "
            f"score) and no sentence pair (a score and two sentences, separated by tabs){pair}"
        )
    return layout.metric, similarity.parse(name, rows, layout)


def claims(paths: Sequence[str]) -> int:
    """How likely these files are data for models of the task `embed`: judged retrieval, analogies, or pairs with scores.

    Raises TextkitError for a table of pairs whose layout is not known.
    """
    if are_judged(paths):
        return SURE
    with Reader(paths[0]) as reader:
        lines = list(islice(_numbered(chain.from_iterable(reader)), _LOOKED_AT))
    plain = [(number, line) for number, line in lines if not line.startswith("#")]
    if plain and _are_labelled(plain[0][1]):
        return NOT
    if not plain or _are_analogies(plain) or _table(paths[0], lines)[0] is not None:
        return SURE
    words_alone = all(len(cells) > 2 and all(map(_is_word, cells)) for cells in (line.split("\t") for _, line in plain))
    # A table of unknown layout: this task claims it, and refuses it when it is read.
    return SURE if words_alone or _kind_of(paths[0], plain) in ("csv", "jsonl") else NOT


def _are_labelled(first: str) -> bool:
    """Whether a table's first line names a text and its label: such a table is for the task `classify`."""
    if not first.lstrip().startswith("{"):
        return any(names_labels(first.split(delimiter)) for delimiter in "\t,")
    try:
        value = parsed(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and names_labels(list(value))


def _table(
    name: str, lines: Sequence[Line], metric: str | None = None, columns: Sequence[str] | None = None,
    delimiter: str | None = None,
) -> tuple[Layout | None, list[Row]]:  # fmt: skip
    """The layout of a table of pairs, or None where it is not one, and the numbered rows."""
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
    told = bool(metric or columns or delimiter or kind or any("\t" in line for _, line in plain))
    # Where only spaces separate columns, it may be running text instead.
    spaced = not told and not all("," in line for _, line in plain) and not by_name(rows[0][1])
    if spaced and _are_sentences(line for _, line in plain[:_LOOKED_AT]):
        return None, data
    try:
        layout = layout_of(name, data, metric, columns) if data else None
    except TextkitError:
        if told or (_are_columns([cells for _, cells in data[:_LOOKED_AT]]) if spaced else _one_width(data)):
            raise
        layout = None
    if spaced and layout and layout.metric == similarity.SENTENCES:  # spaces cannot separate sentences
        layout = None
    if layout and layout.metric == similarity.SENTENCES:  # a sentence may begin with a hash, a comment has no score
        data = [row for row in rows if not row[1][0].startswith("#") or layout.pair(row[1])]
    return layout, data


def _kind_of(name: str, lines: Sequence[Line]) -> str:
    """The kind of a file by its name, or by its first line: csv, tsv, jsonl, or ""."""
    base = os.path.basename(name).lower()
    for packed in _PACKED:
        base = base.removesuffix(packed)
    return _KINDS.get(os.path.splitext(base)[1]) or ("jsonl" if lines[0][1].lstrip().startswith("{") else "")


def _numbered(lines: Iterator[str]) -> Iterator[Line]:
    """Lines that are not blank, with their numbers."""
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _objects(name: str, lines: Sequence[Line]) -> Iterator[Row]:
    """JSON lines as rows, after a header of the first object's field names."""
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
    """Whether most lines have four words, no score among them and no sentence's end; `: section` as first line is enough."""
    if lines[0][1].startswith(":"):
        return True
    if by_name(similarity.cells_of(lines[0][1])):
        return False
    rest = [line for _, line in lines[1:]] or [lines[0][1]]
    # A line of three columns by tabs belongs to a table of pairs, even if it has four words.
    return 2 * sum(
        line.startswith(":") or (line.count("\t") != 2 and _is_analogy(ascii_words(line))) for line in rest
    ) > len(rest)


def _one_width(rows: Sequence[Row]) -> bool:
    return len({len(cells) for _, cells in rows}) == 1


def _are_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Whether spaces separate columns: several lines have the same width, and numbers in the same place. In running text
    numbers stand anywhere."""
    body = rows[not any(as_number(cell) is not None for cell in rows[0]) :]
    if len({len(cells) for cells in rows}) > 1 or len(body) < 2:
        return False
    return any(all(as_number(cell) is not None for cell in column) for column in zip(*body, strict=True))


def _are_sentences(lines: Iterable[str]) -> bool:
    """Whether most lines end as sentences do. `5.` is an end too, unless a line ends with a number that has no such dot."""
    last = [line.split()[-1].rstrip(_QUOTES) for line in lines]
    scored = any(as_number(word) is not None and not word.endswith(".") for word in last)
    ends = [word[-1:] in _ENDS and not (scored and as_number(word) is not None) for word in last if word]
    return 2 * sum(ends) > len(last)


def _is_word(cell: str) -> bool:
    return " " not in cell.strip() and cell.strip()[-1:] not in _ENDS


def _is_analogy(words: Sequence[str]) -> bool:
    scored = any(as_number(word) is not None for word in words[2:])
    return len(words) == 4 and not scored and words[3].rstrip(_QUOTES)[-1:] not in _ENDS
