"""Reading records: columns of TSV, CSV and JSON lines, and records that cannot be used."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from textkit.errors import TextkitError
from textkit.streams import csv_rows
from textkit.streams.columns import Block, records
from textkit.streams.lines import Reader


def read(path: Path, text: str, kind: str, column: str | None = None, skip: bool = False, size: int = 1 << 18) -> Block:
    path.write_text(text, encoding="utf-8", newline="")
    with Reader(path, size) as reader:
        blocks = [block for block in records(reader, kind, column, skip) if len(block)]
    return Block.joined(blocks) if blocks else Block([])


def test_lines(tmp_path: Path) -> None:
    assert read(tmp_path / "x", 'a\tb\n\n"c\n', "lines") == Block(["a\tb", "", '"c'])


# --- TSV --------------------------------------------------------------------------------------------------------------

TSV = 'id\tsaid\n1\t"hi" she said\n\n2\tone, two\textra\n'


def test_tsv_quotes_are_plain_characters(tmp_path: Path) -> None:
    block = read(tmp_path / "x", TSV, "tsv", "2")
    assert block.texts == ["said", '"hi" she said', "", "one, two"]
    assert block.fields is not None
    assert block.fields[3] == {"1": "2", "2": "one, two", "3": "extra"}
    named = read(tmp_path / "x", TSV, "tsv", "said")
    assert named.texts == ['"hi" she said', "", "one, two"]
    assert named.fields == [
        {"id": "1", "said": '"hi" she said'},
        {"id": ""},
        {"id": "2", "said": "one, two", "3": "extra"},
    ]
    assert read(tmp_path / "x", TSV, "tsv").texts == ["id", "1", "", "2"]


# --- CSV --------------------------------------------------------------------------------------------------------------

CSV = 'id,said\r\n1,"two\r\nlines, ""quoted"""\n2,5" pipe\n\n3,"" \n4,"last"'
CSV_TEXTS = ['two\nlines, "quoted"', '5" pipe', "", " ", "last"]


@pytest.mark.parametrize("size", [*range(1, 30), 1 << 18])
def test_csv_wherever_blocks_end(tmp_path: Path, size: int) -> None:
    block = read(tmp_path / "x", CSV, "csv", "said", size=size)
    assert block.texts == CSV_TEXTS
    assert block.fields is not None
    assert block.fields[0] == {"id": "1", "said": 'two\r\nlines, "quoted"'}  # as the source wrote it
    assert read(tmp_path / "x", CSV, "csv", "2", size=size).texts == ["said", *CSV_TEXTS]


def test_a_csv_field_of_thousands_of_lines_and_characters(tmp_path: Path) -> None:
    long = "a line of it\n" * 50_000  # 650,000 characters, where csv's own limit is 131,072
    block = read(tmp_path / "x", f'1,"{long}"\n2,b\n', "csv", "2")
    assert block.texts == [long, "b"]


def test_a_carriage_return_is_white_space_in_csv(tmp_path: Path) -> None:
    block = read(tmp_path / "x", "a\rb,c\n", "csv", "1")
    assert (block.texts, block.fields) == (["a b"], [{"1": "a\rb", "2": "c"}])


@pytest.mark.parametrize("size", [1, 7, 1 << 18])
@pytest.mark.parametrize(
    ("text", "texts", "fields"),
    [
        ('"a\rb","c\r\nd"\r\n', ["a b"], [{"1": "a\rb", "2": "c\r\nd"}]),
        ('"c\r\n\r\nd"\r\ne\r\n', ["c\n\nd", "e"], [{"1": "c\r\n\r\nd"}, {"1": "e"}]),
        ('a,b\r\n\r\n""\r\n"",\r\n', ["a", "", "", ""], [{"1": "a", "2": "b"}, {}, {"1": ""}, {"1": "", "2": ""}]),
        ('"a\r"\nb\r', ["a ", "b"], [{"1": "a\r"}, {"1": "b"}]),
        ('"a\r\n"\r\nb\r\r\n', ["a\n", "b "], [{"1": "a\r\n"}, {"1": "b\r"}]),
    ],
)
def test_what_is_carried_keeps_its_carriage_returns(
    tmp_path: Path, size: int, text: str, texts: list[str], fields: list[dict[str, str]]
) -> None:
    block = read(tmp_path / "x", text, "csv", size=size)
    assert (block.texts, block.fields) == (texts, fields)


def test_a_quote_that_is_never_closed_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "LONGEST_FIELD", 1000)
    with pytest.raises(TextkitError, match=r"x:\d+: malformed CSV: field larger than field limit \(1000\)"):
        read(tmp_path / "x", 'a,b\n1,"open\n' + "more\n" * 1000, "csv", "b")


