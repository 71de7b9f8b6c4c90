"""Measures against numbers by hand, scipy and brute force; test data is recognised by its looks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from textkit.errors import TextkitError
from textkit.evaluation.correlation import pearson, ranks, spearman
from textkit.tasks.embed.evaluation import analogies, data, neighbours, similarity


def unit(*rows: list[float]) -> np.ndarray:
    return neighbours.unit(np.array(rows, np.float32))


# Rank correlation.


def test_ranks_share_the_mean_of_ties():
    assert ranks(np.array([10.0, 20, 10, 5, 20, 20])).tolist() == [2.5, 5, 2.5, 1, 5, 5]


def test_spearman_by_hand():
    # Without ties rho = 1 - 6 * sum(d^2) / (n (n^2 - 1)); d = 0 1 1 0 -> 1 - 12 / 60.
    assert spearman(np.array([1, 2, 3, 4]), np.array([10, 30, 20, 99])) == pytest.approx(0.8)
    assert spearman(np.array([1, 2, 3]), np.array([1, 8, 27])) == 1
    assert spearman(np.array([1, 2, 3]), np.array([3, 2, 1])) == -1


@pytest.mark.parametrize("levels", [3, 10, 10**9])  # many ties, some, none
def test_correlations_equal_scipys(levels):
    random = np.random.default_rng(levels)
    one, other = random.integers(0, levels, (2, 353)).astype(float)
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)
    assert pearson(one, other) == pytest.approx(stats.pearsonr(one, other).statistic, abs=1e-12)


def test_correlation_that_is_not_defined():
    assert np.isnan(spearman(np.array([]), np.array([])))
    assert np.isnan(spearman(np.array([1.0]), np.array([1.0])))
    assert np.isnan(spearman(np.array([1.0, 1]), np.array([1.0, 2])))


# Neighbours.


def test_unit_keeps_zero_rows():
    assert unit([3, 4], [0, 0], [0, -2]).tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0], [0, -1]]


def brute(table: np.ndarray, scores: np.ndarray, k: int, excluded: list[int]) -> list[int]:
    rows = [row for row in range(len(table)) if row not in excluded]
    return sorted(rows, key=lambda row: (-scores[row], row))[:k]


@pytest.mark.parametrize(("rows", "scores"), [(1 << 16, 1 << 24), (7, 20), (1, 1)])
def test_nearest_equals_brute_force_in_any_blocks(monkeypatch, rows, scores):
    random = np.random.default_rng(3)
    table = unit(*random.integers(-2, 3, (60, 3)).tolist())  # whole numbers: many rows alike
    vectors = random.standard_normal((5, 3)).astype(np.float32)
    excluded = [[0], [], [5, 9], [59, 0, 1], [2]]
    monkeypatch.setattr(neighbours, "ROWS", rows)
    monkeypatch.setattr(neighbours, "SCORES", scores)
    for k in (1, 4, 59, 100):
        found = neighbours.nearest(table, vectors, k, excluded)
        for query, best in enumerate(found):
            cosines = table.astype(np.float64) @ vectors[query] / np.linalg.norm(vectors[query])
            expected = [cosines[row] for row in brute(table, cosines, k, excluded[query])]
            assert len({row for row, _ in best}) == len(best) == min(k, 60 - len(excluded[query]))
            assert not {row for row, _ in best} & set(excluded[query])
            np.testing.assert_allclose([score for _, score in best], expected, atol=1e-6)
            np.testing.assert_allclose([cosines[row] for row, _ in best], expected, atol=1e-6)


def test_ties_come_in_the_tables_order(monkeypatch):
    table = unit([1, 0], [0, 1], [1, 0], [1, 0], [0, 1], [1, 0])
    for rows in (2, 4, 100):
        monkeypatch.setattr(neighbours, "ROWS", rows)
        assert [row for row, _ in neighbours.nearest(table, np.array([[1, 0]]), 3)[0]] == [0, 2, 3]
        assert [row for row, _ in neighbours.nearest(table, np.array([[1, 0]]), 3, [[2]])[0]] == [0, 3, 5]


def test_both_methods_of_analogy_by_hand():
    # a = (1,0,0), b = (0,1,0), c = (0.6,0,0.8): b - a + c = (-0.4, 1, 0.8), of length sqrt(1.8).
    table = unit([1, 0, 0], [0, 1, 0], [3, 0, 4], [0, 3, 4], [0, 0, 1])
    question = np.stack([table[:3]])
    added = neighbours.answers(table, question, 2, [[0, 1, 2]])[0]
    assert [row for row, _ in added] == [3, 4]
    np.testing.assert_allclose([score for _, score in added], [(0.6 + 0.64) / 1.8**0.5, 0.8 / 1.8**0.5], rtol=1e-6)
    # 3CosMul: d = (0,.6,.8): cosines 0, .6, .64 -> (.8 * .82) / (.5 + .001); e = (0,0,1): 0, 0, .8 -> (.5 * .9) / .501.
    multiplied = neighbours.answers(table, question, 2, [[0, 1, 2]], "3cosmul")[0]
    assert [row for row, _ in multiplied] == [3, 4]
    np.testing.assert_allclose([score for _, score in multiplied], [0.656 / 0.501, 0.45 / 0.501], rtol=1e-6)


# Analogies.

NAMES = ["king", "man", "queen", "woman", "apple", "girl"]
#         royal, male, female, fruit, young
PEOPLE = unit([1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 1, 0, 1])


def find(word: str) -> int:
    return NAMES.index(word) if word in NAMES else -1


def questions(text: str) -> list[analogies.Section]:
    return analogies.parse("FILE", list(enumerate(text.splitlines(), 1)))


def test_analogies_by_hand():
    text = ": family\nman king woman queen\nman woman king queen\nking queen man girl\n: none\nman king boy prince\n: empty\n"
    result = analogies.evaluate(questions(text), PEOPLE, find)
    assert (result.metric, result.value, result.used, result.total, result.outside) == ("analogies", 2 / 3, 3, 4, 1)
    assert [(part.metric, part.value, part.used, part.total) for part in result.parts] == [
        ("analogies/family", 2 / 3, 3, 3), ("analogies/none", None, 0, 1),
    ]  # fmt: skip
    record = result.record()
    assert record["parts"][1] == {
        "metric": "analogies/none",
        "value": None,
        "used": 0,
        "total": 1,
        "out_of_vocabulary": 1,
    }


def test_words_of_the_question_are_no_answer_and_restricting_makes_words_unknown():
    # man - man + king is king itself, which is not a permitted answer.
    result = analogies.evaluate(questions("man man king king\nman king woman queen"), PEOPLE, find)
    assert (result.value, result.used) == (0.5, 2)
    result = analogies.evaluate(questions("man king man queen\nman king woman queen"), PEOPLE, find, restrict=3)
    assert (result.used, result.outside) == (1, 1)
    with pytest.raises(TextkitError, match="FILE: none of its 1 analogies"):
        analogies.evaluate(questions("man king woman queen"), PEOPLE, find, restrict=3, name="FILE")


def test_answers_in_blocks_equal_those_at_once(monkeypatch):
    random = np.random.default_rng(5)
    table = neighbours.unit(random.standard_normal((200, 8)).astype(np.float32))
    ids = random.integers(0, 200, (300, 3))
    whole = analogies.answer(table, ids)
    monkeypatch.setattr(analogies, "SCORES", 450)
    assert analogies.answer(table, ids).tolist() == whole.tolist()
    for question, row in zip(ids, whole, strict=True):
        best = neighbours.answers(table, table[question][None], 1, [question.tolist()])[0][0]
        assert best[0] == row


def test_bad_analogies_name_file_and_line():
    with pytest.raises(TextkitError, match="^FILE: line 2: 3 words where an analogy has four$"):
        questions(": a\none two three")
    with pytest.raises(TextkitError, match="^FILE: holds no analogy$"):
        questions(": a\n: b")


# Similarity.


def vectors(words: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`girl` stands for a word that subwords spell."""
    rows = np.array([find(word) for word in words])
    return PEOPLE[rows], rows >= 0, (rows >= 0) & (rows != 5)


