"""Finds plugins by name. Listing reads package metadata and imports nothing; only the plugin asked for is imported.

`registry`, at the foot, is the one instance. Knows no plugin, and no torch.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from textkit.errors import TextkitError, UsageError, nearest, one_line
from textkit.plugin import API_VERSION, TASKS, Plugin

GROUP = "textkit.plugins"


@dataclass(frozen=True)
class Entry:
    """A plugin that is known of, not imported yet: its name, where it comes from, and how to load it."""

    name: str
    source: str  # "textkit 0.1.0", or the path of a file
    load: Callable[[], type]


@dataclass(frozen=True)
class Description:
    """A line of `textkit plugins`. `problem` is None for a plugin that works, else why it does not, in one line."""

    name: str
    source: str
    task: str = ""
    summary: str = ""
    problem: str | None = None


class Registry:
    """Discovers plugins (entry points, and files named by hand), makes one instance of each asked for, describes all."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._entries: dict[str, list[Entry]] | None = None
        self._instances: dict[str, Plugin] = {}

    def add_file(self, path: str | Path) -> None:
        """Adds the plugins defined in a Python file. Nothing is ever loaded from the current folder on its own."""
        path = Path(path).resolve()
        if not path.is_file():
            raise UsageError(f"--plugin {path}: no such file")
        if path not in self._files:
            self._files.append(path)
            self._entries = None

    def names(self) -> list[str]:
        """The names users can type, sorted. Imports only files named by hand."""
        return sorted(self.discover())

    def get(self, name: str) -> Plugin:
        """The one instance of the plugin `name`.

        Raises UsageError for an unknown name (with the nearest one), TextkitError for one that is claimed twice, does not
        import, or does not keep the contract.
        """
        if name in self._instances:
            return self._instances[name]
        entries = self.discover().get(name)
        if not entries:
            raise UsageError(f"unknown plugin {name!r}{nearest(name, self.discover())}")
        if len(entries) > 1:
            sources = " and ".join(entry.source for entry in entries)
            raise TextkitError(f"plugin name {name!r} is claimed twice, by {sources}: uninstall one of them")
        plugin = _instance(entries[0])
        self._instances[name] = plugin
        return plugin

    def describe(self) -> Iterator[Description]:
        """Every plugin, the broken ones with their reason. Imports them all, one after the other, and survives each."""
        for name, entries in sorted(self.discover().items()):
            source = " and ".join(entry.source for entry in entries)
            try:
                plugin = self.get(name)
            except TextkitError as error:
                yield Description(name, source, problem=one_line(error))
            else:
                yield Description(name, source, task=plugin.task, summary=plugin.summary)

    def discover(self) -> dict[str, list[Entry]]:
        """Everything known of, by name; a name with two entries is claimed twice."""
        if self._entries is None:
            from importlib.metadata import entry_points  # 20 ms, not for --help

            entries: dict[str, list[Entry]] = {}
            for point in entry_points(group=GROUP):
                source = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
                entry = Entry(point.name, source, point.load)
                # The same distribution can be found twice on sys.path (an egg-info in the current folder): one entry.
                if all(known.source != source for known in entries.setdefault(point.name, [])):
                    entries[point.name].append(entry)
            from_environment = [Path(part) for part in os.environ.get("TEXTKIT_PLUGINS", "").split(os.pathsep) if part]
            for path in dict.fromkeys([*self._files, *(path.resolve() for path in from_environment)]):
                for plugin in _plugins_of_file(path):
                    entry = Entry(plugin.name, str(path), lambda plugin=plugin: plugin)
                    entries.setdefault(plugin.name, []).append(entry)
            self._entries = entries
        return self._entries


def _plugins_of_file(path: Path) -> list[type[Plugin]]:
    module_name = f"textkit_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"plugin file {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise TextkitError(f"plugin file {path} does not import: {one_line(error)}") from error
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module_name and "name" in vars(value)
    ]
    if not found:
        raise TextkitError(f"plugin file {path}: no subclass of textkit.plugin.Plugin with a name in it")
    return found


def _instance(entry: Entry) -> Plugin:
    try:
        cls = entry.load()
        plugin = cls()
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything, sys.exit() included
        raise TextkitError(f"plugin {entry.name!r} ({entry.source}) is broken: {one_line(error)}") from error
    where = f"plugin {entry.name!r} ({entry.source})"
    if not isinstance(plugin, Plugin):
        raise TextkitError(f"{where} is broken: {cls!r} is no subclass of textkit.plugin.Plugin")
    for attribute in ("name", "task", "summary", "Config"):
        if not hasattr(plugin, attribute):
            raise TextkitError(f"{where} is broken: it has no {attribute!r}")
    if plugin.name != entry.name:
        raise TextkitError(f"{where} is broken: the class calls itself {plugin.name!r}")
    if plugin.task not in TASKS:
        raise TextkitError(f"{where} is broken: unknown task {plugin.task!r}{nearest(plugin.task, TASKS)}")
    if plugin.api != API_VERSION:
        raise TextkitError(f"{where} is made for plugin API {plugin.api}, this textkit has {API_VERSION}")
    return plugin


registry = Registry()
