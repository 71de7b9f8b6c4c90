"""A training and an export as one call each, for Python: `textkit train` and `textkit export-onnx` without a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from textkit.arguments import of_arguments
from textkit.config import as_typed
from textkit.errors import UsageError
from textkit.exporting.export import export as export_run
from textkit.training.distributed.parallel import joined
from textkit.training.recipe import Recipe, begin, go_on, swept
from textkit.training.run import Run
from textkit.training.trainer import train as events_of
from textkit.training.tuning.events import SearchEvent
from textkit.training.tuning.searching import tune
from textkit.training.tuning.trials import seconds_of

Precision = Literal["fp32", "fp16", "int8"]


def train(
    plugin: str,
    data: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    dev: str | Path | Iterable[str | Path] = (),
    options: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    seed: int | None = None,
    init: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    budget: str | float | None = None,
    max_mb: float | None = None,
    progress: Callable[[SearchEvent], None] | None = None,
) -> Path:
    """Trains a model of the family `plugin` on files, as `textkit train` does, and returns the run's folder `output`.

    `options`: what `--set` sets, by name; `config`: a TOML file of options. `init`: a run, a model or a file of word vectors to
    begin with. `resume`: whether to continue an interrupted run.
    `budget`: search for the best options for so long (`"5m"`, or a number of seconds), and keep the best run. `max_mb`: the
    most megabytes that its model may have in int8. `data` is read anew for each trial.
    `progress` is called with each event (textkit.training.events), in this thread. Needs the extra `train`. Raises UsageError
    for unknown names, TextkitError for data that cannot be read and for a training that fails.
    """
    folder = Path(output)
    recipe = Recipe(
        plugin=plugin,
        data=_paths(data),
        dev=_paths(dev),
        config=None if config is None else Path(config),
        assignments=[f"{key}={as_typed(value)}" for key, value in (options or {}).items()],
        seed=seed,
        init=None if init is None else str(init),
    )
    with of_arguments():
        if budget is not None:
            if resume:
                raise UsageError("--resume: cannot go on with a search")
            for event in tune(folder, recipe, seconds_of(budget), _in_int8, max_mb, device, threads):
                if progress is not None:
                    progress(event)
            return folder
        if max_mb is not None:
            raise UsageError("--max-mb: bounds a search; say with --budget how long it may take")
    with of_arguments(), joined() as team:
        run = (go_on if resume else begin)(folder, recipe)
        with swept(run, not resume):
            for event in events_of(
                run, run.corpus, run.dev_corpus, device=device, threads=threads, resume=resume, team=team
            ):
                if progress is not None:
                    progress(event)
    return folder


def _in_int8(run: Run, folder: Path) -> Path:
    return export_run(run, folder, "int8")


def export(
    run: str | Path,
    output: str | Path,
    *,
    precision: Precision = "fp32",
    name: str | None = None,
    task: str | None = None,
    licence: str = "",
    explain: bool = False,
    overwrite: bool = False,
) -> Path:
    """Exports the run in the folder `run` as a model, as `textkit export-onnx` does, and returns the model's folder `output`.

    `task`: "embed" exports the states of a translator, language model or classifier as a model for `textkit embed`; None: the
    task that the run was trained for. Nothing is written unless the exported graphs compute what the network does. Needs the
    extra `train`.
    """
    with of_arguments():
        return export_run(
            Run.open(Path(run)), Path(output), precision, name, task=task, licence=licence, explain=explain,
            overwrite=overwrite,
        )  # fmt: skip


def _paths(given: str | Path | Iterable[str | Path]) -> list[Path]:
    return [Path(given)] if isinstance(given, (str, Path)) else [Path(path) for path in given]
