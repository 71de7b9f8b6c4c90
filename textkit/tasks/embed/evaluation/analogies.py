"""Analogy accuracy: a is to b as c is to d, by 3CosAdd over a table of unit vectors. Knows no model.

Questions are read from files such as questions-words.txt (Mikolov et al. 2013): four words per line; `: name` begins a
section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from textkit.errors import TextkitError
from textkit.evaluation.result import Result
from textkit.tasks.embed.evaluation.neighbours import SCORES
from textkit.text.spaces import ascii_words

METRIC = "analogies"
LOOKED_AT = 5  # nearest words, as gensim's topn
RESTRICT = 300_000  # gensim's default: answers are looked for among this many first words


@dataclass(frozen=True)
class Section:
    """The questions of a part of the file, four words each; '' for those before the first `: name`."""

    name: str
    questions: list[tuple[str, str, str, str]]


def parse(
    name: str, lines: Iterable[tuple[int, str]], split: Callable[[str], list[str]] = ascii_words
) -> list[Section]:
    """The sections of numbered lines. Raises TextkitError naming file and line for a line that is not four words.

    A line is split by tabs, by ASCII white space, by `split`, and by any white space: the first that gives four words counts.
    """
    sections: list[Section] = []
    for number, line in lines:
        if line.startswith(":"):
            sections.append(Section(line[1:].strip(), []))
            continue
        cuts = (cut(line) for cut in (lambda line: line.rstrip("\r").split("\t"), ascii_words, split, str.split))
        words = next((words for words in cuts if len(words) == 4 and all(words)), None)
        if words is None:
            raise TextkitError(f"{name}: line {number}: {len(ascii_words(line))} words where an analogy has four")
        if not sections:
            sections.append(Section("", []))
        sections[-1].questions.append((words[0], words[1], words[2], words[3]))
    if not any(section.questions for section in sections):
        raise TextkitError(f"{name}: holds no analogy")
    return sections


def evaluate(
    sections: Sequence[Section],
    table: np.ndarray,
    find: Callable[[str], int],
    restrict: int = RESTRICT,
    name: str = "the data",
    folded: Sequence[str] | None = None,
) -> Result:
    """Accuracy, overall and for each section. `table`: unit vectors f32[word, dim]; `find`: a word's row, -1 for none.

    As in gensim's evaluate_word_analogies, a question with a word that is not among the first `restrict` is left out and
    counted, and the answer is the first of the five nearest words that is none of the three given words. `folded`: the name of
    each row's word where case is ignored; None: every row is a different word. A section with no question left has the value
    None. Raises TextkitError naming `name` where no question is left at all.
    """
    rows = table[:restrict]
    known: dict[str, int] = {}
    for word in {word for section in sections for question in section.questions for word in question}:
        row = find(word)
        known[word] = row if row < len(rows) else -1
    parts = []
    for section in sections:
        ids = np.array([[known[word] for word in words] for words in section.questions], np.int64).reshape(-1, 4)
        ids = ids[(ids >= 0).all(axis=1)]
        right = int((answer(rows, ids[:, :3], folded) == ids[:, 3]).sum())
        parts.append((section, right, len(ids)))
    results = tuple(
        Result(
            f"{METRIC}/{section.name}",
            right / used if used else None,
            used,
            len(section.questions),
            len(section.questions) - used,
        )
        for section, right, used in parts
        if section.questions
    )
    right, used = sum(part[1] for part in parts), sum(part[2] for part in parts)
    total = sum(len(section.questions) for section in sections)
    if not used:
        raise TextkitError(f"{name}: none of its {total} analogies has its four words in the vocabulary")
    return Result(
        METRIC, right / used, used, total, total - used, results if len(results) > 1 else (), {"right": right}
    )


def answer(table: np.ndarray, ids: np.ndarray, folded: Sequence[str] | None = None) -> np.ndarray:
    """The row i64[question] that 3CosAdd answers to a, b, c given as rows i64[question, 3] of `table`.

    With `folded` an answer is the first row of its name, and its name is none of the question's words'.
    """
    found = np.empty(len(ids), np.int64)
    step = max(1, SCORES // max(1, len(table)))
    first: dict[str, int] = {}
    for row, word in enumerate(folded[: len(table)] if folded is not None else ()):
        first.setdefault(word, row)
    for start in range(0, len(ids), step):
        part = ids[start : start + step]
        scores = (table[part[:, 1]] - table[part[:, 0]] + table[part[:, 2]]) @ table.T  # [question, row]
        np.put_along_axis(scores, part, -np.inf, axis=1)
        best = scores.argmax(axis=1)
        if folded is not None:
            for at, question in enumerate(part.tolist()):
                given = {folded[row] for row in question}
                if folded[best[at]] in given:
                    best[at] = _unlike(scores[at], folded, given)
            best = np.array([first[folded[row]] for row in best.tolist()], np.int64)
        found[start : start + step] = best
    return found


def _unlike(scores: np.ndarray, folded: Sequence[str], given: set[str]) -> int:
    """The best row of f32[row] with a name not in `given`, among as many as gensim looks at; otherwise the last of these."""
    nearest = np.argsort(-scores, kind="stable")[:LOOKED_AT]
    nearest = nearest[scores[nearest] > -np.inf]
    return int(next((row for row in nearest if folded[row] not in given), nearest[-1] if len(nearest) else 0))
