"""Says which plugin failed, and in which method, when code that is not textkit's own raises. Knows nothing of what it calls."""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from textkit.errors import TextkitError, file_of, one_line
from textkit.plugin import Plugin

Given = TypeVar("Given")

# Errors that are no plugin's fault.
_OF_THE_DISK = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS")}


@contextmanager
def blaming(plugin: Plugin[Any, Any], method: str) -> Iterator[None]:
    """Turns whatever the plugin's `method` raises, except TextkitError and MemoryError, into a TextkitError that names both.

    Where the disk is at fault, the error names the file instead.
    """
    try:
        yield
    except (TextkitError, MemoryError):
        raise
    except OSError as error:
        if error.errno not in _OF_THE_DISK or not (file := file_of(error)):
            raise TextkitError(f"plugin {plugin.name!r} failed in {method}: {one_line(error)}") from error
        raise TextkitError(f"{file}: cannot be written: {error.strerror}") from error
    except Exception as error:
        advice = "; a smaller batch_size needs less memory" if "out of memory" in str(error) else ""
        raise TextkitError(f"plugin {plugin.name!r} failed in {method}: {one_line(error)}{advice}") from error


def checked(plugin: Plugin[Any, Any], method: str, given: Given, *kinds: type) -> Given:
    """`given`, which the plugin's `method` returned. Raises TextkitError, which names both, unless it is one of `kinds`."""
    if not isinstance(given, kinds):
        names = [kind.__name__ for kind in kinds if kind is not type(None)]
        wanted = [f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}" for name in names] + ["None"] * (
            len(names) < len(kinds)
        )
        raise TextkitError(
            f"plugin {plugin.name!r}: {method} must give {' or '.join(wanted)}; it gives {type(given).__name__}"
        )
    return given


def blamed(plugin: Plugin[Any, Any], method: str, items: Any) -> Generator[Any, None, None]:
    """The items of an iterable that the plugin's `method` returned, each taken under the same guard."""
    with blaming(plugin, method):
        iterator = iter(items)
    while True:
        with blaming(plugin, method):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item
