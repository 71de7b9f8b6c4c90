"""The samples shown with a dev score: cut to the width of a terminal, logged whole, silent with -q."""

from __future__ import annotations

import io
import json

import pytest

from textkit.plugin import Score
from textkit.training.dev_output import cut, fit, width
from textkit.training.events import Scored, Started
from textkit.training.logbook import Logbook
from textkit.training.progress import display

LONG = "der Hund " * 20
SAMPLES = ("the dog ||| der Hund ||| ein Hund", f"{LONG}||| a ||| {LONG}", "x ||| \x1b[31mred\u2028 ||| y", "four")


@pytest.mark.parametrize(
    ("sample", "columns", "shown"),
    [
        ("a ||| b ||| c", 13, "a ||| b ||| c"),
        ("abcdef ||| bcdefg ||| cdefgh", 19, "ab… ||| bc… ||| cd…"),  # 19 - 10 = 9, three each
        ("abcdef ||| b ||| cdefgh", 19, "abc… ||| b ||| cde…"),  # b leaves 8 to the others
        ("abcdefghij", 5, "abcd…"),
        ("日本語日本語 ||| a", 12, "日本… ||| a"),  # 7 columns less 1; two wide letters are 4, three would be 6 + 1
        ("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"),
        ("a\tb\x1b[2J", 80, "a b [2J"),
        ("a ||| b ||| c", 11, "a ||| b ||…"),
        ("a ||| b ||| c", 1, "…"),
        ("", 5, ""),
    ],
)
def test_cut_to_columns(sample, columns, shown):
    assert fit(sample, columns) == shown
    assert width(fit(sample, columns)) <= columns


def test_no_columns_no_text():
    assert cut("abc", 0) == ""


def scored():
    return Scored(1, 10, Score("bleu", 12.5, True, {"loss": 3.0}, SAMPLES), True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("interactive", [False, True])
def test_shown_in_80_columns_at_most_three(monkeypatch, interactive):
    stderr = (Terminal if interactive else io.StringIO)()
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with display("run", interactive, False) as screen:
        screen.show(Started(0, 1, 0, 0, 0, 0, 0.0, "cpu", 1))
        screen.show(scored())
    text = stderr.getvalue()
    assert "dev bleu 12.5 (best so far)\n" in text
    lines = [line for line in text.replace("\r", "\n").splitlines() if "|||" in line]
    assert len(lines) == 3
    assert "four" not in text
    assert "\x1b[31m" not in text
    plain = [line.replace("\x1b[2m", "").replace("\x1b[0m", "").replace("\x1b[2K", "") for line in lines]
    assert all(width(line) <= 80 for line in plain)
    assert plain[0].strip().removeprefix("textkit: ") == SAMPLES[0]
    assert width(plain[1]) > 70
    assert plain[1].endswith("…")
    assert ("\x1b[2m" in lines[0]) == interactive
    assert lines[0].startswith("textkit: ") != interactive


def test_quiet(capsys):
    with display("run", False, True) as screen:
        screen.show(scored())
    assert capsys.readouterr() == ("", "")


def test_logged_whole(tmp_path):
    class Folder:
        folder = tmp_path
        training = type("Training", (), {"log_seconds": 0.0})

    book = Logbook(Folder)
    book.write(scored())
    book.write(Scored(2, 20, Score("loss", 1.0, False), False))
    book.close()
    with_samples, without = map(json.loads, (tmp_path / "metrics.jsonl").read_text().split("\n")[:-1])
    assert with_samples["examples"] == list(SAMPLES)
    assert with_samples["bleu"] == 12.5
    assert "examples" not in without
