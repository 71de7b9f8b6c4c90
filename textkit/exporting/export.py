"""Writes a trained model as a bundle: graphs that are proven to compute what the model computes, and the manifest's facts.

Nothing is written unless parity holds. Which graphs a task has, and how they are proven, is the business of the exporter
that its record names. Knows plugins by their contract alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from textkit.errors import TextkitError, UsageError
from textkit.exporting.exported import checked_name, write
from textkit.guard import blaming, checked
from textkit.plugin import Encoder, Graph, Plugin
from textkit.registry import registry
from textkit.task import load
from textkit.task_registry import tasks
from textkit.text.rule import TextRule

if TYPE_CHECKING:
    from textkit.training.run import Run

EMBED = "embed"  # the task that a model of another one may be exported as


def export(
    run: Run,
    folder: Path,
    precision: str = "fp32",
    name: str | None = None,
    *,
    task: str | None = None,
    licence: str = "",
    data_note: str = "",
    command: Sequence[str] = (),
    explain: bool = False,
    overwrite: bool = False,
) -> Path:
    """Writes the best network of `run` as a bundle and returns its folder.

    `task`: None, the plugin's own, or `embed`: the states of a network that was trained for something else. `licence` and
    `data_note` (what the data is and where it is from) go into the manifest; `command` is what the user typed; `explain` adds
    the task's optional graphs. Raises TextkitError, and writes nothing, where a plugin's module cannot be exported, where an
    exported graph does not compute what the module does, where a lower precision costs too much, and where `explain` is asked
    of a plugin without such graphs. Raises UsageError for a `task` that the plugin has no model for.
    """
    plugin = run.plugin
    task = plugin.task if task is None else task
    if task != plugin.task:
        _refuse_task(plugin, task, explain)
    name = checked_name(Path(folder), name, precision, overwrite)
    part = _own(run, explain) if task == plugin.task else _encoder(run)
    data = [{"file": Path(file["file"]).name, **{key: file[key] for key in ("bytes", "sha256")}} for file in run.data]
    made = {
        "command": shlex.join(run.command),
        "export": shlex.join(command),
        "seed": run.seed,
        "complete": run.complete,
        **part.made,
        "options": {key: _without_folders(value) for key, value in run.config_record.items()},
        "facts": run.facts,
    }
    return export_graphs(
        Path(folder),
        task=task,
        rule=part.rule,
        graphs=part.graphs,
        sample=part.sample,
        precision=precision,
        name=name,
        plugin=_origin(plugin),
        defaults=part.defaults,
        data=[*data, *([{"note": data_note}] if data_note else [])],
        licence=licence,
        scores=part.scores,
        made=made,
        overwrite=overwrite,
    )


def _without_folders(value: Any) -> Any:
    """An option's value; of the path of a model on this machine only its name."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


class _Part(NamedTuple):
    """What of a run is exported."""

    rule: TextRule
    graphs: Mapping[str, Graph]
    sample: Sequence[str]
    defaults: Mapping[str, Any]
    scores: list[dict[str, Any]]
    made: Mapping[str, Any]


def _own(run: Run, explain: bool) -> _Part:
    """The model of the task that the run was trained for."""
    plugin, rule = run.plugin, run.vocabulary
    with blaming(plugin, "graphs"):
        every = checked(plugin, "graphs", plugin.graphs(run.network(), rule, run.config), Mapping)
        graphs = _graphs_of(plugin, every, explain)
    made = {"explainable": _explainable(plugin, every)}
    return _Part(rule, graphs, run.sample(), _defaults_of(plugin, run), _scores(run), made)


def _encoder(run: Run) -> _Part:
    """The network's states as a model of the task `embed`, of which the training's scores say nothing."""
    plugin, rule, network = run.plugin, run.vocabulary, run.network()
    with blaming(plugin, "encoder"):
        given = checked(plugin, "encoder", plugin.encoder(network, rule, run.config), Encoder, type(None))
        if given is None:
            raise TextkitError(f"--as {EMBED}: {plugin.name} has no encoder whose states could be vectors of tokens")
        sample = run.sample() if given.texts is None else list(given.texts(run.sample()))
    if wrong := tasks.get(EMBED).wrong_default(given.defaults):
        raise TextkitError(f"plugin {plugin.name!r} is broken: the defaults of its encoder have {wrong}")
    made = {"explainable": False, "trained_for": plugin.task}
    return _Part(given.rule, {EMBED: given.graph}, sample, given.defaults, [], made)


