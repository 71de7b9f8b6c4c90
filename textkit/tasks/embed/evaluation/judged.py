"""Reads judged retrieval: a corpus, queries, and judgements of which documents answer which query; or pairs of both.

corpus and queries: id<tab>text, or id<tab>title<tab>text; or JSON lines with `_id` (or `id`), `text` and perhaps `title`, as
BEIR has them (Thakur et al. 2021). qrels: query<tab>document<tab>grade, or TREC's four columns, of which the second says
nothing; spaces separate columns where there is no tab. A first line of names is left out. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from textkit.corpora.tables import TAB, Source, opened
from textkit.errors import TextkitError, quoted
from textkit.evaluation.layouts import folded
from textkit.streams.columns import field_text, json_object
from textkit.tasks.embed.pairs import PairColumns, TextPairs

_IDS = frozenset(
    {"id", "docid", "did", "docno", "documentid", "pid", "passageid", "corpusid", "qid", "queryid", "topicid"}
)
_TEXTS = frozenset({"text", "document", "passage", "content", "contents", "body", "query", "question", "sentence"})
_ID_FIELDS = ("_id", "id")
_LONGEST_GRADE = 18  # its digits: an i64 holds any number of so many
_LOOKED_AT = 100  # first lines, which say what a file is
_JUDGEMENT = "query<tab>document<tab>grade"
_FILES = f"retrieval is measured with three files: corpus and queries (id<tab>text), and qrels ({_JUDGEMENT})"

Texts = dict[str, str]  # by id


@dataclass(frozen=True)
class Judged:
    """What is searched, what for, and what was judged.

    `grades`: of each query that was judged, by its id, the grades of documents by their ids.
    """

    name: str
    documents: Texts
    queries: Texts
    grades: dict[str, dict[str, int]]


def read(corpus: str, queries: str, qrels: str) -> Judged:
    """The judged set in three files; "-" is stdin. Raises TextkitError with file and line for a ragged row, an id that comes
    twice, and a judgement of a query or document that is not there."""
    documents, asked = _texts(corpus, "document"), _texts(queries, "query")
    return Judged(f"{corpus} {queries} {qrels}", documents, asked, _grades(qrels, asked, documents, queries, corpus))


def read_pairs(path: str, first: str = "", second: str = "") -> Judged:
    """The judged set of pairs query<tab>document, as families learn them: all documents that stand beside a query are relevant.

    What stands in a third column, such as hard negatives, is a document too. `first`, `second`: the columns, by name or number,
    where the header and the order should not decide.
    """
    documents: Texts = {}
    queries: Texts = {}
    grades: dict[str, dict[str, int]] = {}
    corpus = TextPairs([path])
    corpus.options = PairColumns(first, second)
    for block in corpus.records():
        for record in block:
            query, *others = record.split(TAB)
            queries.setdefault(query, query)
            for text in others:
                documents.setdefault(text.rstrip(" "), text.rstrip(" "))
            grades.setdefault(query, {})[others[0].rstrip(" ")] = 1
    if not grades:
        raise TextkitError(f"{path}: has no pair of a query and its document")
    return Judged(path, documents, queries, grades)


def are_judged(paths: Sequence[str]) -> bool:
    """Whether these look like corpus, queries and qrels; one of them may have wrong lines, which reading them will name. stdin
    cannot be looked at: it is taken for what is missing."""
    if len(paths) != 3 or paths.count("-") > 1:
        return False
    corpus, queries, qrels = (None if path == "-" else _head(path) for path in paths)
    texts = [head for head in (corpus, queries) if head is not None]
    if qrels is not None and _mostly(map(_is_graded, qrels)):
        return not all(_mostly(map(_is_graded, head)) for head in texts)  # but three files of word pairs with scores
    return all(map(_like_texts, texts)) and (qrels is None or _mostly(map(_judgement, qrels)))


def are_pairs(path: str) -> bool:
    """Whether all first lines of a file have two columns, with a tab between them."""
    head = [] if path == "-" else _head(path)
    return bool(head) and all(
        len(cells) == 2 and all(map(str.strip, cells)) for cells in (line.split(TAB) for line in head)
    )


def _head(path: str) -> list[str]:
    with opened(path) as source:
        return [line for _, line in source.head[:_LOOKED_AT]]


def _like_texts(head: Sequence[str]) -> bool:
    if head and head[0].lstrip().startswith("{"):
        value = json_object(head[0])[0]
        return value is not None and "text" in value and any(field in value for field in _ID_FIELDS)
    rows = [line.split(TAB) for line in head]
    names = [cells[0] for cells in rows]
    return _mostly(len(cells) in (2, 3) and _is_id(cells[0]) for cells in rows) and 2 * len(set(names)) > len(names)


def _is_graded(line: str) -> bool:
    row = _judgement(line)
    return row is not None and _is_grade(row[2])


def _mostly(found: Iterable[object]) -> bool:
    """Whether more than half of what was found is true."""
    counted = [bool(each) for each in found]
    return 2 * sum(counted) > len(counted)


def _is_id(cell: str) -> bool:
    return bool(cell) and len(cell.split()) == 1


def _is_grade(cell: str) -> bool:
    return cell.removeprefix("-").isdecimal()


def _judgement(line: str) -> tuple[str, str, str] | None:
    """Query, document and grade of a line; None for another number of columns, or an id that is blank or has spaces."""
    cells = [cell.strip(" ") for cell in line.split(TAB)] if TAB in line else line.split()
    if len(cells) == 4:
        del cells[1]
    return (cells[0], cells[1], cells[2]) if len(cells) == 3 and all(map(_is_id, cells)) else None


def _texts(path: str, what: str) -> Texts:
    """The texts of a file by their ids, in its order."""
    found: Texts = {}
    with opened(path) as source:
        split = _fields if source.head and source.head[0][1].lstrip().startswith("{") else _cells(source)
        for number, line in _numbered(source):
            row = split(source, number, line)
            if row is None:
                continue
            name, text = row
            if not name.strip():
                raise source.error(number, f"the {what} has no id")
            if name in found:
                raise source.error(number, f"the id {quoted(name)} comes a second time; {_FILES}")
            found[name] = text
        if not found:
            raise TextkitError(f"{source.name}: holds no {what}")
    return found


def _numbered(source: Source) -> Iterator[tuple[int, str]]:
    for first, lines in source.lines():
        for number, line in enumerate(lines, first):
            if line and not line.isspace():
                yield number, line


def _cells(source: Source) -> Callable[[Source, int, str], tuple[str, str] | None]:
    """Splits lines of columns: as many as the first line has."""
    first, width = (source.head[0][0], len(source.head[0][1].split(TAB))) if source.head else (0, 2)

    def split(source: Source, number: int, line: str) -> tuple[str, str] | None:
        cells = line.split(TAB)
        if len(cells) != width or width not in (2, 3):
            there = f"has {len(cells)} column{'s' if len(cells) > 1 else ''}"
            raise source.error(number, f"{there}: a line is id<tab>text or id<tab>title<tab>text")
        if number == first and folded(cells[0]) in _IDS and folded(cells[-1]) in _TEXTS:
            return None
        return cells[0], " ".join(filter(None, cells[1:]))

    return split


def _fields(source: Source, number: int, line: str) -> tuple[str, str]:
    """Id and text of a JSON object; the title stands before the text."""
    value, problem = json_object(line)
    if value is None:
        raise source.error(number, problem)
    name = next((value[field] for field in _ID_FIELDS if field in value), None)
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise source.error(number, "no field '_id' with a text or a number")
    title, problem = field_text(value, "title") if value.get("title") is not None else ("", "")
    text, worse = field_text(value, "text")
    if problem or worse:
        raise source.error(number, worse or problem)
    return str(name), " ".join(filter(None, (title, text)))


def _grades(
    path: str, queries: Texts, documents: Texts, queries_file: str, corpus_file: str
) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    with opened(path) as source:
        for number, line in _numbered(source):
            row = _judgement(line)
            if row is None:
                raise source.error(number, f"is no judgement, {_JUDGEMENT}; {_FILES}")
            query, document, grade = row
            if not _is_grade(grade):
                if number == source.head[0][0]:
                    continue  # the columns' names
                raise source.error(number, f"the grade is {quoted(grade)}: no whole number")
            if len(grade.removeprefix("-")) > _LONGEST_GRADE:
                raise source.error(number, f"the grade is {quoted(grade)}: {_LONGEST_GRADE} digits are the most")
            for name, known, file in ((query, queries, queries_file), (document, documents, corpus_file)):
                if name not in known:
                    raise source.error(number, f"no line of {file} has the id {quoted(name)}")
            if document in found.setdefault(query, {}):
                raise source.error(
                    number, f"document {quoted(document)} is judged a second time for query {quoted(query)}"
                )
            found[query][document] = int(grade)
        if not found:
            raise TextkitError(f"{source.name}: holds no judgement")
    return found
