"""The README is short, and the command line accepts every command in it and in the pages for authors."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from textkit.cli import command_line

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "docs/plugins.md", "examples/demo.sh")
COMMAND = re.compile(r"(?:^\$ |\| |show \"|`|; )(textkit [^\n]*)", re.MULTILINE)


def commands(page: str) -> list[list[str]]:
    found = []
    for line in COMMAND.findall((ROOT / page).read_text()):
        line = re.split(r"[`;|<>]|\s#", line.replace('\\"', '"').rstrip('"') if page.endswith(".sh") else line)[0]
        found.append(shlex.split(line)[1:])
    return found


def parse(name: str, *words: str) -> None:
    """Raises click's error for an unknown verb, an unknown option or a missing value; opens no file."""
    verb = command_line.get_command(click.Context(command_line), name)
    assert verb is not None, name
    verb.make_parser(click.Context(verb)).parse_args(list(words))


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 165


def test_commands_are_found() -> None:
    found = commands("README.md")
    assert ["translate"] in found
    assert ["analogy", "-k", "1"] in found
    assert len(found) > 30


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one(page: str) -> None:
    named = [
        words for words in commands(page) if words and not words[0].startswith("-") and words[0] not in ("VERB", "help")
    ]
    for words in named:
        parse(*words)  # raises for an option that does not exist
    assert named


def test_a_wrong_option_would_be_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parse("embed", "--no-such-option")
