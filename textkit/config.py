"""Options of a training: frozen dataclass <- plugin's defaults <- TOML file <- --set key=value. Unknown keys are errors."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from textkit.errors import TextkitError, UsageError, nearest
from textkit.plugin import Plugin, Training


def resolve(
    plugin: Plugin, file: Path | None = None, assignments: Iterable[str] = ()
) -> tuple[Any, Training]:
    """The plugin's Config and the engine's Training for one run.

    Both sets of keys share one flat name space: `--set dim=100 --set learning_rate=0.05`. Raises UsageError with the
    nearest key for an unknown one, with the option's type for a value that does not fit.
    """
    known = {**_fields(Training), **_fields(plugin.Config)}
    values: dict[str, Any] = {}
    if file is not None:
        for key, value in read_toml(file).items():
            values[key] = _checked(key, value, known, f"{file}")
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment}: not of the form key=value")
        values[key.strip()] = _checked(key.strip(), text.strip(), known, f"--set {assignment}")
    model_keys = _fields(plugin.Config)
    model = {key: value for key, value in values.items() if key in model_keys}
    engine = {key: value for key, value in values.items() if key not in model_keys}
    try:
        config = plugin.Config(**model)
        training = dataclasses.replace(plugin.training, **engine)
    except (TypeError, ValueError) as error:  # a Config may check itself in __post_init__
        raise UsageError(f"options of {plugin.name}: {error}") from error
    return config, check_training(training)


def read_toml(file: Path) -> dict[str, Any]:
    """The keys of a TOML file; tables only group, their names mean nothing."""
    try:
        with file.open("rb") as stream:
            data = tomllib.load(stream)
    except OSError as error:
        raise TextkitError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TextkitError(f"{file}: not TOML: {error}") from error
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat.update(value if isinstance(value, dict) else {key: value})
    return flat


CHOICES: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("sgd", "adagrad", "adam", "adamw"),
    "schedule": ("constant", "linear", "inverse-sqrt", "cosine"),
    "precision": ("fp32", "bf16", "fp16"),
}


def check_training(training: Training) -> Training:
    """Raises UsageError where an engine option is out of its range."""
    for key, choices in CHOICES.items():
        value = getattr(training, key)
        if value not in choices:
            raise UsageError(f"{key}={value}: unknown{nearest(value, choices)}")
    for key, least in {"epochs": 1, "accumulate": 1, "batch_size": 0, "learning_rate": 0.0, "clip": 0.0}.items():
        if not getattr(training, key) >= least:
            raise UsageError(f"{key}={getattr(training, key)}: must be at least {least}")
    return training


def as_dict(config: Any) -> dict[str, Any]:
    """A dataclass of options as plain JSON values."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(config).items()}


def from_dict(cls: type, values: Mapping[str, Any]) -> Any:
    """The inverse of as_dict; unknown keys are errors."""
    known = _fields(cls)
    return cls(**{key: _checked(key, value, known, "stored options") for key, value in values.items()})


def _fields(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _checked(key: str, value: Any, known: Mapping[str, Any], where: str) -> Any:
    if key not in known:
        raise UsageError(f"{where}: unknown option {key!r}{nearest(key, known)}")
    try:
        return _converted(value, known[key])
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{where}: {key} takes {_type_name(known[key])}, not {value!r}") from error


def _converted(value: Any, hint: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        parts = value.split(",") if isinstance(value, str) else list(value)
        kinds = typing.get_args(hint)
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(parts)
        if len(parts) != len(kinds):
            raise ValueError(value)
        return tuple(_converted(part, kind) for part, kind in zip(parts, kinds, strict=True))
    if hint is bool:
        if isinstance(value, bool):
            return value
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(value).lower()]
    if hint is int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError(value)
        return int(value)
    if hint is float:
        if isinstance(value, bool):
            raise ValueError(value)
        number = float(value)
        if number != number:
            raise ValueError(value)
        return number
    if hint is str:
        if not isinstance(value, str):
            raise ValueError(value)
        return value
    return value


def _type_name(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    return names.get(hint, f"values separated by commas ({hint})")
