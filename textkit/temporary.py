"""What is made beside its place and put there whole: the temporary's name, who works on it, the change of places.

A temporary lies in the folder of its target, for only there a rename is atomic. Whoever makes one holds a lock on it
(flock) that ends with the process, however that ends. So the next writer of the same target tells what a killed process
left from the work of somebody alive, and clears it away. What this process still has is removed by `clear` on the way out.

A folder changes places with its target in one step (`renameat2`) where the system can do that. Elsewhere the target
moves aside first; a reader that finds it gone puts it back (`recovered`). Knows not what is in a file or a folder.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MARK = r"\d+-[0-9a-f]{8}"
_MARK_ROOM = 32  # bytes of a temporary's name that are not its target's
_FULL = (errno.ENOTEMPTY, errno.EEXIST)
_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux
_PATIENCE = 5.0  # seconds that a reader waits for a writer between two renames
_TRIES = 100  # of a rename that other writers get in the way of

_held: dict[Path, int] = {}  # temporaries, and the process that made each: one that forks off owns none

placed: set[Path] = set()  # what this process has put in its place, as real paths


@contextmanager
def beside(target: Path, *, folder: bool = False) -> Iterator[Path]:
    """A fresh and empty file (or folder) beside `target`, locked. What is there at the end, under its name, is removed."""
    sweep(target)
    path, lock = _made(target, folder)
    try:
        yield path
    finally:
        remove(path)
        _held.pop(path, None)
        if lock is not None:
            os.close(lock)


def put(folder: Path, target: Path) -> None:
    """Gives `folder`, made by `beside`, the place of `target`; a folder that was there is gone, or has that name, afterwards.

    At every moment one of the two is at `target`, whole, or is found by `recovered`.
    """
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):  # of a target that another writer has moved
            try:
                os.rename(folder, target)  # nothing is there, or an empty folder
                break
            except OSError as error:
                if error.errno not in _FULL:
                    raise
            if exchange(folder, target) or _pushed(folder, target):
                break
    else:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    placed.add(Path(os.path.realpath(target)))


def exchange(one: Path, other: Path) -> bool:
    """Has two paths change places in one step. False where the kernel or the file system cannot do that."""
    try:
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, OSError, AttributeError, TypeError):
        return False
    if not call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        return True
    code = ctypes.get_errno()
    if code == errno.ENOENT:
        raise FileNotFoundError(code, os.strerror(code), str(other))
    return False


def _pushed(folder: Path, target: Path) -> bool:
    """Puts `folder` in place by two renames, the target aside first. False where another writer was quicker."""
    old = _fresh(target, "old")
    with _locked(target):
        try:
            os.rename(target, old)
            os.rename(folder, target)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            return False
        finally:
            with suppress(OSError):
                if target.exists():
                    _clear_away(old)
                else:
                    os.rename(old, target)
    return True


def _clear_away(old: Path) -> None:
    """Removes what was moved aside. First it gets a name that no reader puts back: half of it will be gone before all is."""
    rest = old.with_suffix(".tmp")
    os.rename(old, rest)
    remove(rest)


def recovered(folder: Path) -> Path:
    """`folder`, put back first where a killed process had moved it aside; where that is not allowed, the place it is at."""
    if os.path.lexists(folder):
        return folder
    deadline = time.monotonic() + _PATIENCE
    for old in leftovers(folder, "old"):
        while (lock := _lock(old)) is None and not folder.exists() and time.monotonic() < deadline:
            time.sleep(0.01)  # somebody alive is about to put another in its place
        try:
            if not folder.exists() and old.exists():
                os.rename(old, folder)
        except OSError:
            return folder if folder.exists() else old
        finally:
            if lock is not None:
                os.close(lock)
    return folder


def recover_all(shelf: Path) -> None:
    """`recovered` for every folder of `shelf`."""
    with suppress(OSError):
        for name in os.listdir(shelf):
            if found := re.fullmatch(rf"\.(.+)\.{_MARK}\.old", name):
                recovered(shelf / found[1])


def leftovers(target: Path, kind: str = "tmp") -> list[Path]:
    """The temporaries of `target` that are there, whoever made them."""
    name = re.compile(rf"{re.escape(_stem(target))}\.{_MARK}\.{kind}")
    try:
        return [target.parent / found for found in sorted(os.listdir(target.parent)) if name.fullmatch(found)]
    except OSError:
        return []


def sweep(target: Path) -> None:
    """Removes what killed processes left of their work on `target`."""
    for path in leftovers(recovered(target)):
        if (lock := _lock(path)) is not None:
            remove(path)
            os.close(lock)
    for path in leftovers(target, "old"):  # behind a target that is there: the renames were done, the clearing was not
        if target.exists() and (lock := _lock(path)) is not None:
            with suppress(OSError):
                _clear_away(path)
            os.close(lock)


def remove(path: Path) -> None:
    """Removes a file or a folder with all that is in it, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        import shutil  # not for --help

        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """What is at `path` in the end, or when a signal ends the process, is removed."""
    _held[path] = os.getpid()
    try:
        yield
    finally:
        remove(path)
        _held.pop(path, None)


def clear() -> None:
    """Removes every temporary of this process: for one that is about to end."""
    for path, owner in list(_held.items()):
        if owner == os.getpid():
            remove(path)
            _held.pop(path, None)


def _made(target: Path, folder: bool) -> tuple[Path, int | None]:
    """A fresh temporary and the lock on it, None where there are no locks."""
    while True:
        path = _fresh(target, "tmp")
        _held[path] = os.getpid()
        try:
            if folder:
                path.mkdir()
            else:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666))
            lock = _lock(path)
        except BaseException:
            remove(path)
            _held.pop(path, None)
            raise
        if path.exists():  # else another process took it for a leftover, in the instant before the lock
            return path, lock
        if lock is not None:
            os.close(lock)
        _held.pop(path, None)


def _fresh(target: Path, kind: str) -> Path:
    return target.with_name(f"{_stem(target)}.{os.getpid()}-{os.urandom(4).hex()}.{kind}")


def _stem(target: Path) -> str:
    """The beginning of its temporaries' names: its own, and for a long one as much as there is room for, and a hash."""
    try:
        most = os.pathconf(target.parent, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):
        most = 255
    name = os.fsencode(target.name)
    if len(name) + _MARK_ROOM > most:
        import hashlib

        digest = hashlib.sha256(name).hexdigest()[:16]
        return f".{name[: max(0, most - _MARK_ROOM - 17)].decode('utf-8', 'ignore')}~{digest}"
    return f".{target.name}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = _lock(path)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock(path: Path) -> int | None:
    """A descriptor that holds a lock on what is at `path`; None where another process has it, or there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
