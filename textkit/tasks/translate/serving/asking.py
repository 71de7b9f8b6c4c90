"""What a Translator is asked for, and what of it the model's manifest decides. Knows no graph and no text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit.arguments import of_arguments
from textkit.errors import UsageError, nearest
from textkit.searching.options import Search
from textkit.serving import LONG
from textkit.tasks.translate.serving.keeping import Keeper
from textkit.tasks.translate.task import TASK
from textkit.text.preserved.keeping import reads_latin_alone

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle
    from textkit.bundle.manifest import Manifest

OWN = ("sentences", "guard", "truecase", "clauses", "shortlist")  # the settings of the task that are none of the search


def between(model: str | Path | Bundle | None, to: str | None, source: str | None) -> str | Path | Bundle | None:
    """The `model`, or the one that translates from `source` into `to`, if either is given. Raises UsageError, TextkitError."""
    if to is None and source is None:
        return model
    from textkit.tasks.translate.serving.directions import opened

    with of_arguments():
        return opened(model, to, source)


def settled(manifest: Manifest, given: Mapping[str, Any], **drawn: Any) -> tuple[Search, list[Any]]:
    """The options of the search, and the values of OWN: what is `given` and not None, else the model's own, else the task's.
    `drawn`: options of the search that no model states. Raises UsageError."""
    own = {**TASK.defaults, **manifest.defaults, **{key: value for key, value in given.items() if value is not None}}
    values = [TASK.settings[name].checked(own.pop(name), name) for name in OWN]
    return Search(**own, **drawn), values


def check(long: str, **counts: int | None) -> None:
    """Raises UsageError for what is done with long sentences in no known way, and for a count below 1."""
    if long not in LONG:
        raise UsageError(f"unknown long {long!r}{nearest(str(long), LONG)}")
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UsageError(f"{name}={value}: must be at least 1")


def keeper_of(manifest: Manifest, keep: Sequence[re.Pattern[str]], glossary: Mapping[str, str] | None) -> Keeper:
    """What hides what stays as it is. Raises UsageError where something is to be kept by a model that has not learnt that."""
    if (keep or glossary) and not manifest.text.get("sentinels"):
        raise UsageError(f"{'--keep' if keep else '--glossary'}: {manifest.name} has not learnt to keep anything")
    languages = (str(manifest.text.get(f"{side}_language", "")) for side in ("source", "target"))
    return Keeper(tuple(keep), dict(glossary or {}), reads_latin_alone(*languages))
