"""A training as one call, for Python: what `textkit train` does, without a terminal. Knows no screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from textkit.training.events import Event
from textkit.training.parallel import joined
from textkit.training.recipe import Recipe, begin, go_on, swept
from textkit.training.trainer import train as events_of


def train(
    plugin: str,
    data: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    dev: str | Path | Iterable[str | Path] = (),
    options: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    seed: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    progress: Callable[[Event], None] | None = None,
) -> Path:
    """As textkit.train has it."""
    folder = Path(output)
    recipe = Recipe(
        plugin=plugin,
        data=_paths(data),
        dev=_paths(dev),
        config=None if config is None else Path(config),
        assignments=[f"{key}={_said(value)}" for key, value in (options or {}).items()],
        seed=seed,
    )
    with joined() as team:
        run = (go_on if resume else begin)(folder, recipe)
        with swept(run, not resume):
            events = events_of(
                run, run.corpus, run.dev_corpus, device=device, threads=threads, resume=resume, team=team
            )
            for event in events:
                if progress is not None:
                    progress(event)
    return folder


def _paths(given: str | Path | Iterable[str | Path]) -> list[Path]:
    return [Path(given)] if isinstance(given, (str, Path)) else [Path(path) for path in given]


def _said(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_said, value)) if isinstance(value, (list, tuple)) else str(value)
