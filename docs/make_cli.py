"""Writes docs/cli.md from the --help of every command: `python docs/make_cli.py`; with --check it only compares.

Knows no command: the table of verbs lists them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from textkit.cli import command_line, own_verbs

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 100  # columns, on any terminal

HEAD = """# Command line

What `--help` says, verb by verb. Made by `python docs/make_cli.py`; a test compares it.

Exit codes: 0 done, 1 failed (one line on stderr that begins with `textkit: `; `--debug` adds the traceback), 2 wrong
usage, 130 interrupted. stdout carries data alone. A closed pipe (`| head`) ends a command quietly with 0.
"""


def page() -> str:
    """The text of docs/cli.md."""
    root = click.Context(command_line, info_name="textkit", terminal_width=WIDTH, max_content_width=WIDTH)
    root.help_option_names = ["-h", "--help"]
    parts = [HEAD, _block("textkit", root)]
    for verb in own_verbs():
        command = command_line.get_command(root, verb)
        assert command is not None  # the verb comes from the table that get_command reads
        parts.append(_block(f"textkit {verb}", click.Context(command, info_name=verb, parent=root)))
    return "\n".join(parts)


def _block(title: str, context: click.Context) -> str:
    return f"## {title}\n\n```text\n{context.get_help().rstrip()}\n```\n"


if __name__ == "__main__":
    text = page()
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PAGE.exists() and PAGE.read_text("utf-8") == text else "docs/cli.md is not current: make_cli.py")
    PAGE.write_text(text, "utf-8")
