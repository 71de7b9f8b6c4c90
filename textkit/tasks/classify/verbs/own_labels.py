"""Reads the labels that a user gives with --labels: a list with commas between, or a file."""

from __future__ import annotations

import os
import re

from textkit.errors import UsageError, quoted
from textkit.streams.lines import Reader, text_blocks

_ITEM = re.compile(r"(?:\\[\\,]|[^,])*")  # up to a comma that has no backslash before it


def read_labels(given: str) -> dict[str, str]:
    """label -> description, "" for one without. `given` is a file if there is one of that name, otherwise it holds the labels.

    Raises UsageError for a label that is blank or occurs twice, and for what is neither a file nor more than one label.
    """
    if os.path.isfile(given):
        return _of_file(given)
    labels = [re.sub(r"\\([\\,])", r"\1", item) for item in _items(given)]
    if len(labels) < 2:
        raise UsageError(f"--labels {given}: no such file, and one label leaves nothing to choose; two are the least")
    found: dict[str, str] = {}
    for label in (label.strip() for label in labels):
        _add(found, label, "", f"--labels {given}")
    return found


def _items(given: str) -> list[str]:
    found, at = [], 0
    while True:
        item = _ITEM.match(given, at)
        assert item is not None  # it may be empty
        found.append(item[0])
        at = item.end() + 1
        if item.end() == len(given):
            return found


def _of_file(path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    with Reader(path) as reader:
        for block in text_blocks(reader):
            first = reader.lines - len(block) + 1
            for number, line in enumerate(block, first):
                if line.strip():
                    label, *description = line.split("\t")
                    where = f"--labels {path}: line {number}"
                    if len(description) > 1:
                        raise UsageError(
                            f"{where}: has {len(description) + 1} columns, and label<tab>description are two"
                        )
                    _add(found, label.strip(), "".join(description).strip(), where)
    if len(found) < 2:
        raise UsageError(f"--labels {path}: holds {('no label', 'one label')[len(found)]}; two are the least")
    return found


def _add(found: dict[str, str], label: str, description: str, where: str) -> None:
    if not label:
        raise UsageError(f"{where}: a label is blank")
    if label in found:
        raise UsageError(f"{where}: {quoted(label)} occurs twice")
    found[label] = description
