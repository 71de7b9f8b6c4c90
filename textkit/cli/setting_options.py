"""Serving settings as options of verbs, with the bounds, defaults and meaning that they have everywhere. Light to import."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from textkit.cli.verb import own
from textkit.kinds import Flag, Text, Whole, Wrong
from textkit.task import Setting


class Number(click.ParamType):
    """A number within the bounds of a setting."""

    def __init__(self, setting: Setting) -> None:
        self.kind = setting.kind
        self.name = "integer" if isinstance(self.kind, Whole) else "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        whole = isinstance(self.kind, Whole)
        try:
            number = int(value) if whole else float(value)
        except ValueError:
            self.fail(f"{value!r} is no {'whole ' * whole}number", param, ctx)
        try:
            self.kind.check(number, self.name)
        except Wrong:
            self.fail(f"{value} is not {getattr(self.kind, 'wanted', 'what this option takes')}", param, ctx)
        return number


def declared(
    name: str, setting: Setting, *short: str, model: str | None = None, negated: bool = False, before: str = ""
) -> tuple[list[str], dict[str, Any]]:
    """What click.option takes for a setting: its spellings and keywords. The option's value is None where it is not given.

    `model`: the shipped model whose own default --help names; None: all models have the setting's default. `negated`:
    --no-NAME is an option as well. `before`: the beginning of the help.
    """
    spelled = f"--{name.replace('_', '-')}"
    more: dict[str, Any] = {"default": None}
    if isinstance(setting.kind, Flag):
        said = own(model, spelled) if negated and model else ""
        if not negated:
            more |= {"is_flag": True, "callback": lambda ctx, param, value: value or None}
    else:
        said = own(model, spelled) if model else f"Default: {setting.default:g}."
        if isinstance(setting.kind, Text):
            more["type"] = click.Choice(setting.kind.choices)
        else:
            more |= {"type": Number(setting), "metavar": setting.metavar}
    more["help"] = " ".join(filter(None, (before, setting.help, said)))
    return [*short, f"{spelled}/--no-{spelled[2:]}" if negated else spelled], more


def setting_option(name: str, setting: Setting, *short: str, **how: Any) -> Callable[[Any], Any]:
    """The option of a setting for a verb; `how`: the keywords of `declared`."""
    names, more = declared(name, setting, *short, **how)
    return click.option(*names, **more)


def taken(options: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Removes the settings of these names from a verb's options, and returns those that were given."""
    found = {name: options.pop(name) for name in names}
    return {name: value for name, value in found.items() if value is not None}
