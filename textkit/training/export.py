"""A trained model as a bundle: the graph, the proof that it computes what the model computes, the manifest's facts.

Nothing is written unless parity holds. Knows plugins by their contract alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit import bundle
from textkit.errors import TextkitError, UsageError, nearest
from textkit.manifest import is_name
from textkit.plugin import POOLING, TASKS, Graph, Plugin
from textkit.registry import registry
from textkit.text import TextRule
from textkit.training import parity, quantize
from textkit.training.embedding_graph import graft, refuse_size, table_graph
from textkit.training.guard import blaming

if TYPE_CHECKING:
    from textkit.training.run import Run

TOKEN_LIMIT = 1 << 16  # of a model without one of its own: a line of more tokens is split or cut when served


@dataclass(frozen=True)
class Exported:
    """A graph of the task `embed` that is what it should be, and the figures that say so."""

    graph: bytes
    dim: int
    parity: Mapping[str, Any]


def export(
    run: Run,
    folder: Path,
    precision: str = "fp32",
    name: str | None = None,
    *,
    licence: str = "",
    data_note: str = "",
    command: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Writes the best network of `run` as a bundle and returns its folder.

    `licence` and `data_note` (what the data is and where it is from) are the manifest's; `command` is what the user
    typed. Raises TextkitError, and writes nothing, where the plugin's module cannot be exported, where the exported
    graph does not compute what the module does, and where a lower precision costs too much.
    """
    check_precision(precision)
    name = _checked_name(Path(folder), name)
    bundle.check_target(Path(folder), overwrite)
    plugin = run.plugin
    if plugin.task != "embed":
        raise TextkitError(f"{run.folder}: models for {plugin.task!r} cannot be exported by this textkit")
    rule = run.vocabulary
    network = run.network()
    with blaming(plugin, "graphs"):
        graph = _graph_of(plugin, plugin.graphs(network, rule, run.config))
    defaults = {"pooling": "mean", "normalize": False} | _defaults_of(plugin)
    sample = [line for line in run.sample() if line.strip()]
    exported = _export_embed(graph, rule, sample, precision)
    data = [{"file": Path(file["file"]).name, **{key: file[key] for key in ("bytes", "sha256")}} for file in run.data]
    made = {
        "command": shlex.join(run.command),
        "export": shlex.join(command),
        "seed": run.seed,
        "complete": run.complete,
        "facts": run.facts,
    }
    return bundle.write(
        Path(folder),
        name=name,
        task=plugin.task,
        rule=rule,
        graphs={"embed": exported.graph},
        plugin=_origin(plugin),
        limits={"tokens": graph.limit or TOKEN_LIMIT},
        defaults=defaults,
        dim=exported.dim,
        data=[*data, *([{"note": data_note}] if data_note else [])],
        licence=licence,
        scores=_scores(run),
        parity=exported.parity,
        precision=precision,
        made=made,
        overwrite=overwrite,
    )


def export_embedding_table(
    folder: Path,
    *,
    rule: TextRule,
    table: np.ndarray,
    probability: np.ndarray | None = None,
    sample: Sequence[str] = (),
    name: str | None = None,
    precision: str = "fp32",
    plugin: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    data: Sequence[Any] = (),
    licence: str = "",
    scores: Sequence[Mapping[str, Any]] = (),
    made: Mapping[str, Any] | None = None,
    limit: int = TOKEN_LIMIT,
    overwrite: bool = False,
) -> Path:
    """Writes the bundle of a table of vectors f32[id, dim], row i for id i of `rule`, and returns its folder. No torch.

    `probability` f32[id]: the unigram probability of each id, for SIF weights; None: all alike. `sample`: lines of real
    text from which SIF's common component is taken and on which lower precision is measured; without them no component
    is removed. The other arguments are the manifest's. Raises TextkitError for a table that does not fit `rule`, holds
    NaN or infinity, or is over 2 GB, where parity fails, and where lower precision costs too much.
    """
    check_precision(precision)
    name = _checked_name(Path(folder), name)
    bundle.check_target(Path(folder), overwrite)
    sample = [line for line in sample if line.strip()]
    exported = _export_table(table, _lookup(table), "numpy", rule, probability, sample, precision, limit)
    return bundle.write(
        Path(folder),
        name=name,
        task="embed",
        rule=rule,
        graphs={"embed": exported.graph},
        plugin=dict(plugin or {"name": "", "version": ""}),
        limits={"tokens": limit},
        defaults={"pooling": "mean", "normalize": False} | dict(defaults or {}),
        dim=exported.dim,
        data=data,
        licence=licence,
        scores=scores,
        parity=exported.parity,
        precision=precision,
        made=dict(made or {}),
        overwrite=overwrite,
    )


