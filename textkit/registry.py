"""Finds plugins by name, in package metadata and files named by hand. Imports only those files and the plugin asked for.

`registry`, at the foot, is the one instance. Knows no plugin, and no torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from textkit.errors import TextkitError, TextkitWarning, UsageError, nearest, one_line
from textkit.plugin import API_VERSION, Plugin, Training
from textkit.strangers import contained, points, tried
from textkit.task_registry import tasks
from textkit.version import DISTRIBUTION

GROUP = "textkit.plugins"
VARIABLE = "TEXTKIT_PLUGINS"


@dataclass(frozen=True)
class Entry:
    """A known plugin, not imported yet: its name, where it comes from, and how to load it."""

    name: str
    source: str  # "textkit 0.1.0", or the path of a file
    load: Callable[[], type]
    own: bool = False  # whether it is one of textkit's


@dataclass(frozen=True)
class Description:
    """A line of `textkit plugins`. `problem` is None for a plugin that works, otherwise why it does not, in one line."""

    name: str
    source: str
    task: str = ""
    summary: str = ""
    problem: str | None = None


class Registry:
    """Discovers plugins (entry points, files named by hand), makes one instance of each asked for, describes all."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._broken: dict[Path, str] = {}  # files named by hand that do not import, and why
        self._unread: dict[Path, str] = {}  # distributions whose metadata cannot be read, and why
        self._classes: dict[Path, list[type[Plugin[Any, Any]]]] = {}  # of each file named by hand
        self._entries: dict[str, list[Entry]] | None = None
        self._instances: dict[str, Plugin[Any, Any]] = {}

    def add_file(self, path: str | Path) -> None:
        """Adds the plugins defined in a Python file. Nothing is ever loaded from the current folder unasked."""
        path = Path(path).absolute()
        if not path.is_file():
            raise UsageError(f"--plugin {path}: no such file")
        if path not in self._files:
            self._files.append(path)
            self._entries = None
            self._instances.clear()  # the file may claim a name that is taken

    def names(self) -> list[str]:
        """The names users can type, sorted. Imports only files named by hand."""
        return sorted(self.discover())

    def get(self, name: str) -> Plugin[Any, Any]:
        """The one instance of the plugin `name`.

        Raises UsageError for an unknown name (with the nearest one), TextkitError for one that is claimed twice, does
        not import, or does not keep the contract.
        """
        if name in self._instances:
            return self._instances[name]
        entries = self.discover().get(name)
        for problem in [*self._broken.values(), *(() if entries else self._unread.values())]:
            if not entries:
                raise TextkitError(problem)  # it may have been the one that defines the name
            warnings.warn(TextkitWarning(problem), stacklevel=2)
        if not entries:
            raise UsageError(f"unknown plugin {name!r}{nearest(name, self.discover())}")
        if len(entries) > 1:
            sources = " and ".join(entry.source for entry in entries)
            raise TextkitError(f"plugin name {name!r} is claimed twice, by {sources}: uninstall one of them")
        plugin = _instance(entries[0])
        self._instances[name] = plugin
        return plugin

    def describe(self) -> Iterator[Description]:
        """Every plugin, a broken one with the reason. A stranger's plugin is imported in a separate process."""
        for path in self._files:
            with suppress_into(self._broken, path):
                self._names_in(path)
        entries_by_name = self.discover()
        for path, problem in {**self._unread, **self._broken}.items():
            yield Description(path.name, str(path), problem=problem)
        for name, entries in sorted(entries_by_name.items()):
            source = " and ".join(entry.source for entry in entries)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", TextkitWarning)  # said once above
                    if name in self._instances or all(entry.own for entry in entries):
                        task, summary = self._about(name)
                    else:
                        task, summary = tried(f"plugin {name!r} ({source}) is broken", partial(self._about, name))
            except TextkitError as error:
                yield Description(name, source, problem=one_line(error))
            else:
                yield Description(name, source, task=task, summary=summary)

    def _about(self, name: str) -> tuple[str, str]:
        plugin = self.get(name)
        return plugin.task, plugin.summary

    def discover(self) -> dict[str, list[Entry]]:
        """Every known plugin by name; a name with two entries is claimed twice."""
        if self._entries is None:
            entries: dict[str, list[Entry]] = {}
            found, self._unread = points(GROUP)
            for point, distribution, version in found:
                own = distribution == DISTRIBUTION
                entry = Entry(point.name, f"{'textkit' if own else distribution} {version}", point.load, own)
                if all(known.source != entry.source for known in entries.setdefault(point.name, [])):
                    entries[point.name].append(entry)
            named = _named_in_environment()
            self._broken = {path: why for path, why in self._broken.items() if path in self._files}
            for path in dict.fromkeys([*self._files, *named]):
                if path in self._broken:
                    continue
                with suppress_into(self._broken, path):
                    # A file that the environment names concerns every command, so it is first tried in a separate process.
                    names = [each.name for each in self._in(path)] if path in self._files else self._names_in(path)
                    for name in names:
                        entry = Entry(name, str(path), partial(self._class, path, name))
                        entries.setdefault(name, []).append(entry)
            self._entries = entries
        return self._entries

    def _in(self, path: Path) -> list[type[Plugin[Any, Any]]]:
        """The plugins of a file, which is imported once."""
        if path not in self._classes:
            self._classes[path] = _plugins_of_file(path)
        return self._classes[path]

    def _names_in(self, path: Path) -> list[str]:
        """The names of a file's plugins. The file is imported in a separate process, unless it was imported here."""
        if path in self._classes:
            return [each.name for each in self._classes[path]]
        names: list[str] = tried(f"plugin file {path} does not import", lambda: [each.name for each in self._in(path)])
        return names

    def _class(self, path: Path, name: str) -> type[Plugin[Any, Any]]:
        for each in self._in(path):
            if each.name == name:
                return each
        raise TextkitError(f"plugin file {path}: it defines another plugin each time it is imported")


