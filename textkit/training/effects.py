"""Which options have an effect on a family, alone and beside the other options; one without effect is refused, not ignored.

Plugins declare this (`needs`, `unheeded`: see textkit.plugin). Knows no options but the engine's.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any

from textkit.config import as_dict, as_typed, declared
from textkit.errors import UsageError
from textkit.plugin import Plugin, Training

# Only training by the gradient of a loss obeys these: a plugin's own update or fit never sees them.
_OF_DESCENT = (
    "accumulate", "optimizer", "momentum", "nonmono", "betas", "epsilon", "clip", "l1", "l2", "weight_decay", "precision",
    "ema", "compile",
)  # fmt: skip
_OF_BATCHES = (
    "epochs", "max_steps", "batch_size", "learning_rate", "schedule", "warmup", "cooldown", "min_learning_rate",
    "checkpoint_seconds", "checkpoint_steps", "patience", "eval_steps",
)  # fmt: skip
_CONDITION = re.compile(r"(\w+)(!?=)(.+)")


def has_score(plugin: Plugin) -> bool:
    """Whether the plugin has a dev score; a plugin without one trains on everything."""
    return type(plugin).score is not Plugin.score


def without_effect(plugin: Plugin) -> dict[str, str]:
    """The engine options that the plugin cannot obey, each with the reason."""
    reasons = {key: f"where {instead}" for key, instead in plugin.unheeded.items()}
    if plugin.update is not None or plugin.fit is not None:
        reasons |= dict.fromkeys(_OF_DESCENT, "which is not trained by the gradient of a loss")
    if plugin.fit is not None:
        reasons |= dict.fromkeys(_OF_BATCHES, "which is not trained batch by batch")
    if not has_score(plugin):
        reasons |= dict.fromkeys(("patience", "eval_steps", "nonmono"), "which has no dev score")
    return reasons


def unmet(plugin: Plugin, config: Any, training: Training) -> dict[str, str]:
    """The options that have no effect with the values of the others, each with the condition that it needs."""
    values = {**as_dict(training), **as_dict(config)}
    needs = declared(Training, "needs") | declared(type(config), "needs")
    return {
        key: " or ".join(condition.strip() for condition in need.split(" or "))
        for key, need in needs.items()
        if not any(_holds(condition.strip(), values) for condition in need.split(" or "))
    }


def check_said(plugin: Plugin, said: Iterable[str], config: Any, training: Training) -> None:
    """Raises UsageError for an option that the user set and that has no effect.

    A value that switches the option off (0, false, an empty list) is never refused, and neither is a default.
    """
    values, never = {**as_dict(training), **as_dict(config)}, without_effect(plugin)
    needed = unmet(plugin, config, training)
    for key in said:
        if key in never and values[key]:
            raise UsageError(f"{key}: has no effect on {plugin.name}, {never[key]}")
        if key in needed and values[key]:
            others = dict.fromkeys(_parts(part)[0] for part in needed[key].split(" or "))
            now = ", ".join(f"{other}={as_typed(values[other])}" for other in others)
            raise UsageError(
                f"{key}: has no effect on {plugin.name} with {now}; it has one with {needed[key].replace('@', '')}"
            )


def check_options(plugin: Plugin, training: Training) -> None:
    """Raises UsageError for an engine option that differs from the plugin's default and would have no effect."""
    for key, reason in without_effect(plugin).items():
        if getattr(training, key) not in (getattr(plugin.training, key), 0):
            raise UsageError(f"{key}: has no effect on {plugin.name}, {reason}")
    if training.optimizer == "nt-asgd":
        if not has_score(plugin):
            raise UsageError(f"optimizer=nt-asgd: {plugin.name} has no dev score, which is needed to begin averaging")
        if training.ema:
            raise UsageError(f"ema={training.ema}: optimizer=nt-asgd averages the weights already")


def _parts(condition: str) -> tuple[str, str, str]:
    """A condition of `needs`: the option, = or !=, and the values."""
    found = _CONDITION.fullmatch(condition)
    if found is None:
        raise ValueError(f"needs: {condition!r} is no condition")
    return found[1], found[2], found[3]


def _holds(condition: str, values: Mapping[str, Any]) -> bool:
    """Whether a condition holds: `key=a|b` (one of these) or `key!=a|b` (none of these); `@other` is that option's value."""
    key, compared, text = _parts(condition)
    allowed = [as_typed(values[choice[1:]]) if choice[0] == "@" else choice for choice in text.split("|")]
    compare = operator.contains if compared == "=" else lambda those, one: one not in those
    return compare(allowed, as_typed(values[key]))
