"""Runs a filter in parts: plans them once, makes those that are missing one after the other, and says how far it came.

Each part goes the way of a whole input (`Answering.write`), into a file of its own. What is done stays done, whatever happens
to the process. textkit.parts keeps the plan, the files and the marks.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from textkit import signals
from textkit.cli.filter_options import TEXT
from textkit.cli.filtering import Answering, Filter, surrounded
from textkit.cli.input_report import InputReport
from textkit.cli.options import Messages
from textkit.cli.parts_options import PART_SIZE
from textkit.cli.typed import check_files
from textkit.errors import TextkitError, one_line
from textkit.parts import marks
from textkit.parts import plan as plans
from textkit.parts.cutting import Reading, counted, cut
from textkit.parts.inputs import changed_inputs, input_hash
from textkit.parts.marks import Mark
from textkit.parts.plan import Part, Plan
from textkit.parts.sources import Source, sources
from textkit.parts.writing import Unwritable, part_file
from textkit.streams.encoding import chosen
from textkit.version import __version__

# The fields of a request that do not change what is written.
_NEUTRAL = {
    "files", "output", "model", "form", "device", "threads", "line_buffered", "batch_tokens", "batch_lines", "workers",
    *(field.name for field in dataclasses.fields(Filter) if field.name in ("parts", "part_size", "shard", "resume")),
    "spans", "first", "also", "source", "carried", "screen",
}  # fmt: skip


def answer_parts(request: Filter, messages: Messages, opens: Callable[[Any, Messages], Answering]) -> None:
    """`filtering.answer` for a request with parts. `request.output` is their folder.

    Raises TextkitError if a part could not be made; all others are made all the same, unless the disk is full.
    """
    folder = Path(request.output or "")
    plan = plans.read(folder)
    if not request.files:
        if plan is None:
            raise TextkitError(f"{folder}: holds no parts to go on with; name the files")
        request.files = tuple(source.path for source in plan.sources)
    check_files([file for file in request.files if not os.path.isdir(file)])
    found = sources(request.files, without=folder)
    request.files = tuple(source.path for source in found)
    answering = opens(request, messages)
    made = _made(request, answering)
    if plan is not None:
        plans.check(folder, plan, made, found)
    plans.prepare(folder)
    with marks.alone(folder, request.shard):
        if plan is None:
            with marks.in_turn(folder):  # the shards after the first one take its plan
                plan = plans.read(folder) or plans.written(folder, _planned(request, made, found))
            plans.check(folder, plan, made, found)
        if plan.other.get("textkit") != __version__:
            messages.warn(f"{folder}: was begun by textkit {plan.other.get('textkit')}; this is {__version__}")
        run = _Run(folder, plan, request, answering, messages)
        try:
            run.make(found)
        finally:
            run.report.say(messages)
            answering.say()


@dataclass
class _Run:
    folder: Path
    plan: Plan
    request: Filter
    answering: Answering
    messages: Messages
    report: InputReport = dataclasses.field(default_factory=InputReport)

    def make(self, found: Sequence[Source]) -> None:
        """Makes the parts of this run that are missing. Raises TextkitError where some are still missing at the end."""
        own = [part for part in self.plan.parts if _is_in(part, self.request.shard)]
        changed = changed_inputs(self.plan, found)
        missing = [part for part in own if self._done(part, changed) is None]
        share = f" of shard {self.request.shard[0]}/{self.request.shard[1]}" if self.request.shard else ""
        self.messages.note(
            f"{self.folder}: {len(self.plan.parts):,} parts, {len(own):,} of them mine, {len(missing):,} still to be made"
            if share
            else f"{self.folder}: {len(own):,} parts, {len(missing):,} still to be made"
        )
        self.request.source.total = sum(part.size for part in missing)
        ready = len(own) - len(missing)
        try:
            with surrounded(self.request, self.messages) as show:
                for part in missing:
                    ready += self._tried(part, show)
        except Unwritable as error:
            raise TextkitError(f"{error}; {ready:,} of {len(own):,} parts{share} are done, and stay") from error
        except BaseException as error:
            if signals.is_behind(error):
                error.add_note(f"{ready:,} of {len(own):,} parts{share} are in {self.folder}; the same command goes on")
            raise
        if ready < len(own):
            raise TextkitError(
                f"{self.folder}: {ready:,} of {len(own):,} parts{share} are done; the same command tries the others again"
            )

    def _done(self, part: Part, changed: frozenset[str]) -> Mark | None:
        """The mark of a part that need not be made: its input is as it was, too."""
        mark = marks.done(self.folder, self.plan, part)
        if mark and any(span.path in changed for span in part.spans) and input_hash(part) != mark.input_sha256:
            self.messages.note(f"part {part.number}: its input has changed")
            return None
        return mark

    def _tried(self, part: Part, show: Callable[[int], None]) -> bool:
        """Makes a part; where its input cannot be read, says so and returns False."""
        report = InputReport()
        before = self.report.records
        try:
            made(self.folder, self.plan, part, self.request, self.answering, report, lambda count: show(before + count))
        except Unwritable:
            raise
        except TextkitError as error:
            self.messages.error(f"part {part.number:,} of {len(self.plan.parts):,}: {one_line(error)}")
            marks.set_failed(self.folder, part, one_line(error))
            return False
        finally:
            self.report.add(report)
        return True


def made(
    folder: Path, plan: Plan, part: Part, request: Filter, answering: Answering, report: InputReport,
    show: Callable[[int], None] = lambda count: None,
) -> Mark:  # fmt: skip
    """Makes one part and marks it as done. Raises Unwritable if it cannot be written, TextkitError if it cannot be made."""
    begun, before = time.monotonic(), answering.counts()
    digest = hashlib.sha256()
    one = copy.copy(request)
    one.spans, one.first, one.also = part.spans, part.first, digest.update
    with part_file(folder / part.name) as out:
        answering.write(one, report, out, show)
    unusual = {
        **{name: count - before.get(name, 0) for name, count in answering.counts().items()},
        "skipped": report.skipped,
        "invalid": sum(count for count, _ in report.invalid.values()),
    }
    mark = Mark(
        key=plan.key(part),
        file=part.name,
        bytes=out.size,
        sha256=out.hexdigest,
        input_sha256=digest.hexdigest(),
        records=report.records,
        counts={name: count for name, count in unusual.items() if count},
        seconds=round(time.monotonic() - begun, 3),
        device=answering.device(),
        host=platform.node(),
    )
    marks.set_done(folder, part, mark)
    return mark


def _is_in(part: Part, shard: tuple[int, int] | None) -> bool:
    return shard is None or (part.number - 1) % shard[1] == shard[0] - 1


def _made(request: Filter, answering: Answering) -> dict[str, Any]:
    """What parts that belong together have in common (Plan.made), as JSON gives it back."""
    given = [name for name in ("parts", "part_size") if getattr(request, name)]
    made = {
        "verb": click.get_current_context().info_name,
        "model": _model(answering.folder),
        "options": dict(sorted(_options(request))),
        "cut": [given[0].replace("_", "-"), getattr(request, given[0])] if given else None,
    }
    return dict(json.loads(json.dumps(made, default=str)))


def _model(folder: Path | None) -> dict[str, str]:
    """A model's name and the hash of its manifest, which has the hashes of all its files."""
    assert folder is not None  # with parts, `opens` decides it
    return {"name": folder.name, "sha256": hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()}


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


def _hash(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TextkitError(f"{path}: cannot be read: {error.strerror}") from error


def _planned(request: Filter, made: Mapping[str, Any], found: Sequence[Source]) -> Plan:
    total = sum(source.size for source in found)
    size = -(-total // request.parts) if request.parts else request.part_size or PART_SIZE
    delimiter = request.delimiter or {"tsv": "\t"}.get(request.kind, ",")
    named = request.kind in ("tsv", "csv") and request.column is not None and not request.column.isdecimal()
    reading = Reading(request.kind, delimiter, named, chosen())
    pieces = cut(found, max(1, size), reading)
    count: Any = counted(pieces, reading) if request.numbered else ((spans, 0) for spans in pieces)
    suffix = TEXT if request.format == "text" else f".{request.format}"
    parts = tuple(
        Part(number, plans.part_name(number, spans, len(pieces), suffix), tuple(spans), first)
        for number, (spans, first) in enumerate(count, 1)
    )
    made = {**made, "cut": made["cut"] or ["part-size", PART_SIZE]}
    return Plan(made, {"textkit": __version__}, tuple(found), parts)
