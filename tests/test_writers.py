"""Writing vectors: .npy is read back by numpy.load, JSON by json; files are whole or not there."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from little_room import little_room

from textkit.errors import TextkitError
from textkit.streams.columns import Block
from textkit.streams.escaping import Escaping, escaped, unescaped
from textkit.streams.output import output_file
from textkit.tasks.embed.serving.writers import (
    HEADER,
    Npy,
    f32_of,
    jsonl_of,
    npy_header,
    text_of,
    tokens_jsonl_of,
    tokens_text_of,
)

# --- formats ----------------------------------------------------------------------------------------------------------

VECTORS = np.array([[0.5, -0.25], [1 / 3, 1e-6], [0, 0]], np.float32)


def test_text_is_what_fasttext_users_expect() -> None:
    assert text_of(Block(["a", "b", ""]), VECTORS) == b"0.5 -0.25\n0.33333 1e-06\n0 0\n"


def objects(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode().splitlines()]


def test_jsonl_of_lines() -> None:
    data = jsonl_of(Block(['say "é"', "\u2028\\", ""]), VECTORS)
    assert data.count(b"\n") == 3
    assert [value["text"] for value in map(json.loads, data.decode().split("\n")[:-1])] == ['say "é"', "\u2028\\", ""]
    assert np.array_equal(
        np.array([json.loads(line)["embedding"] for line in data.split(b"\n")[:-1]], np.float32), VECTORS
    )


def test_jsonl_carries_the_records_own_fields() -> None:
    sources = ['{"id": 12345678901234567890, "text": "a"} ', '{"text": "b", "x": "\\ud800"}', "{}"]
    fields = [(source, json.loads(source)) for source in sources]
    block = Block(["a", "b", ""], fields, {2: "x:3: no field 'text'"})
    data = jsonl_of(block, VECTORS)
    assert data.startswith(b'{"id": 12345678901234567890, "text": "a", "embedding": [0.5, -0.25]}\n')
    assert objects(data)[1] == {"text": "b", "x": "\ud800", "embedding": [pytest.approx(1 / 3), pytest.approx(1e-6)]}
    assert objects(data)[2] == {"error": "x:3: no field 'text'", "embedding": None}
    table = Block(["a", "b"], [{"id": "1", "said": "a"}, {}])
    assert jsonl_of(table, VECTORS[:2]).startswith(
        b'{"id": "1", "said": "a", "embedding": [0.5, -0.25]}\n{"embedding": ['
    )
    blank = Block([""], [("", None)])
    assert objects(jsonl_of(blank, VECTORS[2:])) == [{"embedding": [0, 0]}]


TOKENS = [[("the", VECTORS[0]), ("cat", VECTORS[1])], [], []]


def test_tokens() -> None:
    block = Block(["the cat", "", ""], None, {2: "x:3: broken"})
    assert tokens_text_of(Block(["x"]), [[("a\tb\n", VECTORS[2])]]) == b"a\\tb\\n 0 0\n"
    assert tokens_text_of(block, TOKENS) == b"the 0.5 -0.25\tcat 0.33333 1e-06\n\n\n"
    first, blank, skipped = objects(tokens_jsonl_of(block, TOKENS))
    assert first["text"] == "the cat"
    assert [token["token"] for token in first["tokens"]] == ["the", "cat"]
    assert np.array_equal(np.array([token["embedding"] for token in first["tokens"]], np.float32), VECTORS[:2])
    assert blank == {"text": "", "tokens": []}
    assert skipped == {"error": "x:3: broken", "tokens": None}


def test_f32_is_little_endian_rows() -> None:
    assert bytes(f32_of(Block(["a"]), VECTORS[:1].astype(">f4"))) == b"\0\0\0\x3f\0\0\x80\xbe"


# --- .npy -------------------------------------------------------------------------------------------------------------


def test_the_header_is_numpys_own() -> None:
    for rows, dim in ((0, 1), (3, 2), (10**15, 4096)):
        header = npy_header(rows, dim)
        assert len(header) == 128
        stream = io.BytesIO(header)
        assert np.lib.format.read_magic(stream) == (1, 0)
        assert np.lib.format.read_array_header_1_0(stream) == ((rows, dim), False, np.dtype("<f4"))


def write_npy(out: Any) -> None:
    with Npy(out, 2) as npy:
        for rows in (VECTORS, VECTORS[:0], VECTORS[:1]):
            npy.write(f32_of(Block([]), rows))
    out.flush()


EXPECTED = np.concatenate([VECTORS, VECTORS[:1]])


def test_npy_into_a_file(tmp_path: Path) -> None:
    with open(tmp_path / "x.npy", "wb") as out:
        write_npy(out)
    assert np.array_equal(np.load(tmp_path / "x.npy"), EXPECTED)


def test_npy_behind_what_is_in_the_file_already(tmp_path: Path) -> None:
    for mode in ("r+b", "ab"):  # as `{ head; textkit; } > file` and as `textkit >> file`
        path = tmp_path / mode
        path.write_bytes(b"before")
        with open(path, mode) as out:
            out.seek(6)
            write_npy(out)
            out.write(b"after")
        data = path.read_bytes()
        assert data.startswith(b"before")
        assert data.endswith(b"after")
        assert np.array_equal(np.load(io.BytesIO(data[6:])), EXPECTED)


def test_npy_into_a_pipe() -> None:
    read, write = os.pipe()
    received: list[bytes] = []
    with open(read, "rb") as source:
        reader = threading.Thread(target=lambda: received.append(source.read()))
        reader.start()
        with open(write, "wb") as out:
            write_npy(out)
        reader.join()
    assert np.array_equal(np.load(io.BytesIO(received[0])), EXPECTED)


class Stop(BaseException):
    """An exception as a signal raises it."""


def cut_short(out: Any, error: BaseException) -> None:
    with contextlib.suppress(type(error)), Npy(out, 2) as npy:
        npy.write(f32_of(Block([]), VECTORS))
        raise error
    out.flush()


@pytest.mark.parametrize("error", [Stop(), KeyboardInterrupt(), OSError(28, "no"), TextkitError("a record")], ids=repr)
def test_npy_that_ends_early_says_how_many_rows_it_has(tmp_path: Path, error: BaseException) -> None:
    with open(tmp_path / "x.npy", "wb") as out:
        cut_short(out, error)
    assert np.array_equal(np.load(tmp_path / "x.npy"), VECTORS)
    with open(tmp_path / "x.npy", "ab") as out:  # here the rows wait in a temporary file
        out.truncate(0)
        cut_short(out, error)
    assert np.array_equal(np.load(tmp_path / "x.npy"), VECTORS)


def test_npy_of_a_killed_process_does_not_load(tmp_path: Path) -> None:
    """This holds for a file that already has a header and for one that has none."""
    for write in (0, 1):
        with open(tmp_path / "x.npy", "wb") as out:
            npy = Npy(out, 2)
            for _ in range(write):
                npy.write(f32_of(Block([]), VECTORS))
        with pytest.raises(ValueError, match="cut short before the number of its rows was known"):
            np.load(tmp_path / "x.npy")
        with pytest.raises(ValueError, match="cut short"):
            np.load(tmp_path / "x.npy", mmap_mode="r")


def test_npy_on_a_full_disk_has_the_whole_rows_that_found_room(tmp_path: Path) -> None:
    rows = np.arange(2000, dtype=np.float32).reshape(-1, 2)  # 8 bytes each
    assert grown(tmp_path / "x.npy", HEADER + 4 * 8 + 5, rows) == "File too large"
    assert np.array_equal(np.load(tmp_path / "x.npy"), rows[:4])
    assert grown(tmp_path / "y.npy", 50, rows) == "File too large"  # no room for the header
    with pytest.raises((ValueError, EOFError)):
        np.load(tmp_path / "y.npy")


def grown(path: Path, most: int, rows: np.ndarray) -> str | None:
    """Writes rows to a file that may have `most` bytes; what went wrong."""
    try:
        with little_room(most), open(path, "wb") as out, contextlib.closing(out), Npy(out, 2) as npy:
            for _ in range(2):
                npy.write(f32_of(Block([]), rows))
    except OSError as error:
        return error.strerror
    return None


def test_npy_whose_rows_have_no_room_to_wait_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    read, write = os.pipe()
    with open(write, "wb") as out, Npy(out, 2) as npy, pytest.raises(OSError, match="No space left") as caught:
        npy.write(f32_of(Block([]), VECTORS))
    assert caught.value.filename == f"a temporary file in {tempfile.gettempdir()}"
    os.close(read)


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with output_file(str(path)) as out:
        out.write(b"data")
        assert not path.exists()
    assert path.read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["out"]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o640)

    def fail() -> None:
        with output_file(str(path)) as out:
            out.write(b"new")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]
    with output_file(str(path)) as out:
        out.write(b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with output_file(str(tmp_path / "link")) as out:
        out.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_what_is_no_file_is_written_to_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    with output_file(str(pipe)) as out:
        out.write(b"through")
    reader.join()
    assert received == [b"through"]
    with output_file("/dev/null") as out:
        out.write(b"away")
    assert not Path("/dev/null").is_file()


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    def write(path: str) -> None:
        with output_file(path) as out:
            out.write(b"x" * 10**6)

    with pytest.raises(TextkitError, match="is a directory"):
        write(str(tmp_path))
    with pytest.raises(TextkitError, match="no/out: cannot be written: No such file"):
        write(str(tmp_path / "no" / "out"))
    with pytest.raises(TextkitError, match="/dev/full: cannot be written: No space left"):
        write("/dev/full")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("a\nb", r"a\nb"),
        (r"a\nb", r"a\\nb"),
        ("a\\b\nc\r", r"a\\b\nc\r"),
        (r"a\b", r"a\b"),  # nothing to be taken for a line feed
        (r"C:\new", r"C:\\new"),
        ("end\\", "end\\"),
        (r"\\", r"\\\\"),
        ("\\\n", r"\\\n"),
        ("\\\\n\n", r"\\\\n\n"),
    ],
)
def test_a_record_with_line_ends_is_one_line_and_says_what_it_was(text: str, line: str) -> None:
    assert escaped(text) == line
    assert unescaped(line) == text


def test_what_is_escaped_comes_back_whole_or_in_parts() -> None:
    random.seed(3)
    for _ in range(3000):
        text = "".join(random.choices("ab nrt\\\\\n\r\t", k=random.randrange(9)))
        for tabs in (False, True):
            line = escaped(text, tabs)
            assert unescaped(line, tabs) == text
            assert not set(line) & set("\n\r" + "\t" * tabs)
        cut, escaping = random.randrange(len(text) + 1), Escaping()
        assert unescaped(escaping(text[:cut]) + escaping(text[cut:]) + escaping("", last=True)) == text
