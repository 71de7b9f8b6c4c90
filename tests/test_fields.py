"""Fields carried along with a record: none is lost and none changes, whatever its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_embedder import write_words

from textkit.errors import TextkitError
from textkit.streams.columns import Block, records
from textkit.streams.fields import Carried, found, parsed
from textkit.streams.lines import Reader


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_words(tmp_path_factory.mktemp("models") / "five"))  # cat is 4 -4 0


def read(path: Path, text: str, kind: str, column: str | None = None, skip: bool = False, **more: object) -> Block:
    path.write_text(text, encoding="utf-8", newline="")
    with Reader(path) as reader:
        return Block.joined([block for block in records(reader, kind, column, skip, **more) if len(block)])


@pytest.mark.parametrize(
    ("header", "width", "names"),
    [
        (["text", "note", "note"], 3, ["text", "note", "note_2"]),
        (["text", "note", "note", "note_2"], 4, ["text", "note", "note_3", "note_2"]),
        (["text", "", "x", ""], 4, ["text", "2", "x", "4"]),
        (["", "1"], 2, ["1_2", "1"]),
        (["text"], 3, ["text", "2", "3"]),
        (["3", "a"], 3, ["3", "a", "3_2"]),
        ([], 2, ["1", "2"]),
        (["embedding", "text", "embedding"], 3, ["source_embedding", "text", "source_embedding_2"]),
        (["embedding", "source_embedding"], 2, ["source_embedding_2", "source_embedding"]),
    ],
)
def test_every_cell_has_a_name_of_its_own(header: list[str], width: int, names: list[str]) -> None:
    assert Carried(["embedding"]).names(header, width) == names


def test_two_columns_of_one_name_and_cells_without_one_are_carried(tmp_path: Path) -> None:
    block = read(tmp_path / "x", "text,note,note,\ncat,a,b,c,d\ndog,e\n", "csv", "text")
    assert block.fields == [
        {"text": "cat", "note": "a", "note_2": "b", "4": "c", "5": "d"},
        {"text": "dog", "note": "e"},
    ]


SOURCE = (
    '{"text":"cat" , "embedding":{"x":[1.50, "}"]},"n":12345678901234567.89,"big":1e400,"zero":-0,"E":1E5,'
    '"f":1.0,"id":1,"id":2,"\\u0065mbedding":null,"nan":NaN, "digits":' + "7" * 5000 + "} "
)


def test_numbers_stay_as_the_source_wrote_them_where_a_field_is_renamed(tmp_path: Path) -> None:
    block = read(tmp_path / "x", SOURCE, "jsonl", carried=Carried(["embedding"]))
    assert block.texts == ["cat"]
    assert block.fields is not None
    assert block.fields[0][0] == (
        '{"text": "cat", "source_embedding": {"x":[1.50, "}"]}, "n": 12345678901234567.89, "big": 1e400, "zero": -0, '
        '"E": 1E5, "f": 1.0, "id": 1, "id": 2, "source_embedding_2": null, "nan": NaN, "digits": ' + "7" * 5000 + "}"
    )
    assert read(tmp_path / "x", SOURCE, "jsonl").fields[0][0] == SOURCE  # byte for byte if nothing is renamed


def test_an_integer_of_thousands_of_digits_is_no_malformed_json() -> None:
    assert parsed('{"a": ' + "7" * 5000 + ', "b": 1}') == {"a": "7" * 5000, "b": "1"}
    assert parsed('{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("more", ["", ',"x":' + "7" * 5000, ',"x":1e400'])
@pytest.mark.parametrize("number", ["12", "1.5", "7" * 5000])
def test_a_number_is_no_text_whatever_else_is_in_the_record(tmp_path: Path, number: str, more: str) -> None:
    with pytest.raises(TextkitError, match="x:1: field 'text' is a number, not a string"):
        read(tmp_path / "x", f'{{"text":{number}{more}}}', "jsonl")


def test_nested_fields_are_found_and_a_field_of_that_very_name_goes_first(tmp_path: Path) -> None:
    value = {"a": {"b": "x", "c.d": {"e": "y"}}, "a.b": "literal", "l": [["p", "q"], {"b": "r"}]}
    assert found(value, ["a", "b"]) == (True, "literal")
    assert found(value, ["a", "c", "d", "e"]) == (True, "y")
    assert found(value, ["l", "0", "1"]) == (True, "q")
    assert found(value, ["l", "1", "b"]) == (True, "r")
    for path in (["a", "x"], ["l", "2"], ["l", "-1"], ["l", "b"], ["a", "b", "c"], ["", ""], ["l", "9" * 5000]):
        assert found(value, path) == (False, None)
    assert read(tmp_path / "x", '{"a": {"b": "cat"}}\n{"a.b": "dog", "a": 1}\n', "jsonl", "a.b").texts == ["cat", "dog"]
    with pytest.raises(TextkitError, match=r"x:1: no field 'a\.c'; there is a"):
        read(tmp_path / "x", '{"a": {"b": "cat"}}', "jsonl", "a.c")
    with pytest.raises(TextkitError, match=r"x:1: field 'a\.b' is a number, not a string"):
        read(tmp_path / "x", '{"a": {"b": 1}}', "jsonl", "a.b")


def test_delimiter_parts_csv_and_tsv(tmp_path: Path) -> None:
    assert read(tmp_path / "x", 'a;b\n"1;2";"x ""y"""\n', "csv", "b", delimiter=";").texts == ['x "y"']
    assert read(tmp_path / "x", 'a ||| b\n"1" ||| x\n', "tsv", "a", delimiter=" ||| ").texts == ['"1"']


