"""Checks the ports that a manifest states for its graphs against the task's signatures. Knows no file system and no tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textkit.errors import quoted
from textkit.kinds import Wrong
from textkit.task import NEXT, Port

if TYPE_CHECKING:
    from textkit.bundle.manifest import Manifest


def check_graphs(manifest: Manifest) -> None:
    """Raises Wrong unless the ports are those of the task."""
    signatures = manifest.record.graphs
    for graph in manifest.graphs:
        inputs, outputs = manifest.ports(graph)
        _check_side(f"graph {graph!r}, input", inputs, signatures[graph].inputs)
        _check_side(f"graph {graph!r}, output", outputs, signatures[graph].outputs)
        _check_axes(f"graph {graph!r}, output", outputs, signatures[graph].outputs, manifest.facts)
        _check_optional(graph, [*inputs, *outputs], [*signatures[graph].inputs, *signatures[graph].outputs])
    _check_travelling(manifest)


def _check_travelling(manifest: Manifest) -> None:
    """Checks the ports that travel from graph to graph (see Port).

    All graphs that take travelling ports take the same ones. A graph that gives some and takes none gives exactly those. A
    graph that takes and gives them gives each one that it takes, under its name and NEXT.
    """
    taken, given = {}, {}  # graph -> {port: type}
    for graph, signature in manifest.record.graphs.items():
        if graph in manifest.graphs:
            sides = zip((signature.inputs, signature.outputs), manifest.ports(graph), strict=True)
            taken[graph], given[graph] = (_travelling(wanted, ports) for wanted, ports in sides)
    takers = [graph for graph in taken if any(port.name.endswith("*") for port in manifest.record.graphs[graph].inputs)]
    for graph in takers[:-1]:
        wanted = _patterns(manifest.record.graphs[graph].inputs)
        same = {name: dtype for name, dtype in taken[takers[-1]].items() if name.startswith(wanted)} == taken[graph]
        _require(same, f"the graph {graph!r} takes other {_listed(wanted)} than {takers[-1]!r}")
    for graph in given:
        wanted = _patterns(manifest.record.graphs[graph].outputs)
        source = graph if graph in takers else takers[-1] if takers else None
        if not wanted or source is None:
            continue
        sent = {name: dtype for name, dtype in taken[source].items() if name.startswith(wanted)}
        if source == graph:
            expected = {name + NEXT: dtype for name, dtype in sent.items()}
            _require(
                given[graph] == expected,
                f"the graph {graph!r} gives not each {_listed(wanted)} that it takes, named *{NEXT}",
            )
        else:
            _require(
                given[graph] == sent,
                f"what the graph {graph!r} gives is not what {source!r} takes: {_listed(wanted)}",
            )


def _patterns(wanted: Sequence[Port]) -> tuple[str, ...]:
    """The prefixes of the names of ports that travel."""
    return tuple(port.name[:-1] for port in wanted if port.name.endswith("*"))


def _listed(patterns: Sequence[str]) -> str:
    return ", ".join(f"{pattern}*" for pattern in patterns)


def _travelling(wanted: Sequence[Port], ports: Sequence[Port]) -> dict[str, str]:
    """The travelling ports on one side of a graph, with their types."""
    patterns = _patterns(wanted)
    return {port.name: port.dtype for port in ports if patterns and port.name.startswith(patterns)}


def _check_optional(graph: str, ports: Sequence[Port], wanted: Sequence[Port]) -> None:
    """Checks that a graph has all of the optional ports that belong together, or none."""
    names = {port.name for port in ports}
    for group in dict.fromkeys(port.optional for port in wanted if port.optional):
        lacks = [port.name for port in wanted if port.optional == group and port.name not in names]
        has = [port.name for port in wanted if port.optional == group and port.name in names]
        _require(not (lacks and has), f"graph {graph!r} has {', '.join(has)} and lacks {', '.join(lacks)}")


def _check_side(where: str, ports: Sequence[Port], wanted: Sequence[Port]) -> None:
    """Checks names and types against the task's, and that inputs leave free the axes that the task leaves free."""
    for port in wanted:
        found = [candidate for candidate in ports if _matches(candidate, port)]
        _require(bool(found or port.optional) or port.name.endswith("*"), f"{where} {port.name!r} is missing")
        for candidate in found:
            _require(
                port.dtype in ("", candidate.dtype),
                f"{where} {quoted(candidate.name)} is {candidate.dtype}, not {port.dtype}",
            )
    if not where.endswith("input"):
        return
    for candidate in ports:
        own = next((port for port in wanted if _matches(candidate, port)), None)
        if own is None:
            raise Wrong(f"{where} {quoted(candidate.name)} is none of the task's")
        if not own.name.endswith("*"):
            free = [isinstance(axis, str) for axis in candidate.axes]
            _require(
                len(free) == len(own.axes) and all(free[i] for i, axis in enumerate(own.axes) if isinstance(axis, str)),
                f"{where} {own.name!r} has axes {quoted(list(candidate.axes))}, not {list(own.axes)}",
            )


def _check_axes(where: str, ports: Sequence[Port], wanted: Sequence[Port], facts: Mapping[str, Any]) -> None:
    """Checks that an axis named after a fact is as long as the fact says, where the graph fixes its length."""
    for port in wanted:
        for candidate in (candidate for candidate in ports if _matches(candidate, port)):
            for axis, name in zip(candidate.axes, port.axes, strict=False):
                stated = facts.get(name, axis) if isinstance(name, str) else axis
                _require(
                    isinstance(axis, str) or axis == stated or isinstance(stated, (dict, list)),
                    f"{where} {quoted(candidate.name)} has {axis} numbers, where {name!r} states {stated}",
                )


def _matches(candidate: Port, port: Port) -> bool:
    return candidate.name.startswith(port.name[:-1]) if port.name.endswith("*") else candidate.name == port.name


def _require(truth: bool, message: str) -> None:
    if not truth:
        raise Wrong(message)
