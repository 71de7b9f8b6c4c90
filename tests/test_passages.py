"""Passages: their places, the files that are read, and what is left out. Numbers here are counted by hand."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from textkit.errors import TextkitError
from textkit.retrieval.cutting import OVERLAP, PASSAGE, cut
from textkit.retrieval.passages import Passage, Reading, passages
from textkit.retrieval.sources import Survey, sources


def read(*names: object, **how: object) -> tuple[list[Passage], Survey]:
    survey = Survey()
    found = [passage for block in passages(map(str, names), Reading(**how), survey) for passage in block]  # type: ignore[arg-type]
    return found, survey


def test_lines_have_numbers_from_one(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one\n\nthree\r\nfour")
    found, survey = read(file)
    assert found == [
        (str(file), number, text, None) for number, text in enumerate(["one", "", "three", "four"], start=1)
    ]
    assert survey.files == 1
    assert survey.warnings() == survey.notes() == []


def test_numbers_go_on_over_blocks(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("".join(f"line {n}\n" for n in range(1, 100_001)))
    found, _ = read(file)
    assert all(passage.text == f"line {passage.line}" for passage in found)
    assert len(found) == 100_000


def test_records_keep_their_fields_and_lines(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text('id,text\n1,"two\nlines"\n2,one line\n')
    found, _ = read(table, kind="csv", column="text")
    assert [(each.line, each.text, each.fields["id"]) for each in found] == [
        (2, "two\nlines", "1"),
        (4, "one line", "2"),
    ]
    (tmp_path / "a.tsv").write_text("a\tb\nc\td\n")
    found, _ = read(tmp_path / "a.tsv", kind="tsv", column="2")
    assert [(each.line, each.text) for each in found] == [(1, "b"), (2, "d")]
    found, _ = read(tmp_path / "a.tsv", kind="tsv", column="b")
    assert [(each.line, each.text, each.fields) for each in found] == [(2, "d", {"a": "c", "b": "d"})]
    (tmp_path / "a.jsonl").write_text('{"text": "x", "n": 1.50}\n{"text": "y"}\n')
    found, _ = read(tmp_path / "a.jsonl", kind="jsonl")
    assert [(each.line, each.text, each.fields[0]) for each in found] == [
        (1, "x", '{"text": "x", "n": 1.50}'), (2, "y", '{"text": "y"}'),
    ]  # fmt: skip


def test_a_record_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "x"}\nnonsense\n{"text": "z"}\n')
    with pytest.raises(TextkitError, match="a.jsonl:2: malformed JSON"):
        read(file, kind="jsonl")
    found, survey = read(file, kind="jsonl", skip=True)
    assert [(each.line, each.text) for each in found] == [(1, "x"), (2, ""), (3, "z")]
    assert survey.records == 1
    assert "a.jsonl:2" in survey.warnings()[0]


def test_paragraphs(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("\n  A paragraph\nof two lines.  \n\n \t\nAnother.\n\n\nThe last\none")
    found, _ = read(file, kind="paragraphs")
    assert [(each.line, each.text) for each in found] == [
        (2, "A paragraph of two lines."), (6, "Another."), (9, "The last one"),
    ]  # fmt: skip


def test_a_long_paragraph_overlaps_and_keeps_its_places(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    said = [f"Sentence number {n} says that the river is wide and deep." for n in range(1, 61)]  # a line each
    file.write_text("Before.\n\n" + "\n".join(said) + "\n\nBehind.\n")
    found, _ = read(file, kind="paragraphs")
    assert (found[0].line, found[0].text) == (1, "Before.")
    assert (found[-1].line, found[-1].text) == (64, "Behind.")
    long = found[1:-1]
    assert len(long) > 3
    for passage in long:
        assert passage.text.startswith(said[passage.line - 3])  # whole sentences, and the line of the first
        assert passage.text.endswith("deep.")
        assert len(passage.text) <= PASSAGE
    ends = [passage.line + passage.text.count("Sentence") for passage in long]  # the line behind each
    for end, after in zip(ends, long[1:], strict=False):
        assert 0 < end - after.line <= OVERLAP // 50  # the passage after begins with the last sentences of this one
    assert ends[-1] == 63


def test_cutting_loses_nothing() -> None:
    for text in (
        "a" * 5000,
        "word " * 2000,
        "Short. " * 1000,
        " " * 3000 + "x" + " " * 3000,
        "字" * 4000,
        "One. " + "b" * 3000 + " Two. " * 300,
        "e\u0301" * 2000,
    ):
        covered = [False] * len(text)
        last = -1
        for at, part in cut(text):
            assert text.startswith(part, at)
            assert 0 < len(part) <= PASSAGE
            assert at > last  # each begins behind the one before
            last = at
            covered[at : at + len(part)] = [True] * len(part)
        assert all(there or text[at].isspace() for at, there in enumerate(covered))
    assert list(cut("")) == list(cut("  ")) == []
    assert list(cut("short")) == [(0, "short")]


@pytest.mark.parametrize(("kind", "unit"), [("lines", "x"), ("lines", "word "), ("paragraphs", "word ")])
def test_a_line_of_ten_megabytes(tmp_path: Path, kind: str, unit: str) -> None:
    file = tmp_path / "a.txt"
    file.write_text(unit * (10_000_000 // len(unit)))
    start = time.process_time()
    found, _ = read(file, kind=kind, cut=True)
    assert time.process_time() - start < 20
    assert all(passage.line == 1 and len(passage.text) <= PASSAGE for passage in found)
    assert 12_000 < len(found) < 30_000


def test_a_long_line_stays_whole_unless_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word " * 2000 + "\nshort\n")
    assert len(read(tmp_path / "a.txt")[0]) == 2
    found, _ = read(tmp_path / "a.txt", cut=True)
    assert {passage.line for passage in found[:-1]} == {1}
    assert found[-1][1:3] == (2, "short")


def test_a_paragraph_without_end_is_not_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.txt"
    file.write_text("The river is wide and deep. \n" * 20_000)  # no blank line
    held: list[int] = []

    def counting(text: str) -> Iterator[tuple[int, str]]:
        held.append(len(text))
        return cut(text)

    monkeypatch.setattr("textkit.retrieval.cutting.cut", counting)
    count = sum(len(block) for block in passages([str(file)], Reading("paragraphs"), Survey()))
    assert count > 700
    assert max(held) < 70_000
    assert len(held) > 7


def folder_of_everything(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "b" / "deep").mkdir(parents=True)
    (folder / "b" / "deep" / "z.txt").write_text("deep\n")
    (folder / "b" / "a.txt").write_text("inner\n")
    (folder / "a.txt").write_text("first\n")
    (folder / "c.txt.gz").write_bytes(gzip.compress(b"packed\n"))
    (folder / "empty.txt").write_text("")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    (folder / "paper.pdf").write_bytes(b"%PDF-1.7\nno text\n")
    (folder / "zip.gz").write_bytes(gzip.compress(b"MZ\0\0"))
    (folder / ".hidden").write_text("hidden\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "x").write_text("hidden too\n")
    (folder / "link.txt").symlink_to(folder / "a.txt")
    (folder / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    (folder / "wide.txt").write_bytes("wide\n".encode("utf-16"))
    (folder / "damaged.gz").write_bytes(gzip.compress(b"many bytes\n" * 9)[:-9])
    return folder


def test_a_folder(tmp_path: Path) -> None:
    folder = folder_of_everything(tmp_path)
    found, survey = read(folder)
    names = [os.path.relpath(each.file, folder) for each in found]
    assert [name for name in names if name != "damaged.gz"] == ["a.txt", "b/a.txt", "b/deep/z.txt", "c.txt.gz"]
    assert (survey.files, survey.hidden, survey.links, survey.special) == (5, 2, 2, 1)
    assert [os.path.basename(name) for name in survey.binary] == ["paper.pdf", "picture.png", "zip.gz"]
    assert sorted(map(os.path.basename, survey.unreadable)) == ["damaged.gz", "wide.txt"]
    assert survey.notes() == ["left out: 2 hidden, 2 links, 1 pipes, sockets or devices"]
    assert [line.partition(":")[0] for line in survey.warnings()] == [
        "3 files were left out, binary",
        "2 files could not be read; the first",
    ]


def test_what_is_named_is_read(tmp_path: Path) -> None:
    folder = folder_of_everything(tmp_path)
    assert read(folder / ".hidden", folder / "link.txt")[0][0].text == "hidden"
    assert read(folder / "link.txt")[0][0].text == "first"
    assert read(folder / "picture.png")[1].binary == [str(folder / "picture.png")]
    for name in ("wide.txt", "damaged.gz", "nothing.txt", "a.txt/x"):
        with pytest.raises(TextkitError, match=name):
            read(folder / name)


def test_each_file_once(tmp_path: Path) -> None:
    folder = folder_of_everything(tmp_path)
    named = [str(folder / "a.txt"), f"{folder}/./a.txt", str(folder / "b"), str(folder / "b" / "a.txt")]
    found = [source.name for source in sources(named, Survey())]
    assert found == [str(folder / "a.txt"), str(folder / "b" / "a.txt"), str(folder / "b" / "deep" / "z.txt")]


def test_invalid_bytes_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\nna\xefve\n")
    found, survey = read(tmp_path / "a.txt")
    assert found[1].text == "na\ufffdve"
    assert "1 line held bytes that are no UTF-8" in survey.warnings()[0]


def test_a_folder_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is named is an error, one inside of it is counted."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "c.txt").write_text("a line")
    real = os.scandir

    def scandir(path: str) -> Any:
        if os.path.basename(path) == "b":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    survey = Survey()
    assert [source.name for source in sources([str(tmp_path / "a")], survey)] == [str(tmp_path / "a" / "c.txt")]
    assert list(survey.unreadable.values()) == [f"{tmp_path / 'a' / 'b'}: Permission denied"]
    with pytest.raises(TextkitError, match="b: Permission denied"):
        list(sources([str(tmp_path / "a" / "b")], Survey()))