def _refuse_task(plugin: Plugin[Any, Any], task: str, explain: bool) -> None:
    """Raises UsageError where no model of this family can be exported as one of another task."""
    if task != EMBED:
        raise UsageError(
            f"--as {task}: {plugin.name} makes models of the task {plugin.task}; others are made as {EMBED}"
        )
    if explain:
        raise UsageError(f"--explain: a model of the task {EMBED} has no graph that explains it")


def export_graphs(
    folder: Path,
    *,
    task: str,
    rule: TextRule,
    graphs: Mapping[str, Graph],
    sample: Sequence[str] = (),
    precision: str = "fp32",
    name: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    **facts: Any,
) -> Path:
    """Writes the bundle of modules that need not come from a training run, and returns its folder.

    `graphs`: what a plugin's `graphs` gives; `sample`: lines of real text that the graphs are tried on; `facts`: those for
    the manifest (see exported.write). Raises TextkitError as `export` does.
    """
    name = checked_name(Path(folder), name, precision, overwrite)
    record = tasks.get(task)
    found = load(record.exporter)(graphs, rule, [line for line in sample if line.strip()], precision)
    defaults = {**record.defaults, **(defaults or {})}
    return write(
        Path(folder), found, task=task, rule=rule, name=name, precision=precision, defaults=defaults, overwrite=overwrite,
        **facts,
    )  # fmt: skip


def _graphs_of(plugin: Plugin[Any, Any], graphs: Mapping[str, Graph], explain: bool) -> Mapping[str, Graph]:
    """The graphs of the plugin's task, with the optional ones if `explain`, and the extra ones if the plugin gives them."""
    task = tasks.get(plugin.task)
    optional, wanted = task.optional, set(task.graphs) - task.optional - task.extra
    if set(graphs) - optional - task.extra != wanted or not all(isinstance(graph, Graph) for graph in graphs.values()):
        raise TextkitError(
            f"plugin {plugin.name!r} is broken: it gives the graphs {', '.join(map(str, graphs)) or 'none'}, "
            f"the task {plugin.task!r} has {', '.join(sorted(wanted))}, each a textkit.plugin.Graph"
        )
    if explain and not optional & set(graphs):
        raise TextkitError(f"--explain: plugin {plugin.name!r} has nothing to explain its models by")
    return graphs if explain else {name: graph for name, graph in graphs.items() if name not in optional}


def _explainable(plugin: Plugin[Any, Any], graphs: Mapping[str, Graph]) -> bool:
    """Whether `explain` would add graphs, so that no message recommends it where it would not."""
    return bool(tasks.get(plugin.task).optional & set(graphs))


def _defaults_of(plugin: Plugin[Any, Any], run: Run) -> dict[str, Any]:
    with blaming(plugin, "defaults"):
        stated, decided = plugin.defaults(), plugin.decided(run.config, run.sample())
    defaults = {**checked(plugin, "defaults", stated, dict), **checked(plugin, "decided", decided, dict)}
    if wrong := tasks.get(plugin.task).wrong_default(defaults):
        raise TextkitError(f"plugin {plugin.name!r} is broken: its defaults have {wrong}")
    return defaults


def _scores(run: Run) -> list[dict[str, Any]]:
    """The scores that the training measured on lines it did not learn from."""
    found = {part: run.facts.get(f"{part}_score") for part in ("dev", "test")}
    return [
        {"metric": score["name"], "value": score["value"], "data": f"{part} lines", "command": shlex.join(run.command)}
        for part, score in found.items()
        if score
    ]


def _origin(plugin: Plugin[Any, Any]) -> dict[str, str]:
    """The plugin's name, and the package and version that it comes from; for a file its name without the folder."""
    entries = registry.discover().get(plugin.name, [])
    source = entries[0].source if entries else type(plugin).__module__
    return {"name": plugin.name, "version": Path(source).name}
