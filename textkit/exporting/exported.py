"""What the exporters of all tasks return, the checks that they make first, and the writing of a bundle. Knows no task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from textkit.bundle import writing
from textkit.bundle.manifest import is_name
from textkit.errors import TextkitError, UsageError, nearest, pip_install
from textkit.exporting import quantize
from textkit.text.rule import TextRule

TOKEN_LIMIT = 1 << 16  # for a model that states none; a line of more tokens is split or cut when served


@dataclass(frozen=True)
class Exported:
    """Graphs that compute what they should, the figures that prove it, and the manifest's limits."""

    graphs: Mapping[str, bytes]
    limits: Mapping[str, int]
    parity: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)  # the task's own keys of the manifest


def checked_name(folder: Path, name: str | None, precision: str, overwrite: bool) -> str:
    """The model's name: the one given, or the folder's. Raises, before any work, what would prevent writing the model."""
    if precision not in quantize.PRECISIONS:
        raise UsageError(f"--precision {precision}: unknown{nearest(precision, quantize.PRECISIONS)}")
    if find_spec("onnx") is None:
        raise TextkitError(f"making a model needs the package onnx: {pip_install('train')}")
    writing.check_target(folder, overwrite)
    found = folder.resolve().name if name is None else name
    if not is_name(found):
        which = f"-o {folder}: its last part cannot name a model, give a --name" if name is None else f"--name {name}"
        raise UsageError(f"{which}: use letters, digits, '.', '_', '+' and '-', at most 100")
    return found


def write(
    folder: Path,
    found: Exported,
    *,
    task: str,
    rule: TextRule,
    name: str,
    precision: str,
    defaults: Mapping[str, Any],
    overwrite: bool,
    plugin: Mapping[str, str] | None = None,
    data: Sequence[Any] = (),
    licence: str = "",
    scores: Sequence[Mapping[str, Any]] = (),
    made: Mapping[str, Any] | None = None,
) -> Path:
    """Writes what was exported as a bundle and returns its folder. Arguments with defaults are facts for the manifest."""
    return writing.write(
        folder,
        name=name,
        task=task,
        rule=rule,
        graphs=found.graphs,
        plugin=plugin or {"name": "", "version": ""},
        limits=found.limits,
        defaults=defaults,
        facts=found.facts,
        data=data,
        licence=licence,
        scores=scores,
        parity=found.parity,
        precision=precision,
        made=made or {},
        overwrite=overwrite,
    )
