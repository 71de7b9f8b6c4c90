"""Parquet and Arrow, in and out: columns keep their types, nulls stay null, parts are row groups, and errors are one line."""

from __future__ import annotations

import datetime
import decimal
import gzip
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


def embed(call, *args, **options):
    return call("embed", "-q", "-m", "en-words", "--threads", "1", *args, **options)


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
        pa.array([b"0123456789abcdef", None] * 150, pa.uuid()),
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


WORDS = pa.dictionary(pa.int16(), pa.string())


@pytest.mark.parametrize(
    ("value", "plain", "kind"),
    [
        (lambda at: [f"x{at // 7}", "y"] if at % 9 else None, pa.list_(pa.string()), pa.list_(WORDS)),
        (lambda at: [f"x{at // 7}", "y"], pa.list_(pa.string(), 2), pa.list_(WORDS, 2)),
        (lambda at: [[f"x{at // 7}"], []], pa.large_list(pa.list_(pa.string())), pa.large_list(pa.list_(WORDS))),
        (lambda at: {"a": f"x{at // 7}"}, pa.struct({"a": pa.string()}), pa.struct({"a": WORDS})),
        (lambda at: [("k", f"x{at // 7}")], pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), WORDS)),
    ],
    ids=["list", "fixed-size list", "list of lists", "struct", "map"],
)
def test_dictionaries_inside_of_other_types_are_made_anew(call, tmp_path, value, plain, kind):
    """Each file has a dictionary of its own, in which other rows' values stand as well."""
    folder = tmp_path / "in"
    folder.mkdir()
    column = pa.array([value(at) for at in range(300)], plain).cast(kind)
    table = pa.table({"text": [f"a house {at}" for at in range(300)], "x": column})
    for at, place in enumerate((0, 70, 140, 210)):
        with pa.OSFile(str(folder / f"{at}.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.slice(place, 70))
            writer.write_table(table.slice(place, 20))
    one, out, joined = tmp_path / "one.arrow", tmp_path / "OUT", tmp_path / "joined.arrow"
    args = ["--input", "arrow", folder, "--format", "arrow"]
    assert embed(call, *args, "-o", one)[0] == 0
    assert embed(call, *args, "-o", out, "--part-size", 1)[0] == 0
    assert len(list(out.glob("part-*"))) == 4
    assert call("parts", out, "--join", "-o", joined)[0] == 0
    assert joined.read_bytes() == one.read_bytes()
    places = [place + at for place in (0, 70, 140, 210) for at in [*range(70), *range(20)]]
    assert pa.ipc.open_stream(one.read_bytes()).read_all()["x"].to_pylist() == column.take(places).to_pylist()
    last = sorted(out.glob("part-*"))[-1]
    inner = pa.ipc.open_stream(last.read_bytes()).read_all()["x"].chunk(0)
    while not isinstance(inner, pa.DictionaryArray):
        inner = inner.field(0) if isinstance(inner, pa.StructArray) else getattr(inner, "items", inner.values)
    assert inner.dictionary.to_pylist() == list(dict.fromkeys(inner.to_pylist()))


def test_values_that_json_does_not_know_are_text(call, tmp_path):
    path = tmp_path / "in.parquet"
    columns = {
        "id": pa.array([b"0123456789abcdef"], pa.uuid()),
        "price": pa.array([decimal.Decimal("1.10")]),
        "took": pa.array([datetime.timedelta(seconds=90)]),
        "raw": pa.array([b"a\xff"]),
        "at": pa.array([datetime.time(12, 30)]),
        "x": pa.array([float("nan")]),
        "y": pa.array([float("-inf")]),
        "when": pa.array([1_700_000_000_000_000_001], pa.timestamp("ns")),
    }
    pq.write_table(pa.table({"text": ["a"], **columns}), path)
    code, out, _ = embed(call, "--input", "parquet", path, "--format", "jsonl")
    found = json.loads(out)
    del found["embedding"]
    assert (code, found) == (0, {
        "text": "a", "id": "30313233-3435-3637-3839-616263646566", "price": "1.10", "took": "0:01:30", "raw": "a\ufffd",
        "at": "12:30:00", "x": None, "y": None, "when": "2023-11-14T22:13:20.000000001",
    })  # fmt: skip


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


@pytest.mark.parametrize("args", [[], ["--column", "zz"], ["--parts", 2]])
def test_a_table_of_thousands_of_columns_is_one_line_of_a_few(call, tmp_path, args):
    path = tmp_path / "wide.parquet"
    names = ["n" * 5000, *(f"column{at}" for at in range(3000))]
    pq.write_table(pa.table({name: ["x"] for name in names}), path)
    code, _, error = embed(call, "--input", "parquet", *args, *["-o", tmp_path / "out"] * ("--parts" in args), path)
    assert (code, error.count("\n")) == (1, 1)
    assert ("no column 'zz'; there is column0, " if "zz" in args else f"there is {'n' * 79}…, column0, ") in error
    assert " more" in error
    assert len(error) < 2000
    pq.write_table(pa.table({}), path)
    none = embed(call, "--input", "parquet", "--format", "parquet", path)[2]
    assert none.endswith("no column 'text': it has no columns\n")
    deep = pa.array([dict.fromkeys(names, 1)])
    pq.write_table(pa.table({"text": deep}), path)
    assert len(embed(call, "--input", "parquet", path)[2]) < 300


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


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"text": ["a"], "more": [1]}, "no 'id'"),
        ({"text": ["a"], "id": ["7"], "when": ["x"], "embedding": ["x"], "tags": [["a"]]}, "'id' is string, not int16"),
        (
            {"text": ["a"], "id": [1 << 20], "when": [None], "embedding": ["x"], "tags": [["a"]]},
            "'id' is int64, not int16 (",
        ),
    ],
)
def test_a_later_file_with_other_columns_is_one_line_with_and_without_parts(call, tmp_path, parquet, other, message):
    later = tmp_path / "later.parquet"
    pq.write_table(pa.table(other), later)
    args = ["--input", "parquet", parquet, later, "--format", "parquet"]
    code, _, error = embed(call, *args, "-o", tmp_path / "o.parquet")
    assert (code, error.count("\n"), (tmp_path / "o.parquet").exists()) == (1, 1, False)
    assert f"{later}: has other columns than {parquet}: {message}" in error
    code, _, error = embed(call, *args, "-o", tmp_path / "OUT", "--part-size", 1)
    assert code == 1
    assert f"OUT: part 11: {later}: has other columns than {parquet}: {message}" in error
    assert len(list((tmp_path / "OUT").glob("part-*"))) == 10


