"""`textkit similar` on the command line: what is kept, what is dropped and for what, reports, inputs of all kinds."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_embedder import write_ngrams, write_words

# By the model of five words: 1 and 4 have one vector, that of 5 is at a cosine of 71 / sqrt(57 * 97) to it, and 7 is 2 again.
LINES = ["the cat sat", "dog", "", "sat the cat", "the cat sat sat", "zebra", "dog", " \t", "zebra"]
TEXT = "".join(f"{line}\n" for line in LINES)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_words(tmp_path_factory.mktemp("models") / "five"))


@pytest.fixture
def similar(call, model: str):
    return lambda *args, **given: call("similar", "-m", model, "-q", *args, **given)


def kept(*numbers: int) -> str:
    return "".join(f"{LINES[number - 1]}\n" for number in numbers)


def test_what_is_kept_comes_as_it_came(similar) -> None:
    assert similar(stdin=TEXT) == (0, kept(1, 2, 3, 6, 8), "")
    assert similar("--threshold", "0.99", stdin=TEXT) == (0, kept(1, 2, 3, 5, 6, 8), "")
    assert similar("--threshold", "1", stdin=TEXT) == (0, kept(1, 2, 3, 5, 6, 8), "")
    assert similar("--keep", "longest", stdin=TEXT) == (0, kept(2, 3, 5, 6, 8), "")
    odd = "C:\\new\\t\u2028 \N{CAT FACE}\r\nC:\\new\n"
    assert similar(stdin=odd) == (0, odd.replace("\r", ""), "")


def test_what_is_dropped_says_for_what(similar, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(TEXT)
    code, out, err = similar("--duplicates", path)
    assert (code, err) == (0, "")
    rows = [line.split("\t") for line in out.splitlines()]
    assert [(row[0], row[1].rpartition(":")[2], row[3].rpartition(":")[2]) for row in rows] == [
        ("1", "4", "1"), ("0.95485", "5", "1"), ("1", "7", "2"), ("1", "9", "6"),
    ]  # fmt: skip
    assert rows[0][1:] == [f"{path}:4", "sat the cat", f"{path}:1", "the cat sat"]
    rows = [line.split("\t") for line in similar("--duplicates", "--keep", "longest", stdin=TEXT)[1].splitlines()]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("0.95485", "-:1", "-:5"), ("0.95485", "-:4", "-:5"), ("1", "-:7", "-:2"), ("1", "-:9", "-:6"),
    ]  # fmt: skip


def test_json_lines_carry_the_records_fields(similar) -> None:
    given = '{"text": "dog", "file": 1}\n{"text": "dog", "of": [2]}\n\n{"text": "the cat"}\n'
    out = similar("--input", "jsonl", "--format", "jsonl", stdin=given)[1]
    assert [json.loads(line) for line in out.splitlines()] == [
        {"text": "dog", "source_file": 1, "file": "-", "line": 1, "duplicates": 1},
        {"file": "-", "line": 3, "duplicates": 0},
        {"text": "the cat", "file": "-", "line": 4, "duplicates": 0},
    ]
    out = similar("--input", "jsonl", "--format", "jsonl", "--duplicates", stdin=given)[1]
    of = {"file": "-", "line": 1, "text": "dog"}
    assert json.loads(out) == {"text": "dog", "source_of": [2], "file": "-", "line": 2, "similarity": 1, "of": of}
    assert similar("--input", "jsonl", stdin=given)[1] == given.replace('{"text": "dog", "of": [2]}\n', "")


def test_rows_of_tables_come_as_they_came(similar) -> None:
    table = "n\tt\tmore\n1\tdog\tx\n2\tdog\n\n3\tthe cat\ty\n"
    assert similar("--input", "tsv", "--column", "t", stdin=table)[1] == table.replace("2\tdog\n", "")
    assert similar("--input", "tsv", "--column", "2", stdin=table)[1] == table.replace("2\tdog\n", "")
    table = 'n;t\n1;"dog\ncat"\n2;"a ""q"""\n3;"dog\ncat"\n'
    out = similar("--input", "csv", "--delimiter", ";", "--column", "t", stdin=table)[1]
    assert out == table.replace('3;"dog\ncat"\n', "")


@pytest.mark.parametrize("options", [(), ("--input", "tsv", "--column", "1"), ("--input", "jsonl")])
@pytest.mark.parametrize("keep", ["first", "longest"])
def test_another_threshold_without_another_run(
    call, tmp_path: Path, keep: str, options: tuple[str, ...], ngrams: str
) -> None:
    import random

    rng = random.Random(1)
    texts = [" ".join(rng.choice(WORDS) for _ in range(5)) for _ in range(300)]
    path, report = tmp_path / "in", tmp_path / "report.jsonl"
    form = {"jsonl": '{{"text": "{}", "n": {}}}\n', "tsv": "{}\t{}\n"}.get((*options, "", "")[1], "{}\n")
    path.write_text("".join(form.format(text, n) for n, text in enumerate(["", *texts, " "])))
    made = call("similar", "-m", ngrams, "--threshold", "0.8", "--report", path, "-o", report, *options)
    assert made == (0, "", "")
    sizes = set()
    for threshold in ("0.8", "0.9", "1"):
        for more in ((), ("--duplicates",)):
            words = ("similar", "--threshold", threshold, "--keep", keep, *more)
            direct = call(*words, "-m", ngrams, path, *options)
            assert direct[0] == 0
            assert call(*words, "--from", report) == direct
            sizes.add(len(direct[1]))
    assert len(sizes) > 4
    assert call("similar", "--from", "-", stdin=report.read_bytes())[1] == call("similar", "--from", report)[1]
    code, out, err = call("similar", "--from", report, "--threshold", "0.5")
    assert (code, out) == (1, "")
    assert err == f"textkit: {report}: has the pairs from 0.8 on; --threshold 0.5 needs another --report\n"


