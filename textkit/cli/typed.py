"""Helps people who type a text where a file's name is meant, or do not see that a filter waits for them. Light to import."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from textkit.cli.input_report import say_invalid
from textkit.cli.options import Messages
from textkit.errors import TextkitError, is_address, no_such_file, quoted

_LONG = 80  # characters of a text that are shown


def check_files(files: Sequence[str], others: Iterable[str] = ()) -> None:
    """Raises TextkitError for the first of `files` (arguments of the running verb) and `others` that cannot be read.

    A user who names a missing file may have meant the text itself, so the message has the command line that takes the text.
    """
    from textkit.streams.lines import check_readable

    absent = [file for file in files if file != "-" and not os.path.exists(file)]
    if absent:
        if is_address(absent[0]):
            raise TextkitError(no_such_file(absent[0]))
        name = absent[0] if len(absent[0]) <= _LONG else absent[0][: _LONG - 1] + "…"
        raise TextkitError(f"{name or repr(name)}: no such file{_way_on(absent)}")
    check_readable(file for file in (*files, *others) if file != "-")


def _way_on(absent: Sequence[str]) -> str:
    """Suggests a file with nearly that name, otherwise the same command with the missing names piped into it as text."""
    if close := _near(absent[0]):
        return f"; did you mean {close!r}?"
    context = click.get_current_context(silent=True)
    if context is None or not any(text.strip() for text in absent) or absent[0].startswith(("/", "./", "../", "~/")):
        return ""  # no advice to give, or clearly a path
    texts = [" ".join(absent)] if not any("\n" in text for text in absent) else "\n".join(absent).split("\n")
    shown = all(text.isprintable() and len(text) <= _LONG for text in texts)
    command = " ".join([context.command_path, *_options(context)])
    return f"; for the text itself: {_echo(texts) if shown else 'echo TEXT'} | {command}"


def _near(path: str) -> str | None:
    """The name of a file in the same folder that differs by a letter or so."""
    import difflib

    folder, name = os.path.split(path)
    if not name or " " in name:
        return None
    try:
        names = [other for other in os.listdir(folder or ".") if other != name]  # it may be a link that leads nowhere
    except OSError:
        return None
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    return os.path.join(folder, close[0]) if close else None


def _echo(texts: Sequence[str]) -> str:
    """The shell command that writes `texts`, one per line. It is printf where some shell's echo would change the text."""
    quoted = " ".join(map(_quoted, texts))
    plain = len(texts) == 1 and not texts[0].startswith("-") and "\\" not in texts[0]
    return f"echo {quoted}" if plain else f"printf '%s\\n' {quoted}"


def _quoted(text: str) -> str:
    """`text` quoted for the shell, in double quotes where it has an apostrophe and nothing that they would change."""
    import shlex

    return f'"{text}"' if "'" in text and not set('"$`\\!') & set(text) else shlex.quote(text)


def _options(context: click.Context) -> list[str]:
    """The options that this command was given, as one would type them."""
    import shlex

    given: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        if not isinstance(option, click.Option) or name not in context.params:
            continue
        if context.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
            continue
        value: Any = context.params[name]
        if name == "model" and not _serves(value, context.info_name or ""):
            continue  # the line must work
        if option.is_flag:
            given += [(option.opts if value else option.secondary_opts)[0]]
        else:
            for each in value if option.multiple else [value]:
                given += [option.opts[0], shlex.quote(f"{each:g}" if isinstance(each, float) else str(each))]
    return given


def _serves(model: str, verb: str) -> bool:
    """Whether a model is one that the verb can use."""
    from textkit.bundle import bundle
    from textkit.task_registry import tasks

    task, _ = tasks.own_verb(verb) or tasks.verbs().get(verb) or (None, None)
    try:
        return task is None or bool(bundle.located(model, task.name))
    except TextkitError:
        return False


def say_if_file(messages: Messages, texts: Iterable[str], what: str, way: str | None = None) -> None:
    """Says on stderr, unless -q, that a text argument, called `what`, is the name of a file: its texts may be meant.

    `way`: what reads the texts of a file, where stdin does not.
    """
    file = next((text for text in texts if os.path.isfile(text)), None)
    if file is not None:
        import shlex

        texts_of = f"reads {what.rpartition(' ')[2]}s from"
        reads = f"{way} {texts_of} a file" if way else f"< {shlex.quote(file)} {texts_of} it"
        messages.hint(f"{quoted(file)} is taken as {what}; {reads}")


def seen(files: Sequence[str] = ("-",)) -> bool:
    """Whether somebody sees stderr, or types the input."""
    typed = "-" in (files or ("-",)) and sys.stdin is not None and sys.stdin.isatty()
    return typed or (sys.stderr is not None and sys.stderr.isatty())


def say_if_typed(messages: Messages, files: Sequence[str] = ("-",)) -> None:
    """Says on stderr, unless -q, that stdin is read and is a terminal: somebody may wonder why nothing happens."""
    if "-" in (files or ("-",)) and sys.stdin is not None and sys.stdin.isatty():
        messages.hint("reading from the terminal; Ctrl-D ends")


def typed_lines(messages: Messages) -> Iterator[list[tuple[str, str]]]:
    """The lines of stdin as (line, its place), a list at a time; the list is empty where the input pauses."""
    from textkit.streams.lines import Reader

    say_if_typed(messages)
    with Reader(None) as reader:
        for lines in reader:
            first = reader.lines - len(lines) + 1
            yield [(line, f"line {number}") for number, line in enumerate(lines, first)]
        if reader.invalid:
            say_invalid(messages, reader.name, reader.invalid, reader.encoding)
