"""Which files a search reads: those that are named, and those in folders that are named. Counts what is left out.

Inside a folder, hidden files, links, binaries and what is no regular file are left out, as ripgrep leaves them out. A file that
is named is read whatever it is called, but a binary has no lines to show.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from textkit.errors import TextkitError, no_such_file
from textkit.retrieval.storing.manifest import holds_index

STDIN = "-"
_SHOWN = 3  # names in a message


@dataclass
class Survey:
    """What was read, and what was left out and why."""

    files: int = 0
    hidden: int = 0
    links: int = 0
    special: int = 0  # pipes, sockets, devices
    indexes: int = 0  # folders that are indexes themselves
    binary: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)  # file -> why
    invalid: dict[str, tuple[int, str]] = field(default_factory=dict)  # file -> lines with invalid bytes, the encoding
    records: int = 0  # records that could not be used
    problem: str = ""  # of the first of them

    def notes(self) -> list[str]:
        """What -v says: files that nobody expects to be read."""
        counts = (
            (self.hidden, "hidden"), (self.links, "links"), (self.special, "pipes, sockets or devices"),
            (self.indexes, "indexes"),
        )  # fmt: skip
        said = [f"{count:,} {what}" for count, what in counts if count]
        return [f"left out: {', '.join(said)}"] if said else []

    def warnings(self) -> list[str]:
        """What should be known: binaries, files that could not be read, bytes and records that could not be used."""
        said = []
        if self.binary:
            files = "1 file was" if len(self.binary) == 1 else f"{len(self.binary):,} files were"
            said.append(f"{files} left out, binary: {_named(self.binary)}")
        if self.unreadable:
            files = "1 file" if len(self.unreadable) == 1 else f"{len(self.unreadable):,} files"
            said.append(f"{files} could not be read; the first: {next(iter(self.unreadable.values()))}")
        for file, (count, encoding) in self.invalid.items():
            lines = "1 line" if count == 1 else f"{count:,} lines"
            said.append(f"{file}: {lines} held bytes that are no {encoding}; they became U+FFFD")
        if self.records:
            records = "1 record was" if self.records == 1 else f"{self.records:,} records were"
            said.append(f"{records} skipped; the first: {self.problem}")
        return said


@dataclass(frozen=True)
class Source:
    """A file to read: what it is called, and whether it was found in a folder rather than named."""

    name: str
    found: bool = False


def sources(names: Iterable[str], survey: Survey) -> Iterator[Source]:
    """The files that `names` (files, folders, `-`) mean, folders sorted by name; each file once.

    Raises TextkitError for a name that does not exist, a folder that cannot be opened, and an index, whose files hold no text
    to be read. A folder inside a folder that cannot be opened is counted.
    """
    seen: set[str] = set()
    for name in names:
        if name == STDIN:
            yield Source(STDIN)
            continue
        try:
            os.stat(name)
        except (OSError, ValueError) as error:
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
            said = no_such_file(name) if missing else f"{name}: {getattr(error, 'strerror', None) or error}"
            raise TextkitError(said) from error
        if holds_index(name):
            raise TextkitError(f"{name}: is an index itself; name the files that it was made of")
        for source in _walk(name, survey) if os.path.isdir(name) else (Source(name),):
            place = os.path.abspath(source.name)
            if place not in seen:
                seen.add(place)
                yield source


def _walk(folder: str, survey: Survey) -> Iterator[Source]:
    waiting = [folder]  # what is to be looked at, the next at the end
    while waiting:
        path = waiting.pop()
        if path is not folder and not os.path.isdir(path):
            yield Source(path, found=True)
            continue
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            if path is folder:
                raise TextkitError(f"{path}: {error.strerror or error}") from error
            survey.unreadable[path] = f"{path}: {error.strerror or error}"
            continue
        for entry in found:
            folder_inside = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith("."):
                survey.hidden += 1
            elif entry.is_symlink():
                survey.links += 1
            elif folder_inside and holds_index(entry.path):
                survey.indexes += 1
            elif folder_inside or entry.is_file(follow_symlinks=False):
                waiting.append(entry.path)
            else:
                survey.special += 1


def _named(files: list[str]) -> str:
    more = f" and {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else ""
    return ", ".join(files[:_SHOWN]) + more
