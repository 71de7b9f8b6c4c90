"""The marks of parts that are done or have failed, and the lock against two runs at a time. Knows no input and no model.

`OUT/_textkit/done/00012.json` says that part 12 is done: its key (plan.py), its file with size and SHA-256, the SHA-256 of the
input as it was read, and what was counted. `OUT/_textkit/failed/00012.json` says why the part could not be made; the next run
tries again.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from textkit.durable import naming
from textkit.errors import TextkitError
from textkit.parts.plan import PLACE, Part, Plan
from textkit.parts.writing import put
from textkit.temporary import sweep_files

_PAUSE = 0.1  # seconds
_KINDS = {"file": str, "bytes": int, "records": int, "counts": dict, "seconds": int | float, "sha256": str}  # of a Mark
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class Busy(TextkitError):
    """Another process holds the lock."""


@dataclass(frozen=True)
class Mark:
    """What is known of a part that is done. `counts`: what was unusual -> in how many records."""

    key: str
    file: str
    bytes: int
    sha256: str
    input_sha256: str
    records: int
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    device: str = ""
    host: str = ""


@dataclass(frozen=True)
class State:
    """How far a run has come."""

    done: Mapping[int, Mark]
    failed: Mapping[int, str]
    left: tuple[Part, ...]  # neither: to do, or under way


def done(folder: Path, plan: Plan, part: Part) -> Mark | None:
    """The mark of a part whose file is there as it was written; None where the part is still to be made."""
    try:
        mark = Mark(**json.loads(_place(folder, part, "done").read_bytes()))
        numbers = (*mark.counts.values(), mark.bytes)
        if (
            (mark.key, mark.file) == (plan.key(part), part.name)
            and all(isinstance(getattr(mark, name), kind) for name, kind in _KINDS.items())
            and all(isinstance(number, int) for number in numbers)
            and (folder / mark.file).stat().st_size == mark.bytes
        ):
            return mark
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        pass
    return None


def state(folder: Path, plan: Plan) -> State:
    marks = {part.number: mark for part in plan.parts if (mark := done(folder, plan, part))}
    failed = {}
    for part in plan.parts:
        if part.number not in marks:
            with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
                failed[part.number] = str(json.loads(_place(folder, part, "failed").read_bytes())["error"])
    left = tuple(part for part in plan.parts if part.number not in marks and part.number not in failed)
    return State(marks, failed, left)


def set_done(folder: Path, part: Part, mark: Mark) -> None:
    """Marks a part whose file is in its place. Raises Unwritable."""
    path = _made(_place(folder, part, "done"))
    put(path, json.dumps(asdict(mark)).encode())
    with suppress(OSError):
        _place(folder, part, "failed").unlink(missing_ok=True)


def set_failed(folder: Path, part: Part, error: str) -> None:
    """Notes why a part could not be made. Raises Unwritable."""
    put(_made(_place(folder, part, "failed")), json.dumps({"error": error}).encode())


def sweep(folder: Path, parts: Sequence[Part]) -> None:
    """Removes what killed runs have left beside the files and marks of `parts`; what a live one writes is locked, and stays."""
    sweep_files(folder, [part.name for part in parts])
    for kind in ("done", "failed"):
        sweep_files(folder / PLACE / kind, [_place(folder, part, kind).name for part in parts])


def _place(folder: Path, part: Part, kind: str) -> Path:
    return folder / PLACE / kind / f"{part.number:05d}.json"


def _made(path: Path) -> Path:
    with naming(path.parent):
        path.parent.mkdir(exist_ok=True)
    return path


@contextmanager
def alone(folder: Path, shard: tuple[int, int] | None) -> Iterator[None]:
    """Holds the lock of `folder` or, for a shard, its own, while no run without shards is at work. Locks end with the process.

    Raises TextkitError where another run holds it. On a file system without locks two runs do the same work twice, and the
    files are whole all the same.
    """
    place = folder / PLACE
    with _locked(place / "lock", folder, shared=shard is not None):
        if shard is None:
            yield
            return
        with _locked(
            place / f"lock-{shard[0]}-of-{shard[1]}", folder, shared=False, what=f"shard {shard[0]}/{shard[1]}"
        ):
            yield


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Waits until no other process of any machine is in here."""
    while True:
        with suppress(Busy), _locked(folder / PLACE / "lock-plan", folder, shared=False):
            yield
            return
        time.sleep(_PAUSE)


@contextmanager
def _locked(path: Path, folder: Path, shared: bool, what: str = "another run") -> Iterator[None]:
    try:
        import fcntl
    except ImportError:
        yield
        return
    with naming(path):
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                raise Busy(f"{folder}: {what} is at work on it") from None
        yield
    finally:
        os.close(lock)
