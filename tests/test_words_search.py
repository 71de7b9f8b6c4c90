"""Search by words and fusion, against numbers computed by hand."""

from __future__ import annotations

import random
import tempfile
from math import log
from pathlib import Path

import pytest

from textkit.errors import TextkitError
from textkit.retrieval import words as words_module
from textkit.retrieval.analysis import matched, prepared, telling, terms
from textkit.retrieval.ranking.fusion import Ranking, fused
from textkit.retrieval.ranking.proximity import closest, proximity
from textkit.retrieval.words import Words, WordsWriter

TEXTS = ["the cat sat", "the dog sat on the mat", "a bird", "the cat and the dog and the cat"]


def made(folder: Path | None, texts: list[str]) -> Words:
    writer = WordsWriter(folder)
    writer.add(0, texts)
    writer.commit()
    writer.close()
    return writer.searched()


def test_bm25_by_hand(tmp_path: Path) -> None:
    """N = 4 rows of 3, 6, 2 and 8 words, 4.75 on average; "cat" is in rows 0 and 3, "sat" in rows 0 and 1."""
    words = made(tmp_path / "words", TEXTS)
    idf = log(1 + (4 - 2 + 0.5) / (2 + 0.5))  # both terms are in two rows

    def gain(count: int, length: int) -> float:
        return idf * 2.2 * count / (count + 1.2 * (0.25 + 0.75 * length / 4.75))

    found = words.search(terms("Cats"), 10)
    assert [row for row, _ in found] == [0, 3]
    assert [score for _, score in found] == pytest.approx([gain(1, 3), gain(2, 8)], rel=1e-5)
    found = words.search(terms("cat sat"), 10)
    assert [row for row, _ in found] == [0, 3, 1]
    assert [score for _, score in found] == pytest.approx([2 * gain(1, 3), gain(2, 8), gain(1, 6)], rel=1e-5)
    assert words.search(terms("cat sat"), 10, every=True) == [found[0]]
    assert words.search(terms("cat cat cat"), 10) == words.search(terms("cat"), 10)  # a query's words count once
    assert words.search(terms("cat sat"), 1) == found[:1]
    assert len(words.search(["the"], 1_000_000)) == 3
    assert words.search([], 10) == words.search(["unheard"], 10) == words.search(["cat"], 0) == []
    assert words.frequency("cat") == 2


def test_terms_with_weights_by_hand() -> None:
    """Weights multiply what a term gives: 3 of the 4 texts have "the", 2 have "cat"; 1 and 3 have it twice or more."""
    words = made(None, TEXTS)
    cat, the = dict(words.search(["cat"], 9)), dict(words.search(["the"], 9))
    found = dict(words.weighted({"cat": 0.25, "the": 2.0}, 9))
    assert found == pytest.approx({row: 0.25 * cat.get(row, 0) + 2 * the[row] for row in the}, rel=1e-5)
    assert [row for row, _ in words.weighted({"cat": 1.0, "bird": 9.0}, 9)][0] == 2
    assert words.weighted({}, 9) == words.weighted({"xyz": 1.0}, 9) == []
    assert len(words.weighted({"the": 0.5}, 2)) == 2


def test_equal_rows_come_in_their_order() -> None:
    words = made(None, ["same line"] * 50)
    assert [row for row, _ in words.search(["same"], 50)] == list(range(50))


