"""Graphs of large indexes: they find what exact search finds, are never made anew, and leave rows out that are dead."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_embedder import write_ngrams

from textkit.errors import TextkitError
from textkit.retrieval import graphs
from textkit.retrieval import index as index_module
from textkit.retrieval.index import Index
from textkit.retrieval.storing.contents import Contents
from textkit.retrieval.updating import Update, Wanted

pytestmark = pytest.mark.skipif(graphs.engine() is None, reason="usearch is not installed")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ngrams(tmp_path_factory.mktemp("models") / "ngrams", buckets=500, dim=16)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of 1,000 rows, from 2,000 rows on."""
    monkeypatch.setattr(graphs, "FROM", 2000)
    monkeypatch.setattr(graphs, "ROWS", 1000)


def lines(count: int, seed: int = 1) -> str:
    letters = np.random.default_rng(seed).choice(list("abcdefgh "), (count, 12))
    return "".join(f"{''.join(row)} x\n" for row in letters)


def test_what_has_no_graph_yet() -> None:
    million = 1_000_000
    assert graphs.missing(million, []) == []
    assert graphs.missing(million + 1, []) == [(0, 500_000), (500_000, million)]
    assert graphs.missing(1_700_000, [{"stop": 1_000_000}]) == [(1_000_000, 1_500_000)]
    assert graphs.missing(1_499_999, [{"stop": 1_000_000}]) == []


@pytest.mark.usefixtures("small")
def test_graphs_find_what_exact_search_finds(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, folder = tmp_path / "lines.txt", tmp_path / "index"
    file.write_text(lines(3500))
    update = Update(folder, Wanted(str(model)))
    update.run([str(file)])
    parts = Contents(folder).manifest.parts
    assert [(part["start"], part["stop"]) for part in parts] == [(0, 1000), (1000, 2000), (2000, 3000)]
    queries = [line for line in lines(100, 2).splitlines() if line.strip()]
    with Index(folder) as index:
        found = index.search(queries, 10, "meaning")
    with Index(folder) as index:
        monkeypatch.setattr(index_module, "engine", lambda: None)
        exact = index.search(queries, 10, "meaning")
        monkeypatch.undo()
    same = [len({hit.row for hit in a} & {hit.row for hit in b}) / 10 for a, b in zip(found, exact, strict=True)]
    assert np.mean(same) >= 0.98
    assert found[0][0].cosine == exact[0][0].cosine  # computed from the rows


@pytest.mark.usefixtures("small")
def test_appending_makes_no_graph_anew(tmp_path: Path, model: Path) -> None:
    file, folder = tmp_path / "lines.txt", tmp_path / "index"
    file.write_text(lines(2100))
    Update(folder, Wanted(str(model))).run([str(file)])
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("graph-*")}
    assert sorted(before) == ["graph-1", "graph-2"]
    with open(file, "a") as stream:
        stream.write(lines(1000, 3) + "abcabcabcabc x\n")
    Update(folder, Wanted(str(model))).run(None)
    after = {path.name: path.stat().st_mtime_ns for path in folder.glob("graph-*")}
    assert sorted(after) == ["graph-1", "graph-2", "graph-3"]
    assert before.items() <= after.items()
    with Index(folder) as index:
        assert index.search("abcabcabcabc x", 1, "meaning")[0].line == 3101
    other = tmp_path / "other"
    Update(other, Wanted(str(model), exact=True)).run([str(file)])
    assert list(other.glob("graph-*")) == []


@pytest.mark.usefixtures("small")
def test_dead_rows_are_left_out(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "index"
    (tmp_path / "a.txt").write_text(lines(1500))
    (tmp_path / "b.txt").write_text(lines(1500, 4))
    names = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    Update(folder, Wanted(str(model))).run(names)
    (tmp_path / "a.txt").write_text("another\n")
    Update(folder, Wanted(str(model))).run(names)
    with Index(folder) as index:
        hits = index.search(lines(1).strip(), 100, "meaning")
        assert {hit.file.rpartition("/")[2] for hit in hits} <= {"b.txt", "a.txt"}
        assert len(hits) == 100
        assert all(hit.file.endswith("b.txt") or hit.text == "another" for hit in hits)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x" * path.stat().st_size)]
)
def test_damage_is_one_line(tmp_path: Path, model: Path, damage: Any) -> None:
    file, folder = tmp_path / "lines.txt", tmp_path / "index"
    file.write_text(lines(2001))
    Update(folder, Wanted(str(model))).run([str(file)])
    damage(folder / "graph-1")
    with pytest.raises(TextkitError, match="graph-1: damaged index"):
        Index(folder).search("x", 1, "meaning")
    shutil.rmtree(folder)
