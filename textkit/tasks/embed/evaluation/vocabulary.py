"""A model's words and their unit vectors, all computed by its graph. Neighbours and analogies are looked for among them.

A word is found as the model's own normalisation spells it; a word outside the table gets the vector of its subwords. Knows
the callable of the task `embed`; no command line.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from textkit.errors import TextkitError, quoted
from textkit.tasks.embed.evaluation.neighbours import Best, answers, nearest, unit
from textkit.text.subwords import Pieces
from textkit.text.words import Words

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder


_NAMED = 3  # unseen words that a note names


@dataclass
class Unseen:
    """How many words were asked for that are not in the table, so that subwords make their vectors; and the first of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def take(self, word: str) -> None:
        self.count += 1
        if len(self.first) < _NAMED and word not in self.first:
            self.first.append(word)


@dataclass(frozen=True)
class Query:
    """A word, or words, as a vector f32[dim], and the rows of the table that are the word itself."""

    vector: np.ndarray
    rows: tuple[int, ...]


class Vocabulary:
    """`words` list[word] and `table` f32[word, dim] of unit vectors (zero vectors stay zero)."""

    def __init__(self, embedder: Embedder) -> None:
        self.words = embedder.words()
        self.table = unit(embedder.matrix())
        self._rule = rule = embedder.bundle.rule
        # A table of words knows its rows already, and a second dict of a million words would take 100 MB.
        ids = {} if isinstance(rule, Words) else {word: row for row, word in reversed(list(enumerate(self.words)))}
        self._id: Callable[[str], int] = rule.id if isinstance(rule, Words) else lambda word: ids.get(word, -1)
        self.name = embedder.bundle.folder.name
        self._unseen = Unseen()
        # Words are compared by their own vectors, whatever pooling lines are served with by default.
        self._embedder = copy.copy(embedder)
        self._embedder.pooling, self._embedder.normalize = "mean", False

    @classmethod
    def load(
        cls,
        model: str | None,
        device: str = "auto",
        threads: int | None = None,
        note: Callable[[str], None] | None = None,
    ) -> Vocabulary:
        """The vocabulary of the model of that name or folder; None: the user's default, or en-words. `note` is called with its
        size and the device.

        Raises TextkitError for a model that has none, because its rows are hashed and have no names.
        """
        from textkit.bundle.bundle import located
        from textkit.tasks.embed.serving.embedder import Embedder
        from textkit.tasks.embed.task import TASK, WORDS

        embedder = Embedder(located(model, TASK.name, default=WORDS), device, threads)
        vocabulary = cls(embedder)
        if not vocabulary.words:
            raise TextkitError(f"{embedder.bundle.folder}: has no list of words among which others could be looked for")
        if note is not None:
            note(f"{len(vocabulary.words):,} words of {vocabulary.name}, on {embedder.session.where}")
        return vocabulary

    def nearest(self, queries: Sequence[Query], k: int) -> list[list[tuple[str, float]]]:
        """For each query its `k` nearest words and their cosines, best first, without its own rows."""
        vectors = np.stack([query.vector for query in queries])
        return self._named(nearest(self.table, vectors, k, [query.rows for query in queries]))

    def analogies(
        self, questions: Sequence[Sequence[Query]], k: int, method: str = "3cosadd"
    ) -> list[list[tuple[str, float]]]:
        """For each question (a, b, c) its `k` best answers and their scores, without the rows of a, b and c."""
        vectors = np.array([[query.vector for query in question] for question in questions])
        excluded = [[row for query in question for row in query.rows] for question in questions]
        return self._named(answers(self.table, vectors, k, excluded, method))

    def find(self, word: str) -> int:
        """The row of a word as it stands, otherwise as the model normalises it; -1 for none."""
        row = self._id(word)
        if row < 0:
            parts = self.split(word)
            row = self._id(parts[0]) if len(parts) == 1 else -1
        return row

    def find_folded(self, word: str) -> int:
        """As `find`, but a word that is not there gets the row of the first that differs from it in case alone."""
        row = self.find(word)
        return row if row >= 0 else self._folded.get(word.casefold(), -1)

    def finder(self, restrict: int) -> Callable[[str], int]:
        """A function that finds words among the first `restrict` without regard to case, as gensim does: the first word that
        is the same in upper case, otherwise the first that is the same as the word as the model normalises it."""
        rows: dict[str, int] = {}
        for row, word in enumerate(self.upper[:restrict]):
            rows.setdefault(word, row)

        def find(word: str) -> int:
            row = rows.get(word.upper(), -1)
            if row < 0 and len(parts := self.split(word)) == 1:
                row = rows.get(parts[0].upper(), -1)
            return row

        return find

    @cached_property
    def upper(self) -> list[str]:
        """Each word in upper case, in the table's order."""
        return [word.upper() for word in self.words]

    def is_blank(self, word: str) -> bool:
        """Whether `word` is white space alone, and the table has no such word."""
        return not word.strip() and self._id(word) < 0

    def stripped(self, line: str) -> str:
        """`line` without white space at its ends, unless it is a word of the table with that white space."""
        return line if self._id(line) >= 0 else line.strip()

    def cells(self, line: str) -> list[str]:
        """The words of a line, separated by the model's white space: if that is ASCII's, a word may hold other white space."""
        ascii_only = isinstance(self._rule, Words) and self._rule.spaces == "ascii"
        return self.split(line) if ascii_only else line.split()

    def query(self, line: str) -> Query:
        """A line's vector: its word's, or the mean of its words'. Raises TextkitError for a word that has none."""
        text = self.stripped(line)
        row = self.find(text)
        if row >= 0:
            return Query(self.table[row], (row,))
        parts = self.split(text)
        for part in parts or [text]:
            if self._id(part) < 0 and not self._has_vector(part):
                raise TextkitError(f"{part!r} is not in the vocabulary of {self.name}{self._hint(part)}")
        for part in parts if isinstance(self._rule, Words) else ():  # a tokenizer spells every word
            if self._id(part) < 0:
                self._unseen.take(part)
        vector = self._embedder([text])[0]
        return Query(vector, tuple(row for part in parts if (row := self._id(part)) >= 0))

    def told_unseen(self) -> str:
        """What to say of the unseen words in queries since this was last called, "" where there were none."""
        unseen, self._unseen = self._unseen, Unseen()
        if not unseen.count:
            return ""
        spelled = "byte-pair pieces" if isinstance(getattr(self._rule, "subwords", None), Pieces) else "n-grams"
        names = ", ".join(quoted(word) for word in unseen.first)
        if unseen.count == 1:
            return f"{names} is not in the vocabulary of {self.name}: its vector is made of its {spelled}"
        more = ", ..." if unseen.count > len(unseen.first) else ""
        return (
            f"{unseen.count:,} words are not in the vocabulary of {self.name}: their vectors are made of their {spelled}"
            f" ({names}{more})"
        )

    def vectors(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The vectors f32[word, dim] (of length 1 for words of the table), whether each word has one, whether it is in the
        table."""
        rows = np.array([self.find_folded(word) for word in words], np.int64)
        inside = rows >= 0
        vectors = np.zeros((len(words), self.table.shape[1]), np.float32)
        vectors[inside] = self.table[rows[inside]]
        having = inside.copy()
        spelled = [at for at in np.flatnonzero(~inside).tolist() if self._has_vector(words[at])]
        if spelled:
            vectors[spelled] = self._embedder([words[at] for at in spelled])
            having[spelled] = True
        return vectors, having, inside

    def _named(self, found: list[Best]) -> list[list[tuple[str, float]]]:
        return [[(self.words[row], score) for row, score in best] for best in found]

    @cached_property
    def _folded(self) -> dict[str, int]:
        return {word.casefold(): row for row, word in reversed(list(enumerate(self.words)))}

    def split(self, text: str) -> list[str]:
        """The words of a text as the model sees them."""
        return self._rule.words_of([text])[0] if isinstance(self._rule, Words) else text.split()

    def _has_vector(self, word: str) -> bool:
        """Whether subwords or a tokenizer spell a word that is outside the table."""
        return len(self.split(word)) == 1 and bool(self._rule.encode([word]).lengths[0])

    def _hint(self, word: str) -> str:
        other = self._folded.get(word.casefold(), -1)
        return f"; {self.words[other]!r} is" if other >= 0 else ""
