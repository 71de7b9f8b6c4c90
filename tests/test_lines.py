"""Reading lines: the rules of a line at every block size, compressed files, pauses, and files that are not text."""

from __future__ import annotations

import gzip
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from textkit.errors import TextkitError
from textkit.streams.lines import Reader, check_readable, read_blocks, read_lines

# One of everything: CRLF, a lone CR, a blank line, U+2028 and NUL as text, four-byte characters, no newline at the end.
TRICKY = "\ufefffirst\r\nse\rcond\n\n\u2028 x\0y\r\n\U0001f600é\r\r\n \nlast\r"
TRICKY_LINES = ["first", "se\rcond", "", "\u2028 x\0y", "\U0001f600é\r", " ", "last"]


def blocks_of(path: Path, size: int) -> list[list[str]]:
    with Reader(path, size) as reader:
        return list(reader)


@pytest.mark.parametrize("size", [*range(1, 20), 1 << 18])
def test_lines_do_not_depend_on_where_blocks_end(tmp_path: Path, size: int) -> None:
    path = tmp_path / "tricky.txt"
    path.write_bytes(TRICKY.encode())
    blocks = blocks_of(path, size)
    assert [line for block in blocks for line in block] == TRICKY_LINES
    assert [] not in blocks  # a regular file never pauses


@pytest.mark.parametrize(("content", "lines"), [(b"", []), (b"\n", [""]), (b"\n\n", ["", ""]), (b"a", ["a"])])
def test_ends(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert [line for block in blocks_of(path, 100) for line in block] == lines


def test_a_byte_order_mark_is_dropped_at_the_start_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\xef\xbb\xbf")
    assert blocks_of(path, 2) == []
    path.write_text("\ufeffa\n\ufeffb", encoding="utf-8")
    assert [line for block in blocks_of(path, 1) for line in block] == ["a", "\ufeffb"]


def test_invalid_bytes_become_replacement_characters_and_their_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"ok\n\xff\xfe\nna\xc3\xafve\n\xe2\x82\nlatin \xe9t\xe9")
    with Reader(path) as reader:
        assert list(reader) == [["ok", "\ufffd\ufffd", "naïve", "\ufffd"], ["latin \ufffdt\ufffd"]]
        assert (reader.invalid, reader.lines) == (3, 5)


@pytest.mark.parametrize("size", [1, 3, 10, 1 << 18])
def test_gzip_of_several_members_and_padding(tmp_path: Path, size: int) -> None:
    path = tmp_path / "no-suffix"
    data = TRICKY.encode()
    path.write_bytes(gzip.compress(data[:20]) + gzip.compress(b"") + gzip.compress(data[20:]) + b"\0" * 11)
    assert [line for block in blocks_of(path, size) for line in block] == TRICKY_LINES


@pytest.mark.parametrize("size", [1, 3, 10, 1 << 18])
def test_zstandard_of_several_frames(tmp_path: Path, size: int) -> None:
    path = tmp_path / "no-suffix"
    data = TRICKY.encode()
    path.write_bytes(zstandard.compress(data[:20]) + zstandard.compress(data[20:]))
    assert [line for block in blocks_of(path, size) for line in block] == TRICKY_LINES


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_compressed_data_comes_in_blocks(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "x"
    path.write_bytes(compress(b"a line of the same words\n" * 400_000))  # 10 MB from a few kB
    blocks = blocks_of(path, 1 << 18)
    assert sum(map(len, blocks)) == 400_000
    assert max(map(len, blocks)) <= (1 << 18) // 25 + 1


def zstandard_with_checksum(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


@pytest.mark.parametrize(("compress", "kind"), [(gzip.compress, "gzip"), (zstandard_with_checksum, "zstandard")])
def test_damaged_compression_names_the_file(tmp_path: Path, compress: Callable[[bytes], bytes], kind: str) -> None:
    path = tmp_path / "broken"
    whole = compress(os.urandom(5000).hex().encode() + b"\n")
    path.write_bytes(whole[:-30])
    with pytest.raises(TextkitError, match=f"broken: truncated {kind} data"):
        blocks_of(path, 1000)
    path.write_bytes(whole[:50] + b"\xff\xff\xff" + whole[53:])
    with pytest.raises(TextkitError, match=f"broken: damaged {kind} data"):
        blocks_of(path, 1000)
    path.write_bytes(whole + b"something else")
    with pytest.raises(TextkitError, match=f"broken: damaged {kind} data"):
        blocks_of(path, 1000)


def test_an_empty_block_says_that_the_input_pauses(tmp_path: Path) -> None:
    read, write = os.pipe()
    reader = Reader(f"/dev/fd/{read}")
    blocks = iter(reader)
    os.write(write, b"\xef")  # part of a byte order mark decides nothing yet
    os.write(write, b"\xbb\xbfone\ntw")
    assert next(blocks) == ["one"]
    assert next(blocks) == []
    os.write(write, b"o\nthree\n")
    assert next(blocks) == ["two", "three"]
    assert next(blocks) == []
    os.write(write, b"four")
    os.close(write)
    os.close(read)
    assert list(blocks) == [["four"]]
    reader.close()


def test_a_first_byte_that_could_begin_a_compressed_file_does_not_hold_a_line_back() -> None:
    read, write = os.pipe()
    with Reader(f"/dev/fd/{read}") as reader:
        os.close(read)
        blocks = iter(reader)
        os.write(write, b"(\n")  # 0x28 begins zstandard's magic number
        assert next(blocks) == ["("]
        os.close(write)
        assert list(blocks) == []


def test_read_lines_gives_blank_lines_and_can_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\n a\n\n")
    assert list(read_lines(path)) == ["", " a", ""]
    assert list(read_lines(str(path))) == ["", " a", ""]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"a\n" * 4000 + b"\0", "is binary"),
        (b"\x7fELF\0", "is binary"),
    ],
)
def test_what_cannot_be_trained_on(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(TextkitError, match=f"data: {said}"):
        list(read_blocks(path, 7))


def test_a_nul_after_the_first_8_kib_is_text(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"a\n" * 4096 + b"\0\n")
    assert list(read_lines(path))[-1] == "\0"


def test_missing_files_and_directories(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "no", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(TextkitError, match=said):
            list(read_lines(path))
        with pytest.raises(TextkitError, match=said):
            check_readable([path])
    with pytest.raises(TextkitError, match="cannot be opened"):
        list(read_lines("a\0b"))


def test_a_stdin_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python sets it if it is closed
    with pytest.raises(TextkitError, match="stdin is closed"):
        Reader(None)


def test_check_readable_opens_no_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    check_readable([path])  # opening it would wait for a writer
    writer = threading.Thread(target=path.write_bytes, args=(b"through the pipe\n",))
    writer.start()
    assert list(read_lines(path)) == ["through the pipe"]
    writer.join()


def test_a_line_of_10_mb(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"ab " * 3_500_000 + b"\nshort\n")
    assert [len(line) for line in read_lines(path)] == [10_500_000, 5]