def test_word_pairs_by_hand():
    # Cosines: 0.5 (king queen), 0.7071 (king man), 0 (king apple), 0.7071 (woman girl).
    pairs = similarity.parse_words(
        "FILE", list(enumerate(["king queen 6", "king man 8", "king apple 1", "woman girl 7", "king tsar 9"], 1))
    )
    result = similarity.evaluate_words(pairs, vectors)
    # Ranks 2, 3.5, 1, 3.5 against 2, 4, 1, 3.
    assert result.value == pytest.approx(stats.spearmanr([2, 3.5, 1, 3.5], [2, 4, 1, 3]).statistic)
    assert (result.metric, result.used, result.total, result.outside) == ("similarity", 4, 5, 2)
    assert result.detail["pearson"] == pytest.approx(
        stats.pearsonr([0.5, 0.5**0.5, 0, 0.5**0.5], [6, 8, 1, 7]).statistic
    )
    known = similarity.evaluate_words(pairs, vectors, known_only=True)
    assert (known.value, known.used, known.outside) == (1, 3, 2)
    with pytest.raises(TextkitError, match="^FILE: 1 of 2 pairs have both words, from which no correlation"):
        similarity.evaluate_words(
            similarity.parse_words("FILE", [(1, "king man 1"), (2, "tsar man 2")]), vectors, name="FILE"
        )


