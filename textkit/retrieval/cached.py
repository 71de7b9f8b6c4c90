"""Searches plain files: an index of them is kept in the user's cache folder, and brought up to date by hash at each search.

The place of an index in the cache is the hash of the names, of the model and of how the files are read, so that the same
command finds it again. What stdin gives has no name; it, everything with `--no-cache`, and what the cache has no room for are
indexed in a temporary folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from textkit import temporary
from textkit.errors import TextkitError
from textkit.retrieval.index import Index
from textkit.retrieval.indexing import Report, TooMany
from textkit.retrieval.models import Embedding
from textkit.retrieval.sources import STDIN, Survey, sources
from textkit.retrieval.updating import Update, Wanted
from textkit.retrieval.words import is_full
from textkit.streams.encoding import chosen

MOST = 100_000  # lines of plain files; more are a matter of minutes, and of an index of one's own
_KEPT = 32  # indexes in the cache; the one that was not used for the longest time makes room
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_VERSION = 2  # changes where an old cache cannot be used any more


@contextmanager
def index_of_files(
    names: Sequence[str], wanted: Wanted, cache: bool, waiting: Callable[[], None], say: Callable[[Report], None],
    show: Callable[[int], None],
) -> Iterator[Index]:  # fmt: skip
    """An index of files and folders ('-': stdin), for as long as it is searched. `say` is given what the reading was like.

    Raises TextkitError for more than MOST lines, and what an update raises.
    """
    lasting = cache and all(os.path.isdir(name) or os.path.isfile(name) for name in names) and STDIN not in names
    embedding = None
    if not wanted.words_only:
        embedding = Embedding(wanted.model, wanted.device, wanted.threads)
    folder = _place(names, wanted, embedding) if lasting else None
    if folder is not None and not _writable(folder):
        folder = None
    if folder is not None:
        try:
            report, index = _brought_up(folder, names, wanted, embedding, waiting, show)
        except TextkitError as error:
            if not _is_for_want_of_room(error, folder):
                raise
            temporary.remove(folder)
        else:
            with suppress(OSError):
                os.utime(folder)
            say(report)
            with index:
                yield index
            return
    # Removed by a signal too, however it ends the process.
    with tempfile.TemporaryDirectory(prefix="textkit-") as scratch, temporary.held(Path(scratch)):
        report, index = _brought_up(Path(scratch) / "index", names, wanted, embedding, waiting, show)
        say(report)
        with index:
            yield index


def _brought_up(
    folder: Path, names: Sequence[str], wanted: Wanted, embedding: Embedding | None, waiting: Callable[[], None],
    show: Callable[[int], None],
) -> tuple[Report, Index]:  # fmt: skip
    """The index in `folder`, brought up to date and looked over; one with damage is made again."""
    update = Update(folder, wanted, waiting=waiting, show=show, most=MOST, embedding=embedding)

    def opened() -> tuple[Report, Index]:
        report, _ = update.run(names)
        with ExitStack() as failed:
            index = failed.enter_context(
                Index(folder, wanted.device, wanted.threads, _of_queries(embedding), _called(names))
            )
            index.look_over()
            failed.pop_all()
        return report, index

    try:
        try:
            return opened()
        except TextkitError as error:
            if not folder.exists() or _is_for_want_of_room(error, folder) or not _is_damaged(folder):
                raise
            temporary.remove(folder)  # a cache can be made again
            return opened()
    except TooMany:
        temporary.remove(folder)
        raise TextkitError(
            f"more than {MOST:,} lines; make an index once, and search that: textkit index FILE... -o INDEX"
        ) from None


def _is_for_want_of_room(error: TextkitError, folder: Path) -> bool:
    """Whether a disk that is full or cannot be written to is the reason, as far as the cache lies on it."""
    cause = error.__cause__
    return (isinstance(cause, OSError) and cause.errno in _NO_ROOM) or is_full(folder)


def _of_queries(embedding: Embedding | None) -> object:
    """What queries are embedded with: the same graph, unless the model has one of its own for them."""
    return embedding.bundle if embedding is not None and embedding.two_sided else embedding


def _called(names: Sequence[str]) -> dict[str, str]:
    """What files are called by the user, by absolute path."""
    return {os.path.abspath(source.name): source.name for source in sources(names, Survey()) if source.name != STDIN}


def _is_damaged(folder: Path) -> bool:
    try:
        with Index(folder) as index:
            index.look_over()
    except TextkitError:
        return True
    return False


def cache_folder() -> Path:
    """Where indexes of plain files are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("textkit", appauthor=False)) / "search"


def _place(names: Sequence[str], wanted: Wanted, embedding: Embedding | None) -> Path:
    what = {
        "version": _VERSION, "names": [os.path.abspath(name) for name in names],
        "model": embedding.facts.digest if embedding else "", "kind": wanted.kind, "column": wanted.column,
        "delimiter": wanted.delimiter, "encoding": chosen(), "skip": wanted.skip,
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(what).encode("utf-8", "surrogateescape")).hexdigest()
    return cache_folder() / digest[:32]


def _writable(folder: Path) -> bool:
    """Whether the cache can hold `folder`. Makes room for a new one."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            others = sorted((entry for entry in folder.parent.iterdir()), key=lambda entry: entry.stat().st_mtime)
            for old in others[: max(0, len(others) - _KEPT + 1)]:
                temporary.remove(old)
    except OSError:
        return False
    return os.access(folder if folder.exists() else folder.parent, os.W_OK)
