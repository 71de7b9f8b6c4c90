"""Before any test module is imported: no reports of onnxruntime's, and a Ctrl-C that reaches the commands tested."""

from __future__ import annotations

import signal
import sys

import pytest

import textkit  # noqa: F401  its import switches the reports off
from textkit.cli import run
from textkit.cli.options import Talk

# A shell that starts the suite in the background has it ignore Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def call(capfdbinary, monkeypatch, tmp_path):
    """Runs a command line in this process: its exit code, stdout and stderr."""

    def called(*args: object, stdin: str | bytes = b"") -> tuple[int, str, str]:
        given = tmp_path / "stdin"
        given.write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
        with open(given) as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            code = run([str(arg) for arg in args], Talk())
        out, error = capfdbinary.readouterr()
        return code, out.decode("utf-8", "surrogateescape"), error.decode()

    return called
