"""Signals that end a process: output so far is kept, or one line says that nothing was written; no temporary stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_embedder import write_words

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def frame(body: str) -> list[str]:
    """The command line around a verb with the given body; it has -o, and a `wait` that reports that it waits."""
    code = (
        "import os, sys, time\nimport click\nfrom pathlib import Path\nfrom textkit import cli\n"
        "from textkit.cli.options import *\nfrom textkit.cli.stdout import *\n"
        "from textkit.streams.output import output_file\n"
        "def wait(seconds=30):\n    os.write(2, b'waits\\n'); time.sleep(seconds)\n"
        "@click.command()\n@click.option('-o', 'output', callback=promised())\n@message_options\n"
        "def attempt(output, messages):\n"
        + "".join(f"    {line}\n" for line in body.splitlines())
        + "if __name__ == '__main__':\n"
        "    cli.BEHIND_TASKS['try'] = ('__main__:attempt', 'tries')\n"
        "    cli.main(['try', *sys.argv[1:]])\n"
    )
    return [sys.executable, "-c", code]


def begun(body: str, *args: object, **how) -> subprocess.Popen[str]:
    """The started process, once it waits."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | how
    process = subprocess.Popen([*frame(body), *map(str, args)], **how)
    assert process.stderr.readline() == "waits\n"
    return process


FILE = "with output_file(output) as out:\n    out.write(b'half')\n    wait()"


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_each_removes_the_temporary_says_so_and_ends_with_its_code(tmp_path: Path, number: int) -> None:
    (tmp_path / "out").write_text("old")
    process = begun(FILE, "-o", tmp_path / "out")
    assert len(os.listdir(tmp_path)) == 2
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert said == f"textkit: interrupted: nothing was written to {tmp_path / 'out'}\n"
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "old"


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_each_flushes_what_was_done(number: int) -> None:
    process = begun("with protected_stdout() as out:\n    out.write(b'done\\n')\n    wait()")
    process.send_signal(number)
    assert process.communicate(timeout=20) == ("done\n", "")
    assert process.returncode == 128 + number


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_what_is_to_be_ignored_is_ignored(tmp_path: Path, number: int) -> None:
    """Signals may be ignored from the start: under nohup, or in the background of a script."""
    process = begun(
        FILE.replace("wait()", "wait(0.5)"),
        "-o",
        tmp_path / "out",
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),
    )
    process.send_signal(number)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
    assert (tmp_path / "out").read_text() == "half"


def test_a_second_one_ends_it_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    """The first signal is swallowed by the verb."""
    body = FILE.replace("    wait()", "    try: wait()\n    except BaseException: wait()")
    process = begun(body, "-o", tmp_path / "out")
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "waits\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert os.listdir(tmp_path) == []


def test_a_reader_that_does_not_read_does_not_hold_it(tmp_path: Path) -> None:
    """After the first Ctrl-C the flush waits for a full pipe; the second Ctrl-C does not wait."""
    process = begun(
        "with protected_stdout() as out:\n    out.write(b'x' * 60000)\n    out.flush()\n    out.write(b'x' * 60000)\n    wait()"
    )
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    process.communicate()


def test_two_kinds_within_a_second_are_one() -> None:
    """One from the terminal, and one from whoever started the process: the second does not cut the flush short."""
    body = (
        "with protected_stdout() as out:\n    out.write(b'done\\n')\n    try: wait()\n"
        "    except BaseException:\n        os.write(2, b'waits\\n')\n        time.sleep(0.3)\n        raise"
    )
    process = begun(body)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "waits\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20) == ("done\n", "")
    assert process.returncode == 130


def test_nothing_is_said_of_a_file_that_is_there(tmp_path: Path) -> None:
    process = begun(FILE.replace("    wait()", "    pass\nwait()"), "-o", tmp_path / "out")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 143
    assert (tmp_path / "out").read_text() == "half"


def test_a_filter_says_that_its_file_was_not_written_and_what_would_have_kept_it(tmp_path: Path) -> None:
    model = write_words(tmp_path / "five")
    command = [sys.executable, "-m", "textkit", "embed", "-m", str(model), "-o", "out"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        deadline = time.monotonic() + 20
        while len(os.listdir(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGHUP)
        try:
            process.wait(20)
        finally:
            process.kill()
        said = process.stderr.read()
    assert process.returncode == 129
    assert said == "textkit: interrupted: nothing was written to out; with '>' instead of -o what is done is kept\n"
    assert os.listdir(tmp_path) == ["five"]


# stdin, stdout and stderr that do not block, as ssh and node leave them.


def test_a_stdout_and_a_stderr_that_do_not_block_lose_nothing() -> None:
    body = (
        "for each in (1, 2): os.set_blocking(each, False)\n"
        "with protected_stdout() as out:\n"
        "    for number in range(40):\n"
        "        out.write(b'%d ' % number * 20_000 + b'\\n')\n"  # more than a pipe holds
        "        out.write(b'')\n"
        "    for number in range(2000): messages.warn('x' * 100)\n"
        "click.echo('y' * 200_000)"
    )
    process = subprocess.Popen(frame(body), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.5)  # until the pipe is full
    out, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == b"".join(b"%d " % number * 20_000 + b"\n" for number in range(40)) + b"y" * 200_000 + b"\n"
    assert said == (b"textkit: warning: " + b"x" * 100 + b"\n") * 2000


def test_a_signal_while_a_stdout_that_does_not_block_is_full_cuts_no_line() -> None:
    """After the first signal all that was written goes out, exactly once, whatever write was under way."""
    body = (
        "os.set_blocking(1, False)\n"
        "with protected_stdout() as out:\n"
        "    os.write(2, b'waits\\n')\n"
        "    for number in range(10_000): out.write(b'%05d' % number * 40_000 + b'\\n')"
    )
    for blocking in (False, True):
        process = begun(body.replace("False", str(blocking)))
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 143
        lines = out.split("\n")
        assert lines.pop() == ""
        assert lines == [f"{number:05}" * 40_000 for number in range(len(lines))]


def test_a_stdin_that_does_not_block_is_waited_for(tmp_path: Path) -> None:
    model = write_words(tmp_path / "five")
    read, write = os.pipe()
    os.set_blocking(read, False)
    command = [sys.executable, "-m", "textkit", "embed", "-m", str(model)]
    with subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE) as process:
        os.close(read)
        for part in (b"cat\nc", b"at\n"):
            time.sleep(0.3)
            os.write(write, part)
        os.close(write)
        assert process.stdout.read() == b"4 -4 0\n4 -4 0\n"
        assert process.wait(20) == 0
