"""Options of a training: plugin's defaults <- TOML file <- --set key=value. Knows the engine's options and no plugin's."""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
import typing
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from textkit.errors import TextkitError, TextkitWarning, UsageError, nearest
from textkit.plugin import Plugin, Training


def resolve(
    plugin: Plugin[Any, Any],
    file: Path | None = None,
    assignments: Iterable[str] = (),
    base: tuple[Any, Training] | None = None,
) -> tuple[Any, Training]:
    """The plugin's Config and the engine's Training for one run; an option not given is as in `base`, or the plugin's default.

    Both sets of keys share one flat name space: `--set dim=100 --set learning_rate=0.05`. An unknown key (the nearest
    is named) or a value that does not fit its type raises UsageError for --set, TextkitError for the file. A value out
    of range raises UsageError.
    """
    model_keys = _fields(plugin.Config)
    known = {**_fields(Training), **model_keys}
    values: dict[str, Any] = {}
    for key, value, where, kind in _said(plugin, file, assignments):
        if key not in known:
            close = nearest(key, known)
            lists = f"; 'textkit train {plugin.name} --show-options' lists those there are"
            raise kind(f"{where}: unknown option {key!r}{close if 'did you mean' in close else lists}")
        values[key] = _checked(key, value, known, where, kind)
    model = {key: value for key, value in values.items() if key in model_keys}
    engine = {key: value for key, value in values.items() if key not in model_keys}
    try:
        config = plugin.Config(**model) if base is None else dataclasses.replace(base[0], **model)
    except (TypeError, ValueError) as error:  # a Config may check itself in __post_init__
        raise UsageError(f"options of {plugin.name}: {error}") from error
    return config, check_training(dataclasses.replace(plugin.training if base is None else base[1], **engine))


def said(plugin: Plugin[Any, Any], file: Path | None = None, assignments: Iterable[str] = ()) -> list[str]:
    """The options that the user has set, by their current names."""
    return list(dict.fromkeys(key for key, *_ in _said(plugin, file, assignments, tell=False)))


def _said(
    plugin: Plugin[Any, Any], file: Path | None, assignments: Iterable[str], tell: bool = True
) -> list[tuple[str, Any, str, type[TextkitError]]]:
    """Each option's current name, its value, where it was set, and the error to raise. `tell`: warn of an old name."""
    found: list[tuple[str, Any, str, type[TextkitError]]] = []
    if file is not None:
        found = [(key, value, str(file), TextkitError) for key, value in read_toml(file).items()]
    for assignment in assignments:
        key, equals, text = (part.strip() for part in assignment.partition("="))
        if not equals:
            raise UsageError(f"--set {assignment}: not of the form key=value")
        found.append((key, text, f"--set {assignment}", UsageError))
    renamed = declared(plugin.Config, "renamed")
    for key, _, where, _ in found:
        if tell and key in renamed:
            warnings.warn(TextkitWarning(f"{where}: {key} is now {renamed[key]}"), stacklevel=3)
    return [(renamed.get(key, key), value, where, kind) for key, value, where, kind in found]


def declared(cls: type, name: str) -> dict[str, str]:
    """The mapping `name` (`needs` or `renamed`) of a class of options, merged with those of its base classes."""
    merged: dict[str, str] = {}
    for part in reversed(cls.__mro__):
        merged |= vars(part).get(name, {})
    return merged


def read_toml(file: Path) -> dict[str, Any]:
    """The keys of a TOML file; tables only group, and their names mean nothing. Raises TextkitError for an unreadable file."""
    try:
        with file.open("rb") as stream:
            data = tomllib.load(stream)
    except OSError as error:
        raise TextkitError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TextkitError(f"{file}: not TOML: {error}") from error
    flat: dict[str, Any] = {}
    for key, value in data.items():
        for inner, content in value.items() if isinstance(value, dict) else [(key, value)]:
            if inner in flat:
                raise TextkitError(f"{file}: {inner!r} is given twice, in two tables")
            flat[inner] = content
    return flat


