"""Before any test module imports onnxruntime: textkit's import switches off what it would report to its maker."""

from __future__ import annotations

import sys

import pytest

import textkit  # noqa: F401
from textkit.cli import run
from textkit.cli.options import Talk


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
