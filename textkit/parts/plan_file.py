"""The file of a plan, `OUT/_textkit/plan.json`: written once, and read field by field, because anybody may have written it.

Other tools that read a folder of data leave out names that begin with an underscore.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from textkit.errors import TextkitError, one_line
from textkit.parts.plan import PLACE, Part, Plan
from textkit.parts.sources import Source
from textkit.parts.writing import put_once
from textkit.streams.span import Span

_SCHEMA = 1
_SPAN = (str, int, int, bool, bool, (int, type(None)), (list, type(None)))  # the fields of a Span


def written(folder: Path, plan: Plan) -> Plan:
    """The plan of `folder`: `plan`, unless another process has written one."""
    content = {
        "schema": _SCHEMA,
        "made": plan.made,
        "other": plan.other,
        "sources": [[source.path, source.size, source.changed] for source in plan.sources],
        "parts": [[part.name, part.first, [[*asdict(span).values()] for span in part.spans]] for part in plan.parts],
    }
    put_once(folder / PLACE / "plan.json", json.dumps(content).encode())
    return read(folder) or plan


def read(folder: Path) -> Plan | None:
    """The plan of `folder`, None where it has none. Raises TextkitError for one that is damaged or of another version."""
    path = folder / PLACE / "plan.json"
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise TextkitError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise TextkitError(f"{path}: damaged: {one_line(error)}") from error
    with suppress(TypeError, KeyError, ValueError, AttributeError):
        if content["schema"] == _SCHEMA:
            return _plan(content)
    raise TextkitError(f"{path}: is no plan of this version of textkit")


def _plan(content: Any) -> Plan:
    """Raises TypeError, KeyError, ValueError or AttributeError for what is no plan."""
    made, other = content["made"], content["other"]
    _check([made["verb"], made["model"]["name"], made["model"]["sha256"]], str, str, str)
    _check([made["options"], other], dict, dict)
    _check(made["cut"], str, int)
    for source in content["sources"]:
        _check(source, str, int, int)
    parts = []
    for number, part in enumerate(content["parts"], 1):
        _check(part, str, int, list)
        name, first, spans = part
        if name != os.path.basename(name) or not name.startswith("part-"):  # it is a path to write to
            raise ValueError(name)
        parts.append(Part(number, name, tuple(map(_span, spans)), first))
    if len({part.name for part in parts}) < len(parts):
        raise ValueError("two parts have one name")
    return Plan(made, other, tuple(Source(*source) for source in content["sources"]), tuple(parts))


def _span(values: Any) -> Span:
    _check(values, *_SPAN)
    groups = values[-1]
    if groups is not None:
        _check(groups, int, int)
        groups = (groups[0], groups[1])
    path, start, stop, whole, packed, lines, _ = values
    span = Span(path, start, stop, whole, packed, lines, groups)
    if not 0 <= span.start <= span.stop:
        raise ValueError(span)
    return span


def _check(values: Any, *kinds: type | tuple[type, ...]) -> None:
    """Raises TypeError unless `values` is a list of a value of each of `kinds`."""
    if not isinstance(values, list) or len(values) != len(kinds):
        raise TypeError(values)
    for value, kind in zip(values, kinds, strict=True):
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(value)
