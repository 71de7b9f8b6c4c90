"""The plan of a run in parts: what is read, how it is cut, with which model and options. Made once, and then only compared."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from textkit.durable import naming
from textkit.errors import TextkitError
from textkit.parts.sources import Source
from textkit.streams.span import Span

PLACE = "_textkit"
_ENDINGS = re.compile(r"(\.(txt|tsv|csv|jsonl|ndjson|parquet|gz|zst|bgz))+$", re.IGNORECASE)
_LONGEST = 100  # characters of an input's name in that of a part


@dataclass(frozen=True)
class Part:
    """A piece of the input, of whole lines, and the file that its answers go to. `number` counts from 1.

    `first`: how many records precede it; 0 where that does not matter.
    """

    number: int
    name: str
    spans: tuple[Span, ...]
    first: int = 0

    @property
    def size(self) -> int:
        return sum(span.stop - span.start for span in self.spans)


@dataclass(frozen=True)
class Plan:
    """`made`: what must be the same for parts to belong together: the verb, the model's name and hash, the options, how the
    input was to be cut. `other`: what only people want to know, such as textkit's version."""

    made: Mapping[str, Any]
    other: Mapping[str, Any]
    sources: tuple[Source, ...]
    parts: tuple[Part, ...]

    def key(self, part: Part) -> str:
        """What a done part is known by: a hash of the model, the options and the piece of the input."""
        made = {name: value for name, value in self.made.items() if name != "cut"}
        text = json.dumps([made, part.number, [asdict(span) for span in part.spans], part.first], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def part_name(number: int, spans: Sequence[Span], count: int, suffix: str) -> str:
    """`part-00012-news.jsonl`: the names of the parts, sorted, are in the order of the input."""
    base = _ENDINGS.sub("", os.path.basename(spans[0].path)) if spans else ""
    base = re.sub(r"[^\w.-]", "_", base)[:_LONGEST].strip("._")
    return f"part-{number:0{max(5, len(str(count)))}d}{'-' if base else ''}{base}{suffix}"


def check(folder: Path, plan: Plan, made: Mapping[str, Any], sources: Sequence[Source]) -> None:
    """Raises TextkitError, which names what differs, unless `folder`'s plan is for this verb, model, options and files."""
    before = plan.made
    begun = f"{folder}: was begun with"
    other = "give the same, or another folder"
    if before["verb"] != made["verb"]:
        raise TextkitError(f"{begun} {before['verb']}, not {made['verb']}; {other}")
    if before["model"] != made["model"]:
        old, new = before["model"], made["model"]
        same = f" of the same name (sha256 {new['sha256'][:12]}…)" if old["name"] == new["name"] else f" {new['name']}"
        raise TextkitError(f"{begun} the model {old['name']} (sha256 {old['sha256'][:12]}…), not that{same}; {other}")
    for name in sorted({*before["options"], *made["options"]}):
        old, new = before["options"].get(name), made["options"].get(name)
        if old != new:
            raise TextkitError(f"{begun} {_said(name, old)}, not {_said(name, new)}; {other}")
    if made["cut"] is not None and made["cut"] != before["cut"]:
        raise TextkitError(f"{begun} {_cut(before['cut'])}, not {_cut(made['cut'])}; {other}")
    old_files, new_files = ({source.path: source.size for source in each} for each in (plan.sources, sources))
    counted = any(part.first for part in plan.parts)
    # A file that is all in one part may change: its part is made again.
    fixed = {span.path for part in plan.parts for span in part.spans if counted or not span.whole}
    for path, size in new_files.items():
        if path not in old_files:
            raise TextkitError(f"{begun} other files: {path} is new; {other}")
        if size != old_files[path] and path in fixed:
            raise TextkitError(
                f"{path}: has changed since {folder} was begun: it had {old_files[path]:,} bytes; {other}"
            )
    if [source.path for source in plan.sources] != [source.path for source in sources]:
        gone = next((path for path in old_files if path not in new_files), None)
        why = f"{gone} is missing" if gone else "their order has changed"
        raise TextkitError(f"{begun} other files: {why}; {other}")


def _said(name: str, value: Any) -> str:
    if name == "columns":  # those of the input
        return f"the columns {value}" if value else "no columns"
    option = name.replace("_", "-")
    if value is None or value is False:
        return f"no --{option}"
    return f"--{option}" if value is True else f"--{option} {value}"


def _cut(cut: Sequence[Any]) -> str:
    return f"--{cut[0]} {cut[1]}"


def prepare(folder: Path) -> None:
    """Makes `folder`. Raises TextkitError where it cannot be made, and for one that holds something else."""
    if folder.exists() and not folder.is_dir():
        raise TextkitError(f"{folder}: is no folder; -o names the folder of the parts")
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        others = any(path.name[:1] != "." and path.name != PLACE for path in folder.iterdir())
        if others and not (folder / PLACE).exists():  # in this order: another process may just have made the place
            raise TextkitError(f"{folder}: holds other files; parts need a folder of their own")
        (folder / PLACE).mkdir(exist_ok=True)
