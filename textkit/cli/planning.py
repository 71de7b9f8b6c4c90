"""Plans the parts of a filter's input: where they are cut, and what those that belong together have in common."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from textkit.cli.filter_options import TEXT
from textkit.cli.filtering import Answering, Filter
from textkit.cli.making import model_of
from textkit.cli.parts_options import PART_SIZE
from textkit.errors import TextkitError
from textkit.parts import plan as plans
from textkit.parts.cutting import Reading, counted, cut
from textkit.parts.plan import Part, Plan
from textkit.parts.sources import Source
from textkit.streams.encoding import chosen
from textkit.streams.span import Span
from textkit.version import __version__

# The fields of a request that do not change what is written.
_NEUTRAL = {
    "engine", "address", "gpus_per_worker",
    "files", "output", "model", "form", "device", "threads", "line_buffered", "batch_tokens", "batch_lines", "workers",
    *(field.name for field in dataclasses.fields(Filter) if field.name in ("parts", "part_size", "shard", "resume")),
    "spans", "first", "also", "source", "carried", "screen", "table", "rowless",
}  # fmt: skip
_MOST = 100_000  # parts: more files than that in a folder are slow on most file systems


def common(request: Filter, answering: Answering) -> dict[str, Any]:
    """What parts that belong together have in common (Plan.made), as JSON gives it back."""
    given = [name for name in ("parts", "part_size") if getattr(request, name)]
    made = {
        "verb": click.get_current_context().info_name,
        "model": model_of(answering.folder),
        "options": dict(sorted(_options(request))),
        "cut": [given[0].replace("_", "-"), getattr(request, given[0])] if given else None,
    }
    return dict(json.loads(json.dumps(made, default=str)))


def _options(request: Filter) -> Iterator[tuple[str, Any]]:
    """The options that change what is written, as they are spelled; files that they name by the hash of their content."""
    command = click.get_current_context().command
    spelled = {
        option.name: max(option.opts, key=len).lstrip("-")
        for option in command.params
        if isinstance(option, click.Option) and option.name
    }
    read = request.files_read
    for field in dataclasses.fields(request):
        value = getattr(request, field.name)
        if field.name in _NEUTRAL:
            continue
        for name, one in value.items() if isinstance(value, Mapping) else [(field.name, value)]:
            if name in read:
                one = f"with sha256 {_hash(read[name])[:12]}…"
            yield spelled.get(name, name), one
    yield "encoding", chosen()
    yield "columns", request.table and request.table.said


def _hash(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TextkitError(f"{path}: cannot be read: {error.strerror}") from error


def _reading(request: Filter) -> Reading:
    delimiter = request.delimiter or {"tsv": "\t"}.get(request.kind, ",")
    named = request.kind in ("tsv", "csv") and request.column is not None and not request.column.isdecimal()
    return Reading(request.kind, delimiter, named, chosen())


def check_numbers(request: Filter, plan: Plan) -> None:
    """Raises TextkitError where files that were written to since they were cut have other numbers of records."""
    again, records = counted([part.spans for part in plan.parts], _reading(request), strict=True)
    if [first for _, first in again] != [part.first for part in plan.parts]:
        raise TextkitError(
            "the input has changed since it was cut into parts, and the numbers of its records with it; give another folder"
        )
    request.check_records(records)


def planned(request: Filter, made: Mapping[str, Any], found: Sequence[Source]) -> Plan:
    """Cuts the files that were `found` into parts. Raises TextkitError for more parts than a folder should hold."""
    total = sum(source.size for source in found)
    size = -(-total // request.parts) if request.parts else request.part_size or PART_SIZE
    if total // max(1, size) > _MOST:
        said = f"--parts {request.parts}" if request.parts else f"--part-size {size}"
        raise TextkitError(
            f"{said}: is more than {_MOST:,} parts; --part-size {total // _MOST + 1} or larger makes fewer"
        )
    reading = _reading(request)
    pieces = cut(found, max(1, size), reading)
    count: Sequence[tuple[Sequence[Span], int]] = [(spans, 0) for spans in pieces]
    if request.numbered:
        count, records = counted(pieces, reading, request.in_step)
        request.check_records(records)
    suffix = TEXT if request.format == "text" else f".{request.format}"
    parts = tuple(
        Part(number, plans.part_name(number, spans, len(pieces), suffix), tuple(spans), first)
        for number, (spans, first) in enumerate(count, 1)
    )
    made = {**made, "cut": made["cut"] or ["part-size", PART_SIZE]}
    return Plan(made, {"textkit": __version__}, tuple(found), parts)
