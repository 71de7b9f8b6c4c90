"""`textkit compare` on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from small_embedder import write_words


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_words(tmp_path_factory.mktemp("models") / "five"))


def test_two_texts(call, model: str) -> None:
    assert call("compare", "-m", model, "cat dog", "dog cat") == (0, "1\n", "")
    assert call("compare", "-m", model, "cat", "cat dog") == (0, "0\n", "")
    assert call("compare", "-m", model, "cat", "dog") == (0, "-0.701646\n", "")  # -32 / sqrt(32 * 65)
    out = call("compare", "-m", model, "cat", "dog", "--format", "jsonl")[1]
    assert json.loads(out) == {"a": "cat", "b": "dog", "similarity": -0.701646}


def test_pairs_on_stdin_keep_their_places(call, model: str) -> None:
    given = "cat\tcat\n\ncat\t\n \t \nthe\tthe dog\tmore\n"
    code, out, err = call("compare", "-m", model, stdin=given)
    assert (code, err) == (0, "")
    assert out == "1\n\n0\n\n0.123091\n"  # (1, 0, 0) and (1, 8, 1): 1 / sqrt(66)
    objects = [
        json.loads(line) for line in call("compare", "-m", model, "--format", "jsonl", stdin=given)[1].splitlines()
    ]
    assert [value["similarity"] for value in objects] == [1, None, 0, None, 0.123091]
    assert objects[4] == {"1": "the", "2": "the dog", "3": "more", "similarity": 0.123091}


def test_a_file_by_names_with_its_fields(call, model: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("id,q,similarity\n7,cat,dog\n")
    args = ("compare", "-m", model, path, "--input", "csv", "--columns", "q,similarity", "--format", "jsonl")
    code, out, err = call(*args)
    assert code == 0
    assert json.loads(out) == {"id": "7", "q": "cat", "source_similarity": "dog", "similarity": -0.701646}
    assert "'similarity' is 'source_similarity'" in err
    assert json.loads(call(*args, "--field", "cosine")[1])["cosine"] == -0.701646


def test_a_record_without_a_second_text(call, model: str) -> None:
    code, out, err = call("compare", "-m", model, stdin="cat\tcat\ndog\ncat\tcat\n")
    assert (code, out, err) == (1, "1\n", "textkit: stdin:2: no column 2: the record has 1\n")
    code, out, err = call("compare", "-m", model, "--on-error", "skip", stdin="cat\tcat\ndog\ncat\tcat\n")
    assert (code, out) == (0, "1\n\n1\n")
    assert err.count("\n") == 1
    assert "1 record was skipped" in err


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["a", "b", "c"], "3 arguments: two are texts, which the shell must see in quotes; files need --input"),
        (["no-file"], "'no-file': no such file; one argument is a file of pairs, two are texts"),
        (["--columns", "1"], "--columns 1: two are needed, those of the two texts"),
        (["--columns", "0,2"], "--columns 0,2: columns count from 1"),
        (["--field", "x"], "--field x: only --format jsonl has fields"),
    ],
)
def test_wrong_usage(call, model: str, args: list[str], line: str) -> None:
    assert call("compare", "-m", model, *args) == (2, "", f"textkit: {line}\n")


def test_what_the_model_does_not_know_is_said(call, model: str) -> None:
    code, out, err = call("compare", "-m", model, "zebra", "cat")
    assert (code, out) == (0, "0\n")
    assert err == "textkit: warning: 1 text held no word that the model knows: the similarity is 0\n"


def test_a_text_that_is_a_file_is_taken_as_text_and_said(call, model: str, tmp_path: Path) -> None:
    path = tmp_path / "cat"
    path.write_text("cat\tcat\n")
    assert "is taken as a text" in call("compare", "-m", model, path, "cat")[2]
    assert call("compare", "-m", model, path, path, "--input", "tsv") == (0, "1\n1\n", "")


def test_a_pair_is_answered_when_the_input_pauses_and_head_ends_quietly(model: str) -> None:
    command = [sys.executable, "-m", "textkit", "compare", "-m", model]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"cat\tcat\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"1\n"
        process.stdout.close()
        with suppress(BrokenPipeError):  # it may end before it has read all
            process.stdin.write(b"cat\tcat\n" * 50_000)
        with suppress(BrokenPipeError):
            process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
