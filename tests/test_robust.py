"""benchmarks/robust.py: what is done to text, what is counted, and which lines are drawn, by hand-computed figures."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from textkit.tasks.translate.serving.translations import Translation

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def robust(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "robust", raising=False)
    yield __import__("robust")
    sys.modules.pop("robust", None)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Hello, world!", "Hello world"),
        ("I don't know (yet)...", "I don't know yet"),
        ("„Das ist gut“, sagte er.", "Das ist gut sagte er"),
        ("a well-known man - he", "a well-known man he"),
        ("'tis", "tis"),
        ("3.5 % of $20", "3 5 of $20"),
        ("...", ""),
    ],
)
def test_marks_are_left_out(robust, text, bare):
    assert robust.unpunctuated(text) == bare


def test_numbers_that_may_be_spelled_do_not_count(robust):
    assert [number.value for number in robust.counted("12 of 1,300 at 3.5 in 2019, 13", "en")] == [
        "1300",
        "3.5",
        "2019",
        "13",
    ]
    assert [number.value for number in robust.counted("12 von 1.300 und 3,5", "de")] == ["1300", "3.5"]


def test_numbers_are_kept_or_lost_by_value(robust):
    given = {"He paid 1,300 in 2019.": "Er zahlte 1.300 in 2009.", "It is 3.5 and 14 and 14.": "Es ist 3,5 und 14."}
    shown = robust.numbers_kept(lambda lines: [given[line] for line in lines], list(given), "en", "de")
    assert shown.splitlines()[-1] == "| 2 | 5 | 60.0% | 0.0% |"
    shown = robust.numbers_kept(list, ["In 2019 he left."], "en", "en")
    assert shown.splitlines()[-1] == "| 1 | 1 | 100.0% | 100.0% |"


def test_lines_are_drawn_from_all_files_alike(robust, tmp_path):
    for name, lines in (("a", 50), ("b", 3)):
        with gzip.open(tmp_path / f"{name}.txt.gz", "wt") as out:
            out.writelines(f"line {name} number {at}\n" * 2 for at in range(lines))
            out.write("short\n")
    files = [*robust.lines_of(tmp_path)]
    assert [len(file) for file in files] == [50, 3]
    found = robust.drawn(files, 10)
    assert len(found) == len(set(found)) == 10
    assert sum(line.startswith("line b") for line in found) == 3
    assert found == robust.drawn(files, 10)
    assert [len(file) for file in robust.lines_of(tmp_path, ("b",))] == [3]
    assert len(robust.drawn(files, 1000)) == 53


def test_doubts_are_counted(robust):
    class Translator:
        def translate(self, lines):
            texts = {"a": Translation("gut gut gut gut"), "b": Translation("x", doubts=("numbers", "short"))}
            return [[texts.get(line, Translation("ja"))] for line in lines]

    rows = [row.strip("| ").split(" | ") for row in robust.doubts(Translator(), ["a", "b", "c", "d"]).splitlines()[2:]]
    assert rows == [
        ["repeats itself", "1", "25.00%"], ["any doubt", "1", "25.00%"], ["numbers", "1", "25.00%"], ["short", "1", "25.00%"],
    ]  # fmt: skip


def test_pairs_of_both_directions(robust, tmp_path):
    (tmp_path / "x.tsv").write_text("a\tA\nb\tB\na\tC\n")
    there = robust.pairs(tmp_path / "x.tsv", "en-de")
    assert (there.sources, there.references) == (["a", "b"], [["A", "C"], ["B"]])
    back = robust.pairs(tmp_path / "x.tsv", "de-en")
    assert (back.sources, back.references) == (["A", "B", "C"], [["a"], ["b"], ["a"]])
    assert len(robust.pairs(tmp_path / "x.tsv", "de-en", 2).sources) == 2


def test_it_tells_how_it_is_called():
    done = subprocess.run([sys.executable, BENCHMARKS / "robust.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--lines" in done.stdout
