"""Runs a filter in parts: plans them once, makes those that are missing one after the other, and says how far it came.

Each part goes the way of a whole input (`Answering.write`), into a file of its own. What is done stays done, whatever happens
to the process. planning.py makes the plan; textkit.parts keeps it, the files and the marks.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from textkit import signals
from textkit.cli.arrow_records import settle_columns
from textkit.cli.filtering import Answering, Filter, surrounded
from textkit.cli.input_report import InputReport
from textkit.cli.making import Written, written
from textkit.cli.options import PROMISE, Messages
from textkit.cli.planning import check_numbers, common, planned
from textkit.cli.typed import check_files
from textkit.errors import TextkitError, one_line
from textkit.parts import marks, plan_file
from textkit.parts import plan as plans
from textkit.parts.inputs import changed_inputs, input_hash
from textkit.parts.marks import Mark
from textkit.parts.plan import Part, Plan
from textkit.parts.sources import Source, sources
from textkit.parts.writing import Unwritable
from textkit.version import __version__


def answer_parts(request: Filter, messages: Messages, opens: Callable[[Any, Messages], Answering]) -> None:
    """`filtering.answer` for a request with parts. `request.output` is their folder.

    Raises TextkitError if a part could not be made; all others are made all the same, unless the disk is full.
    """
    folder = Path(request.output or "")
    click.get_current_context().meta.pop(PROMISE, None)  # what is done stays: no word of "nothing was written"
    plan = plan_file.read(folder)
    if not request.files:
        if plan is None:
            raise TextkitError(f"{folder}: holds no parts to go on with; name the files")
        request.files = tuple(source.path for source in plan.sources)
    check_files([file for file in request.files if not os.path.isdir(file)])
    found = sources(request.files, without=folder)
    request.files = tuple(source.path for source in found)
    settle_columns(request)
    answering = opens(request, messages)
    made = common(request, answering)
    if plan is not None:
        plans.check(folder, plan, made, found)
    plans.prepare(folder)
    with marks.alone(folder, request.shard):
        if plan is None:
            with marks.in_turn(folder):  # the shards after the first one take its plan
                plan = plan_file.read(folder) or plan_file.written(folder, planned(request, made, found))
            plans.check(folder, plan, made, found)
        if plan.other.get("textkit") != __version__:
            messages.warn(f"{folder}: was begun by textkit {plan.other.get('textkit')}; this is {__version__}")
        run = _Run(folder, plan, request, answering, opens, messages)
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
    opens: Callable[[Any, Messages], Answering]
    messages: Messages
    report: InputReport = dataclasses.field(default_factory=InputReport)
    ready: int = 0  # parts of this run that are done

    def make(self, found: Sequence[Source]) -> None:
        """Makes the parts of this run that are missing. Raises TextkitError where some are still missing at the end."""
        own = [part for part in self.plan.parts if _is_in(part, self.request.shard)]
        marks.sweep(self.folder, own)
        changed = changed_inputs(self.plan, found)
        if changed and self.request.in_step:
            check_numbers(self.request, self.plan)
        missing = [part for part in own if self._done(part, changed) is None]
        share = f" of shard {self.request.shard[0]}/{self.request.shard[1]}" if self.request.shard else ""
        self.messages.note(
            f"{self.folder}: {len(self.plan.parts):,} parts, {len(own):,} of them mine, {len(missing):,} still to be made"
            if share
            else f"{self.folder}: {len(own):,} parts, {len(missing):,} still to be made"
        )
        self.request.source.total = sum(part.size for part in missing)
        self.ready = len(own) - len(missing)
        failed: list[tuple[Part, str]] = []
        try:
            with surrounded(self.request, self.messages) as show, closing(self._made(missing, show)) as failures:
                for part, error in failures:
                    marks.set_failed(self.folder, part, error)
                    self.messages.note(f"part {part.number:,} failed: {error}")
                    failed.append((part, error))
        except Unwritable as error:
            raise TextkitError(f"{error}; {self.ready:,} of {len(own):,} parts{share} are done, and stay") from error
        except BaseException as error:
            if signals.is_behind(error):
                error.add_note(
                    f"{self.ready:,} of {len(own):,} parts{share} are in {self.folder}; the same command goes on"
                )
            raise
        if self.ready < len(own):
            raise TextkitError(
                f"{self.folder}: {_said_of(failed, self.ready, f'{len(own):,} parts{share}', self.folder)}"
            )

    def _done(self, part: Part, changed: frozenset[str]) -> Mark | None:
        """The mark of a part that need not be made: its input is as it was, too."""
        mark = marks.done(self.folder, self.plan, part)
        if mark and any(span.path in changed for span in part.spans) and input_hash(part) != mark.input_sha256:
            self.messages.note(f"part {part.number}: its input has changed")
            return None
        return mark

    def _made(self, missing: Sequence[Part], show: Callable[[int], None]) -> Generator[tuple[Part, str], None, None]:
        """Makes parts: gives each whose input cannot be read, with the reason."""
        return self._by_ray(missing, show) if self.request.engine == "ray" else self._here(missing, show)

    def _here(self, missing: Sequence[Part], show: Callable[[int], None]) -> Generator[tuple[Part, str], None, None]:
        """One part after the other; a thread waits for the disk while the next one is answered."""
        under_way: Future[None] | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="textkit-part") as pool:  # which ends once what it got is marked
            for part in missing:
                report, before = InputReport(), self.report.records

                def show_all(count: int, before: int = before) -> None:
                    show(before + count)

                try:
                    one = written(self.folder, self.plan, part, self.request, self.answering, report, show_all)
                except Unwritable:
                    raise
                except TextkitError as error:
                    yield part, one_line(error)
                    continue
                finally:
                    self.report.add(report)
                try:
                    if under_way:
                        under_way.result()
                    under_way = pool.submit(self._finish, one)
                except BaseException:
                    one.drop()
                    raise
            if under_way:
                under_way.result()

    def _finish(self, one: Written) -> None:
        one.finish()
        self.ready += 1

    def _by_ray(self, missing: Sequence[Part], show: Callable[[int], None]) -> Generator[tuple[Part, str], None, None]:
        from textkit.cli.ray_engine import made_by_ray

        if not missing:
            return
        unusual: Counter[str] = Counter()
        for part, error, fatal, report in made_by_ray(
            self.folder, self.plan, missing, self.request, self.opens, self.messages
        ):
            if fatal:
                raise Unwritable(error)
            self.report.add(report)
            show(self.report.records)
            if error:
                yield part, error
                continue
            self.ready += 1
            if mark := marks.done(self.folder, self.plan, part):
                unusual.update(
                    {name: count for name, count in mark.counts.items() if name not in ("skipped", "invalid")}
                )
        marks.sweep(self.folder, missing)  # of workers that were killed
        if unusual:
            said = ", ".join(f"{name} {count:,}" for name, count in sorted(unusual.items()))
            self.messages.warn(f"lines with something unusual: {said}")


def _said_of(failed: Sequence[tuple[Part, str]], ready: int, all_parts: str, folder: Path) -> str:
    """The one line for all parts that could not be made: the first one's reason, and where those of the others are."""
    if not failed:
        return f"{ready:,} of {all_parts} are done; the same command tries the others again"
    part, error = min(failed, key=lambda one: one[0].number)
    rest = f"{ready:,} of {all_parts} are done"
    if len(failed) == 1:
        return f"part {part.number:,}: {error}; {rest}, and the same command tries this one again"
    return (
        f"{len(failed):,} parts failed, part {part.number:,}: {error}; {rest}; 'textkit parts {folder}' says why others"
    )


def _is_in(part: Part, shard: tuple[int, int] | None) -> bool:
    return shard is None or (part.number - 1) % shard[1] == shard[0] - 1
