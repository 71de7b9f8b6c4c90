"""A full disk is an error that names the file, wherever it occurs, and blames no plugin."""

from __future__ import annotations

import errno
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch  # noqa: F401 - whose import writes files of its own
from little_room import little_room
from small_embedder import write_words

from textkit.cli import run
from textkit.cli.options import Messages
from textkit.errors import TextkitError, file_of
from textkit.guard import blamed, blaming
from textkit.registry import registry

TOYS = str(Path(__file__).with_name("training_toys.py"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(registry, "_files", [])
    monkeypatch.setattr(registry, "_entries", None)
    monkeypatch.setattr(registry, "_instances", {})
    monkeypatch.chdir(tmp_path)
    draw = random.Random(1)
    lines = (" ".join(draw.choice("abcdefgh") for _ in range(5)) + "\n" for _ in range(300))
    Path("data.txt").write_text("".join(lines))
    return tmp_path


@pytest.mark.parametrize("most", [100, 1100, 1300, 1500, 1700])
def test_a_full_disk_before_the_first_checkpoint_names_the_file_and_no_plugin(data: Path, capfd, most: int) -> None:
    with little_room(most):
        code = run(["train", "toy", "data.txt", "-o", "run", "--plugin", TOYS, "-q"], Messages())
    out, err = capfd.readouterr()
    assert (code, out) == (1, "")
    assert re.fullmatch(r"textkit: run/\S+: cannot be written: File too large\n", err)
    assert os.listdir(data) == ["data.txt"]


class Toy:
    name = "toy"


def test_a_plugin_s_own_file_is_named(tmp_path: Path) -> None:
    """The system names no file when a write fails, so textkit finds the file that was open."""
    path = tmp_path / "own.part"

    def write() -> Iterator[int]:
        with path.open("wb", buffering=0) as stream:
            yield 1
            stream.write(bytes(100))
            stream.write(bytes(100))

    with little_room(50), pytest.raises(TextkitError) as caught:
        list(blamed(Toy, "batches", write()))
    assert str(caught.value) == f"{path}: cannot be written: File too large"
    with little_room(50), pytest.raises(TextkitError) as caught, blaming(Toy, "fit"):
        path.write_bytes(bytes(100))
    assert str(caught.value) == f"{path}: cannot be written: File too large"


def test_what_is_the_plugin_s_fault_stays_its_own(tmp_path: Path) -> None:
    with pytest.raises(TextkitError, match=r"plugin 'toy' failed in fit: FileNotFoundError"), blaming(Toy, "fit"):
        (tmp_path / "none").read_bytes()
    with pytest.raises(TextkitError, match="plugin 'toy' failed in fit: OSError: .*No space"), blaming(Toy, "fit"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # without a file's name


def test_the_file_of_an_error() -> None:
    assert file_of(OSError(2, "no", "name")) == "name"
    assert file_of(OSError(2, "no", b"name")) == "name"
    assert file_of(OSError(2, "no", 3)) == ""


def test_every_verb_that_writes_a_file_names_it(data: Path, capsys) -> None:
    write_words(data / "five")
    Path("lines.txt").write_text("cat\n" * 100)
    Path("vectors.vec").write_text("2 2\ncat 1 2\ndog 3 4\n")
    held = sorted(os.listdir(data))
    for words in (
        ["embed", "-m", "./five", "lines.txt", "-o", "out.txt"],
        ["embed", "-m", "./five", "lines.txt", "-o", "out.npy"],
        ["embed", "-m", "./five", "lines.txt", "-o", "out.f32"],
        ["convert", "./five", "out.vec"],
        ["import", "vectors.vec", "-o", "out"],
    ):
        with little_room(20):
            code = run(words, Messages())
        _, err = capsys.readouterr()
        name = words[-1]
        assert (code, err.splitlines()[-1]) == (
            1,
            f"textkit: {Path.cwd() / name if words[0] == 'import' else name}: cannot be written: File too large",
        )
        assert sorted(os.listdir(data)) == held


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a real full disk takes root and a mount")
def test_a_really_full_disk_says_so(data: Path, capfd) -> None:
    disk = data / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        code = run(["train", "toy", "data.txt", "-o", "disk/run", "--plugin", TOYS, "-q"], Messages())
        assert os.listdir(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)
    _, err = capfd.readouterr()
    assert code == 1
    assert re.fullmatch(r"textkit: disk/run/\S+: cannot be written: .*No space left on device.*\n", err)
