"""`textkit translate` as a process: formats, inputs, pauses, closed pipes; what it refuses in one line."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from small_bundle import write_small
from small_translator import write_translator

import textkit.cli
from textkit.cli.options import Messages
from textkit.cli.windowing import FEWEST, MOST, AdaptiveWindow
from textkit.streams.columns import Block

LINES = "The dog sees a cat.\n\nA man. The dog!\n"
TEXT = "der Hund sieht ein Katze.\n\nein Mann. der Hund!\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_translator(tmp_path_factory.mktemp("models") / "small"))


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "textkit", "translate", *map(str, args)]


def translate(
    *args: object, given: str | bytes = "", code: int = 0, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Runs the command to its end in a separate process."""
    data = given.encode() if isinstance(given, str) else given
    done = subprocess.run(command(*args), input=data, capture_output=True, timeout=60, **options)
    assert done.returncode == code, done.stderr.decode()
    return done


class Ran:
    """The result of a command line that ran in this process."""

    def __init__(self, capfd: Any, *args: object) -> None:
        self.code = textkit.cli.run(["translate", *map(str, args)], Messages())
        sys.stdout.flush()
        self.out, self.err = capfd.readouterr()


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    (tmp_path / "lines").write_text(LINES)
    return tmp_path / "lines"


# --- formats ----------------------------------------------------------------------------------------------------------


def test_text_from_stdin(model: str) -> None:
    done = translate("-m", model, given=LINES)
    assert done.stdout.decode() == TEXT
    assert done.stderr == b""


def test_text_with_alignment_and_word_scores(model: str, lines: Path, capfd: Any) -> None:
    ran = Ran(capfd, "-m", model, "--alignment", "--word-scores", lines)
    first, blank, last = ran.out.splitlines()
    text, alignment, scores = first.split(" ||| ")
    assert (text, alignment) == ("der Hund sieht ein Katze.", "0-0 1-1 2-2 3-3 4-4 5-5")
    assert scores.startswith("WordScores= -0.32")
    assert len(scores.split()) == 1 + 7  # 7 with the end
    assert blank == ""
    assert last.split(" ||| ")[1] == "0-0 1-1 2-2 3-3 4-4 5-5"


def test_nbest_as_moses_has_it(model: str, lines: Path, capfd: Any) -> None:
    ran = Ran(capfd, "-m", model, "--n-best", 2, lines)
    rows = [line.split(" ||| ") for line in ran.out.splitlines()]
    assert [row[0] for row in rows] == ["0", "0", "1", "2", "2"]
    assert rows[2] == ["1", "", "F0= 0", "0"]
    assert rows[0][1] == "der Hund sieht ein Katze."
    logprob, score = float(rows[0][2].removeprefix("F0= ")), float(rows[0][3])
    assert score == pytest.approx(logprob / 7, rel=1e-5)
    assert float(rows[0][3]) > float(rows[1][3])


