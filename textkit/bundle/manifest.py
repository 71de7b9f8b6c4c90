"""manifest.json: what an exported model says of itself, read with suspicion. Knows no file system and no tensors.

manifest_fields.py has the type and the bounds of every field in one table; this module checks that fields agree.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from textkit.bundle import manifest_fields
from textkit.bundle.manifest_ports import check_graphs
from textkit.errors import TextkitError, nearest, quoted
from textkit.kinds import Since, Wrong
from textkit.task import Port, Task
from textkit.task_registry import tasks

SCHEMA = 1
FILE = "manifest.json"
MAX_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """The manifest's keys, in the order they are written."""

    schema: int  # SCHEMA
    name: str  # what people call the model
    task: str  # a name in textkit/task_registry.py
    text: Mapping[str, Any]  # how text becomes ids: TextRule.spec()
    plugin: Mapping[str, Any]  # name and version of the plugin that made it; serving needs neither
    textkit: str  # the version of textkit that wrote it
    graphs: Mapping[str, Any]  # graph -> {"file", "inputs": [{"name", "dtype", "axes"}], "outputs": [...]}
    files: Mapping[str, Any]  # file -> {"sha256", "bytes"}; guards against damage, proves no origin
    limits: Mapping[str, Any]  # {"tokens": the longest line the graphs take}, and the task's own limits
    defaults: Mapping[str, Any]  # serving options of the task, e.g. {"pooling", "normalize"}
    facts: Mapping[str, Any]  # the task's own keys; each is a top-level key in the file
    data: list[Any]  # what it was trained on
    licence: str
    scores: list[Any]  # [{"metric", "value", "data", "command"}]
    parity: Mapping[str, Any]  # how far the exported graph is from the trained network
    precision: str  # fp32 | fp16 | int8
    made: Mapping[str, Any]  # the command, the seed and what else is needed to repeat it
    served_by: str = ""  # the distribution that the task comes from; left out for textkit's own

    @property
    def dim(self) -> int | None:
        """The width of the vectors; None where the task has none."""
        return self.facts.get("dim")

    @property
    def record(self) -> Task:
        """The task."""
        return tasks.get(self.task)

    def to_json(self) -> bytes:
        """The file's bytes. Raises ValueError for what JSON cannot express, such as NaN."""
        fields: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            if field.name == "facts":
                fields |= self.facts
            elif field.name != "served_by" or self.served_by:
                fields[field.name] = getattr(self, field.name)
        return (json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()

    @classmethod
    def from_json(cls, text: bytes, where: str = FILE) -> Manifest:
        """The manifest in `text`. Raises TextkitError, whose line begins with `where`, for one that is not sound."""
        try:
            values = json.loads(text.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
            raise TextkitError(f"{where}: not a manifest: {reason}") from None
        try:
            manifest_fields.sound(values)
            return _checked(cls, values)
        except (_Fault, Wrong) as fault:
            raise TextkitError(f"{where}: {fault}") from None

    def ports(self, graph: str) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        """The inputs and outputs that the manifest states for `graph`."""
        stated = self.graphs[graph]
        return tuple(map(_port, stated["inputs"])), tuple(map(_port, stated["outputs"]))


def port_to_json(port: Port) -> dict[str, Any]:
    return {"name": port.name, "dtype": port.dtype, "axes": list(port.axes)}


def is_name(name: Any) -> bool:
    """Whether `name` may name a model or a file of one: no separators, nothing hidden, at most 100 characters."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name))


class _Fault(Exception):
    """What is wrong with a manifest."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return values


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _checked(cls: type[Manifest], values: Any) -> Manifest:
    _require(isinstance(values, dict), "not an object")
    schema = values.get("schema")
    _require(
        type(schema) is int and schema == SCHEMA,
        f"schema {quoted(schema)}, where this textkit reads {SCHEMA}: made by another version",
    )
    task = _task(values)
    facts = {key: kind.default for key, kind in task.facts.items() if isinstance(kind, Since)}
    facts |= {key: values[key] for key in task.facts if key in values}
    # Before tasks had facts of their own, every manifest had the vectors' `dim`, which was null for other tasks.
    values = {"served_by": "", **{key: value for key, value in values.items() if key != "dim" or value is not None}}
    common = [field.name for field in dataclasses.fields(cls) if field.name != "facts"]
    for key in values:
        if key not in common and key not in facts:
            raise _Fault(f"unknown key {quoted(key)}{nearest(key[:100], [*common, *task.facts])}")
    for key in [*common, *task.facts]:
        _require(key in values or key in facts, f"{key!r} is missing")
    for keys, kind, called in (
        (("name", "textkit", "licence", "precision", "served_by"), str, "a string"),
        (("text", "plugin", "graphs", "files", "limits", "defaults", "parity", "made"), dict, "an object"),
        (("data", "scores"), list, "a list"),
    ):
        for key in keys:
            _require(isinstance(values[key], kind), f"{key!r} is not {called}")
    manifest = cls(facts=facts, **{key: values[key] for key in common})
    _require(is_name(manifest.name), f"{quoted(manifest.name)} cannot be a model's name")
    _require(_count(manifest.limits.get("tokens"), 1), "'limits' has no positive whole number 'tokens'")
    for key in ("name", "version"):
        _require(isinstance(manifest.plugin.get(key), str), f"'plugin' has no {key}")
    for file, stated in manifest.files.items():
        _require(is_name(file) and file != FILE, f"file name {quoted(file)} leaves the folder or is not allowed")
        _require(isinstance(stated, dict) and _count(stated.get("bytes"), 0), f"{quoted(file)} states no size")
        _require(bool(_SHA256.fullmatch(str(stated.get("sha256")))), f"{quoted(file)} states no sha256")
    _check_stated(manifest)
    manifest_fields.check({**values, **facts}, task)
    check_graphs(manifest)
    wrong = task.wrong_default(manifest.defaults)
    _require(not wrong, f"'defaults' has {wrong}: the task {manifest.task!r} has no such option or value")
    return manifest


def _task(values: Mapping[str, Any]) -> Task:
    """The task that a manifest names. The error for an unknown one repeats `served_by`, but does not advise to install it."""
    name: Any = values.get("task")
    _require(isinstance(name, str), "'task' is not a string" if "task" in values else "'task' is missing")
    if name not in tasks:
        source = values.get("served_by")
        said = f"; it says that the package {source} serves it" if is_name(source) else ""
        raise _Fault(f"task {quoted(name)} is unknown to this textkit, which has {', '.join(tasks.names())}{said}")
    return tasks.get(name)


def _check_stated(manifest: Manifest) -> None:
    """Checks that the graphs are the task's, and that each names its file and its ports."""
    signatures, lacking = manifest.record.graphs, manifest.record.optional | manifest.record.extra
    for graph in (graph for graph in signatures if graph not in lacking):
        _require(graph in manifest.graphs, f"the graph {graph!r} of the task {manifest.task!r} is missing")
    for graph, stated in manifest.graphs.items():
        _require(graph in signatures, f"the task {manifest.task!r} has no graph {quoted(graph)}")
        _require(isinstance(stated, dict), f"graph {graph!r} is not an object")
        file = stated.get("file")
        _require(isinstance(file, str) and file in manifest.files, f"graph {graph!r} names no file of this model")
        for side in ("inputs", "outputs"):
            ports = stated.get(side)
            _require(isinstance(ports, list) and all(map(_is_port, ports)), f"graph {graph!r}: {side} are no ports")


def _port(stated: Mapping[str, Any]) -> Port:
    return Port(stated["name"], stated["dtype"], tuple(stated["axes"]))


def _is_port(stated: Any) -> bool:
    return (
        isinstance(stated, dict)
        and set(stated) == {"name", "dtype", "axes"}
        and isinstance(stated["name"], str)
        and isinstance(stated["dtype"], str)
        and isinstance(stated["axes"], list)
        and all(isinstance(axis, str) or _count(axis, 0) for axis in stated["axes"])
    )


def _count(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _require(truth: bool, message: str) -> None:
    if not truth:
        raise _Fault(message)
