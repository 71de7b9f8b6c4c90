"""Exports the task `language`: the graphs score and step, each traced, proven and stored.

Knows no plugin, no training run and no architecture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textkit.errors import TextkitError
from textkit.exporting import quantize_graph, tracing
from textkit.exporting.exported import TOKEN_LIMIT, Exported
from textkit.exporting.graph_edits import take_biases_in
from textkit.exporting.step_graph import step_graph
from textkit.plugin import Graph
from textkit.tasks.language.exporting import parity as parity_language
from textkit.tasks.language.exporting.graph import score_graph
from textkit.tasks.language.exporting.ports import Modules, ports_of
from textkit.text.language import LanguageText
from textkit.text.rule import TextRule

if TYPE_CHECKING:
    import onnx


def exported(graphs: Mapping[str, Graph], rule: TextRule, sample: Sequence[str], precision: str) -> Exported:
    """The graphs of modules as they are served, with the figures that say how close they are to the modules."""
    if not isinstance(rule, LanguageText):
        raise TextkitError(f"a rule of kind {rule.kind!r} has no end of a line: a language model needs one that does")
    context = [graph.limit for graph in graphs.values() if graph.limit]
    limits = {"tokens": min(context, default=TOKEN_LIMIT)} | ({"context": min(context)} if context else {})
    if context and min(context) < 2:
        raise TextkitError(f"a language model that takes {min(context)} token remembers nothing: 2 are the least")
    modules = Modules(graphs)
    score, step = ports_of(modules, len(rule))
    bodies = {
        "score": tracing.trace(modules.score_module, score.inputs, score.outputs, "score"),
        "step": tracing.trace(modules.step_module, step.inputs, step.outputs, "step"),
    }
    if precision != "int8":  # with int8 the matrix is integers, but its bias is not
        take_biases_in(bodies["score"].graph)
    written = _whole(bodies)
    full = parity_language.Graphs(written)
    batches = parity_language.cases(rule, sample, limits["tokens"])
    figures = {"against": "torch"} | parity_language.check(full, modules, rule, batches)
    if precision != "fp32":
        # A step has few rows, scoring has many.
        written = _whole({name: quantize_graph.lower(body, precision, name == "step") for name, body in bodies.items()})
        lower = parity_language.Graphs(written)
        figures["deviation"] = parity_language.deviation(full, lower, modules, rule, sample, limits["tokens"])
        parity_language.refuse_deviation(precision, figures["deviation"])
    return Exported(written, limits, figures)


def _whole(bodies: Mapping[str, onnx.ModelProto]) -> dict[str, bytes]:
    return {name: step_graph(body) if name == "step" else score_graph(body) for name, body in bodies.items()}