def test_jsonl(model: str, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": 7, "text": "The dog.", "score": 1}\n\n{"id": 8}\n')
    ran = Ran(capfd, "-m", model, "--input", "jsonl", "--format", "jsonl", "--on-error", "skip", tmp_path / "in.jsonl")
    first, blank, wrong = map(json.loads, ran.out.splitlines())
    assert list(first) == ["id", "text", "source_score", "translation", "score", "logprob"]
    assert (first["id"], first["source_score"], first["translation"]) == (7, 1, "der Hund.")
    assert "'score' is 'source_score'" in ran.err
    assert first["score"] == pytest.approx(first["logprob"] / 4, rel=1e-5)
    assert blank == {"translation": "", "score": 0, "logprob": 0}
    assert wrong["translation"] is None
    assert "no field 'text'" in wrong["error"]
    assert "1 record was skipped" in ran.err
    (tmp_path / "in.txt").write_text("The dog. A cat.\n\n")
    ran = Ran(capfd, "-m", model, "-o", tmp_path / "out.jsonl", "--n-best", 2, "--alignment", tmp_path / "in.txt")
    value, blank = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert [one["translation"] for one in blank["nbest"]] == [""]  # a list for every line, whatever it holds
    assert (value["text"], value["translation"]) == ("The dog. A cat.", "der Hund. ein Katze.")
    assert [one["translation"] for one in value["nbest"]] == ["der Hund. ein Katze.", "der Hund! ein Katze!"]
    assert value["nbest"][1]["alignment"] == [[i, i] for i in range(6)]
    assert value["tokens"] == ["▁der", "▁Hund", ".", "▁ein", "▁Katze", "."]


def test_a_newline_in_a_record_keeps_lines_aligned(model: str, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "x.csv").write_text('id,said\n1,"The dog.\nA cat."\n2,A man\n')
    ran = Ran(capfd, "-m", model, "--input", "csv", "--column", "said", tmp_path / "x.csv")
    assert ran.out == "der Hund.\\nein Katze.\nein Mann\n"
    ran = Ran(capfd, "-m", model, "--input", "csv", "--column", "said", "--format", "jsonl", tmp_path / "x.csv")
    assert json.loads(ran.out.splitlines()[0])["translation"] == "der Hund.\nein Katze."


def test_samples(model: str, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "x").write_text("The dog sees a cat.\n" * 3)
    args = ("-m", model, "--sample", "--n-best", 3, "--temperature", 2, "--top-k", 3, "--top-p", 0.9)
    ran = Ran(capfd, *args, tmp_path / "x")
    assert len(ran.out.splitlines()) == 9
    assert Ran(capfd, *args, "--seed", 1, "--line-buffered", tmp_path / "x").out == ran.out
    assert Ran(capfd, *args, "--seed", 2, tmp_path / "x").out != ran.out


# --- input ------------------------------------------------------------------------------------------------------------


def test_files_in_order_compressed_or_not(model: str, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "a").write_text("The dog\nA cat")  # the last line has no end
    (tmp_path / "b").write_bytes(gzip.compress(b"\xef\xbb\xbfA man\r\n"))
    (tmp_path / "empty").write_bytes(b"")
    ran = Ran(capfd, "-m", model, tmp_path / "a", tmp_path / "empty", tmp_path / "b")
    assert (ran.out, ran.err) == ("der Hund\nein Katze\nein Mann\n", "")


def test_what_is_said_of_odd_input(model: str, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "x").write_bytes(b"the \xff dog\n" + b"the dog " * 20 + b"\n")
    ran = Ran(capfd, "-m", model, "--max-length", 5, tmp_path / "x")
    assert "1 line held bytes that are no UTF-8" in ran.err
    assert "1 line held a sentence of more than the model's 12 tokens: split" in ran.err
    assert (
        "the translation of 1 line reached its longest length (--max-length, --max-length-factor) and was cut"
        in ran.err
    )
    ran = Ran(capfd, "-m", model, "--cut-long", "-q", tmp_path / "x")
    assert ran.err == ""
    assert len(ran.out.splitlines()) == 2


def test_a_line_of_a_hundred_thousand_characters(model: str) -> None:
    done = translate("-m", model, given="the dog, " * 11_000 + "\nA cat\n")
    first, second = done.stdout.decode().splitlines()
    assert first == ("der Hund, " * 11_000).strip()
    assert second == "ein Katze"


def test_prefixes(model: str, lines: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "prefix").write_text("die\n\neine Kerl\n")
    ran = Ran(capfd, "-m", model, "--prefix", tmp_path / "prefix", lines)
    assert ran.out == "die Hund sieht ein Katze.\n\neine Kerl. der Hund!\n"
    (tmp_path / "prefix").write_text("die\n")
    ran = Ran(capfd, "-m", model, "--prefix", tmp_path / "prefix", lines)
    assert (ran.code, ran.out) == (1, "")
    assert "has 1 line, the input has more" in ran.err
    (tmp_path / "prefix").write_text("\n" * 5)
    ran = Ran(capfd, "-m", model, "--prefix", tmp_path / "prefix", lines)
    assert (ran.code, ran.out) == (1, TEXT)
    assert "has 5 lines, the input 3" in ran.err
    (tmp_path / "prefix").write_bytes(b"die eine Kerl\n\nein \xff\n")
    ran = Ran(capfd, "-m", model, "--prefix", tmp_path / "prefix", "--max-length", 1, lines)
    assert ran.code == 0
    assert f"{tmp_path / 'prefix'}: 1 line held bytes that are no UTF-8" in ran.err
    assert ran.out.startswith("die eine Kerl")


def test_more_lines_than_a_window(model: str, tmp_path: Path, capfd: Any) -> None:
    words = ["dog", "cat", "man"]
    (tmp_path / "x").write_text("".join(f"the {words[n % 3]}, {'a ' * (n % 7)}dog\n" for n in range(1000)))
    ran = Ran(capfd, "-m", model, "-v", "--workers", 2, tmp_path / "x")
    said = ["Hund", "Katze", "Mann"]
    assert ran.out == "".join(f"der {said[n % 3]}, {'ein ' * (n % 7)}Hund\n" for n in range(1000))
    assert "beam 2, length penalty 1, on cpu" in ran.err


def test_windows_grow_with_the_pace() -> None:
    window = AdaptiveWindow(None)
    small = [Block(["x"] * FEWEST) for _ in range(40)]
    sizes = []
    for block in window.joined([*small, None, Block(["x"])]):
        sizes.append(block and len(block))
        if block:
            window.took(len(block), len(block) / 400)  # 400 lines a second: 800 in two
    assert sizes == [64, 256, 832, 832, 576, None, 1]
    window.took(1, 100.0)  # one line that a person typed says nothing about the pace
    assert window.lines == 800
    window.took(800, 1e-9)
    window.took(3200, 0.0)
    assert window.lines == MOST


# --- as one process among others --------------------------------------------------------------------------------------


def test_a_person_gets_each_line_back_at_once(model: str) -> None:
    with subprocess.Popen(command("-m", model), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line, expected in (("The dog.", "der Hund."), ("", ""), ("A cat", "ein Katze")):
            process.stdin.write(f"{line}\n".encode())
            process.stdin.flush()
            assert process.stdout.readline().decode() == f"{expected}\n"
        process.stdin.close()
        assert process.wait(30) == 0


def test_head_ends_it_quietly(model: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("the dog\n" * 200_000)
    with subprocess.Popen(
        command("-m", model, tmp_path / "x"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"der Hund\n"
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_interrupted(model: str) -> None:
    with subprocess.Popen(command("-m", model), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"the dog\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"der Hund\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_a_file_is_written_whole_or_not_at_all(model: str, lines: Path, tmp_path: Path, capfd: Any) -> None:
    assert Ran(capfd, "-m", model, "-o", tmp_path / "out", lines).out == ""
    assert (tmp_path / "out").read_text() == TEXT
    (tmp_path / "bad.jsonl").write_text('{"text": "The dog"}\n{\n')
    ran = Ran(capfd, "-m", model, "-o", tmp_path / "out", "--input", "jsonl", tmp_path / "bad.jsonl")
    assert ran.code == 1
    assert "bad.jsonl:2: malformed JSON" in ran.err
    assert (tmp_path / "out").read_text() == TEXT
    assert sorted(os.listdir(tmp_path)) == ["bad.jsonl", "lines", "out"]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--sample", "--temperature", "-1"], "-1"),
        (["--sample", "--temperature", "nan"], "'--temperature': nan is not a number from 0 to 100"),
        (["--sample", "--top-p", "0"], "0"),
        (["--sample", "--top-p", "1.5"], "1.5"),
        (["--temperature", "0.5"], "--temperature 0.5: is for --sample"),
        (["--top-k", "5"], "--top-k 5: is for --sample"),
        (["--seed", "5"], "--seed 5: is for --sample"),
        (["--sample", "-b", "5"], "--beam-size 5: --sample searches nothing"),
        (["-b", "3", "--n-best", "4"], "--n-best 4: is more than --beam-size 3 finds"),
        (["--n-best", "4"], "--n-best 4: is more than --beam-size 2 finds"),  # the model's own
        (["--n-best", "2", "--format", "text"], "--n-best 2: text is one translation a line"),
        (["--beam-size", "0"], "--beam-size"),
        (["--length-penalty", "inf"], "'--length-penalty': inf is not a number from -100 to 100"),
        (["--min-length", "5", "--max-length", "3"], "--min-length 5: is more than --max-length 3"),
        (["--column", "2"], "--column 2: lines have no columns"),
        (["--prefix", "-"], "--prefix -: stdin is the input already"),
        (["--beem-size", "3"], "no such option --beem-size; did you mean '--beam-size'"),
        (["--beem", "3"], "no such option --beem; did you mean '--beam-size'"),  # not --seed, which is as alike
    ],
)
def test_wrong_usage(model: str, args: list[str], message: str, capfd: Any) -> None:
    ran = Ran(capfd, "-m", model, *args)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_failures(model: str, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "x").write_text("the dog\n")
    pets = write_small(tmp_path / "pets")
    ran = Ran(capfd, "-m", pets, tmp_path / "x")
    assert ran.code == 1
    assert ran.err.startswith(f"textkit: {pets}: a model for 'embed', not for 'translate'; models for it: ")
    ran = Ran(capfd, "-m", model, tmp_path / "none")
    assert (ran.code, ran.err) == (1, f"textkit: {tmp_path / 'none'}: no such file\n")
    ran = Ran(capfd, "-m", model, "--prefix", tmp_path / "none", tmp_path / "x")
    assert (ran.code, ran.err) == (1, f"textkit: {tmp_path / 'none'}: no such file\n")
    damaged = write_translator(tmp_path / "damaged")
    graph = damaged / "step.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    ran = Ran(capfd, "-m", damaged, tmp_path / "x")
    assert (ran.code, ran.out) == (1, "")
    assert "step.onnx: damaged or edited" in ran.err