def test_a_later_file_may_have_its_columns_in_another_order_and_width(call, tmp_path):
    first, later = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(pa.table({"text": ["a"], "id": pa.array([1], pa.int64()), "x": pa.array([[1]])}), first)
    other = {
        "x": pa.array([None], pa.null()),
        "id": pa.array([2], pa.int8()),
        "text": pa.array(["b"], pa.large_string()),
    }
    pq.write_table(pa.table(other), later)
    one, joined = tmp_path / "one.parquet", tmp_path / "joined.parquet"
    assert embed(call, "--input", "parquet", first, later, "-o", one) == (0, "", "")
    found = pq.read_table(one).drop_columns("embedding")
    assert found.to_pylist() == [{"text": "a", "id": 1, "x": [1]}, {"text": "b", "id": 2, "x": None}]
    args = ["--input", "parquet", first, later, "--format", "parquet", "-o", tmp_path / "OUT"]
    assert embed(call, *args, "--part-size", 1)[0] == 0
    assert call("parts", tmp_path / "OUT", "--join", "-o", joined)[0] == 0
    assert joined.read_bytes() == one.read_bytes()


def test_a_column_of_nulls_alone_stays_null(call, tmp_path):
    path, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"text": pa.nulls(3), "id": [1, 2, 3]}), path)
    assert embed(call, "--input", "parquet", path, "-o", out) == (0, "", "")
    found = pq.read_table(out)
    assert found["embedding"].to_pylist() == found["text"].to_pylist() == [None] * 3
    assert found["id"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_tables_without_rows_keep_their_columns(call, tmp_path, form):
    empty = pa.table({"text": pa.array([], pa.string()), "id": pa.array([], pa.int16())})
    pq.write_table(empty, tmp_path / "in.parquet")
    (tmp_path / "in.txt").touch()
    for args, columns in (
        (["--input", "parquet", tmp_path / "in.parquet"], ["text", "id", "embedding"]),
        ([tmp_path / "in.txt"], ["text", "embedding"]),
    ):
        one, out, joined = (tmp_path / f"{name}-{columns[1]}" for name in ("one", "OUT", "joined"))
        assert embed(call, *args, "--format", form, "-o", one) == (0, "", "")
        read = pq.read_table(one) if form == "parquet" else pa.ipc.open_stream(one.read_bytes()).read_all()
        assert (read.column_names, read.num_rows) == (columns, 0)
        assert read.schema.field("embedding").type.list_size == 128
        assert embed(call, *args, "--format", form, "-o", out, "--parts", 2)[0] == 0
        assert call("parts", out, "--join", "-o", joined)[0] == 0
        assert joined.read_bytes() == one.read_bytes()
        assert json.loads(call("parts", out, "--format", "json")[1])["records"] == 0
    for verb in (["translate"], ["classify"], ["score"], ["generate", "--max-tokens", "1", "--file"]):
        assert call(*verb, tmp_path / "in.txt", "-q", "--format", form, "-o", tmp_path / "x")[0] == 0
        read = (
            pq.read_table(tmp_path / "x")
            if form == "parquet"
            else pa.ipc.open_stream((tmp_path / "x").read_bytes()).read_all()
        )
        assert (read.column_names[0], read.num_rows) == ("text", 0)
        assert len(read.column_names) > 1


ROWS_OF_JSON = [
    {"id": 1, "text": "a house", "x": 1, "tags": ["a", None], "ok": True, "deep": {"a": [1]}, "embedding": "mine"},
    {"id": 2, "text": "the river", "x": 1.5, "tags": None, "ok": None},
    {"id": "three", "text": "a bank", "x": True, "late": [None], "tags": ["b", 3]},
    {"id": 1 << 70, "text": "\ud800", "x": None, "tags": [], "deep": "plain"},
    {"id": -(1 << 63), "text": "music", "x": 1 << 60},
]


def test_json_lines_become_typed_columns_and_nothing_is_lost(call, tmp_path, monkeypatch):
    monkeypatch.setattr("textkit.streams.table_columns._FIRST", 2)
    path, out = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS_OF_JSON))
    code, _, error = call("embed", "-m", "en-words", "--input", "jsonl", path, "-o", out)
    assert (code, "'embedding' is 'source_embedding'" in error) == (0, True)
    found = pq.read_table(out)
    kinds = {field.name: str(field.type) for field in found.schema if field.name != "embedding"}
    assert kinds == {
        "id": "int64", "text": "string", "x": "double", "tags": "list<element: string>", "ok": "bool", "deep": "string",
        "source_embedding": "string", "other_fields": "string",
    }  # fmt: skip
    assert found["id"].to_pylist() == [1, 2, None, None, -(1 << 63)]
    assert found["x"].to_pylist() == [1.0, 1.5, None, None, None]  # 2**60 is no float to Arrow, which loses digits
    assert found["tags"].to_pylist() == [["a", None], None, None, [], None]
    assert found["deep"].to_pylist() == ['{"a": [1]}', None, None, '"plain"', None]
    assert found["text"].to_pylist()[3] == "\ufffd"
    rest = [None if one is None else json.loads(one) for one in found["other_fields"].to_pylist()]
    assert rest == [
        None,
        None,
        {"id": "three", "x": True, "tags": ["b", 3], "late": [None]},
        {"id": 1 << 70},
        {"x": 1 << 60},
    ]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_records_in_parts_have_the_columns_of_one_run(call, tmp_path, kind, form):
    folder, one, out, joined = tmp_path / "in", tmp_path / "one", tmp_path / "OUT", tmp_path / "joined"
    folder.mkdir()
    for name, offset in (("a", 0), ("b", 3000)):
        rows = [
            {"id": at, "text": f"house {at}", "x": at if at < 1500 else f"{at}"} for at in range(offset, offset + 1500)
        ]
        between = "," if kind == "csv" else "\t"
        lines = [json.dumps(row) if kind == "jsonl" else between.join(map(str, row.values())) for row in rows]
        lines = lines if kind == "jsonl" else [between.join(rows[0]), *lines]
        (folder / f"{name}.{kind}").write_text("\n".join(lines) + "\n")
    args = ["--input", kind, "--column", "text", "--format", form]
    assert embed(call, *args, *sorted(folder.iterdir()), "-o", one) == (0, "", "")
    assert embed(call, *args, folder, "-o", out, "--parts", 9)[0] == 0
    assert call("parts", out, "--join", "-o", joined)[0] == 0
    assert joined.read_bytes() == one.read_bytes()
    read = pq.read_table(one) if form == "parquet" else pa.ipc.open_stream(one.read_bytes()).read_all()
    assert read.num_rows == 3000
    assert [str(field.type) for field in read.schema][:2] == ["int64" if kind == "jsonl" else "string", "string"]
    assert len(list(out.glob("part-*"))) == 9


