"""Text in other encodings: UTF-16 is reported, and --encoding reads whatever Python can, in parts and compressed too."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from textkit.errors import TextkitError, UsageError
from textkit.streams.encoding import Decoder, checked, foreign, read_as
from textkit.streams.lines import Reader, read_lines

Call = Callable[..., tuple[int, str, str]]
TEXT = "The dog runs home.\nÄpfel und Öl.\n"


@pytest.fixture(autouse=True)
def in_utf8_again() -> Iterator[None]:
    yield
    read_as(None)


@pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_utf_16_and_32_are_told_of_in_one_line(tmp_path: Path, call: Call, name: str) -> None:
    data = TEXT.encode(name)
    assert foreign(data) in (name, "utf-16-le", "utf-32-le")
    for path, content in (("plain", data), ("packed", gzip.compress(data))):
        (tmp_path / path).write_bytes(content)
        code, out, error = call("embed", tmp_path / path)
        assert (code, out) == (1, "")
        assert error.startswith(f"textkit: {tmp_path / path}: is {name[:6].upper()}, not UTF-8; --encoding {name[:6]}")
        assert error.count("\n") == 1
    assert call("embed", stdin=data)[0] == 1
    with pytest.raises(TextkitError, match="not UTF-8"):
        list(read_lines(tmp_path / "plain"))


@pytest.mark.parametrize(
    "text", ["кот", "你好", "кот и пёс\n", "你好。我是汤姆。\n", "a", "ab c\n", "γάτα", "", "日本\n" * 99]
)
def test_a_mark_is_believed_where_what_follows_is_no_utf_8(text: str) -> None:
    assert foreign(text.encode("utf-16")) == "utf-16"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a",
        b"\0",
        b"a\0",
        b"x\0y\0",
        b"one\0two\0three\0",
        b"a\0b\n" * 9,
        "äöü".encode(),
        b"\0" * 64,
        b"\xff\xfe the\n\0\nand so on, and so on",
        b"\xfe",
    ],
)
def test_what_is_utf_8_with_nuls_is_not_taken_for_utf_16(data: bytes) -> None:
    assert foreign(data) is None


@pytest.mark.parametrize(
    "name",
    [
        *("utf-16", "latin-1", "UTF8"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("utf-16-be", "utf-32", "cp1252", "utf-8", "utf-7", "mac-roman")
        ),
    ],
)
def test_encoding_reads_it(tmp_path: Path, call: Call, name: str) -> None:
    (tmp_path / "text").write_bytes(TEXT.encode(name))
    plain = call("embed", stdin=TEXT)
    assert call("embed", "--encoding", name, tmp_path / "text") == plain
    assert call("embed", stdin=TEXT) == plain  # the option has no effect on later commands


@pytest.mark.parametrize(
    ("name", "text"), [("shift_jis", "日本語。\nはい"), ("gb18030", "你好。𠀀"), ("iso2022_jp", "日本")]
)
def test_bytes_come_in_any_parts(name: str, text: str) -> None:
    data = text.encode(name)
    parts = [data[at : at + 1] for at in range(len(data))]
    found = list(Decoder(name)(iter([b"", *parts, b""])))
    assert b"".join(found).decode() == text
    assert found.count(b"") == 2  # pauses


def test_a_line_is_given_as_soon_as_it_is_whole() -> None:
    read, write = os.pipe()
    os.write(write, "ab\ncd".encode("utf-16-le")[:-1])
    read_as("utf-16-le")
    blocks = iter(Reader(f"/dev/fd/{read}"))
    assert next(block for block in blocks if block) == ["ab"]
    assert next(blocks) == []
    os.write(write, b"\0\n\0")
    assert next(block for block in blocks if block) == ["cd"]
    os.close(write)
    assert not any(blocks)
    os.close(read)


def test_what_an_encoding_has_not_is_counted(tmp_path: Path, call: Call) -> None:
    (tmp_path / "text").write_bytes(b"caf\x81\nb\xe9\n")
    code, out, error = call("embed", "--encoding", "cp1252", tmp_path / "text")
    assert (code, out.count("\n")) == (0, 2)
    assert "1 line held bytes that are no cp1252; they became U+FFFD" in error


@pytest.mark.parametrize("name", ["utf-17", "", "rot13", "base64", "hex", "idna", "unicode_escape", "a\0b", "x" * 999])
def test_unknown_encodings_are_wrong_usage(call: Call, name: str) -> None:
    with pytest.raises(UsageError, match="unknown"):
        checked(name)
    if "\0" not in name:
        code, _, error = call("embed", "--encoding", name, stdin="a\n")
        assert code == 2
        assert len(error) < 400


def test_each_member_of_a_gzip_file_may_have_a_mark(tmp_path: Path) -> None:
    mark = "\ufeff".encode()
    (tmp_path / "b.gz").write_bytes(b"".join(gzip.compress(mark + line) for line in (b"one\n", b"two\n", b"")))
    assert [line for block in Reader(tmp_path / "b.gz") for line in block] == ["one", "two"]


def test_training_reads_other_encodings(tmp_path: Path, call: Call) -> None:
    (tmp_path / "text").write_bytes(("ä ö ü ä ö ü\n" * 30).encode("utf-16"))
    options = "word2vec", tmp_path / "text", "--set", "dim=4", "--set", "epochs=1", "--set", "min_count=1"
    code, _, error = call("train", *options, "-o", tmp_path / "none")
    assert code == 1
    assert "--encoding utf-16" in error
    code, _, error = call("train", *options, "-o", tmp_path / "run", "--encoding", "utf-16")
    assert code == 0, error
    assert call("export-onnx", tmp_path / "run", "-o", tmp_path / "model")[0] == 0
    assert set((tmp_path / "model" / "words.txt").read_text().split()) == {"ä", "ö", "ü"}
