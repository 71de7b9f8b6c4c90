"""Makes files and folders beside their place and puts them there whole: temporaries, their names, their locks, the swap.

A temporary lies in the folder of its target, because only there is a rename atomic. Its maker holds a lock on it (flock)
that ends with the process, however that ends. The next writer of the same target can therefore tell what a killed process
left from the work of a live one, and clears it away. `clear` removes this process' temporaries on the way out.

A folder changes places with its target in one step (`renameat2`) where the system can do that. Elsewhere the target
moves aside first; a reader that finds it gone puts it back (`recovered`). Knows nothing of the contents.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MARK = r"\d+-[0-9a-f]{8}"
_ENDS = {kind: re.compile(rf"\.{_MARK}\.{kind}") for kind in ("tmp", "old")}  # what follows the stem in a name
_MARK_ROOM = 32  # bytes of a temporary's name that are not its target's
_FULL = (errno.ENOTEMPTY, errno.EEXIST)
_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux
_PATIENCE = 5.0  # seconds that a reader waits for a writer between two renames
_TRIES = 100  # attempts at a rename that other writers get in the way of

_held: dict[Path, int] = {}  # temporaries, and the process that made each; a forked process owns none

placed: set[Path] = set()  # the real paths of what this process has put in its place


@contextmanager
def beside(target: Path, *, folder: bool = False, swept: bool = False) -> Iterator[Path]:
    """A new, empty file (or folder) beside `target`, locked. Whatever has its name at the end is removed.

    `swept`: whether `sweep_files` has looked for what killed processes left there.
    """
    if not swept:
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
    """Puts `folder`, made by `beside`, at `target`. A folder that was there is then gone, or has the name of `folder`.

    At every moment one of the two is whole at `target`, or `recovered` finds it.
    """
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):  # another writer has moved the target
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
    """Swaps two paths in one step. Returns False where the kernel or the file system cannot do that."""
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
    """Moves the target aside, then `folder` into its place. Returns False where another writer was quicker."""
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
    """Removes what was moved aside. It is renamed first, because a reader would otherwise put back a half of it."""
    rest = old.with_suffix(".tmp")
    os.rename(old, rest)
    remove(rest)


def recovered(folder: Path) -> Path:
    """`folder`, put back first if a killed process had moved it aside; where that is not allowed, the place it is at."""
    if os.path.lexists(folder):
        return folder
    deadline = time.monotonic() + _PATIENCE
    for old in leftovers(folder, "old"):
        while (lock := _lock(old)) is None and not folder.exists() and time.monotonic() < deadline:
            time.sleep(0.01)  # a live process is about to put another in its place
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
    """The temporaries of `target` that exist, whoever made them."""
    stem = _stem(target)
    try:
        names = [name for name in os.listdir(target.parent) if name.startswith(stem)]
    except OSError:
        return []
    return [target.parent / name for name in sorted(names) if _ENDS[kind].fullmatch(name, len(stem))]


def sweep(target: Path) -> None:
    """Removes what killed processes left of their work on `target`."""
    for path in leftovers(recovered(target)):
        if (lock := _lock(path)) is not None:
            remove(path)
            os.close(lock)
    for path in leftovers(target, "old"):  # the target is there: the renames were done, the clearing was not
        if target.exists() and (lock := _lock(path)) is not None:
            with suppress(OSError):
                _clear_away(path)
            os.close(lock)


def sweep_files(folder: Path, names: Iterable[str]) -> None:
    """`sweep` for many files of one folder, which is looked at once: with a look for each, ten thousand files take minutes."""
    stems = {_stem(folder / name) for name in names}
    try:
        found = os.listdir(folder)
    except OSError:
        return
    for name in found:
        end = _ENDS["tmp"].search(name)
        if end and end.end() == len(name) and name[: end.start()] in stems:
            path = folder / name
            if (lock := _lock(path)) is not None:
                remove(path)
                os.close(lock)


def remove(path: Path) -> None:
    """Removes a file or a folder with all that is in it, as far as possible."""
    if path.is_dir() and not path.is_symlink():
        import shutil  # not for --help

        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Removes what is at `path` at the end, or when a signal ends the process."""
    _held[path] = os.getpid()
    try:
        yield
    finally:
        remove(path)
        _held.pop(path, None)


def clear() -> None:
    """Removes every temporary of this process, which is about to end."""
    for path, owner in list(_held.items()):
        if owner == os.getpid():
            remove(path)
            _held.pop(path, None)


def _made(target: Path, folder: bool) -> tuple[Path, int | None]:
    """A new temporary and the lock on it (None where there are no locks)."""
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
        if path.exists():  # otherwise another process took it for a leftover just before the lock
            return path, lock
        if lock is not None:
            os.close(lock)
        _held.pop(path, None)


def _fresh(target: Path, kind: str) -> Path:
    return target.with_name(f"{_stem(target)}.{os.getpid()}-{os.urandom(4).hex()}.{kind}")


def _stem(target: Path) -> str:
    """The beginning of the names of a target's temporaries: its own name, or as much as fits of a long one, and a hash."""
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
    """A descriptor that holds a lock on what is at `path`; None where another process has the lock, or there are none."""
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
