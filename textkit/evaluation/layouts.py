"""Finds the two texts and the score among the columns of a table of pairs: by a header's names, or by a known layout.

Word pairs: two words and a score, with other numbers after it (WordSim-353, MEN, RareWords), or a part of speech before the
score (SimVerb). Sentence pairs: a score and two sentences in either order, or STS benchmark's seven columns and more.
Anything else is refused, because a wrong column gives a figure too. What headers call a text and its label is here as well.
Knows no model and no file.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textkit.errors import TextkitError, nearest

WORDS, SENTENCES = "similarity", "sts"
STS_SCORE, STS_COLUMNS = 4, 7  # STS benchmark: genre, file, year, id, score, sentence 1, sentence 2, ...
_LOOKED_AT = 100  # rows that decide
# What headers call the two texts, without case and signs, and whether these are words or sentences (None: the texts
# decide).
PAIRS = {
    ("sentence1", "sentence2"): SENTENCES, ("sentencea", "sentenceb"): SENTENCES, ("sent1", "sent2"): SENTENCES,
    ("senta", "sentb"): SENTENCES, ("text1", "text2"): None, ("texta", "textb"): None, ("s1", "s2"): None,
    ("question1", "question2"): SENTENCES, ("premise", "hypothesis"): SENTENCES, ("word1", "word2"): WORDS,
    ("worda", "wordb"): WORDS, ("w1", "w2"): WORDS, ("term1", "term2"): None, ("phrase1", "phrase2"): None,
    ("first", "second"): None, ("a", "b"): None,
}  # fmt: skip
SCORES = (
    "score", "goldscore", "gold", "similarityscore", "similarity", "relatednessscore", "relatedness", "rating", "meanrating",
    "humanmean", "human", "meanscore", "mean", "averagescore", "average", "avgscore", "avg", "simlex999", "simlex", "label",
)  # fmt: skip
# A name with one of the first words and none of the second is a score's too: `similarity (0-10)`, but not `score_std`.
_OF_SCORES = {
    "score", "scores", "similarity", "sim", "relatedness", "rating", "ratings", "judgement", "judgements", "judgment",
    "judgments", "gold", "human", "mean", "average", "avg",
}  # fmt: skip
_OF_OTHERS = {
    "n", "num", "number", "no", "nr", "count", "total", "std", "sd", "stdev", "stddev", "dev", "deviation", "var", "variance",
    "error", "se", "min", "max", "range", "rank", "id", "index", "year", "time", "date", "age", "length", "len", "frequency",
    "freq", "raters", "annotators", "annotator",
}  # fmt: skip
# What headers call a label and its text, without case and signs.
LABELS = frozenset(
    {
        "label", "labels", "intent", "intents", "category", "categories", "class", "classes", "sentiment", "sentiments",
        "emotion", "emotions", "lang", "language", "target", "targets", "topic", "topics", "tag", "tags",
    }
)  # fmt: skip
TEXTS = frozenset(
    {
        "text", "texts", "sentence", "utterance", "query", "question", "review", "comment", "tweet", "title", "content",
        "document", "body", "message", "post", "phrase", "headline",
    }
)  # fmt: skip
_KNOWN = (
    "two words and a score, two sentences and a score before or after them, STS benchmark's, or a header such as "
    "word1, word2, score or sentence1, sentence2, score"
)
SAY = "say which columns are the texts and the score with --columns A,B,SCORE (names, or numbers from 1)"

Row = tuple[int, list[str]]  # the number of its line, its cells


@dataclass(frozen=True)
class Layout:
    """The places of the two texts and of the score, whether the first row is a header, and what the texts are."""

    first: int
    second: int
    score: int
    header: bool
    metric: str

    def pair(self, cells: Sequence[str]) -> tuple[str, str, float] | None:
        """The texts and the score of a row; None if one of them is missing."""
        if len(cells) <= max(self.first, self.second, self.score):
            return None
        score = as_number(cells[self.score])
        first, second = cells[self.first], cells[self.second]
        if self.metric == WORDS:
            first, second = first.strip(" \r"), second.strip(" \r")
        if score is None or (self.metric == WORDS and not (first and second)):
            return None
        return first, second, score


def layout_of(
    name: str, rows: Sequence[Row], metric: str | None = None, columns: Sequence[str] | None = None, say: str = SAY
) -> Layout | None:
    """The layout of a table; None if its rows have no score at all.

    `columns`: names or numbers (from 1) of the two texts and the score; None: they are found. `metric`: WORDS or SENTENCES;
    None: the texts decide. `say`: what an error advises. Raises TextkitError, which names the file, for an unknown layout.
    """
    looked = [cells for _, cells in rows[:_LOOKED_AT]]
    header = not any(as_number(cell) is not None for cell in looked[0])
    if columns is not None:
        places, header = _asked(name, looked[0], columns)
        header = header or (places[2] < len(looked[0]) and as_number(looked[0][places[2]]) is None)
        return Layout(*places, header, metric or _texts_are(looked[header:], *places[:2]))
    if named := by_name(looked[0]):  # even with numbers in the row: WordSim-353 numbers its judges there
        first, second, kind = named.pairs[0]
        if len(named.pairs) > 1:
            one, other = (f"{looked[0][a]!r} and {looked[0][b]!r}" for a, b, _ in named.pairs[:2])
            raise TextkitError(f"{name}: line {rows[0][0]}: {one}, or {other}, may be the texts: {say}")
        scores = named.scores
        if len(scores) > 1:  # a column of words is no score
            scores = [at for at in scores if _is_number(looked[1:], at)] or scores
        if len(scores) > 1:
            shown = " or ".join(repr(looked[0][at][:20]) for at in scores)
            raise TextkitError(f"{name}: line {rows[0][0]}: {shown} may be the score: {say}")
        return Layout(first, second, scores[0], True, metric or kind or _texts_are(looked[1:], first, second))
    body = looked[header:]
    width = Counter(map(len, body)).most_common(1)[0][0] if body else len(looked[0])
    numbers = {at for at in range(width) if _is_number(body, at)}
    if width < 3 or (body and not numbers):
        return None
    if not body:  # a header and nothing under it
        return Layout(0, 1, 2, True, metric or WORDS) if width == 3 else None
    shaped = _by_shape(body, width, numbers, looked[0] if header else None, metric)
    if shaped is None:
        shown = ", ".join(cell[:20] for cell in looked[0][:12])
        raise TextkitError(
            f"{name}: line {rows[0][0]}: {width} columns of an unknown layout ({shown}); known are {_KNOWN}: {say}"
        )
    first, second, score = shaped
    kind = SENTENCES if score < first else _texts_are(body, first, second)
    return Layout(first, second, score, header, metric or kind)


def as_number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def _asked(name: str, header: Sequence[str], columns: Sequence[str]) -> tuple[tuple[int, int, int], bool]:
    """The places of `columns`, and whether one of them is a name, so that there is a header."""
    folded = [cell.strip().casefold() for cell in header]
    places = []
    for column in columns:
        if column in header:
            places.append(list(header).index(column))
        elif column.strip().casefold() in folded:
            places.append(folded.index(column.strip().casefold()))
        elif column.isdecimal() and int(column):
            places.append(int(column) - 1)
        else:
            raise TextkitError(f"{name}: no column {column!r}{nearest(column, [cell for cell in header if cell])}")
    first, second, score = places
    return (first, second, score), not all(column.isdecimal() for column in columns)


def folded(name: str) -> str:
    """A column's name without case and signs."""
    return re.sub(r"[\W_]", "", name.casefold())


