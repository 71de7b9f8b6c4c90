"""Says which plugin failed, and in what, when code that is not textkit's own raises. Knows nothing of what it calls."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from textkit.errors import TextkitError, file_of, one_line
from textkit.plugin import Plugin

Given = TypeVar("Given")

# What no plugin can help.
_OF_THE_DISK = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS")}


@contextmanager
def blaming(plugin: Plugin[Any, Any], method: str) -> Iterator[None]:
    """Turns whatever the plugin's `method` raises, TextkitErrors apart, into a TextkitError that names both.

    What the disk refuses is no plugin's fault: there the file is named.
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
    """What the plugin's `method` gave, where it is one of `kinds`. Raises TextkitError, which names both, where it is not."""
    if not isinstance(given, kinds):
        wanted = " or ".join(
            "None" if kind is type(None) else f"{'an' if kind is int else 'a'} {kind.__name__}" for kind in kinds
        )
        raise TextkitError(f"plugin {plugin.name!r}: {method} must give {wanted}; it gives {type(given).__name__}")
    return given


def blamed(plugin: Plugin[Any, Any], method: str, items: Any) -> Iterator[Any]:
    """The items of a generator that the plugin's `method` gave, under the same guard."""
    with blaming(plugin, method):
        iterator = iter(items)
    while True:
        with blaming(plugin, method):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item
