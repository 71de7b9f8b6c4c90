"""Things that are named as "package.module:name" and imported when they are used. Light: `textkit --help` imports it."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple


class Verb(NamedTuple):
    """A command of the task's own: `textkit NAME`. `line`: what `textkit --help` says of it; `command`: a click command."""

    line: str
    command: str


def load(reference: str) -> Any:
    """The object that "package.module:name" names. Raises ImportError or AttributeError where there is none."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