@dataclass(frozen=True)
class Named:
    """What a header's names may mean: `pairs`, places of two texts with their kind, and `scores`, places of scores.

    With one of each, the meaning is clear.
    """

    pairs: list[tuple[int, int, str | None]]
    scores: list[int]


def by_name(header: Sequence[str]) -> Named | None:
    """What the names of a known header mean; None for any other row."""
    names = [folded(cell) for cell in header]
    pairs = [
        (names.index(first), names.index(second), kind)
        for (first, second), kind in PAIRS.items()
        if names.count(first) == names.count(second) == 1
    ]
    scores = [at for at, name in enumerate(names) if name in SCORES]
    return Named(pairs, scores) if pairs and scores else None


def names_labels(header: Sequence[str]) -> bool:
    """Whether these are the names of a table of labelled texts, which is none of pairs with scores."""
    names = {folded(cell) for cell in header}
    return bool(names & LABELS and names & TEXTS) and by_name(header) is None


def _by_shape(
    body: Sequence[Sequence[str]], width: int, numbers: set[int], header: Sequence[str] | None, metric: str | None
) -> tuple[int, int, int] | None:
    """The places of the texts and the score if no header names them all."""
    if width == 3 and len(numbers) == 1 and numbers != {1}:
        score = numbers.pop()
        # Spaces cut a header's names too, but its first and its last cell stay at the ends.
        if header and not _says_score(header[score if len(header) == width else -bool(score)]):
            return None
        return (1, 2, 0) if score == 0 and metric != WORDS else (0, 1, 2) if score == 2 else None
    if header or numbers & {0, 1}:  # numbers in front are identifiers, not words
        return None
    if width >= STS_COLUMNS and STS_SCORE in numbers and not numbers & {5, 6} and metric != WORDS:
        scores = [as_number(cells[STS_SCORE]) for cells in body if len(cells) > STS_SCORE]
        if all(score is None or 0 <= score <= 5 for score in scores):
            return 5, 6, STS_SCORE
    if metric == SENTENCES or _texts_are(body, 0, 1) == SENTENCES:
        return None
    if numbers >= set(range(2, width)):
        return 0, 1, 2
    part_of_speech = _mostly(len(cells[2]) == 1 and cells[2].isalpha() for cells in body if len(cells) > 2)
    return (0, 1, 3) if 3 in numbers and part_of_speech else None


def _says_score(name: str) -> bool:
    """Whether a column's name says that it is the score. Years, ranks and identifiers are numbers too."""
    if folded(name) in SCORES:
        return True
    words = set(re.findall(r"[^\W\d_]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).casefold()))
    return bool(words & _OF_SCORES) and not words & _OF_OTHERS


def _is_number(body: Sequence[Sequence[str]], at: int) -> bool:
    return _mostly(as_number(cells[at]) is not None for cells in body if len(cells) > at)


def _texts_are(body: Sequence[Sequence[str]], first: int, second: int) -> str:
    texts = [(cells[first], cells[second]) for cells in body if len(cells) > max(first, second)]
    return SENTENCES if _mostly(" " in one.strip() or " " in other.strip() for one, other in texts) else WORDS


def _mostly(told: Iterable[bool]) -> bool:
    answers = list(told)
    return 2 * sum(answers) > len(answers)