def test_embed_renames_a_field_of_its_own_name_and_says_so_once(call, tmp_path: Path, model: str) -> None:
    lines = '{"text":"cat","embedding":null,"price":12345678901234567.89,"big":1e400}\n' * 3
    options = ("embed", "-m", model, "--input", "jsonl", "--format", "jsonl")
    code, out, error = call(*options, stdin=lines)
    record = '{"text": "cat", "source_embedding": null, "price": 12345678901234567.89, "big": 1e400, "embedding": [4, -4, 0]}'
    assert (code, out) == (0, f"{record}\n" * 3)
    assert error.count("\n") == 1
    assert "'embedding' is 'source_embedding'" in error
    code, out, error = call(*options, "--field", "vector", stdin=lines)
    assert (code, error) == (0, "")
    assert out == lines.replace("}", ', "vector": [4, -4, 0]}')
    code, out, error = call(*options, "--tokens", stdin='{"text":"cat","tokens":7}\n')
    assert json.loads(out)["source_tokens"] == 7
    code, out, error = call(*options[:-2], stdin=lines)  # the text format writes no field and renames none
    assert (code, out, error) == (0, "4 -4 0\n" * 3, "")


def test_a_skipped_record_keeps_its_fields(call, tmp_path: Path, model: str) -> None:
    options = ("embed", "-m", model, "--format", "jsonl", "--on-error", "skip", "-q", "--input")
    code, out, _ = call(*options, "jsonl", stdin='{"id": 7, "txt": "cat"}\n{"id": 8, "error": "old"}\n[\n')
    first, second, third = map(json.loads, out.splitlines())
    assert code == 0
    assert (first["id"], first["embedding"], "no field 'text'" in first["error"]) == (7, None, True)
    assert (second["error"], "no field 'text'" in second["textkit_error"]) == ("old", True)
    assert set(third) == {"error", "embedding"}
    code, out, _ = call(*options, "csv", "--column", "3", stdin="7,x\n")
    assert json.loads(out) == {"1": "7", "2": "x", "error": "stdin:1: no column 3: the record has 2", "embedding": None}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--delimiter", ";"], "--delimiter: lines have no columns"),
        (["--input", "jsonl", "--delimiter", ";"], "--delimiter: jsonl have no columns"),
        (["--input", "csv", "--delimiter", "||"], "of csv it is one character"),
        (["--input", "csv", "--delimiter", '"'], "of csv it is one character"),
        (["--input", "tsv", "--delimiter", ""], "--delimiter: is empty"),
        (["--field", "x"], "--field x: only --format jsonl has fields"),
        (["--field", "", "--format", "jsonl"], "another field has that name"),
    ],
)
def test_options_that_cannot_work_are_refused(call, model: str, args: list[str], said: str) -> None:
    code, out, error = call("embed", "-m", model, *args)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert said in error
