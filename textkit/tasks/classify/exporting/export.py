"""Exports the task `classify`: the graph of a plugin's module, proven on lines of many shapes. Knows no plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textkit.exporting.exported import Exported
from textkit.exporting.line_graph import exported_lines
from textkit.plugin import Graph
from textkit.tasks.classify.corpus import texts
from textkit.tasks.classify.task import TASK
from textkit.text.rule import TextRule


def exported(graphs: Mapping[str, Graph], rule: TextRule, sample: Sequence[str], precision: str) -> Exported:
    """The graph `classify`. Raises TextkitError where there is none that computes the same. `sample`: records."""
    return exported_lines("classify", TASK.graphs["classify"], graphs["classify"], rule, texts(sample), precision)