def check_precision(precision: str) -> None:
    """Raises UsageError for a precision there is not."""
    if precision not in quantize.PRECISIONS:
        raise UsageError(f"--precision {precision}: unknown{nearest(precision, quantize.PRECISIONS)}")


def _checked_name(folder: Path, name: str | None) -> str:
    """The model's name: the one given, or the folder's."""
    found = folder.resolve().name if name is None else name
    if not is_name(found):
        which = f"-o {folder}: its last part cannot name a model, give a --name" if name is None else f"--name {name}"
        raise UsageError(f"{which}: use letters, digits, '.', '_', '+' and '-', at most 100")
    return found


def _export_embed(graph: Graph, rule: TextRule, sample: Sequence[str], precision: str) -> Exported:
    from textkit.training import tracing

    probability = graph.constants.get("probability")
    module = graph.module.eval()
    table = tracing.table_of(module)
    rows = tracing.rows_of(module)
    limit = graph.limit or TOKEN_LIMIT
    if table is not None:
        return _export_table(table, rows, "torch", rule, probability, sample, precision, limit)
    _check_probability(rule, probability)
    body = tracing.trace(module, len(rule))
    component = parity.first_component(rows, rule, sample, probability, limit)
    batches = list(parity.cases(rule, sample, limit))
    full = graft(body, probability, component)
    session = parity.load(full)
    figures = {"against": "torch"} | parity.check(session, rows, batches, probability, component)
    parity.check_padding(session, batches)
    dim = body.graph.output[0].type.tensor_type.shape.dim[2].dim_value
    if precision == "fp32":
        return Exported(full, dim, figures)
    lower = graft(quantize.lower(body, precision), probability, component)
    deviation = parity.deviation(parity.load(lower), rows, batches)
    quantize.refuse_deviation(precision, deviation)
    return Exported(lower, dim, figures | {"deviation": deviation})


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
    """`rows`: what the table stands for, as the module computes it."""
    if table.ndim != 2 or len(table) != len(rule) or not table.size:
        raise TextkitError(f"a table of shape {table.shape} does not fit a vocabulary of {len(rule)} ids")
    refuse_size(table.shape, quantize.PRECISIONS[precision])
    _check_finite(table)
    _check_probability(rule, probability)
    batches = list(parity.cases(rule, sample, limit))
    stored = quantize.store(table, precision)
    component = parity.first_component(rows, rule, sample, probability, limit)
    graph = table_graph(stored, probability, component)
    session = parity.load(graph)
    reference = rows if precision == "fp32" else _lookup(stored["table"], stored.get("scale"))
    figures = {"against": against} | parity.check(session, reference, batches, probability, component)
    if precision != "fp32":
        figures["deviation"] = parity.deviation(session, rows, batches)
        quantize.refuse_deviation(precision, figures["deviation"])
    return Exported(graph, int(table.shape[1]), figures)


def _lookup(table: np.ndarray, scale: np.ndarray | None = None) -> parity.Rows:
    def rows(ids: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return quantize.rows({"table": table} if scale is None else {"table": table, "scale": scale}, ids)

    return rows


def _graph_of(plugin: Plugin, graphs: Mapping[str, Graph]) -> Graph:
    wanted = set(TASKS[plugin.task])
    if set(graphs) != wanted or not all(isinstance(graph, Graph) for graph in graphs.values()):
        raise TextkitError(
            f"plugin {plugin.name!r} is broken: it gives the graphs {', '.join(map(str, graphs)) or 'none'}, "
            f"the task {plugin.task!r} has {', '.join(sorted(wanted))}, each a textkit.plugin.Graph"
        )
    return graphs["embed"]


def _defaults_of(plugin: Plugin) -> dict[str, Any]:
    with blaming(plugin, "defaults"):
        defaults = dict(plugin.defaults())
    known = {"pooling": POOLING, "normalize": (False, True)}
    for key, value in defaults.items():
        if key not in known or value not in known[key]:
            raise TextkitError(f"plugin {plugin.name!r} is broken: its defaults have {key}={value!r}")
    return defaults


def _scores(run: Run) -> list[dict[str, Any]]:
    """What the training measured on lines it did not learn from."""
    found = {part: run.facts.get(f"{part}_score") for part in ("dev", "test")}
    return [
        {"metric": score["name"], "value": score["value"], "data": f"{part} lines", "command": shlex.join(run.command)}
        for part, score in found.items()
        if score
    ]


def _origin(plugin: Plugin) -> dict[str, str]:
    """The plugin's name and the version of what it comes from; of a file its name, not where it lay."""
    entries = registry.discover().get(plugin.name, [])
    source = entries[0].source if entries else type(plugin).__module__
    return {"name": plugin.name, "version": Path(source).name}


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
