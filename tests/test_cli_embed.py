"""`textkit embed` as a process: formats, inputs, pauses, closed pipes, full disks, Ctrl-C."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_embedder import write_ngrams, write_words

import textkit.cli
from textkit.cli import filtering
from textkit.errors import TextkitError

LINES = "The cat.\ncat\n\ndog unknown SAT\n"
TEXT = "1.6667 -1.3333 -1\n4 -4 0\n0 0 0\n1 5 1.5\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_words(tmp_path_factory.mktemp("models") / "five"))


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "textkit", "embed", *map(str, args)]


def embed(*args: object, given: str | bytes = "", code: int = 0, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs the command to its end; stderr must be empty unless `code` or the test says otherwise."""
    data = given.encode() if isinstance(given, str) else given
    done = subprocess.run(command(*args), input=data, capture_output=True, timeout=60, **options)
    assert done.returncode == code, done.stderr.decode()
    return done


def rows(text: str) -> list[list[float]]:
    return [[float(number) for number in line.split()] for line in text.splitlines()]


# --- formats ----------------------------------------------------------------------------------------------------------


def test_text_from_stdin(model: str) -> None:
    done = embed("-m", model, given=LINES)
    assert done.stdout.decode() == TEXT
    assert done.stderr == b""


def test_no_input_is_no_output(model: str) -> None:
    for form, expected in (("text", b""), ("jsonl", b""), ("f32", b"")):
        assert embed("-m", model, "--format", form).stdout == expected
    assert np.load(io.BytesIO(embed("-m", model, "--format", "npy").stdout)).shape == (0, 3)


def test_every_format_says_the_same(model: str, tmp_path: Path) -> None:
    expected = np.frombuffer(embed("-m", model, "--format", "f32", given=LINES).stdout, "<f4").reshape(-1, 3)
    np.testing.assert_allclose(expected, rows(TEXT), rtol=1e-4)
    objects = [json.loads(line) for line in embed("-m", model, "--format", "jsonl", given=LINES).stdout.splitlines()]
    assert [value["text"] for value in objects] == LINES.splitlines()
    assert np.array_equal(np.array([value["embedding"] for value in objects], np.float32), expected)
    assert np.array_equal(np.load(io.BytesIO(embed("-m", model, "--format", "npy", given=LINES).stdout)), expected)
    for name in ("x.npy", "x.f32", "x.jsonl", "x.txt"):
        embed("-m", model, "-o", tmp_path / name, given=LINES)
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected)
    assert (tmp_path / "x.f32").read_bytes() == expected.tobytes()
    assert [json.loads(line)["text"] for line in (tmp_path / "x.jsonl").read_text().splitlines()] == LINES.splitlines()
    assert (tmp_path / "x.txt").read_text() == TEXT
    assert sorted(os.listdir(tmp_path)) == ["x.f32", "x.jsonl", "x.npy", "x.txt"]


