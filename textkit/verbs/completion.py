"""`textkit completion`: the script that teaches a shell to complete textkit's command lines. Written by click."""

from __future__ import annotations

import click

from textkit.cli.options import Messages, message_options
from textkit.cli.verb import Verb, examples


@click.command(
    cls=Verb,
    epilog=examples(
        'eval "$(textkit completion bash)"      # for this shell alone',
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@message_options
def completion(shell: str, messages: Messages) -> None:
    """Print the completion script of a shell: verbs, options, and the names of models and plugins.

    \b
    bash:  echo 'eval "$(textkit completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(textkit completion zsh)"' >> ~/.zshrc
    fish:  textkit completion fish > ~/.config/fish/completions/textkit.fish
    """
    from click.shell_completion import get_completion_class

    from textkit.cli import COMPLETE, command_line

    found = get_completion_class(shell)
    assert found is not None  # the argument's choices are click's own
    click.echo(found(command_line, {}, "textkit", COMPLETE).source())
