"""Check sums of an index's numbers: damage is one line that names the file, and an older index is read without them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_embedder import write_words

from textkit.errors import TextkitError
from textkit.retrieval.index import Index
from textkit.retrieval.storing import sums
from textkit.retrieval.storing.contents import Contents
from textkit.retrieval.updating import Update, Wanted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_words(tmp_path_factory.mktemp("models") / "five")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "BLOCK", 4)


def update(index: Path, model: Path, notes: Path, lines: int) -> None:
    notes.write_text("".join(f"the cat {number}\n" for number in range(lines)))
    Update(index, Wanted(str(model))).run([str(notes)])


def facts(index: Path) -> Any:
    return json.loads((index / "manifest.json").read_text())


def by_hand(index: Path) -> tuple[list[list[int]], dict[str, int]]:
    """The sums of whole blocks and of the rows behind them, of the files as they are."""
    rows = facts(index)["rows"]
    data = {name: (index / "rows-1" / name).read_bytes() for name in ("inverse", "lines")}
    size = {"inverse": 4, "lines": 8}
    whole = [
        [zlib.crc32(data[name][4 * at * size[name] : 4 * (at + 1) * size[name]]) for name in data]
        for at in range(rows // 4)
    ]
    return whole, {name: zlib.crc32(data[name][rows // 4 * 4 * size[name] : rows * size[name]]) for name in data}


@pytest.mark.parametrize("steps", [(3,), (4,), (10,), (3, 5, 8), (4, 12, 13, 30)])
def test_sums_are_those_of_the_rows(tmp_path: Path, model: Path, steps: tuple[int, ...]) -> None:
    index = tmp_path / "index"
    for lines in steps:  # the file grows
        update(index, model, tmp_path / "notes.txt", lines)
        whole, behind = by_hand(index)
        assert np.fromfile(index / "rows-1" / "sums", "<u4").reshape(-1, 2).tolist() == whole
        assert facts(index)["sums"] == behind
        with Index(index) as found:
            assert len(found.search("the cat", 100, "words")) == lines


@pytest.mark.parametrize(
    ("name", "at", "rows"),
    [("lines", 0, "1 to 4"), ("lines", 8 * 9 + 1, "9 to 10"), ("inverse", 4 * 5 + 3, "5 to 8"), ("inverse", 39, "9 to 10")],
)  # fmt: skip
def test_damage_is_found_where_it_is_read(tmp_path: Path, model: Path, name: str, at: int, rows: str) -> None:
    index = tmp_path / "index"
    update(index, model, tmp_path / "notes.txt", 10)
    path = index / "rows-1" / name
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with Index(index) as found, pytest.raises(TextkitError) as caught:
        found.search("the cat", 100)
    assert str(caught.value) == f"{path}: damaged: rows {rows} are not what was written; a new index is needed"


def test_reads_that_begin_anywhere(tmp_path: Path, model: Path) -> None:
    """Blocks are looked at once each, however a read lies to them."""
    index = tmp_path / "index"
    update(index, model, tmp_path / "notes.txt", 15)
    for start in range(15):
        for stop in range(start, 16):
            contents = Contents(index)
            assert contents.lines(start, stop) == list(range(start + 1, stop + 1))
            contents.close()
    path = index / "rows-1" / "lines"
    path.write_bytes(path.read_bytes()[: 8 * 14] + b"\xff" * 8)
    contents = Contents(index)
    assert contents.lines(0, 12) == list(range(1, 13))
    with pytest.raises(TextkitError, match="rows 13 to 15 are not"):
        contents.line(12)
    contents.close()


def test_an_index_without_sums_gets_them_with_its_next_commit(tmp_path: Path, model: Path) -> None:
    index = tmp_path / "index"
    update(index, model, tmp_path / "notes.txt", 10)
    old = facts(index)
    del old["sums"]
    (index / "manifest.json").write_text(json.dumps(old))
    (index / "rows-1" / "sums").unlink()
    with Index(index) as found:
        assert len(found.search("the cat", 100, "words")) == 10
    update(index, model, tmp_path / "notes.txt", 11)
    whole, behind = by_hand(index)
    assert np.fromfile(index / "rows-1" / "sums", "<u4").reshape(-1, 2).tolist() == whole
    assert facts(index)["sums"] == behind


@pytest.mark.parametrize("stated", [{"inverse": 1}, {"inverse": 1, "lines": -1}, {"inverse": 1, "lines": "x"}, [1]])
def test_sums_that_are_none(tmp_path: Path, model: Path, stated: Any) -> None:
    index = tmp_path / "index"
    update(index, model, tmp_path / "notes.txt", 5)
    (index / "manifest.json").write_text(json.dumps(facts(index) | {"sums": stated}))
    with pytest.raises(TextkitError, match=r"manifest\.json: damaged"):
        Index(index)
    (index / "manifest.json").write_text(json.dumps(facts(index) | {"sums": {"inverse": 1, "lines": 1}}))
    (index / "rows-1" / "sums").unlink()
    with pytest.raises(TextkitError, match="sums: damaged index: No such file"):
        Index(index)