def test_a_quote_open_at_the_end_is_an_error_behind_the_records_before(tmp_path: Path) -> None:
    (tmp_path / "x").write_text('a\nb\n"c\nd\n')
    with Reader(tmp_path / "x") as reader:
        blocks = records(reader, "csv", "1", skip=True)
        assert next(blocks).texts == ["a", "b"]
        with pytest.raises(TextkitError, match="x:3: malformed CSV: the quote of this record is never closed"):
            list(blocks)


def test_csv_records_come_as_soon_as_they_are_whole() -> None:
    read_end, write_end = os.pipe()
    with Reader(f"/dev/fd/{read_end}") as reader:
        os.close(read_end)
        blocks = (block.texts for block in records(reader, "csv", "1"))
        os.write(write_end, b'a\n"b\n')
        assert next(blocks) == ["a"]
        assert next(blocks) == []
        os.write(write_end, b"c\n")
        assert next(blocks) == []
        os.write(write_end, b'd"\n')
        assert next(blocks) == ["b\nc\nd"]
        assert next(blocks) == []
        os.close(write_end)
        assert list(blocks) == []


def test_csv_costs_no_square_of_a_fields_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = 0
    plain = csv_rows._csv_line

    def counted(line: str) -> str:
        nonlocal given
        given += 1
        return plain(line)

    monkeypatch.setattr(csv_rows, "_csv_line", counted)
    lines = 4000
    assert read(tmp_path / "x", '"' + "x\n" * lines + '"\n', "csv", "1", size=8).texts == ["x\n" * lines]
    assert lines < given < 5 * lines


# --- records that cannot be used --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_column_that_is_not_there(tmp_path: Path, kind: str) -> None:
    comma = "," if kind == "csv" else "\t"
    path = tmp_path / "table"
    with pytest.raises(TextkitError, match="table: no column 'sad'; did you mean 'said'"):
        read(path, f"id{comma}said\n", kind, "sad", skip=True)
    with pytest.raises(TextkitError, match="table: no column 'said': the file is empty"):
        read(path, "", kind, "said")
    with pytest.raises(TextkitError, match="table:3: no column 2: the record has 1"):
        read(path, f"1{comma}a\n\n2\n3{comma}c\n", kind, "2")
    block = read(path, f"1{comma}a\n\n2\n3{comma}c\n", kind, "2", skip=True)
    assert block.texts == ["a", "", "", "c"]
    assert block.problems == {2: f"{path}:3: no column 2: the record has 1"}


JSON_LINES = [
    '{"text": "a"}',
    "",
    "{",
    '["text"]',
    '{"txt": 1}',
    '{"text": null}',
    '{"text": "b", "id": 1}',
    "[" * 100_000,
]
JSON_PROBLEMS = {
    2: "3: malformed JSON: Expecting property name enclosed in double quotes at character 2",
    3: "4: not a JSON object but an array",
    4: "5: no field 'text'; did you mean 'txt'?",
    5: "6: field 'text' is null, not a string",
    7: "8: malformed JSON: nested too deep",
}


@pytest.mark.parametrize("size", [16, 1 << 18])
def test_json_lines(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x"
    block = read(path, "\n".join(JSON_LINES), "jsonl", skip=True, size=size)
    assert block.texts == ["a", "", "", "", "", "", "b", ""]
    assert block.problems == {at: f"{path}:{why}" for at, why in JSON_PROBLEMS.items()}
    assert block.fields is not None
    assert block.fields[6] == ('{"text": "b", "id": 1}', {"text": "b", "id": 1})
    assert read(path, '{"a b": "x"}\n', "jsonl", "a b").texts == ["x"]


def test_everything_before_a_bad_record_is_given_and_then_the_error(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("\n".join(JSON_LINES))
    with Reader(path) as reader:
        blocks = records(reader, "jsonl")
        assert next(blocks).texts == ["a", ""]
        assert len(next(blocks)) == 0
        with pytest.raises(TextkitError, match="x:3: malformed JSON"):
            next(blocks)


def test_half_a_surrogate_pair_becomes_a_replacement_character(tmp_path: Path) -> None:
    text = json.dumps({"text": "a\ud800b \U0001f600"})
    assert read(tmp_path / "x", text, "jsonl").texts == ["a\ufffdb \U0001f600"]


# --- blocks -----------------------------------------------------------------------------------------------------------


def test_parts_and_joins_keep_problems_in_place() -> None:
    block = Block(["a", "", "c", ""], [1, 2, 3, 4], {1: "one", 3: "three"})
    assert block.part(1, 3) == Block(["", "c"], [2, 3], {0: "one"})
    assert Block.joined([block.part(0, 2), block.part(2, 4)]) == block
    assert Block.joined([Block(["a"]), Block(["b"])]) == Block(["a", "b"])
