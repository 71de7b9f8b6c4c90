"""Serving settings as options of verbs, with the bounds, defaults and meaning that they have everywhere. Light to import."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

import click

from textkit.cli.verb import SHIPPED, own
from textkit.kinds import Flag, Real, Text, Whole, Wrong
from textkit.task import Setting, Task

_LONG_CHOICE = 24  # characters


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
        except Wrong as error:
            self.fail(f"{value} is not {error.wanted}", param, ctx)
        return number


MEGABYTES = Number(Setting(Real(0, 1e6, above=True), None, "The size of a model.", "MB"))


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
        if model and spelled in SHIPPED.get(model, {}):
            said = own(model, spelled)
        else:
            said = "Default: the model's own." if setting.default is None else f"Default: {setting.default:g}."
        if isinstance(setting.kind, Text):
            more["type"] = click.Choice(setting.kind.choices)
            if len("|".join(setting.kind.choices)) > _LONG_CHOICE:  # a narrow terminal would break it
                more["metavar"] = setting.metavar
        else:
            more |= {"type": Number(setting), "metavar": setting.metavar}
    more["help"] = " ".join(filter(None, (before, setting.help, said)))
    return [*short, f"{spelled}/--no-{spelled[2:]}" if negated else spelled], more


def options_of(task: Task, more: Mapping[str, Setting]) -> Callable[..., Callable[[Any], Any]]:
    """What makes the options of a task's verbs: `option(name, *short, **how)`, with `how` as `declared` has it.

    A setting of the task has a default of each model's own, a setting of `more` alone one for all.
    """

    def option(name: str, *short: str, **how: Any) -> Callable[[Any], Any]:
        own_default = name in task.settings
        setting = task.settings[name] if own_default else more[name]
        names, keywords = declared(name, setting, *short, model=task.default_model if own_default else None, **how)
        return click.option(*names, **keywords)

    return option


def taken(options: dict[str, Any], *settings: Iterable[str]) -> dict[str, Any]:
    """Takes the settings out of a verb's options, and returns those that the user gave."""
    found = {name: options.pop(name) for name in dict.fromkeys(chain(*settings)) if name in options}
    return {name: value for name, value in found.items() if value is not None}