def test_npy_into_a_redirection(model: str, tmp_path: Path) -> None:
    for mode in ("wb", "ab"):
        with open(tmp_path / "x.npy", mode) as out:
            subprocess.run(command("-m", model, "--format", "npy"), input=LINES.encode(), stdout=out, check=True)
    data = (tmp_path / "x.npy").read_bytes()
    assert len(data) == 2 * (128 + 4 * 3 * 4)
    for part in (data[: len(data) // 2], data[len(data) // 2 :]):
        assert np.load(io.BytesIO(part)).shape == (4, 3)


def test_pooling_and_normalising(model: str) -> None:
    assert embed("-m", model, "--pooling", "max", given="the cat\n").stdout == b"4 0 0\n"
    assert embed("-m", model, "--pooling", "sif", given="cat\n").stdout == b"4 -4 0\n"
    assert embed("-m", model, "--normalize", given="cat\n\n").stdout == b"0.70711 -0.70711 0\n0 0 0\n"
    assert embed("-m", model, "--no-normalize", given="cat\n").stdout == b"4 -4 0\n"


def test_tokens(model: str) -> None:
    assert (
        embed("-m", model, "--tokens", given="the Cat\n\n?!\n").stdout == b"the 1 0 0\tcat 4 -4 0\n\n? 0 0 0\t! 0 0 0\n"
    )
    value = json.loads(embed("-m", model, "--tokens", "--format", "jsonl", given="the\n").stdout)
    assert value == {"text": "the", "tokens": [{"token": "the", "embedding": [1, 0, 0]}]}


# --- input ------------------------------------------------------------------------------------------------------------


def test_files_in_order_compressed_or_not_and_stdin_among_them(model: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("cat\nthe")  # the last line has no end
    (tmp_path / "b").write_bytes(gzip.compress(b"\xef\xbb\xbfdog\r\n"))
    (tmp_path / "empty").write_bytes(b"")
    done = embed("-m", model, tmp_path / "a", tmp_path / "empty", "-", tmp_path / "b", given="sat\n")
    assert done.stdout == b"4 -4 0\n1 0 0\n2 2 2\n0 8 1\n"


def test_columns(model: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('id,said\n1,"the\ncat"\n2,dog\n')
    done = embed("-m", model, "--input", "csv", "--column", "said", "--format", "jsonl", tmp_path / "x.csv")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"id": "1", "said": "the\ncat", "embedding": [2.5, -2, 0]},
        {"id": "2", "said": "dog", "embedding": [0, 8, 1]},
    ]
    assert embed("-m", model, "--input", "tsv", "--column", "2", given='1\tcat\n2\t"dog\n').stdout == b"4 -4 0\n0 8 1\n"
    done = embed(
        "-m", model, "--input", "jsonl", "--column", "t", "--format", "jsonl", given='{"t": "cat", "n": [1]}\n'
    )
    assert done.stdout == b'{"t": "cat", "n": [1], "embedding": [4, -4, 0]}\n'


def test_what_is_out_of_the_ordinary_is_counted_on_stderr(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "x", limit=2)
    given = b"the cat dog\ncat \xff\ncat\n"
    done = embed("-m", folder, given=given)
    assert done.stdout == b"1.6667 1.3333 0.33333\n4 -4 0\n4 -4 0\n"
    assert done.stderr.decode().splitlines() == [
        "textkit: warning: stdin: 1 line held bytes that are no UTF-8; they became U+FFFD",
        "textkit: warning: 1 line had more than the model's 2 tokens: split, and the parts averaged by length",
    ]
    done = embed("-m", folder, "--cut-long", given=given)
    assert done.stdout == b"2.5 -2 0\n4 -4 0\n4 -4 0\n"
    assert b"1 line had more than the model's 2 tokens: cut" in done.stderr
    assert embed("-m", folder, "-q", given=given).stderr == b""


BAD = '{"text": "cat"}\n{"txt": "dog"}\n\n[1]\n{"text": "the"}\n'


def test_records_that_cannot_be_read_fail(model: str, tmp_path: Path) -> None:
    done = embed("-m", model, "--input", "jsonl", given=BAD, code=1)
    assert done.stdout == b"4 -4 0\n"  # the records before it
    assert done.stderr == b"textkit: stdin:2: no field 'text'; did you mean 'txt'?\n"
    embed("-m", model, "--input", "jsonl", "-o", tmp_path / "out", given=BAD, code=1)
    assert os.listdir(tmp_path) == []


def test_skipped_records_leave_null_records(model: str) -> None:
    options = ("-m", model, "--input", "jsonl", "--on-error", "skip")
    done = embed(*options, given=BAD)
    assert done.stdout == b"4 -4 0\n0 0 0\n0 0 0\n0 0 0\n1 0 0\n"
    assert done.stderr.decode() == (
        "textkit: warning: 2 records were skipped, a null record in the place of each; "
        "the first: stdin:2: no field 'text'; did you mean 'txt'?\n"
    )
    values = [json.loads(line) for line in embed(*options, "--format", "jsonl", given=BAD).stdout.splitlines()]
    assert [value["embedding"] for value in values] == [[4, -4, 0], None, [0, 0, 0], None, [1, 0, 0]]
    assert values[3]["error"] == "stdin:4: not a JSON object but an array"
    assert np.load(io.BytesIO(embed(*options, "--format", "npy", given=BAD).stdout)).shape == (5, 3)


@pytest.mark.parametrize(
    ("args", "said", "code"),
    [
        (["--column", "2"], "--column 2: lines have no columns", 2),
        (["--column", "0", "--input", "csv"], "columns count from 1", 2),
        (["--tokens", "--pooling", "max"], "--pooling max: has no effect with --tokens", 2),
        (["--tokens", "--format", "npy"], "--tokens: lines differ in their number of tokens", 2),
        (["--format", "xml"], "'xml' is not one of", 2),
        (["--batch-tokens", "0"], "0 is not in the range", 2),
        (["--poling", "max"], "did you mean '--pooling'", 2),
        (["no/such/file"], "no/such/file: no such file", 1),
        (["."], ".: is a directory", 1),
        (["-o", "."], ".: is a directory", 1),
        (["-o", "no/such/out"], "no/such/out: cannot be written: No such file or directory", 1),
        (["--device", "cuda:99"], "--device cuda:99: ", 1),
        (["--input", "csv", "--column", "said"], "stdin: no column 'said'; there is a, b", 1),
    ],
)
def test_mistakes_are_one_line(model: str, args: list[str], said: str, code: int) -> None:
    done = embed("-m", model, *args, given="a,b\n", code=code)
    assert done.stdout == b""
    assert done.stderr.startswith(b"textkit: ")
    assert done.stderr.count(b"\n") == 1
    assert said in done.stderr.decode()


def test_nothing_is_read_before_the_model_is_known_to_be_sound(model: str, tmp_path: Path) -> None:
    folder = write_words(tmp_path / "x")
    graph = (folder / "embed.onnx").read_bytes()
    (folder / "embed.onnx").write_bytes(graph[:-10] + b"x" * 10)
    done = embed("-m", folder, given=LINES, code=1)
    assert (done.stdout, done.stderr.count(b"\n")) == (b"", 1)
    assert b"damaged or edited" in done.stderr


# --- as a filter ------------------------------------------------------------------------------------------------------


@pytest.fixture
def filter_process(model: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command("-m", model), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    with process:  # closes the pipes and waits at the end
        yield process
        process.kill()


def test_a_line_comes_back_before_the_next_is_typed(filter_process: subprocess.Popen[bytes]) -> None:
    assert filter_process.stdin
    assert filter_process.stdout
    for typed, answer in ((b"cat\n", b"4 -4 0\n"), (b"\n", b"0 0 0\n"), (b"the cat\ndog\nsa", b"2.5 -2 0\n0 8 1\n")):
        filter_process.stdin.write(typed)
        received = b""
        while received.count(b"\n") < answer.count(b"\n"):
            received += os.read(filter_process.stdout.fileno(), 1000)  # hangs if the filter holds output back
        assert received == answer
    filter_process.stdin.write(b"t")
    filter_process.stdin.close()
    assert filter_process.stdout.read() == b"2 2 2\n"
    assert filter_process.wait(10) == 0


def test_ctrl_c_ends_with_130_and_what_was_done(filter_process: subprocess.Popen[bytes]) -> None:
    assert filter_process.stdin
    assert filter_process.stdout
    filter_process.stdin.write(b"cat\n")
    assert os.read(filter_process.stdout.fileno(), 1000) == b"4 -4 0\n"
    filter_process.send_signal(signal.SIGINT)
    assert filter_process.wait(10) == 130
    assert filter_process.stdout.read() == b""
    assert filter_process.stderr
    assert filter_process.stderr.read() == b""


def test_ctrl_c_while_onnxruntime_is_imported_is_ctrl_c() -> None:
    # onnxruntime's extension module turns this into an ImportError, and the session turns that into a TextkitError.
    failed = ImportError("initialization failed")
    failed.__cause__ = KeyboardInterrupt()
    error = TextkitError("onnxruntime does not import")
    error.__cause__ = failed
    assert textkit.cli._verdict(error) == (130, "")
    assert textkit.cli._verdict(TextkitError("else")) == (1, "else")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_removes_the_unfinished_file(model: str, tmp_path: Path, number: int, code: int) -> None:
    process = subprocess.Popen(command("-m", model, "-o", tmp_path / "out"), stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(b"cat\n")
    process.stdin.flush()
    deadline = time.monotonic() + 20
    while not os.listdir(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(os.listdir(tmp_path)) == 1
    process.send_signal(number)
    assert process.wait(10) == code
    process.stdin.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_stdout_by_its_names_is_stdout(model: str, name: str) -> None:
    done = embed("-m", model, "-o", name, given="cat\n")
    assert (rows(done.stdout.decode()), done.stderr) == (rows(embed("-m", model, given="cat\n").stdout.decode()), b"")


def test_head_ends_it_quietly(model: str) -> None:
    quoted = " ".join(command("-m", model))
    script = f"yes 'the cat' | {quoted} | head -n 1; echo ${{PIPESTATUS[1]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60)
    assert done.stdout == b"2.5 -2 0\n0\n"
    assert done.stderr == b""


def test_a_full_disk_is_an_error(model: str) -> None:
    for form in ("text", "npy"):
        with open("/dev/full", "wb") as out:
            process = subprocess.run(
                command("-m", model, "--format", form), input=LINES.encode(), stdout=out, stderr=subprocess.PIPE
            )
        assert process.returncode == 1
        assert process.stderr == b"textkit: stdout: No space left on device\n"


def test_stdout_and_stdin_may_be_closed(model: str) -> None:
    for closed, said in ((">&-", "stdout is closed"), ("<&-", "stdin is closed")):
        script = " ".join(command("-m", model)) + f" {closed}"
        done = subprocess.run(["bash", "-c", script], input=b"cat\n", capture_output=True, timeout=60)
        assert done.returncode == 1
        assert done.stderr.decode() == f"textkit: {said}\n"


def test_long_input_comes_out_the_same_however_it_comes_in(model: str, tmp_path: Path) -> None:
    lines = [("the cat", "dog", "", "sat . dog the", "unknown")[number * number % 5] for number in range(30_000)]
    path = tmp_path / "x"
    path.write_text("\n".join(lines) + "\n")
    expected = np.frombuffer(embed("-m", model, "--format", "f32", path).stdout, "<f4").reshape(-1, 3)
    by_hand = {
        "the cat": [2.5, -2, 0],
        "dog": [0, 8, 1],
        "": [0, 0, 0],
        "sat . dog the": [0.75, 2.5, 0],
        "unknown": [0, 0, 0],
    }
    assert np.array_equal(expected, np.array([by_hand[line] for line in lines], np.float32))
    options = (["--threads", 1], ["--threads", 3], ["--batch-tokens", 7], ["--threads", 2, "--batch-tokens", 100_000])
    for option in options:
        through_a_pipe = embed("-m", model, "--format", "f32", *option, given=path.read_bytes()).stdout
        assert through_a_pipe == expected.tobytes()
    few = embed("-m", model, "--format", "f32", "--line-buffered", given="\n".join(lines[:500])).stdout
    assert few == expected[:500].tobytes()
    text = embed("-m", model, path).stdout.decode()
    np.testing.assert_allclose(rows(text), expected, rtol=1e-4)


def test_a_line_of_10_mb_and_one_of_100_000_characters(tmp_path: Path) -> None:
    folder = write_ngrams(tmp_path / "x")
    given = "the cat . " * 1_000_000 + "\n" + "x" * 100_000 + "\nthe cat .\n"
    done = embed("-m", folder, given=given)
    long, word, short = rows(done.stdout.decode())
    np.testing.assert_allclose(long, short, rtol=1e-3, atol=1e-4)
    assert any(word)
    assert b"2 lines had more than the model's 65,536 tokens" in done.stderr


def test_progress_is_shown_to_a_person_alone(model: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("the cat\n" * 50_000)
    screen, terminal = os.openpty()
    process = subprocess.Popen(
        command("-m", model, "--line-buffered", path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(terminal)
    shown = b""
    with process, open(screen, "rb", buffering=0) as display:
        while b"lines/s" not in shown:
            shown += display.read(1000)  # raises OSError if the process ends without showing it
        process.kill()
    assert re.search(rb"[0-9,]+ lines, [0-9,]+ lines/s", shown)


@pytest.mark.parametrize(("files", "output", "quiet"), [(True, True, False), (False, True, True), (True, False, True)])
def test_progress_keeps_out_of_lines_typed_or_shown_at_a_terminal(
    files: bool, output: bool, quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With files and -o the terminal shows nothing but progress, even if stdin and stdout are the terminal."""
    for name in ("stdin", "stdout"):
        monkeypatch.setattr(sys, name, SimpleNamespace(isatty=lambda: True))
    job = SimpleNamespace(files=("x",) if files else (), output="out" if output else None)
    assert filtering._conversation(job) is quiet


def test_it_says_where_it_runs_when_asked(model: str) -> None:
    assert b"five: 3 dimensions, pooling mean, on cpu" in embed("-m", model, "-v", "--device", "cpu", given="").stderr


def test_imports_are_few(model: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "textkit", "embed", "-m", model], input=b"cat\n", capture_output=True
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.decode().splitlines()}
    assert "onnxruntime" in imported
    assert not {"torch", "onnx", "onnxscript", "transformers", "rich", "tokenizers", "scipy", "numba"} & imported