def test_sentence_pairs_by_hand():
    table = {"a": [1.0, 0], "b": [1, 1], "c": [0, 1], "": [0, 0]}
    lines = [
        "g\tf\t2017\t1\t5.0\ta\ta",
        "g\tf\t2017\t2\t3.5\ta\tb",
        "g\tf\t2017\t3\t0\ta\tc\tlicence",
        "g\tf\t2017\t4\t1\ta\t",
    ]
    pairs = similarity.parse_sentences("FILE", list(enumerate(lines, 1)))
    assert pairs.scores.tolist() == [5, 3.5, 0, 1]
    result = similarity.evaluate_sentences(pairs, lambda lines: np.array([table[line] for line in lines]))
    # Cosines 1, 0.7071, 0, 0 -> ranks 4, 3, 1.5, 1.5 against 4, 3, 1, 2.
    assert result.value == pytest.approx(stats.spearmanr([4, 3, 1.5, 1.5], [4, 3, 1, 2]).statistic)
    assert (result.metric, result.used, result.outside) == ("sts", 4, 1)


# Reading test data.

WORDSIM = "# The collection\n# Word 1\tWord 2\tHuman (mean)\nlove\tsex\t6.77\ntiger\tcat\t7.35\n"
SIMLEX = (
    "word1\tword2\tPOS\tSimLex999\tc(w1)\tc(w2)\tQ\nold\tnew\tA\t1.58\t2.72\t2.81\t2\nsmart\tbright\tA\t9.2\t1\t1\t1\n"
)
STS = 'main-captions\tMSRvid\t2012test\t0001\t5.000\tA plane is taking off.\tAn "air plane is taking off.\n'


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        (WORDSIM, "similarity"),
        ("Word 1,Word 2,Human (mean)\nlove,sex,6.77\n", "similarity"),
        ("sun sunlight 50.000000\n", "similarity"),
        (SIMLEX, "similarity"),
        ("6.5\tlove\tsex\n", "sts"),  # no word pair has its score in front
        (STS, "sts"),
        ("score\tone\tother\n5.0\tA plane.\tAn air plane.\n", "sts"),
        ("A plane.\tAn air plane.\t4.2\n", "sts"),
        (": capitals\nAthens Greece Oslo Norway\n", "analogies"),
        ("Athens Greece Oslo Norway\n", "analogies"),
    ],
)
def test_data_is_told_by_its_lines(tmp_path, text, metric):
    path = tmp_path / "data"
    path.write_text(text)
    assert data.read(path)[0] == metric


def test_what_is_read(tmp_path):
    path = tmp_path / "data"
    path.write_text(SIMLEX + "\n# a remark\n")
    read = data.read(path)[1]
    assert (read.first, read.second, read.scores.tolist()) == (["old", "smart"], ["new", "bright"], [1.58, 9.2])
    path.write_text(STS)
    read = data.read(path)[1]
    assert (read.first, read.second) == (["A plane is taking off."], ['An "air plane is taking off.'])
    assert read.scores.tolist() == [5]
    path.write_text("one\ttwo\t3\n")
    assert data.read(path, "sts")[0] == "sts"


@pytest.mark.parametrize(
    ("text", "metric", "said"),
    [
        ("", None, "holds no data"),
        ("# nothing\n\n", None, "holds no data"),
        ("# one\nhello there\n", None, "line 2: 'hello there' is no analogy (four words), no word pair"),
        (WORDSIM + "tiger\tcat\n", None, "line 5: not two words and a score"),
        (WORDSIM + "tiger\tcat\tnan\n", None, "line 5: not two words and a score"),
        (WORDSIM + "tiger\t\t5\n", None, "line 5: not two words and a score"),
        (STS * 2 + "only one\n", None, "line 3: not a score and two sentences separated by tabs"),
        (": a\na b c d\na b c\n", None, "line 3: 3 words where an analogy has four"),
        (WORDSIM, "analogies", "line 3: 3 words where an analogy has four"),
        ("word1 word2 score\n", "similarity", "holds no pair with a score"),
    ],
)
def test_bad_data_names_file_and_line(tmp_path, text, metric, said):
    path = tmp_path / "data"
    path.write_text(text)
    with pytest.raises(TextkitError) as caught:
        data.read(path, metric)
    assert str(caught.value).startswith(f"{path}: {said}")
