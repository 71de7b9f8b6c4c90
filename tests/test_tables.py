"""Tables for a person: no line is wider than the terminal, and no word is broken. A pipe gets one line per row."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from terminal import written_to

from textkit.cli.tables import cells, write_table
from textkit.verbs.models import Model, _row

HEAD = ("PLUGIN", "TASK", "FROM", "WHAT IT IS")
ROWS = [
    (
        "fasttext",
        "embed",
        "textkit 0.1.0",
        "word vectors made of character n-grams or pieces; unseen words have one too",
    ),
    ("seq2seq", "translate", "textkit 0.1.0", "recurrent encoder and decoder with attention, for translation"),
    ("日本語", "embed", "mine", "-"),
]


def table(width: int | None, head=HEAD, rows=ROWS) -> list[str]:
    stream = io.BytesIO()
    write_table(stream, head, rows, width)
    return stream.getvalue().decode().splitlines()


@pytest.mark.parametrize("width", [*range(40, 140, 7), 80])
def test_no_word_is_broken_and_no_line_is_too_wide(width):
    lines = table(width)
    assert all(cells(line) <= width for line in lines)
    words = " ".join(lines).split()
    assert all(word in words for row in ROWS for cell in row for word in cell.split())


def test_a_pipe_gets_a_line_a_row():
    lines = table(None)
    assert len(lines) == 1 + len(ROWS)
    assert lines[1].endswith("  " + ROWS[0][-1])


def test_the_last_column_is_wrapped_beside_the_others_where_there_is_room():
    lines = table(80)
    assert lines[:4] == [
        "PLUGIN    TASK       FROM           WHAT IT IS",
        "fasttext  embed      textkit 0.1.0  word vectors made of character n-grams or",
        "                                    pieces; unseen words have one too",
        "seq2seq   translate  textkit 0.1.0  recurrent encoder and decoder with",
    ]


def test_and_below_them_where_there_is_none():
    assert table(44)[:5] == [
        "PLUGIN    TASK       FROM",
        "    WHAT IT IS",
        "fasttext  embed      textkit 0.1.0",
        "    word vectors made of character n-grams",
        "    or pieces; unseen words have one too",
    ]


def test_a_path_wider_than_the_terminal_is_left_whole():
    path = "/" + "x" * 100
    assert any(line.strip() == path for line in table(40, ("A", "B"), [("a", f"see {path} there")]))


def test_models_say_of_what_a_perplexity_is_and_round():
    scores = [
        {"metric": "perplexity", "value": 584.1298}, {"metric": "perplexity", "value": 3.25, "per": "token"},
        {"metric": "bleu", "value": 45}, {"metric": None}, "x",
    ]  # fmt: skip
    row = _row(Model("m", "user", "/m", "language", scores=scores))
    assert row[-1] == "perplexity per word 584.1, perplexity per token 3.25, bleu 45, None None"
    scores = [
        {"metric": "perplexity", "value": value, "data": f"data/{name}.txt"} for name, value in (("a", 1.5), ("b", 2.0))
    ]
    row = _row(Model("m", "user", "/m", "language", scores=scores))
    assert row[-1] == "perplexity per word 1.5 (a), perplexity per word 2 (b)"


@pytest.mark.parametrize("verb", ["models", "plugins"])
def test_a_terminal_of_80_columns_breaks_no_word(verb):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen([sys.executable, "-m", "textkit", verb], stdout=theirs, env=environment) as process:
        os.close(theirs)
        shown = written_to(ours)
    assert process.returncode == 0
    lines = shown.decode().replace("\r\n", "\n").splitlines()
    assert len(lines) > 3
    assert all(len(line) <= 80 for line in lines)
