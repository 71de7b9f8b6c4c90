"""Exports the task `embed`: adds pooling to a traced module or a table of vectors, and proves that the graph is right.

Knows no plugin and no training run. Needs no torch where the model is a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.exporting import quantize, quantize_graph
from textkit.exporting.exported import TOKEN_LIMIT, Exported, checked_name, write
from textkit.exporting.parity import cases, load
from textkit.exporting.quantize_channels import largest_channels
from textkit.plugin import Graph
from textkit.task import Port, Signature
from textkit.tasks.embed.exporting import parity
from textkit.tasks.embed.exporting.graph import graft, refuse_size, table_graph
from textkit.tasks.embed.task import OWN, PORT, QUERY, TASK
from textkit.text.rule import TextRule

if TYPE_CHECKING:
    import onnx
    import torch

_ROWS = Signature(
    inputs=(Port("ids", "int64", ("line", "token")), Port("weight", "float32", ("line", "token"))),
    outputs=(Port("rows", "float32", ("line", "token", "dim")),),
)  # of a plugin's module, to which pooling is added
_WITH_OWN = Signature(_ROWS.inputs, (*_ROWS.outputs, Port("vector", "float32", ("line", "dim"))))


def exported(graphs: Mapping[str, Graph], rule: TextRule, sample: Sequence[str], precision: str) -> Exported:
    """The graph `embed` of a plugin's module, and `query` of a plugin that has a module for queries. The figures of the second
    stand under its name among those of the first."""
    found = export_module(graphs["embed"], rule, sample, precision)
    if QUERY not in graphs:
        return found
    other = export_module(graphs[QUERY], rule, sample, precision)
    if other.facts != found.facts:
        raise TextkitError(
            f"the modules of the graphs 'embed' and {QUERY!r} give other vectors: {dict(found.facts)} and {dict(other.facts)}"
        )
    limits = {"tokens": min(found.limits["tokens"], other.limits["tokens"])}
    return Exported(
        {**found.graphs, QUERY: other.graphs["embed"]}, limits, {**found.parity, QUERY: other.parity}, found.facts
    )


def export_module(graph: Graph, rule: TextRule, sample: Sequence[str], precision: str) -> Exported:
    """The graph of a module as `embed` serves it. Raises TextkitError where there is none that computes the same."""
    probability = graph.constants.get("probability")
    module = graph.module.eval()
    pools = getattr(module, "pools", False) is True
    table = table_of(module)
    reference = Reference(module)
    rows, own = reference.rows, reference.own if pools else None
    limit = graph.limit or TOKEN_LIMIT
    if table is not None:
        return _export_table(table, rows, "torch", rule, probability, sample, precision, limit)
    _check_probability(rule, probability)
    body = trace(module, len(rule), graph.limit, pools)
    component = parity.first_component(rows, rule, sample, probability, limit)
    batches = list(cases(rule, sample, limit))
    full = graft(body, probability, component)
    session = load(full)
    figures = {"against": "torch"} | parity.check(session, rows, batches, probability, component, own)
    for pool in (0, PORT.index(OWN)) if pools else (0,):
        parity.check_padding(session, batches, pool)
    facts = {"dim": body.graph.output[0].type.tensor_type.shape.dim[2].dim_value} | ({"pools": True} if pools else {})
    if precision == "fp32":
        return Exported({"embed": full}, {"tokens": limit}, figures, facts)
    largest = largest_channels(body, batches) if precision == "int8" else {}
    for constant in (True, False):  # the second where the first is not exact enough
        lowered = quantize_graph.lower(body, precision, largest=largest, constant=constant)
        lower = graft(lowered, probability, component)
        deviation = parity.deviation(load(lower), rows, batches, own)
        if deviation["worst_cosine"] >= quantize.WORST_COSINE.get(precision, -1):
            break
    quantize.refuse_deviation(precision, deviation)
    return Exported({"embed": lower}, {"tokens": limit}, figures | {"deviation": deviation}, facts)


def _export_table(
    table: np.ndarray,
    rows: parity.Rows,
    against: str,
    rule: TextRule,
    probability: np.ndarray | None,
    sample: Sequence[str],
    precision: str,
    limit: int,
) -> Exported:
    """The graph of a table of vectors; `rows` gives what the table stands for, as the module computes it."""
    if table.ndim != 2 or len(table) != len(rule) or not table.size:
        raise TextkitError(f"a table of shape {table.shape} does not fit a vocabulary of {len(rule)} ids")
    refuse_size(table.shape, quantize.PRECISIONS[precision])
    _check_finite(table)
    _check_probability(rule, probability)
    batches = list(cases(rule, sample, limit))
    stored = quantize.store(table, precision)
    component = parity.first_component(rows, rule, sample, probability, limit)
    graph = table_graph(stored, probability, component)
    session = load(graph)
    reference = rows if precision == "fp32" else _lookup(stored["table"], stored.get("scale"))
    figures = {"against": against} | parity.check(session, reference, batches, probability, component)
    if precision != "fp32":
        figures["deviation"] = parity.deviation(session, rows, batches)
        quantize.refuse_deviation(precision, figures["deviation"])
    return Exported({"embed": graph}, {"tokens": limit}, figures, {"dim": int(table.shape[1])})


def _lookup(table: np.ndarray, scale: np.ndarray | None = None) -> parity.Rows:
    def rows(ids: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return quantize.rows({"table": table} if scale is None else {"table": table, "scale": scale}, ids)

    return rows


def export_embedding_table(
    folder: Path,
    *,
    rule: TextRule,
    table: np.ndarray,
    probability: np.ndarray | None = None,
    sample: Sequence[str] = (),
    name: str | None = None,
    precision: str = "fp32",
    defaults: Mapping[str, Any] | None = None,
    limit: int = TOKEN_LIMIT,
    overwrite: bool = False,
    **facts: Any,
) -> Path:
    """Writes the bundle of a table of vectors f32[id, dim], row i for id i of `rule`, and returns its folder. No torch.

    `probability` f32[id]: the unigram probability of each id, for SIF weights; None: all equal. `sample`: lines of real
    text from which SIF's common component is taken and on which lower precision is measured; without them no component
    is removed. `facts`: those for the manifest (see exported.write). Raises TextkitError for a table that does not fit
    `rule`, holds NaN or infinity, or is over 2 GB, where parity fails, and where lower precision costs too much.
    """
    name = checked_name(Path(folder), name, precision, overwrite)
    sample = [line for line in sample if line.strip()]
    found = _export_table(table, _lookup(table), "numpy", rule, probability, sample, precision, limit)
    defaults = {**TASK.defaults, **(defaults or {})}
    return write(
        Path(folder), found, task="embed", rule=rule, name=name, precision=precision, defaults=defaults,
        overwrite=overwrite, **facts,
    )  # fmt: skip


def table_of(module: torch.nn.Module) -> np.ndarray | None:
    """The table f32[id, dim] of a torch.nn.Embedding, which needs no exporter; None for any other module."""
    import torch

    if type(module) is not torch.nn.Embedding or module.max_norm is not None:
        return None
    return module.weight.detach().cpu().numpy().astype(np.float32, copy=False)


class Reference:
    """A module as functions of arrays, ids i64[line, token] and weight f32[line, token]. A batch is computed once."""

    def __init__(self, module: torch.nn.Module) -> None:
        import torch

        self.module, self.lookup = module, type(module) is torch.nn.Embedding  # which takes the ids alone
        self._asked: tuple[np.ndarray, ...] = ()
        self._given: tuple[np.ndarray, ...] = ()

    def rows(self, ids: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The tokens' vectors f32[line, token, dim]. Rows of padding are zeros, whatever the module gives for them, as in the
        exported graph."""
        found = self._outputs(ids, weight)[0]
        if found.ndim != 3 or found.shape[:2] != ids.shape:
            raise TextkitError(
                f"the module of graph 'embed' gives {found.shape} for ids {ids.shape}, not [line, token, dim]"
            )
        return np.where((weight > 0)[:, :, None], found, np.float32(0))

    def own(self, ids: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The lines' vectors f32[line, dim] of a module that pools."""
        found = self._outputs(ids, weight)
        if len(found) != 2 or found[1].shape != (len(ids), found[0].shape[-1]):
            shapes = ", ".join(str(part.shape) for part in found)
            raise TextkitError(
                f"the module of graph 'embed' pools, and gives {shapes} for ids {ids.shape}, not [line, token, dim] and "
                f"[line, dim]"
            )
        return found[1]

    def _outputs(self, ids: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
        import torch

        if not (self._asked and self._asked[0] is ids and self._asked[1] is weight):
            arguments = (torch.from_numpy(ids), torch.from_numpy(weight))
            with torch.no_grad():
                found = self.module(*arguments[: 1 if self.lookup else 2])
            parts = found if isinstance(found, tuple) else (found,)
            self._asked, self._given = (ids, weight), tuple(part.float().numpy() for part in parts)
        return self._given


def trace(module: torch.nn.Module, ids: int, limit: int = 0, pools: bool = False) -> onnx.ModelProto:
    """The graph of an `embed` module: ids i64[line, token], weight f32[line, token] -> rows f32[line, token, dim].

    `ids`: the size of the vocabulary. `limit`: the most tokens of a line that the module takes, 0 for any number. `pools`: the
    module gives the lines' vectors f32[line, dim] as well.
    """
    from textkit.exporting.line_graph import traced

    return traced("embed", _WITH_OWN if pools else _ROWS, module, ids, limit)


def _check_finite(table: np.ndarray) -> None:
    for start in range(0, len(table), 1 << 16):  # a mask of the whole table would take a quarter of its size
        sound = np.isfinite(table[start : start + (1 << 16)]).all(axis=1)
        if not sound.all():
            row = start + int(np.argmin(sound))
            raise TextkitError(f"the vector of id {row} holds NaN or infinity: the model is of no use")


def _check_probability(rule: TextRule, probability: np.ndarray | None) -> None:
    if probability is None:
        return
    if probability.shape != (len(rule),):
        raise TextkitError(f"probabilities of shape {probability.shape} do not fit a vocabulary of {len(rule)} ids")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise TextkitError("the probabilities of SIF are not all between 0 and 1")