@pytest.fixture(scope="module")
def ngrams(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_ngrams(tmp_path_factory.mktemp("models") / "ngrams"))


WORDS = ("the", "cat", "sat", "dog", "dogs", "cats", "mat", "hat")
HEAD = '{"report": "textkit similar", "version": 1, "model": "x", "threshold": 0.8}\n'
ONE = '{"record": 1, "file": "f", "line": 1, "text": "dog", "near": []}\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "r: not a report of `textkit similar`: is empty"),
        ("dog\n", "r:1: not a report of `textkit similar`: malformed JSON: Expecting value at character 1"),
        ("{}\n", "r:1: not a report of `textkit similar`: its first line does not say that it is one"),
        (HEAD.replace("1,", "2,"), "r:1: not a report of `textkit similar`: its version is 2; this textkit reads 1"),
        (HEAD.replace("0.8", "null"), "r:1: not a report of `textkit similar`: its threshold is none"),
        (HEAD + ONE + ONE, "r:3: not a report of `textkit similar`: 'record' is 1, not 2"),
        (HEAD + ONE[:30], "r:2: not a report of `textkit similar`: malformed JSON: "),
        (HEAD + ONE.replace("[]", "[[1, 0.9]]"), "'near' holds pairs of an earlier record and a similarity"),
        (HEAD + ONE.replace("[]", "[[0, 0.9]]"), "'near' holds pairs of an earlier record and a similarity"),
        (HEAD + ONE + ONE.replace("1,", "2,", 1).replace("dog", "x").replace("[]", "[[1, 2]]"), "a similarity is 2"),
        (HEAD + ONE + ONE.replace("1,", "2,", 1), "'equal' is for a text that a record before has too"),
        (HEAD + ONE.replace('"near": []', '"equal": 1'), "'equal' is for a text that a record before has too"),
        (HEAD + ONE.replace('"f"', "1"), "'file', 'text' and 'source' are texts"),
        (HEAD + ONE.replace('"line": 1', '"line": "x"'), "'line' is 'x'"),
    ],
)
def test_a_damaged_report_is_one_line(call, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "r").write_text(text)
    code, out, err = call("similar", "--from", tmp_path / "r")
    assert (code, out) == (1, "")
    assert why in err
    assert err.count("\n") == 1


def test_files_folders_and_what_they_hold(call, model: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("dog\n")
    (folder / "b.txt.gz").write_bytes(gzip.compress(b"dog\nthe cat\n"))
    (folder / "c.bin").write_bytes(b"\x00\x01dog\n")
    code, out, err = call("similar", "-m", model, folder)
    assert (code, out) == (0, "dog\nthe cat\n")
    assert "1 file was left out, binary" in err
    assert call("similar", "-m", model, folder / "c.bin") == (
        1,
        "",
        f"textkit: {folder / 'c.bin'}: is binary, not text\n",
    )
    assert call("similar", "-m", model, stdin=b"\x00\n") == (1, "", "textkit: stdin: is binary, not text\n")
    out = call("similar", "-m", model, "-q", "--duplicates", folder)[1]
    assert out == f"1\t{folder}/b.txt.gz:1\tdog\t{folder}/a.txt:1\tdog\n"


@pytest.mark.parametrize("given", ["", "dog\n", "\n\n", "dog"])
def test_little_input(similar, given: str) -> None:
    expected = given + "\n" * (given == "dog")
    assert similar(stdin=given) == (0, expected, "")
    assert similar("--duplicates", stdin=given) == (0, "", "")


def test_what_it_says_with_v(call, model: str) -> None:
    err = call("similar", "-m", model, "-v", stdin=TEXT)[2]
    assert "textkit: 9 records, 4 dropped: near-duplicates of 3\n" in err
    assert "1 line held no word that the model knows: alike to equal lines alone\n" in err


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--report", "--duplicates"], "--report: is jsonl that has all records; not with --duplicates"),
        (["--from", "r", "x"], "--from r: it has the records; no FILE is read"),
        (["--from", "r", "-m", "x"], "--from r: it says what the records are; no model, --input or --column is used"),
        (["--column", "2"], "--column 2: lines have no columns; say --input tsv, csv or jsonl"),
        (["--input", "paragraphs", "--column", "2"], "--input paragraphs: has no columns"),
    ],
)
def test_wrong_usage(call, args: list[str], line: str) -> None:
    assert call("similar", *args) == (2, "", f"textkit: {line}\n")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read there")
def test_millions_of_equal_lines_take_no_square_and_little_memory(model: str, tmp_path: Path) -> None:
    code = (
        "import sys; from textkit.cli import run; from textkit.cli.options import Messages\n"
        f"code = run(['similar', '-m', {model!r}, '-'], Messages())\n"
        "peak = [line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1]\n"
        "print(code, int(peak) // 1024, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"dog\n" * 500_000, capture_output=True, timeout=60)
    assert done.stdout == b"dog\n"
    status, megabytes = map(int, done.stderr.split())
    assert status == 0
    assert megabytes < 250