def test_rows_that_are_removed_are_not_found(tmp_path: Path) -> None:
    writer = WordsWriter(tmp_path / "words")
    writer.add(0, TEXTS)
    writer.commit()
    writer.remove(1, 3)
    writer.remove(2, 2)  # nothing
    writer.commit()
    words = Words(tmp_path / "words")
    assert len(words) == 2
    assert [row for row, _ in words.search(["the"], 9)] == [3, 0]


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What tantivy says of a thread that a full disk has ended does not tell why."""
    writer = WordsWriter(tmp_path / "words")
    writer.add(0, TEXTS)
    writer.close()  # the next call fails as it does when a thread has ended
    with pytest.raises(TextkitError, match="words: the index of words cannot be written: "):
        writer.commit()
    monkeypatch.setattr(words_module, "_LEAST_ROOM", 1 << 62)
    with pytest.raises(TextkitError, match="words: cannot be written: No space left on device"):
        writer.commit()


def test_no_query_is_wrong(tmp_path: Path) -> None:
    words = made(tmp_path / "words", ["AND OR NOT", 'text:"a" ~2 ^3 (b', "[1 TO 5]"])
    for query in ('"', "AND", "text:", "(((", "a^", "*", "[1 TO", "\\", "row:1", "~", "+-!", "\0"):
        words.search(terms(query), 5)
    assert words.search(terms("NOT"), 5)[0][0] == 0


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Error E1042 is shown", "e1042"),
        ("Take AB-12/7 from the shelf", "AB-12/7"),
        ("北京大学的学生", "大学"),
        ("北京大学的学生", "学"),
        ("東京タワーへ行く", "タワー"),
        ("서울에서 만났다", "서울"),
        ("ผมรักภาษาไทย", "ภาษา"),
        ("a naïve café", "NAIVE CAFE"),
        ("ＦＵＬＬ ｗｉｄｔｈ", "full width"),
        ("cafe\u0301", "café"),
        ("Привет, мир", "мир"),
        ("running dogs", "dog run"),
        ("it is 3.14", "3.14"),
        ("two résumés", "resumes"),
        ("die Straße", "STRASSE"),
        ("İstanbul", "istanbul"),
        ("за\u0301мок", "замок"),
        ("السَّلام عليكم", "السلام"),
        ("الســـلام", "السلام"),
        ("שָׁלוֹם", "שלום"),
        ("Dampf\u00adschiff", "dampfschiff"),
        ("m\u0304ori", "mori"),
    ],
)
def test_what_is_found(text: str, query: str) -> None:
    words = made(None, ["something else entirely", text, "and a third line"])
    assert [row for row, _ in words.search(terms(query), 5)][:1] == [1]


def test_a_code_is_a_term_of_its_own() -> None:
    words = made(None, ["12 and AB and 7", "AB-12/7 and more words of no use", "AB-12/8"])
    assert words.search(terms("ab-12/7"), 3)[0][0] == 1
    assert prepared("a-b c/d no digit") == "a-b c/d no digit"


def test_telling_terms() -> None:
    assert telling("what is error E1042") == ["e1042"]
    assert telling("Who is Kawann Short?") == ["kawann", "short"]
    assert telling("Paris") == ["pari"]
    assert telling("How many points") == []
    assert telling("PLEASE HELP ME") == []
    assert telling("the part AB-12/7, please") == ["ab\u01c012\u01c07"]
    assert telling("") == telling("  ") == []


def test_where_words_match() -> None:
    text = "Cats like the cat's 北京大学 food"
    spans = matched(text, set(terms("cat 大学")))
    assert [text[start:end] for start, end in spans] == ["Cats", "cat", "大学"]
    text = "der за\u0301мок, Dampf\u00adschiff"
    spans = matched(text, set(terms("замок dampfschiff")))
    assert [text[start:end] for start, end in spans] == ["за\u0301мок", "Dampf\u00adschiff"]


def test_fusion_by_hand() -> None:
    """Cosines are counted from -1, BM25 from 0; each is divided by the best there is, weighted, and added."""
    meaning, words = [(2, 0.6), (1, 0.2), (3, -1.0)], [(1, 8.0), (4, 2.0)]
    found = fused([Ranking(meaning, -1, 0.7), Ranking(words, 0, 0.3)])
    wanted = {1: 0.7 * 1.2 / 1.6 + 0.3, 2: 0.7, 4: 0.3 * 2 / 8, 3: 0.0}
    assert dict(found) == pytest.approx(wanted)
    assert [row for row, _ in found] == [1, 2, 4, 3]
    # A third ranking with weight .2: all weights together are 1.2. The order in a ranking says nothing, its scores do.
    found = fused([Ranking(meaning, -1, 0.7), Ranking(words[::-1], 0, 0.3), Ranking([(4, 5.0)], 0, 0.2)])
    assert dict(found) == pytest.approx({1: 0.825 / 1.2, 2: 0.7 / 1.2, 4: (0.075 + 0.2) / 1.2, 3: 0.0})
    assert fused([Ranking([(7, 0.1)], -1, 0.7), Ranking([(7, 3.0)], 0, 0.3)]) == [(7, 1.0)]


def test_fusion_without_a_ranking_or_a_difference() -> None:
    assert fused([]) == fused([Ranking([], -1, 0.7), Ranking([], 0, 0.3)]) == []
    assert fused([Ranking([(5, 0.5)], -1, 0.7), Ranking([], 0, 0.3)]) == [(5, 1.0)]  # words that nobody has have no say
    assert fused([Ranking([(5, -1.0), (6, -1.0)], -1, 0.7)]) == [(5, 0.0), (6, 0.0)]  # nothing is above the least
    assert [row for row, _ in fused([Ranking([(5, 0.5)], -1, 1), Ranking([(6, 2.0)], 0, 1)])] == [5, 6]  # equal


def test_damage_is_named(tmp_path: Path) -> None:
    made(tmp_path / "words", TEXTS)
    (tmp_path / "words" / "meta.json").write_text("{")
    with pytest.raises(TextkitError, match="words: the index of words is damaged"):
        Words(tmp_path / "words")


def test_an_index_that_cannot_be_written_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of another user's, or of a file system to read alone. The tests may run as root, who may write anywhere."""
    folder = tmp_path / "words"
    made(folder, TEXTS)
    for lock in folder.glob(".*.lock"):
        lock.unlink()
    before = sorted(folder.iterdir())
    monkeypatch.setattr(words_module.os, "access", lambda path, mode: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = Words(folder)
    assert [row for row, _ in found.search(terms("cat"), 9)] == [0, 3]
    assert sorted(folder.iterdir()) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_words_that_stand_close_together() -> None:
    """Windows of 15 terms, against all windows of a text."""
    weights = {"cat": 1.0, "mat": 2.0, "sat": 5.0}
    gap = ["so"] * 13
    assert closest(["cat", *gap, "mat"], weights) == pytest.approx(3 / 8)
    assert closest(["cat", "so", *gap, "mat"], weights) == pytest.approx(2 / 8)
    assert closest(["cat", "cat", "so", *gap, "mat", "cat"], weights) == pytest.approx(3 / 8)
    assert closest(["sat", *gap, "cat", *gap, "mat"], weights) == pytest.approx(6 / 8)
    assert closest(["sat", "mat", "cat"], weights) == 1
    assert closest([], weights) == closest(gap, weights) == closest(["cat"], {}) == 0
    dice = random.Random(7)
    for _ in range(100):
        text = dice.choices(["cat", "mat", "sat", "so", "so", "so", "so", "so"], k=dice.randrange(60))
        windows = [set(text[at : at + 15]) & set(weights) for at in range(len(text))]
        assert closest(text, weights) == pytest.approx(
            max((sum(map(weights.get, each)) for each in windows), default=0) / 8
        )


def test_terms_weigh_what_they_weigh_in_bm25() -> None:
    """Of 10 rows 2 have "cat", 9 have "the", none has "xyz"; tantivy may count rows that are out of date."""
    counts = {"cat": 2, "the": 9, "old": 99}
    share = proximity(["the", "cat", "the", "xyz"], lambda term: counts.get(term, 0), 10)
    cat, the = log(1 + 8.5 / 2.5), log(1 + 1.5 / 9.5)
    assert share("Cats, the") == pytest.approx(1)
    assert share("a cat") == pytest.approx(cat / (cat + the))
    assert share("the xyz") == pytest.approx(the / (cat + the))
    assert proximity(["old"], lambda term: counts[term], 10)("old") == 1
