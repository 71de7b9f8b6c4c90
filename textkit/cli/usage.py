"""What click says of a wrong command line, in this program's words. Imported only to report an error."""

from __future__ import annotations

import click

from textkit import errors
from textkit.cli import command_line, own_verbs
from textkit.cli.renamed import answer


def line(error: click.ClickException) -> str:
    """click's message in this program's style: one line, the nearest name, where to read on."""
    message = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, click.NoSuchOption):
        message = _no_such_option(error)
    if isinstance(error, click.MissingParameter):
        message += _as_in(error.ctx)
    for kind, said in (("integer", "whole number"), ("float", "number")):  # click's names of types
        message = message.replace(f"is not a valid {kind} range", f"is no {said}").replace(
            f"is not a valid {kind}", f"is no {said}"
        )
    context = getattr(error, "ctx", None)
    hint = f" (see '{context.command_path} --help')" if context else ""
    return message[:1].lower() + message[1:] + hint


def _as_in(context: click.Context | None) -> str:
    """The first example of a verb's help, which shows what is missing and where it goes."""
    example = (context.command.epilog or "").partition("\n")[0] if context else ""
    return f", as in: {example}" if example else ""


def _no_such_option(error: click.NoSuchOption) -> str:
    """What to write instead: the new name of an old spelling, the nearest option, or the verbs that have this one."""
    asked, context = error.option_name, error.ctx
    if context is None:
        return f"no such option {asked}"
    verb = context.info_name
    if answered := answer(verb, asked):
        return answered
    known = [name for option in context.command.params for name in (*option.opts, *option.secondary_opts)]
    known += ["-h", "--help"]
    close = errors.nearest(asked, [name for name in known if name.startswith("--")], shortened=True)
    others = [other for other in own_verbs() if other != verb and asked in _options_of(other, context)]
    if others and verb in own_verbs():
        return f"{verb} has no {asked}: it is an option of {', '.join(others)}"
    return f"no such option {asked}{close if 'did you mean' in close else ''}"


def _options_of(verb: str, context: click.Context) -> list[str]:
    command = command_line.get_command(context, verb)
    return [
        name
        for option in (command.get_params(context) if command else ())
        for name in (*option.opts, *option.secondary_opts)
    ]
