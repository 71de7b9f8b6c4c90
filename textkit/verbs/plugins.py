"""`textkit plugins`: the families of models that can be trained, and the broken ones with the reason."""

from __future__ import annotations

from dataclasses import asdict

import click

from textkit.cli.options import Messages, list_format_option, message_options, plugin_option
from textkit.cli.stdout import protected_stdout
from textkit.cli.verb import Verb, examples


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit plugins",
        "textkit plugins --plugin my_plugin.py",
    ),
)
@list_format_option
@plugin_option
@message_options
def plugins(form: str, messages: Messages) -> None:
    """List the families of models that can be trained; `textkit train NAME --show-options` lists the options of one."""
    from textkit.cli.tables import write_json, write_table
    from textkit.registry import registry

    with protected_stdout() as out:  # a plugin may print when it is imported
        found = list(registry.describe())
        if form == "json":
            write_json(out, {"plugins": [asdict(plugin) for plugin in found]})
            return
        rows = [
            (plugin.name, plugin.task or "-", plugin.source, plugin.summary if not plugin.problem else plugin.problem)
            for plugin in found
        ]
        write_table(out, ("PLUGIN", "TASK", "FROM", "WHAT IT IS"), rows)
