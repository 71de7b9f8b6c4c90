"""The manifest of an index: which model, how files were read, and how much of each file counts. Read with suspicion.

It is the one thing that a commit replaces: everything else was on the disk before.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from textkit.errors import TextkitError
from textkit.version import __version__

NAME = "manifest.json"
LOCK = "lock"  # whose holder is the one writer
FORMAT = "textkit-index"
SCHEMA = 1  # raised when an older textkit could not read an index any more
_ROWS = re.compile(r"rows-\d{1,9}")
_MOST_BYTES = 1 << 28
_MOST_ROWS = 1 << 40
_MOST_DIM = 1 << 20
SUMMED = ("inverse", "lines")  # the files that have check sums (see storing.sums)


@dataclass(frozen=True)
class ModelFacts:
    """The model of an index: its name, the SHA-256 of its manifest, the folder it lay in, and the numbers of a vector."""

    name: str
    digest: str
    folder: str
    dim: int


@dataclass(frozen=True)
class Manifest:
    """`data`: the folder of the rows. `rows`, `extents`: how many of them count. `dead`: the extents that are out of date.

    `roots`: the files and folders that were named, as absolute paths. `reading`: kind, column, delimiter, encoding, cut.
    """

    model: ModelFacts
    reading: Mapping[str, Any]
    data: str
    rows: int = 0
    extents: int = 0
    dead: tuple[int, ...] = ()
    roots: tuple[str, ...] = ()
    parts: tuple[Mapping[str, Any], ...] = ()  # of the approximate index: file, start, stop, bytes
    fields: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    sums: Mapping[str, int] = field(
        default_factory=dict
    )  # of the last rows of files (see storing.sums); empty: unknown

    def to_json(self) -> bytes:
        facts = {"format": FORMAT, "schema": SCHEMA, "textkit": __version__, **asdict(self)}
        return json.dumps(facts, ensure_ascii=False, indent=1).encode("utf-8", "surrogateescape")


def is_index(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is an index, or says that it is one."""
    try:
        with open(os.path.join(folder, NAME), "rb") as stream:
            return f'"{FORMAT}"'.encode() in stream.read(200)
    except OSError:
        return False


def holds_index(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is an index, or one whose manifest is gone or damaged: its files are no text that anybody wrote."""
    if is_index(folder):
        return True
    try:
        if not os.path.exists(os.path.join(folder, LOCK)):
            return False
        rows = [name for name in os.listdir(folder) if _ROWS.fullmatch(name)]
    except OSError:
        return False
    return any(os.path.exists(os.path.join(folder, name, "texts.ends")) for name in rows)


def read(folder: Path) -> Manifest:
    """The manifest of an index. Raises TextkitError, one line, for anything else."""
    path = folder / NAME
    if not folder.is_dir():
        raise TextkitError(f"{folder}: {'no index: it is a file' if folder.exists() else 'no such index'}")
    try:
        with open(path, "rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise TextkitError(f"{folder}: no index: it has no {NAME}") from None
    except OSError as error:
        raise TextkitError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        facts = json.loads(data.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        raise TextkitError(f"{path}: damaged: is no JSON") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise TextkitError(f"{path}: is not the manifest of an index")
    schema = facts.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise TextkitError(
            f"{folder}: was made by a newer textkit ({facts.get('textkit')!s:.20}); this one reads schema {SCHEMA}"
        )
    try:
        return _checked(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise TextkitError(f"{path}: damaged: {_why(error)}") from None


def _why(error: Exception) -> str:
    return f"no field {error}" if isinstance(error, KeyError) else str(error)[:100]


def _checked(facts: Mapping[str, Any]) -> Manifest:
    model = facts["model"]
    reading = facts["reading"]
    kinds: tuple[tuple[str, Any, type], ...] = (
        ("model", model, dict), ("reading", reading, dict), ("data", facts["data"], str), ("dead", facts["dead"], list),
        ("roots", facts["roots"], list), ("parts", facts["parts"], list), ("fields", facts["fields"], bool),
        ("name", model["name"], str), ("digest", model["digest"], str), ("folder", model["folder"], str),
        ("kind", reading["kind"], str), ("extra", facts["extra"], dict),
    )  # fmt: skip
    for name, value, kind in kinds:
        if not isinstance(value, kind):
            raise ValueError(f"{name} is no {kind.__name__}")
    rows, extents = _count(facts, "rows", _MOST_ROWS), _count(facts, "extents", _MOST_ROWS)
    if not _ROWS.fullmatch(facts["data"]):
        raise ValueError("data names no folder of rows")
    dead = tuple(facts["dead"])
    if not all(type(one) is int and 0 <= one < extents for one in dead):
        raise ValueError("dead names an extent that is not there")
    if not all(isinstance(root, str) for root in facts["roots"]):
        raise ValueError("roots holds what is no text")
    parts = tuple(facts["parts"])
    end = 0
    for part in parts:
        start, stop = _count(part, "start", rows), _count(part, "stop", rows)
        _count(part, "bytes", _MOST_ROWS)
        if start != end or stop <= start or not re.fullmatch(r"graph-\d{1,9}", part["file"]):
            raise ValueError("parts do not lie one behind the other")
        end = stop
    sums = facts.get("sums") or {}  # older indexes have none
    if sums and (not isinstance(sums, dict) or sums.keys() != set(SUMMED)):
        raise ValueError("sums are not those of its files")
    for name in sums:
        _count(sums, name, 0xFFFFFFFF)
    return Manifest(
        ModelFacts(model["name"], model["digest"], model["folder"], _count(model, "dim", _MOST_DIM, 1)),
        reading, facts["data"], rows, extents, dead, tuple(facts["roots"]), parts, facts["fields"], facts["extra"], sums,
    )  # fmt: skip


def _count(facts: Mapping[str, Any], name: str, most: int, least: int = 0) -> int:
    value = facts[name]
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is no number from {least} to {most}")
    return value
