"""How a training run keeps its rule: the folder `vocabulary`, with what a bundle has no place for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from textkit.durable import naming, replace_file
from textkit.errors import TextkitError
from textkit.text.rule import TextRule
from textkit.text.rules import rule_from_spec
from textkit.text.words import Words


def read_rule(folder: Path) -> TextRule:
    """The rule in `folder`, including the `counts` of a table of words and what else was `learnt`. Raises TextkitError."""
    try:
        spec = json.loads((folder / "rule.json").read_bytes())
        rule = rule_from_spec(spec, lambda name: (folder / name).read_bytes())
        if isinstance(rule, Words) and (folder / "counts.i64").exists():
            rule.counts = np.fromfile(folder / "counts.i64", "<i8").astype(np.int64)
        if (folder / "learnt.json").exists():
            rule.learnt = json.loads((folder / "learnt.json").read_bytes())
    except FileNotFoundError as error:
        raise TextkitError(f"{folder.parent}: has no vocabulary yet ({error.filename})") from error
    except (OSError, ValueError) as error:
        raise TextkitError(f"{folder}: cannot be read: {error}") from error
    return rule


def write_rule(folder: Path, rule: TextRule) -> None:
    """Writes a rule to `folder`, all of it or nothing."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with naming(part):
        part.mkdir()
    files = {"rule.json": json.dumps(rule.spec(), ensure_ascii=False).encode(), **rule.files()}
    counts = getattr(rule, "counts", None)
    if counts is not None:
        files["counts.i64"] = np.asarray(counts).astype("<i8").tobytes()
    if rule.learnt:
        files["learnt.json"] = json.dumps(dict(rule.learnt), ensure_ascii=False).encode()
    for name, content in files.items():
        replace_file(part / name, content)
    part.rename(folder)
