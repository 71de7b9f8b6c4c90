"""Makes one part of an input and marks it as done, in this process or in a worker of an engine. Knows no engine."""

from __future__ import annotations

import copy
import hashlib
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from textkit.cli.filtering import Answering, Filter
from textkit.cli.input_report import InputReport
from textkit.parts import marks
from textkit.parts.marks import Mark
from textkit.parts.plan import Part, Plan
from textkit.parts.writing import part_file


class Written(NamedTuple):
    """A part whose answers are written, and not yet in their place. Any thread may do either of the two, once."""

    finish: Callable[
        [], Mark
    ]  # waits for the disk, puts it in its place and marks it as done; Unwritable if that fails
    drop: Callable[[], None]  # removes it


def written(
    folder: Path, plan: Plan, part: Part, request: Filter, answering: Answering, report: InputReport,
    show: Callable[[int], None] = lambda count: None,
) -> Written:  # fmt: skip
    """Writes the answers of one part. The disk is waited for later, perhaps while the next part is answered.

    Raises Unwritable if the part cannot be written, TextkitError if it cannot be made.
    """
    begun, before = time.monotonic(), answering.counts()
    digest = hashlib.sha256()
    one = copy.copy(request)
    one.spans, one.first, one.also = part.spans, part.first, digest.update
    with ExitStack() as stack:
        out = stack.enter_context(part_file(folder / part.name))
        answering.write(one, report, out, show)
        out.flush()
        placing = stack.pop_all()
    unusual = {
        **{name: count - before.get(name, 0) for name, count in answering.counts().items()},
        "skipped": report.skipped,
        "invalid": sum(count for count, _ in report.invalid.values()),
    }
    seconds = round(time.monotonic() - begun, 3)

    def finish() -> Mark:
        placing.close()
        mark = Mark(
            key=plan.key(part),
            file=part.name,
            bytes=out.size,
            sha256=out.hexdigest,
            input_sha256=digest.hexdigest(),
            records=report.records,
            counts={name: count for name, count in unusual.items() if count},
            seconds=seconds,
            device=answering.device(),
            host=platform.node(),
        )
        marks.set_done(folder, part, mark)
        return mark

    def drop() -> None:
        placing.__exit__(GeneratorExit, GeneratorExit(), None)

    return Written(finish, drop)


def model_of(folder: Path | None) -> dict[str, str]:
    """A model's name and the hash of its manifest, which has the hashes of all its files."""
    assert folder is not None  # with parts, `opens` decides it
    return {"name": folder.name, "sha256": hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()}
