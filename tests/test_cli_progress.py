"""How far a filter has come: the share of a file and the time left, shown only to a person at a terminal."""

from __future__ import annotations

import gzip
import sys

import pytest
from small_bundle import write_small

import textkit.cli
from textkit.cli import progress
from textkit.cli.options import Messages
from textkit.cli.progress import Input, clock, line


@pytest.mark.parametrize(
    ("done", "seconds", "share", "said"),
    [
        (1234, 2.0, None, "1,234 lines, 617 lines/s"),
        (1234, 2.0, 0.25, "1,234 lines, 617 lines/s, 25 %, 0:06 left"),
        (10, 1.5, 0.5, "10 lines, 7 lines/s, 50 %"),  # too early to say
        (10, 100.0, 0.001, "10 lines, 0 lines/s, 0 %"),
        (10, 100.0, 0.02, "10 lines, 0 lines/s, 2 %, 1:21:40 left"),
        (10, 4.0, 0.999, "10 lines, 2 lines/s, 99 %, 0:00 left"),
        (10, 4.0, 1.0, "10 lines, 2 lines/s, 100 %"),
    ],
)
def test_what_is_shown(done, seconds, share, said):
    assert line(done, seconds, share) == said


def test_times_as_people_write_them():
    assert [clock(seconds) for seconds in (0.4, 59.6, 754, 3723)] == ["0:00", "1:00", "12:34", "1:02:03"]


@pytest.fixture
def shares(tmp_path, monkeypatch, capfd):
    """Runs `embed` over arguments as at a terminal; (records done, share) for each time something was shown."""
    model = write_small(tmp_path / "m")
    found: list[tuple[int, float | None]] = []
    monkeypatch.setattr(progress, "_FIRST", 0.0)
    monkeypatch.setattr(progress, "line", lambda done, seconds, share: found.append((done, share)) or "")
    monkeypatch.setattr(Messages, "interactive", property(lambda messages: not messages.quiet))
    monkeypatch.setattr("textkit.serving.stream.WINDOW_LINES", 8192)

    def run(*args: object, stdin: object = "/dev/null") -> list[tuple[int, float | None]]:
        found.clear()
        with open(stdin) as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            assert textkit.cli.run(["embed", "-m", str(model), *map(str, args)], Messages()) == 0
        capfd.readouterr()
        return list(found)

    return run


LINES = 40_000


@pytest.mark.parametrize("packed", [False, True])
def test_the_share_is_that_of_the_file_compressed_or_not(shares, tmp_path, packed):
    data = b"".join(b"cat dog %d\n" % number for number in range(LINES))
    (tmp_path / "in").write_bytes(gzip.compress(data) if packed else data)
    seen = shares(tmp_path / "in", "-o", tmp_path / "out.f32")
    assert len(seen) > 3
    assert [share for _, share in seen] == sorted(share for _, share in seen)
    assert seen[-1] == (LINES, 1.0)
    for done, share in seen:
        assert share == pytest.approx(done / LINES, abs=0.15)


def test_the_share_is_that_of_all_files_and_of_what_a_shell_opened(shares, tmp_path):
    (tmp_path / "a").write_bytes(b"cat\n" * LINES)
    (tmp_path / "b").write_bytes(b"dog\n" * 3 * LINES)
    seen = shares(tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out.f32")
    assert seen[-1] == (4 * LINES, 1.0)
    assert all(share == pytest.approx(done / LINES / 4, abs=0.15) for done, share in seen)
    seen = shares("-o", tmp_path / "out.f32", stdin=tmp_path / "a")
    assert seen[-1] == (LINES, 1.0)


def test_a_pipe_has_no_share(shares, tmp_path):
    source = Input()
    source.measure(["-", "/dev/null"])
    assert source.total is None
    source.measure([str(tmp_path)])
    assert source.total is None
    assert source.share(3) is None
    (tmp_path / "in").write_bytes(b"cat\n")
    assert shares("-q", tmp_path / "in", "-o", tmp_path / "out.f32") == []
