"""Analogy accuracy: a is to b as c is to d, by 3CosAdd over a table of unit vectors. Knows no model.

Read from files such as questions-words.txt (Mikolov et al. 2013): four words a line, `: name` begins a section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from textkit.errors import TextkitError
from textkit.evaluation.neighbours import SCORES
from textkit.evaluation.result import Result

METRIC = "analogies"
RESTRICT = 300_000  # gensim's default: answers are looked for among the first so many words


@dataclass(frozen=True)
class Section:
    """The questions of a part of the file, four words each; '' for those before the first `: name`."""

    name: str
    questions: list[tuple[str, str, str, str]]


def parse(name: str, lines: Iterable[tuple[int, str]]) -> list[Section]:
    """Sections of numbered lines. TextkitError naming file and line for one that is not four words."""
    sections: list[Section] = []
    for number, line in lines:
        if line.startswith(":"):
            sections.append(Section(line[1:].strip(), []))
            continue
        words = line.split()
        if len(words) != 4:
            raise TextkitError(f"{name}: line {number}: {len(words)} words where an analogy has four")
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
) -> Result:
    """Accuracy, in all and for each section. `table`: unit vectors f32[word, dim]; `find`: a word's row, -1 for none.

    As gensim and the original compute-accuracy: the three given words are no answer, a question with a word that is not
    among the first `restrict` is left out and counted. A section of which no question is left has the value None;
    TextkitError naming `name` where there is none at all.
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
        right = int((answer(rows, ids[:, :3]) == ids[:, 3]).sum())
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


def answer(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The row i64[question] that 3CosAdd answers to a, b, c given as rows i64[question, 3] of `table`."""
    found = np.empty(len(ids), np.int64)
    step = max(1, SCORES // max(1, len(table)))
    for start in range(0, len(ids), step):
        part = ids[start : start + step]
        scores = (table[part[:, 1]] - table[part[:, 0]] + table[part[:, 2]]) @ table.T  # [question, row]
        np.put_along_axis(scores, part, -np.inf, axis=1)
        found[start : start + step] = scores.argmax(axis=1)
    return found