@contextmanager
def suppress_into(problems: dict[Path, str], path: Path) -> Iterator[None]:
    """Notes a TextkitError in `problems` instead of raising it."""
    try:
        yield
    except TextkitError as error:
        problems[path] = one_line(error)


def _named_in_environment() -> list[Path]:
    return [Path(part).absolute() for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]


def _plugins_of_file(path: Path) -> list[type[Plugin[Any, Any]]]:
    """The plugin classes that a Python file defines. Raises TextkitError where it has none or does not import."""
    if not path.is_file():
        raise TextkitError(f"plugin file {path}: no such file")
    # Files of the same name are different modules; one file is always the same, so that what it pickles is found again.
    module_name = f"textkit_plugin_{path.stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise TextkitError(f"plugin file {path}: not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up there
    try:
        with contained(f"plugin file {path} does not import"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Plugin)
        and value.__module__ == module_name
        and isinstance(vars(value).get("name"), str)
    ]
    if not found:
        raise TextkitError(f"plugin file {path}: no subclass of textkit.plugin.Plugin with a name in it")
    return list(dict.fromkeys(found))


def _instance(entry: Entry) -> Plugin[Any, Any]:
    """A plugin that keeps the contract as far as can be seen without using it. Raises TextkitError for any other."""
    where = f"plugin {entry.name!r} ({entry.source})"
    with contained(f"{where} is broken"):  # a stranger's module may raise anything, sys.exit() included
        cls = entry.load()
        if not (inspect.isclass(cls) and issubclass(cls, Plugin)):
            raise TypeError(f"{cls!r} is no subclass of textkit.plugin.Plugin")
        if cls.api != API_VERSION:
            raise TextkitError(f"{where} is made for plugin API {cls.api}, this textkit has {API_VERSION}")
        plugin = cls()
        for attribute, kind in (
            ("name", str),
            ("task", str),
            ("summary", str),
            ("Config", type),
            ("training", Training),
        ):
            if not isinstance(getattr(plugin, attribute, None), kind):
                raise TextkitError(f"{where} is broken: it has no {attribute!r} that is a {kind.__name__}")
        if plugin.name != entry.name:
            raise TextkitError(f"{where} is broken: the class calls itself {plugin.name!r}")
        if plugin.task not in tasks:
            raise TextkitError(f"{where} is broken: unknown task {plugin.task!r}{nearest(plugin.task, tasks.names())}")
        if not dataclasses.is_dataclass(plugin.Config):
            raise TextkitError(f"{where} is broken: its Config is no dataclass")
        # Both sets of keys are set by --set key=value: a key in both could never reach the engine.
        keys = [{field.name for field in dataclasses.fields(cls)} for cls in (plugin.Config, Training)]
        if both := keys[0] & keys[1]:
            raise TextkitError(
                f"{where} is broken: {', '.join(sorted(both))} of its Config are the engine's options too"
            )
    return plugin


registry = Registry()
