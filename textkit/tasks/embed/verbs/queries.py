"""Questions and answers, which `nearest` and `analogy` share: arguments are questions, or each line of stdin is one.

Answers are written as soon as the input pauses, so that a person who types sees each at once. Knows no model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from textkit.cli.options import Messages
from textkit.cli.typed import typed_lines
from textkit.errors import TextkitError
from textkit.streams.escaping import escaped

AT_ONCE = 64  # questions answered in one pass over the vocabulary

Answers = list[tuple[str, float]]


@dataclass(frozen=True)
class Question:
    """A question's words, and where it is from: 'line 3', or '' for an argument."""

    words: tuple[str, ...]
    where: str = ""


@dataclass(frozen=True)
class Form:
    """How a record looks: `heads` names the question's words, `answers` the list of answers, `score` their figure."""

    heads: tuple[str, ...]
    answers: str
    score: str
    as_json: bool = False

    def record(self, words: Sequence[str], found: Answers | None) -> bytes:
        """One question's record. `found` None: the question could not be answered, and the record keeps its place."""
        words = [*words, *[""] * (len(self.heads) - len(words))]
        if self.as_json:
            told = None if found is None else [{"word": word, self.score: round(score, 6)} for word, score in found]
            record = dict(zip(self.heads, words, strict=False)) | {self.answers: told}
            text = json.dumps(record, ensure_ascii=False) + "\n"
        else:
            rows = [(*words, word, f"{score:.6f}") for word, score in found or ()] or [(*words, "", "")]
            text = "".join("\t".join(escaped(cell, tabs=True) for cell in row) + "\n" for row in rows)
        return text.encode("utf-8", "replace")


def from_stdin(split: Callable[[str], tuple[str, ...]], messages: Messages) -> Iterator[list[Question] | None]:
    """One question per line of stdin, a list at a time; None where the input pauses."""
    for lines in typed_lines(messages):
        for start in range(0, len(lines), AT_ONCE):
            yield [Question(split(line), where) for line, where in lines[start : start + AT_ONCE]]
        if not lines:
            yield None


@dataclass(frozen=True)
class Dialogue:
    """Writes a record for each question, in order; a blank question has no answers.

    `prepare` turns a question's words into what `find` takes. Where it raises TextkitError, `skip` writes a record without
    answers and counts it; without `skip` the records before it are written and the error is raised.
    """

    prepare: Callable[[tuple[str, ...]], Any]
    find: Callable[[list[Any]], list[Answers]]
    form: Form
    skip: bool = False
    line_buffered: bool = False
    note: Callable[[], str] = str  # a remark on the questions so far, or ""
    is_blank: Callable[[str], bool] = lambda word: not word.strip()

    def run(self, questions: Iterator[list[Question] | None], out: BinaryIO, messages: Messages) -> None:
        skipped = 0
        typed = sys.stdin is not None and sys.stdin.isatty()
        for asked in questions:
            if asked is None:
                out.flush()
                if typed:  # somebody reads each answer as it comes
                    self._say_note(messages)
                continue
            places, ready, problem = self._prepared(asked)
            found = self.find(ready) if ready else []
            for question, place in zip(asked, places, strict=False):
                answers = found[place] if place is not None and place >= 0 else None if place is None else []
                out.write(self.form.record(question.words, answers))
                if self.line_buffered:
                    out.flush()
            if problem is not None:
                raise problem
            skipped += places.count(None)
        self._say_note(messages)
        if skipped:
            messages.warn(f"{skipped} questions could not be answered; each left a record without answers")

    def _say_note(self, messages: Messages) -> None:
        if said := self.note():
            messages.hint(said)

    def _prepared(self, asked: list[Question]) -> tuple[list[int | None], list[Any], TextkitError | None]:
        """Each question's place among those that can be answered (-1: blank, None: skipped); those, prepared; the error."""
        places: list[int | None] = []
        ready: list[Any] = []
        for question in asked:
            if all(map(self.is_blank, question.words)):
                places.append(-1)
                continue
            try:
                ready.append(self.prepare(question.words))
                places.append(len(ready) - 1)
            except TextkitError as error:
                if not self.skip:
                    return places, ready, TextkitError(f"{question.where}: {error}" if question.where else str(error))
                places.append(None)
        return places, ready, None
