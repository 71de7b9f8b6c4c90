"""`textkit map` on the command line."""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path

import pytest
from small_embedder import write_ngrams, write_words

pytest.importorskip("openTSNE")
WORDS = (("cat", "mat", "sat"), ("dog", "fog", "log"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_ngrams(tmp_path_factory.mktemp("models") / "ngrams"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(1)
    path = tmp_path_factory.mktemp("rows") / "rows.tsv"
    lines = [f"{n % 2}\t{rng.random():.3f}\t{' '.join(rng.choices(WORDS[n % 2], k=3))}\n" for n in range(60)]
    path.write_text("kind\tscore\ttext\n" + "".join(lines[:30]) + "\n" + "".join(lines[30:]))
    return path


def data_of(page: Path) -> dict:
    return json.loads(re.findall(r'id="data">(.*?)</script>', page.read_text())[0])


def test_a_page_with_a_column(call, model: str, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.html"
    args = ("map", "-m", model, "--input", "tsv", "--column", "text", rows, "-o", out)
    assert call(*args, "--color", "kind", "--labels") == (0, "", "")
    data = data_of(out)
    assert len(data["texts"]) == 60
    assert [column["name"] for column in data["columns"]] == ["cluster", "kind"]
    assert (data["columns"][1]["names"], data["color"], data["labels"]) == (["0", "1"], 1, True)
    assert data["places"][0] == "line 2"
    assert data["places"][30] == "line 33"  # behind the blank one
    assert len(data["clusters"]) >= 2
    names = " ".join(cluster["name"] for cluster in data["clusters"])
    assert any(word in names for word in WORDS[0])
    assert any(word in names for word in WORDS[1])
    before = out.read_bytes()
    assert call(*args, "--color", "kind", "--labels")[0] == 0
    assert out.read_bytes() == before
    assert call(*args, "--color", "score", "--threads", "1")[0] == 0
    assert data_of(out)["columns"][1]["values"]
    assert data_of(out)["x"] == data["x"]


def test_other_formats(call, model: str, rows: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    parquet = pytest.importorskip("pyarrow.parquet")
    args = ("map", "-m", model, "--input", "tsv", "--column", "text", rows)
    assert call(*args, "-o", tmp_path / "map.png", "--labels") == (0, "", "")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert call(*args, "-o", tmp_path / "map.parquet") == (0, "", "")
    table = parquet.read_table(tmp_path / "map.parquet").to_pydict()
    assert list(table) == ["x", "y", "text", "cluster", "label", "file", "line", "kind", "score"]
    assert table["line"][:2] == [2, 3]
    assert call(*args, "--format", "html")[1].startswith("<!doctype html>")


def test_several_files_are_a_column_and_equal_texts_share_a_place(call, model: str, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("cat mat\ndog\n\nlog fog\n" * 5)
    code, _, err = call("map", "-m", model, tmp_path, "-o", tmp_path / "m.html", "-v")
    assert code == 0
    assert "30 points" in err
    data = data_of(tmp_path / "m.html")
    assert [column["name"] for column in data["columns"]] == ["cluster", "file"]
    assert data["places"][-1] == "b.txt:20"


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["in.txt"], 2, "missing option '-o': the file to write, as in: -o map.html"),
        (["in.txt", "-o", "map.xyz"], 2, "-o map.xyz: .xyz is no format that this writes; "),
        (["in.txt", "-o", "map"], 2, "-o map: ends with none of .html, .png, .svg, .pdf, .parquet, .htm; "),
        (
            ["in.txt", "-o", "m.html", "--color", "x"],
            2,
            "--color x: lines have no columns; say --input tsv, csv or jsonl",
        ),
        (["in.txt", "-o", "m.html", "--input", "tsv", "--color", "x"], 2, "--color x: no record has such a column"),
        (["blank.txt", "-o", "m.html"], 1, "there is no text to map"),
        (["none.txt", "-o", "m.html"], 1, "none.txt: no such file"),
    ],
)
def test_what_cannot_be(
    call, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("cat\ndog\n")
    Path("blank.txt").write_text("\n \n")
    found, out, err = call("map", "-m", model, *args)
    assert (found, out) == (code, "")
    assert err.startswith(f"textkit: {line}")
    assert err.count("\n") == 1
    assert not Path("m.html").exists()


def test_what_the_model_does_not_know_has_no_place(call, tmp_path: Path) -> None:
    model = write_words(tmp_path / "five")
    (tmp_path / "in.txt").write_text("cat\nzebra\ndog\n")
    code, _, err = call("map", "-m", model, tmp_path / "in.txt", "-o", tmp_path / "m.html")
    assert (code, err) == (
        0,
        "textkit: warning: 1 line held no word that the model knows, and has no place\n",
    )
    assert data_of(tmp_path / "m.html")["texts"] == ["cat", "dog"]


@pytest.mark.parametrize(("package", "out"), [("openTSNE", "m.html"), ("sklearn", "m.html"), ("pyarrow", "m.parquet")])
def test_without_the_extra(call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, out: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "in.txt").write_text("cat\n")
    code, _, err = call("map", tmp_path / "in.txt", "-o", tmp_path / out)
    what = "Parquet" if package == "pyarrow" else "a map"
    assert (code, err) == (
        1,
        f"textkit: {what} needs {package}, which is not installed: pip install 'textkit-onnx[map]'\n",
    )
