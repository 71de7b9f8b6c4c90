"""Hybrid search: what is fused, feedback and answers, against numbers computed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numpy as np
import pytest

from textkit.retrieval.ranking import answers, feedback, hybrid

Found = list[tuple[int, float]]


class Rows:
    """Rows of a list; every term is in two of them."""

    def __init__(self, texts: Sequence[str], said: Found | None = None) -> None:
        self.texts, self.count, self._said = texts, len(texts), said
        self.read: list[int] = []
        self.asked: list[Mapping[str, float]] = []
        self.compared: list[int] = []

    def text(self, row: int) -> str:
        self.read.append(row)
        return self.texts[row]

    def frequency(self, term: str) -> int:
        return 2

    def cosines(self, rows: Sequence[int]) -> list[float]:
        self.compared += rows
        return [0.25] * len(rows)

    def vectors(self, rows: Sequence[int]) -> np.ndarray:
        return np.eye(self.count, dtype=np.float32)[list(rows)]

    def said(self, weights: Mapping[str, float]) -> Found:
        if self._said is None:
            raise AssertionError("nothing is to be widened")
        self.asked.append(weights)
        return self._said


def test_the_best_rows_are_looked_at_for_words_that_stand_together() -> None:
    far, near = "cat" + " so" * 20 + " mat", "a cat on a mat"
    scores: hybrid.Scores = {hybrid.MEANING: {1: 0.5, 2: 0.5, 3: 0.1}, hybrid.WORDS: {1: 2.0, 2: 2.0}}
    last = round(0.7 * 1.1 / 1.5, 12)
    assert hybrid.fused("x y", scores, Rows([""] * 4)) == [(1, 1.0), (2, 1.0), (3, last)]
    # The weights are .7, .3 and .1; row 2 has both words in one place, row 1 the half of them.
    found = hybrid.fused("cat mat", scores, Rows(["", far, near, ""]))
    assert [row for row, _ in found] == [2, 1, 3]
    assert dict(found) == pytest.approx({2: 1.0, 1: 1.05 / 1.1, 3: 0.7 * 1.1 / 1.5 / 1.1})
    many: hybrid.Scores = {hybrid.MEANING: {row: 1 - row / 1000 for row in range(30)}}
    rows = Rows([""] * 19 + [near] + [""] * 10)
    assert [row for row, _ in hybrid.fused("cat mat", many, rows)] == [19, *range(19), *range(20, 30)]
    assert rows.read == list(range(20))


def test_rows_that_words_alone_found_get_their_cosine() -> None:
    scores: hybrid.Scores = {hybrid.MEANING: {0: 0.5}, hybrid.WORDS: {2: 4.0, 0: 1.0}}
    rows = Rows([""] * 3)
    found = hybrid.fused("x", scores, rows)
    assert rows.compared == [2]
    assert scores[hybrid.MEANING] == {0: 0.5, 2: 0.25}
    assert found == [(2, round(0.7 * 1.25 / 1.5 + 0.3, 12)), (0, round(0.7 + 0.3 / 4, 12))]
    # Where a threshold leaves nothing that is near, too.
    scores = {hybrid.MEANING: {}, hybrid.WORDS: {2: 4.0, 0: 1.0}}
    assert hybrid.fused("x", scores, Rows([""] * 3), widen=False) == [(2, 1.0), (0, 0.775)]
    assert scores[hybrid.MEANING] == {0: 0.25, 2: 0.25}


def test_feedback_counts_as_much_as_the_best_row_is_in_doubt() -> None:
    def found(distance: float, rows: int = 50) -> Found:
        return [(row, 1.0 - distance * min(row, 4) / 4) for row in range(rows)]

    shares = [feedback.doubt(found(distance)) for distance in (0.0, 0.09, 0.18, 0.27, 0.9)]
    assert shares == pytest.approx([1, 1, 0.5, 0, 0])
    assert feedback.doubt(found(0.0, 49)) == feedback.doubt([]) == 0


def test_scores_are_mixed_with_those_of_neighbours() -> None:
    """A fifth of the score, times the share; two neighbours, weighted by the squares of their cosines."""
    cosines = np.array([[1, 0.5, 0.1, -0.3], [0.5, 1, 0.8, 0], [0.1, 0.8, 1, 0], [-0.3, 0, 0, 1]])
    found = feedback.mixed([(7, 1.0), (8, 0.8), (9, 0.6), (3, 0.5), (4, 0.45), (5, 0.1)], cosines, 0.5)
    by_hand = {
        7: 0.9 * 1.0 + 0.1 * (0.25 * 0.8 + 0.01 * 0.6) / 0.26,
        8: 0.9 * 0.8 + 0.1 * (0.64 * 0.6 + 0.25 * 1.0) / 0.89,
        9: 0.9 * 0.6 + 0.1 * (0.64 * 0.8 + 0.01 * 1.0) / 0.65,
        3: 0.5,  # it has no neighbour
        4: 0.45,
        5: 0.1,
    }
    assert dict(found) == pytest.approx(by_hand)
    assert [row for row, _ in found] == [7, 8, 9, 3, 4, 5]
    # What is like the best comes before what is like nothing; what was not looked at does not overtake.
    pair = np.array([[1, 0, 0.9], [0, 1, 0], [0.9, 0, 1]])
    found = feedback.mixed([(0, 1.0), (1, 0.62), (2, 0.6), (3, 0.6)], pair, 1.0)
    assert [row for row, _ in found] == [0, 2, 1, 3]
    assert found[3][1] == pytest.approx(0.6)


def test_a_query_is_widened_by_hand() -> None:
    """Of 10 rows 2 have "wing" and 4 "flow"; half of three tenths of the weight goes to what the best texts say."""
    counts = {"wing": 2, "flow": 4, "lift": 2}
    wing, flow = log(1 + 8.5 / 2.5), log(1 + 6.5 / 4.5)
    first = 0.75 * (2 / 4 * wing), 0.75 * (1 / 4 * flow), 0.75 * (1 / 4 * wing)  # wing, flow, lift
    second = 0.25 * (1 / 2 * flow)
    whole = sum(first) + second
    found = feedback.widened(
        ["lift", "drag", "lift"], [(["wing", "flow", "wing", "lift"], 0.9), (["flow", "the"], 0.3)],
        lambda term: counts.get(term, 10), 10, 0.5,
    )  # fmt: skip
    the = 0.25 * (1 / 2 * log(1 + 0.5 / 10.5))
    whole += the
    assert found == pytest.approx({
        "lift": 0.85 / 2 + 0.15 * first[2] / whole, "drag": 0.85 / 2, "wing": 0.15 * first[0] / whole,
        "flow": 0.15 * (first[1] + second) / whole, "the": 0.15 * the / whole,
    })  # fmt: skip
    assert sum(found.values()) == pytest.approx(1)
    assert feedback.widened(["a", "b"], [], lambda term: 1, 10, 1.0) == {"a": 0.5, "b": 0.5}


def test_feedback_finds_rows_of_its_own() -> None:
    """Row 99 has none of the query's words, and was not near; what the best rows say brings it up."""
    texts = ["lift drag"] * 60 + [""] * 39 + ["wing"]
    meaning = {row: 0.5 - row / 1000 for row in range(60)}
    scores: hybrid.Scores = {hybrid.MEANING: dict(meaning), hybrid.WORDS: {0: 3.0, 1: 2.9, 2: 2.8, 3: 2.7, 4: 2.6}}
    rows = Rows(texts, [(99, 5.0), (0, 1.0)])
    found = hybrid.fused("lift", scores, rows)
    assert 99 in dict(found)
    assert scores[hybrid.MEANING][99] == 0.25
    assert hybrid.WORDS in scores
    assert 99 not in scores[hybrid.WORDS]  # what a hit shows is what the query's own words gave
    weights = rows.asked[0]
    assert set(weights) == {"lift", "drag"}
    assert weights["lift"] > weights["drag"] > 0
    for query, widen in (("lift", False), ("how many lifts are there?", True)):
        rows = Rows(texts)  # says that nothing is to be widened
        assert 99 not in dict(hybrid.fused(query, {**scores, hybrid.MEANING: dict(meaning)}, rows, widen))


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When did the war end?", "time"),
        ("In what year was the bridge opened", "time"),
        ("which century saw it", "time"),
        ("How many people live there?", "number"),
        ("how tall is it", "number"),
        ("What is the average temperature of the sea?", "number"),
        ("Who wrote it?", "name"),
        ("Where is the harbour", "name"),
        ("What city is the largest?", "name"),
        ("Which company bought it?", "name"),
        ("What is a wing?", None),
        ("how do I get my money back", None),
        ("which methods are used", None),
        ("people who need help", None),
        ("To whom was it sold", "name"),
        ("the bridge was opened when?", "time"),
        ("", None),
        ("wing flow", None),
    ],
)
def test_what_a_question_announces(question: str, kind: str | None) -> None:
    assert answers.wanted(question) == kind


