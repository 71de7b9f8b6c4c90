"""`textkit help`: prints what a verb's `--help` prints, or the list of verbs."""

from __future__ import annotations

import click

from textkit.cli.options import Messages, message_options
from textkit.cli.verb import Verb, examples


def _complete_verb(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from textkit.cli import listed_verbs

    return [verb for verb in listed_verbs() if verb.startswith(incomplete)]


@click.command(
    "help",
    cls=Verb,
    epilog=examples(
        "textkit help",
        "textkit help embed",
    ),
)
@click.argument("verb", required=False, shell_complete=_complete_verb)
@message_options
@click.pass_context
def help_(ctx: click.Context, verb: str | None, messages: Messages) -> None:
    """Show the verbs, or the help of VERB: what `textkit VERB --help` prints."""
    from textkit.cli import command_line, unknown_verb

    root = ctx.parent
    assert root is not None  # the verb is one of a group
    if verb is None:
        click.echo(command_line.get_help(root))
        return
    command = command_line.get_command(root, verb)
    if command is None:
        raise click.UsageError(unknown_verb(verb), root)
    click.echo(command.get_help(click.Context(command, root, verb)))
