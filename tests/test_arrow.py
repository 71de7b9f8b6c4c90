"""Parquet and Arrow, in and out: columns keep their types, nulls stay null, parts are row groups, and errors are one line."""

from __future__ import annotations

import datetime
import io
import json
import subprocess
import sys

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = 1000


@pytest.fixture
def table():
    return pa.table(
        {
            "id": pa.array(range(ROWS), pa.int16()),
            "text": [None if at % 10 == 3 else f"the house of music {at}" for at in range(ROWS)],
            "when": [datetime.datetime(2024, 1, 1, 12)] * ROWS,
            "embedding": ["mine"] * ROWS,
            "tags": [["a", None]] * ROWS,
        }
    )


@pytest.fixture
def parquet(table, tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(table, path, row_group_size=100)
    return path


def embed(call, *args):
    return call("embed", "-q", "-m", "en-words", "--threads", "1", *args)


def test_columns_keep_their_types_and_nulls_stay_null(call, table, parquet, tmp_path):
    out = tmp_path / "out.parquet"
    assert embed(call, "--input", "parquet", parquet, "-o", out) == (0, "", "")
    found = pq.read_table(out)
    assert found.num_rows == ROWS
    assert found.column_names == ["id", "text", "when", "source_embedding", "tags", "embedding"]
    for ours, theirs in zip(found.columns[:5], table.columns, strict=True):
        assert ours.to_pylist() == theirs.to_pylist()
    assert found.schema.field("id").type == pa.int16()
    assert pa.types.is_fixed_size_list(found.schema.field("embedding").type)
    assert found["embedding"].null_count == ROWS // 10
    plain = [text for text in table["text"].to_pylist() if text is not None]
    (tmp_path / "plain.txt").write_text("".join(f"{text}\n" for text in plain))
    assert embed(call, tmp_path / "plain.txt", "-o", tmp_path / "plain.npy")[0] == 0
    vectors = np.array([one for one in found["embedding"].to_pylist() if one is not None], np.float32)
    np.testing.assert_array_equal(vectors, np.load(tmp_path / "plain.npy"))


def test_json_lines_of_a_table(call, parquet):
    lines = [
        json.loads(line) for line in call("score", "--input", "parquet", parquet, "--format", "jsonl")[1].splitlines()
    ]
    assert len(lines) == ROWS
    assert lines[2] | {"logprob": 0, "perplexity": 0} == {
        "id": 2, "text": "the house of music 2", "when": "2024-01-01T12:00:00", "embedding": "mine", "tags": ["a", None],
        "logprob": 0, "tokens": lines[2]["tokens"], "perplexity": 0, "unknown": 0,
    }  # fmt: skip
    assert (lines[3]["text"], lines[3]["logprob"]) == (None, None)
    assert "error" not in lines[3]


@pytest.mark.parametrize(
    ("verb", "columns"),
    [
        (["translate"], {"translation": pa.string(), "score": pa.float64(), "doubts": pa.list_(pa.string())}),
        (["classify", "--top", "2"], {"label": pa.string(), "probability": pa.float64()}),
        (["score", "--per-word"], {"logprob": pa.float64(), "tokens": pa.int64()}),
        (["generate", "--max-tokens", "2", "-n", "2"], {"continuation": pa.string(), "ended": pa.bool_()}),
        (["embed", "-m", "en-words", "--tokens"], {}),
    ],
)
def test_every_filter_writes_tables(call, tmp_path, verb, columns):
    path, out = tmp_path / "in.txt", tmp_path / "out.parquet"
    path.write_text("I am going home.\n\nWhere is it?\n")
    given = ["--file", path] if verb[0] == "generate" else [path]
    assert call(*verb, "-q", *given, "-o", out)[0] == 0
    found = pq.read_table(out)
    assert found["text"].to_pylist() == ["I am going home.", "", "Where is it?"]
    for name, kind in columns.items():
        assert found.schema.field(name).type == kind
    nested = {"classify": "labels", "score": "per_word", "generate": "samples", "embed": "tokens"}.get(verb[0])
    if nested:
        assert len(found[nested][0].as_py()) > 1
        assert pa.types.is_struct(found.schema.field(nested).type.value_type)
    assert call(*verb, "-q", *given, "--format", "arrow", "-o", tmp_path / "out.arrow")[0] == 0
    with pa.OSFile(str(tmp_path / "out.arrow")) as file:
        assert pa.ipc.open_stream(file).read_all().to_pylist() == found.to_pylist()


def test_a_stream_is_answered_batch_by_batch(table):
    command = [
        sys.executable,
        "-m",
        "textkit",
        "embed",
        "-q",
        "-m",
        "en-words",
        "--input",
        "arrow",
        "--format",
        "arrow",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        with pa.ipc.new_stream(process.stdin, table.schema) as writer:
            writer.write_batch(table.slice(0, 5).to_batches()[0])
            process.stdin.flush()
            reader = pa.ipc.open_stream(process.stdout)
            first = reader.read_next_batch()  # comes before the second is sent
            assert first.column("id").to_pylist() == [0, 1, 2, 3, 4]
            writer.write_batch(table.slice(5, 3).to_batches()[0])
        process.stdin.close()
        assert reader.read_next_batch().num_rows == 3
        assert process.wait() == 0


def test_parts_are_row_groups_and_joined_are_the_file_of_one_run(call, parquet, tmp_path):
    one, out, joined = tmp_path / "one.parquet", tmp_path / "OUT", tmp_path / "joined.parquet"
    args = ["--input", "parquet", parquet, "--format", "parquet"]
    assert embed(call, *args, "-o", one)[0] == 0
    assert embed(call, *args, "-o", out, "--parts", 4)[0] == 0
    rows = [pq.read_metadata(part).num_rows for part in out.glob("*.parquet")]
    assert (len(rows), sum(rows), {count % 100 for count in rows}) == (4, ROWS, {0})
    assert pq.read_table(out).num_rows == ROWS  # other tools read the folder
    assert call("parts", out, "--join", "-o", joined)[0] == 0
    assert joined.read_bytes() == one.read_bytes()
    again = tmp_path / "again.parquet"
    assert embed(call, "--input", "parquet", out, "--field", "x", "-o", again)[0] == 0  # a folder is a table, too
    assert pq.read_table(again).column_names[-2:] == ["embedding", "x"]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize(
    "column",
    [
        pa.array([None] * 300, pa.string()),
        pa.array([[1, None], []] * 150),
        pa.array([{"a": {"b": [at]}} for at in range(300)]),
        pa.array([[("k", at)] for at in range(300)], pa.map_(pa.string(), pa.int32())),
        pa.array([0] * 300, pa.timestamp("s")),
        pa.array([86400000] * 300, pa.date64()),
        pa.array([f"x{at // 7}" for at in range(300)]).dictionary_encode(),
        pa.array([[1.0, 2.0]] * 300, pa.list_(pa.float32(), 2)),
        pa.array([True, None, False] * 100),
    ],
    ids=lambda column: str(column.type).split("<")[0],
)
def test_joined_parts_are_what_one_run_writes_whatever_the_columns_are(call, tmp_path, form, column):
    """Nulls, names in nested types, dictionaries and units change on the way through a file."""
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": [f"a house {at}" for at in range(300)], "x": column}), path, row_group_size=70)
    one, out, joined = tmp_path / f"one.{form}", tmp_path / "OUT", tmp_path / f"joined.{form}"
    args = ["--input", "parquet", path, "--format", form]
    assert embed(call, *args, "-o", one)[0] == 0
    assert embed(call, *args, "-o", out, "--part-size", 1)[0] == 0
    assert len(list(out.glob("part-*"))) == 5
    assert call("parts", out, "--join", "-o", joined)[0] == 0
    assert joined.read_bytes() == one.read_bytes()


def test_batches_of_lines_do_not_depend_on_parts(call, tmp_path):
    path, out = tmp_path / "in.txt", tmp_path / "OUT"
    path.write_text("".join(f"{at}\n" for at in range(10_000)))
    assert embed(call, path, "-o", tmp_path / "one.arrow")[0] == 0
    assert embed(call, path, "--format", "arrow", "-o", out, "--parts", 7)[0] == 0
    assert call("parts", out, "--join", "-o", tmp_path / "joined.arrow")[0] == 0
    assert (tmp_path / "joined.arrow").read_bytes() == (tmp_path / "one.arrow").read_bytes()
    with pa.OSFile(str(tmp_path / "one.arrow")) as file:
        assert [batch.num_rows for batch in pa.ipc.open_stream(file)] == [4096, 4096, 1808]


def test_what_parquet_cannot_hold_is_one_line(call, tmp_path):
    path = tmp_path / "in.arrow"
    table = pa.table({"text": ["a"], "x": pa.array([{}], pa.struct([]))})
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)
    code, _, error = embed(call, "--input", "arrow", path, "-o", tmp_path / "out.parquet")
    assert (code, error.count("\n"), (tmp_path / "out.parquet").exists()) == (1, 1, False)
    assert "cannot be written as parquet: " in error


def test_large_row_groups_do_not_depend_on_windows(tmp_path):
    from textkit.streams.arrow_output import ArrowOut

    def written(sizes):
        out = io.BytesIO()
        with ArrowOut(out, "parquet") as tables:
            for size in sizes:
                tables.write(pa.table({"a": pa.array(range(size), pa.int64())}))
        return pq.ParquetFile(io.BytesIO(out.getvalue())).metadata

    rows = 2 * (1 << 16) + 10
    for sizes in ([rows], [1000] * (rows // 1000) + [rows % 1000]):
        found = written(sizes)
        assert [found.row_group(at).num_rows for at in range(found.num_row_groups)] == [1 << 16, 1 << 16, 10]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--column", "id"], "column 'id' is of type int16, not string"),
        (["--column", "txet"], "no column 'txet'; did you mean 'text'?"),
        (["--input", "arrow"], "is no arrow data that can be read"),
    ],
)
def test_other_columns_and_files_are_one_line(call, parquet, args, message):
    code, out, error = embed(call, "--input", "parquet", *args, parquet)
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert f"{parquet}: {message}" in error


def test_what_tables_cannot_say(call, tmp_path, parquet):
    code, _, error = embed(call, "--input", "jsonl", "--format", "parquet", tmp_path / "x", "-o", tmp_path / "y")
    assert (code, error.count("\n")) == (2, 1)
    assert "fields of jsonl have no types" in error
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"text": ["a"], "more": [1]}), other)
    code, _, error = embed(call, "--input", "parquet", parquet, other, "-o", tmp_path / "o.parquet")
    assert (code, (tmp_path / "o.parquet").exists()) == (1, False)
    assert "a later file has other columns than the first" in error
    parquet.write_bytes(parquet.read_bytes()[:-100])
    assert "is no parquet data" in embed(call, "--input", "parquet", parquet)[2]


def test_without_pyarrow_one_line_says_what_to_install(call, parquet, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert (
        "Parquet and Arrow need pyarrow, which is not installed: pip install"
        in embed(call, "--input", "parquet", parquet)[2]
    )
