"""Pairs of texts: how they are read, and the cosines of their vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_embedder import write_words

import textkit
from textkit.errors import TextkitError
from textkit.retrieval.comparing import Comparer, cosines
from textkit.retrieval.pairs import pairs
from textkit.streams.lines import Reader


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_words(tmp_path_factory.mktemp("models") / "five"))


def read(path: Path, text: str, **options: object) -> tuple[list[tuple[str, str]], list[str]]:
    """The pairs of a file with this text, and the problems."""
    path.write_text(text)
    found, problems = [], []
    with Reader(path) as reader:
        for block in pairs(reader, **options):  # type: ignore[arg-type]
            found += list(zip(block.block.texts, block.others, strict=True))
            problems += block.block.problems.values()
    return found, problems


def test_cosines_by_hand() -> None:
    one = np.array([[3, 4], [1, 0], [0, 0], [2, 2], [1, 0]], np.float32)
    other = np.array([[6, 8], [0, 5], [1, 1], [-1, -1], [1, 1]], np.float32)
    np.testing.assert_allclose(cosines(one, other), [1, 0, 0, -1, 0.5**0.5], atol=1e-15)


def test_the_cosine_of_two_lines(model: str) -> None:
    comparer = Comparer(model)
    # cat is (4, -4, 0), dog is (0, 8, 1); "cat dog" is half their sum, (2, 2, .5).
    found = comparer.cosines(comparer.encode(["cat", "cat", "cat", ""], ["dog", "cat dog", "cat", "cat"]))
    np.testing.assert_allclose(found, [-32 / (32 * 65) ** 0.5, 0, 1, 0], atol=1e-7)


@pytest.mark.slow  # 9 s
def test_a_model_with_two_sides_takes_the_first_text_for_a_query(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    data = tmp_path / "pairs.tsv"
    data.write_text("".join(f"question {n} of many\tthe answer {n * n} is here\n" for n in range(40)))
    options = {"towers": "two", "min_count": 1, "epochs": 1}
    textkit.train("dssm", data, tmp_path / "run", options=options, threads=1)
    textkit.export(tmp_path / "run", tmp_path / "two")
    comparer = Comparer(str(tmp_path / "two"))
    queries, documents = (textkit.Embedder(tmp_path / "two", side=side) for side in ("query", "document"))
    one, other = ["question 3 of many", "the answer"], ["the answer 9 is here", "question 3 of many"]
    expected = cosines(queries(one), documents(other))
    np.testing.assert_allclose(comparer.cosines(comparer.encode(one, other)), expected, atol=1e-12)
    assert abs(expected - cosines(documents(one), documents(other))).max() > 1e-3


def test_two_columns_by_number_and_by_name(tmp_path: Path) -> None:
    assert read(tmp_path / "a", "x\ty\n\np\tq\tr\n")[0] == [("x", "y"), ("", ""), ("p", "q")]
    assert read(tmp_path / "a", "id\tone\ttwo\n1\tx\ty\n", columns=("two", "one"))[0] == [("y", "x")]
    assert read(tmp_path / "a", "id\tone\ttwo\n1\tx\ty\n", columns=("3", "one"))[0] == [("y", "x")]
    assert read(tmp_path / "a", "id\tone\ttwo\n1\tx\ty\n", columns=("one", "3"))[0] == [("x", "y")]
    text = 'a,b\n"x, ""y""","two\r\nlines"\n'
    assert read(tmp_path / "a", text, kind="csv", columns=("b", "a"))[0] == [("two\nlines", 'x, "y"')]


def test_fields_of_json_lines_by_known_names_or_by_the_way_to_them(tmp_path: Path) -> None:
    assert read(tmp_path / "a", '{"n": 1, "Sentence_2": "y", "sentence-1": "x"}\n', kind="jsonl")[0] == [("x", "y")]
    deep = '{"q": {"text": "x"}, "answers": [{"text": "y"}]}\n'
    assert read(tmp_path / "a", deep, kind="jsonl", columns=("q.text", "answers.0.text"))[0] == [("x", "y")]
    with pytest.raises(TextkitError, match=r"a:2: no two fields .* --columns A,B$"):
        read(tmp_path / "a", '\n{"x": "1", "y": "2"}\n', kind="jsonl")


@pytest.mark.parametrize(
    ("text", "options", "problem"),
    [
        ("x\ty\nz\n", {}, ":2: no column 2: the record has 1"),
        ("x\ty\nz\n", {"columns": ("2", "1")}, ":2: no column 2: the record has 1"),
        ("a\tb\nx\ty\nz\n", {"columns": ("a", "b")}, ":3: no column 'b'"),
        ("a\tb\nx\ty\nz\n", {"columns": ("1", "b")}, ":3: no column 2: the record has 1"),
        ('{"a": "x"}\n', {"kind": "jsonl", "columns": ("a", "b")}, ":1: no field 'b'"),
        ('{"a": "x", "b": 3}\n', {"kind": "jsonl"}, ":1: field 'b' is a number, not a string"),
        ("[]\n", {"kind": "jsonl"}, ":1: not a JSON object but an array"),
        ('a,b\n"x\ny",z\nonly\n', {"kind": "csv"}, ":4: no column 2: the record has 1"),
    ],
)
def test_a_record_without_two_texts_names_its_line(
    tmp_path: Path, text: str, options: dict[str, object], problem: str
) -> None:
    with pytest.raises(TextkitError, match="^" + str(tmp_path / "a") + problem):
        read(tmp_path / "a", text, **options)
    found, problems = read(tmp_path / "a", text, skip=True, **options)
    assert ("", "") in found
    assert len(problems) == 1
    assert problem in problems[0]