def test_cells_without_a_column(call, tmp_path):
    path, out = tmp_path / "in.csv", tmp_path / "out.parquet"
    path.write_text("id,text\n1,a house\n2\n3,b,new\n4,the end\n")
    args = ["--input", "csv", "--column", "text", "-o", out]
    code, _, error = embed(call, *args, path)
    assert (code, error.count("\n"), out.exists()) == (1, 1, False)
    assert "in.csv:3: no column 2" in error
    path.write_text("id,text\n1,a house\n" + "1,b\n" * 1200 + "3,b,new\n4,the end\n")
    code, _, error = embed(call, *args, path)
    assert f"{path}:1203: no place for the column '3'" in error
    assert call("embed", "-m", "en-words", *args, path, "--on-error", "skip")[0] == 0
    found = pq.read_table(out)
    assert found.num_rows == 1203
    assert (found["id"][1201].as_py(), found["embedding"][1201].as_py()) == ("3", None)
    assert found["text"].to_pylist()[-1] == "the end"


def test_what_is_no_table(call, tmp_path, parquet):
    packed = tmp_path / "in.parquet.gz"
    packed.write_bytes(gzip.compress(parquet.read_bytes()))
    assert "is compressed as a whole, which parquet cannot be read from" in embed(call, "--input", "parquet", packed)[2]
    parquet.write_bytes(parquet.read_bytes()[:-100])
    assert "is no parquet data" in embed(call, "--input", "parquet", parquet)[2]
    for form in ("arrow", "jsonl"):
        code, out, error = embed(call, "--input", "arrow", "--format", form, stdin=b"no table\n" * 10)
        assert (code, out, error.count("\n")) == (1, "", 1)
        assert "stdin: is no arrow data that can be read" in error


@pytest.mark.parametrize("cut", [3, 8, 400, -20, -9])
def test_a_stream_that_is_cut_short_is_one_line_after_what_came(call, table, cut):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=400)
    code, out, error = embed(call, "--input", "arrow", "--format", "jsonl", stdin=sink.getvalue()[:cut])
    assert (code, error.count("\n")) == (1, 1)
    assert "stdin: is no arrow data that can be read" in error
    assert out.count("\n") == (800 if cut < 0 else 0)


def test_without_pyarrow_one_line_says_what_to_install(call, parquet, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert (
        "Parquet and Arrow need pyarrow, which is not installed: pip install"
        in embed(call, "--input", "parquet", parquet)[2]
    )
