"""Turns failures of strangers' code and metadata, even an exit, a crash or a hang, into a line of text. Knows no plugin."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit import signals
from textkit.errors import TextkitError, one_line

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

SECONDS = 30.0  # how long a trial may take


class EndOfProcess(BaseException):
    """A stranger's module would have ended the process."""


@contextmanager
def contained(what: str) -> Iterator[None]:
    """Turns whatever is raised inside, TextkitErrors and signals apart, into the TextkitError `what: ...`."""
    try:
        with _without_exit():
            yield
    except TextkitError:
        raise
    except BaseException as error:
        if isinstance(signals.cause(error), (signals.Interrupted, signals.Ended)):
            raise
        # A SystemExit or KeyboardInterrupt of a stranger's must not end this process: signals.cause must not find it.
        raise TextkitError(f"{what}: {one_line(error)}") from (error if isinstance(error, Exception) else None)


@contextmanager
def _without_exit() -> Iterator[None]:
    """Inside, os._exit raises. Code that keeps a reference to it gets the real one afterwards, and in a forked process."""
    real, process, inside = os._exit, os.getpid(), True

    def refuse(code: int = 0) -> None:
        if not inside or os.getpid() != process:
            real(code)
        raise EndOfProcess(f"os._exit({code})")

    os._exit = refuse  # type: ignore[assignment]
    try:
        yield
    finally:
        inside = False
        os._exit = real


def tried(what: str, work: Callable[[], Any]) -> Any:
    """What `work` returns, as JSON has it, done in a separate process, which may crash or hang without harm to this one.

    Raises TextkitError: that of `work`, or `what: ...` with how the process ended. Without fork, `work` is done in this one.
    """
    import json

    if not hasattr(os, "fork"):
        return work()
    _flush()  # otherwise the child would write what is held back once more
    ends = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about other threads: none has a lock that imports need
        child = os.fork()
    if not child:
        _try(ends[1], work)
    os.close(ends[1])
    try:
        answer, status = _answer(child, ends[0])
    finally:
        os.close(ends[0])
    with suppress(ValueError, KeyError):
        found = json.loads(answer)
        if "problem" in found:
            raise TextkitError(found["problem"])
        return found["given"]
    if status is None:
        raise TextkitError(f"{what}: it takes too long")
    code = os.waitstatus_to_exitcode(status)
    how = f"with exit code {code}" if code >= 0 else f"by signal {-code} ({_name(-code)})"
    raise TextkitError(f"{what}: it ends the process {how}")


def _try(end: int, work: Callable[[], Any]) -> None:
    """All that the separate process does."""
    import json

    leave = os._exit
    if told := sys.modules.get("faulthandler"):  # enabled by a program around textkit; `tried` says how the child ends
        told.disable()
    try:
        try:
            answer = {"given": work()}
        except TextkitError as error:
            answer = {"problem": one_line(error)}
        with open(end, "wb") as stream:
            stream.write(json.dumps(answer).encode())
        _flush()
    finally:
        leave(0)


def _flush() -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        sys.stderr.flush()


def _answer(child: int, end: int) -> tuple[bytes, int | None]:
    """What the child wrote, and its status (None after SECONDS). Processes that the child started are not waited for."""
    import select

    answer, status = b"", None
    deadline = time.monotonic() + SECONDS
    try:
        while True:
            if select.select([end], [], [], 0.05)[0]:
                part = os.read(end, 1 << 16)
                answer += part
                if not part:
                    break
            elif status is not None:
                break
            elif time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise TimeoutError
            if status is None:
                ended, found = os.waitpid(child, os.WNOHANG)
                status = found if ended else None
    except TimeoutError:
        return b"", None
    except BaseException:
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)
        raise
    return answer, os.waitpid(child, 0)[1] if status is None else status


def _name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return "unknown"


def points(group: str) -> tuple[list[tuple[EntryPoint, str, str]], dict[Path, str]]:
    """The entry points of a group, each with its distribution and its version; then the unreadable ones, and why.

    One distribution whose files cannot be decoded does not hide the others.
    """
    from importlib.metadata import distributions  # 20 ms, not for --help

    found: list[tuple[EntryPoint, str, str]] = []
    broken: dict[Path, str] = {}
    seen: set[str] = set()
    for distribution in distributions():
        try:
            own = [point for point in distribution.entry_points if point.group == group]
        except Exception as error:
            if (folder := _folder(distribution)) and _mentions(folder, group):
                broken[folder] = f"{folder / 'entry_points.txt'}: cannot be read: {one_line(error)}"
            continue
        if own:
            name, version = _named(distribution)
            if name.lower() not in seen:  # one that is found twice on sys.path counts once
                seen.add(name.lower())
                found += [(point, name, version) for point in own]
    return found, broken


def mentioned(group: str) -> bool:
    """Whether an installed package may have an entry point of the group, told without the slow import of importlib.metadata.

    Looks into every metadata folder on sys.path, but not into archives.
    """
    for place in sys.path:
        with suppress(OSError):
            for entry in os.scandir(place or "."):
                if entry.name.endswith((".dist-info", ".egg-info")) and _mentions(Path(entry.path), group):
                    return True
    return False


def _folder(distribution: Distribution) -> Path | None:
    """The folder of its metadata; importlib has no public name for it."""
    path = getattr(distribution, "_path", None)
    return path if isinstance(path, Path) else None


def _mentions(folder: Path, group: str) -> bool:
    with suppress(OSError):
        return group.encode() in (folder / "entry_points.txt").read_bytes().replace(b"\0", b"")  # UTF-16 as well
    return False


def _named(distribution: Distribution) -> tuple[str, str]:
    """Name and version, from the metadata, or otherwise from its folder's name."""
    with suppress(Exception):
        name, version = distribution.metadata["Name"], distribution.metadata["Version"]
        if name and version:
            return name, version
    folder = _folder(distribution)
    name, _, version = (folder.name.rpartition(".")[0] if folder else "a distribution").partition("-")
    return name, version or "of unknown version"
