"""Exports the task `translate`: the graphs encode, step and, if asked for, explain, each traced, proven and stored.

Knows no plugin, no training run and no architecture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textkit.errors import TextkitError
from textkit.exporting import quantize_graph, tracing
from textkit.exporting.exported import TOKEN_LIMIT, Exported
from textkit.exporting.fusing import fused
from textkit.exporting.step_graph import step_graph, whole_graph
from textkit.plugin import Graph
from textkit.tasks.translate.exporting import parity as parity_translation
from textkit.tasks.translate.exporting.ports import Modules, explain_ports, ports_of
from textkit.text.rule import TextRule
from textkit.text.translation import TranslationText

if TYPE_CHECKING:
    import onnx


def exported(graphs: Mapping[str, Graph], rule: TextRule, sample: Sequence[str], precision: str) -> Exported:
    """The graphs of modules as they are served, with the figures that say how close they are to the modules."""
    if not isinstance(rule, TranslationText):
        raise TextkitError(f"a rule of kind {rule.kind!r} gives no target text: translation needs one that does")
    limits = {"tokens": graphs["encode"].limit or TOKEN_LIMIT, "target": graphs["step"].limit or TOKEN_LIMIT}
    modules = Modules(graphs)
    return proven(modules, traced(modules, graphs, rule), rule, sample, limits, precision)


def traced(modules: Modules, graphs: Mapping[str, Graph], rule: TranslationText) -> dict[str, onnx.ModelProto]:
    """The graph that torch makes of each module."""
    sizes = len(rule), rule.target_size
    encode, step = ports_of(modules, *sizes)
    bodies = {
        "encode": tracing.trace(modules.encode_module, encode.inputs, encode.outputs, "encode"),
        "step": tracing.trace(modules.step_module, step.inputs, step.outputs, "step"),
    }
    if "explain" in graphs:
        module = graphs["explain"].module.eval()
        explain = explain_ports(module, *sizes)
        bodies["explain"] = tracing.trace(module, explain.inputs, explain.outputs, "explain")
        parity_translation.check_explain(whole_graph(bodies["explain"], "explain"), module, rule)
    return bodies


def proven(
    modules: Modules,
    bodies: Mapping[str, onnx.ModelProto],
    rule: TranslationText,
    sample: Sequence[str],
    limits: Mapping[str, int],
    precision: str,
) -> Exported:
    """The graphs around `bodies`, compared with the modules; those of lower precision are compared with full precision."""
    written = _grafted(bodies)
    full = parity_translation.Graphs(written)
    batches = parity_translation.cases(rule, sample, limits["tokens"])
    figures = {"against": "torch"} | parity_translation.check(full, modules, rule, batches, limits["target"])
    if precision != "fp32":
        written = _grafted({name: quantize_graph.lower(body, precision) for name, body in bodies.items()})
        if precision == "int8":  # one scale per row takes many nodes
            written = {name: fused(graph) for name, graph in written.items()}
        lower = parity_translation.Graphs(written)
        figures["deviation"] = parity_translation.deviation(full, lower, rule, sample, limits)
        parity_translation.refuse_deviation(precision, figures["deviation"])
    return Exported(written, limits, figures)


def _grafted(bodies: Mapping[str, onnx.ModelProto]) -> dict[str, bytes]:
    return {name: step_graph(body) if name == "step" else whole_graph(body, name) for name, body in bodies.items()}