@pytest.mark.parametrize(
    ("kind", "question", "text", "share"),
    [
        ("time", "When did it end?", "It ended in 1945.", 1.0),
        ("time", "When did the war of 1914 end?", "The war of 1914 was long.", 0.0),
        ("time", "When did it end?", "It ended on May 8", 0.6),
        ("time", "When did it end?", "It ended after the king had left.", 0.3),
        ("number", "How many are there?", "There are 12.", 1.0),
        ("number", "How many are there?", "There are twelve.", 0.7),
        ("number", "How many of the 12 are left?", "Of the 12 many are left.", 0.0),
        ("name", "Who wrote it?", "It was written by Ada Lovelace.", 1.0),
        ("name", "Who wrote it?", "The book was by Homer.", 0.5),
        ("name", "What did Ada Lovelace write?", "In it Ada Lovelace wrote much. However, it was long.", 0.0),
    ],
)
def test_what_may_be_an_answer(kind: answers.Kind, question: str, text: str, share: float) -> None:
    assert answers.likely(kind, question)(text) == share


def test_an_answer_comes_before_what_repeats_the_question() -> None:
    texts = ["How many tourists came last year was asked.", "Tourists: 9,000 came last year."]
    scores: hybrid.Scores = {hybrid.MEANING: {0: 0.9, 1: 0.8}, hybrid.WORDS: {0: 4.0, 1: 3.9}}
    assert [row for row, _ in hybrid.fused("how many tourists came last year", scores, Rows(texts))] == [1, 0]
    assert [row for row, _ in hybrid.fused("tourists came last year", scores, Rows(texts))] == [0, 1]