_LEAST = {"epochs": 1, "accumulate": 1}  # every other number of the engine is at least 0
_BELOW_ONE = ("momentum", "betas", "ema")


def check_training(training: Training) -> Training:
    """Raises UsageError where an engine option is out of its range."""
    for key, hint in _fields(Training).items():
        value = getattr(training, key)
        if typing.get_origin(hint) is typing.Literal:
            if value not in typing.get_args(hint):
                raise UsageError(f"{key} takes {_type_name(hint)}, not {value!r}")
            continue
        for number in value if isinstance(value, tuple) else (value,):
            least = _LEAST.get(key, 0)
            if not number >= least:
                raise UsageError(f"{key}={number}: must be at least {least}")
            if key in _BELOW_ONE and not number < 1:
                raise UsageError(f"{key}={number}: must be below 1")
    return training


def as_dict(config: Any) -> dict[str, Any]:
    """A dataclass of options as plain JSON values."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(config).items()
    }


def from_dict(cls: type, values: Mapping[str, Any]) -> Any:
    """The inverse of as_dict. Raises TextkitError for unknown keys and values that do not fit."""
    known, renamed = _fields(cls), declared(cls, "renamed")
    values = {renamed.get(key, key): value for key, value in values.items()}
    checked = {key: _checked(key, value, known, "stored options", TextkitError) for key, value in values.items()}
    try:
        return cls(**checked)
    except (TypeError, ValueError) as error:
        raise TextkitError(f"stored options: {error}") from error


@cache
def _fields(cls: type) -> dict[str, Any]:
    """Each option of a dataclass with its type."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def _checked(key: str, value: Any, known: Mapping[str, Any], where: str, error: type[TextkitError]) -> Any:
    if key not in known:
        raise error(f"{where}: unknown option {key!r}{nearest(key, known)}")
    try:
        return _converted(value, known[key])
    except (ValueError, TypeError, OverflowError):
        raise error(f"{where}: {key} takes {_type_name(known[key])}, not {value!r}") from None


def _converted(value: Any, hint: Any) -> Any:
    """`value`, text from --set or a value from TOML or JSON, as the type `hint`. ValueError where it does not fit."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)
        kinds = arguments[:1] * len(parts) if arguments[-1] is Ellipsis else arguments
        return tuple(_converted(part, kind) for part, kind in zip(parts, kinds, strict=True))
    if origin in (types.UnionType, typing.Union):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return _exactly(None, type(None) in arguments)
        return _first_that_fits(value, [kind for kind in arguments if kind is not type(None)])
    if origin is typing.Literal:
        return _exactly(value, value in arguments)
    if hint is bool:
        return _exactly(_TRUTH.get(str(value).lower()), str(value).lower() in _TRUTH)
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        number = float(value) if hint is float else int(value)
        return _exactly(number, math.isfinite(number) and (isinstance(value, str) or number == value))
    if hint is str:
        return _exactly(value, isinstance(value, str))
    raise TypeError(f"an option of type {hint} cannot be given by hand")


def as_typed(value: Any) -> str:
    """A value as one would type it after --set: `_converted` gives it back. 0.0 is 0."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return ",".join(map(as_typed, value))
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _exactly(value: Any, fits: bool) -> Any:
    if not fits:
        raise ValueError
    return value


def _first_that_fits(value: Any, kinds: Iterable[Any]) -> Any:
    for kind in kinds:
        try:
            return _converted(value, kind)
        except (ValueError, TypeError):
            continue
    raise ValueError


def _type_name(hint: Any) -> str:
    """What an option takes, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        kind = {int: "whole numbers", float: "numbers", str: "words"}.get(arguments[0], "values")
        count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"{count}{kind} separated by commas"
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join("none" if kind is type(None) else _type_name(kind) for kind in arguments)
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}.get(hint, str(hint))
