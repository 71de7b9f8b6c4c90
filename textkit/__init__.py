"""textkit turns text models into Unix filters. This file is the door to the same from Python: docs/python.md.

Nothing heavy is imported before it is used; serving never imports torch.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from textkit.version import DISTRIBUTION, __version__

# onnxruntime's own builds report to their maker: at its import it resolves a host's name and writes a device id below the
# home folder and a session file into TMPDIR. Here, so that it stands before any import of onnxruntime, a plugin's and a child
# process's too. Set outright: no value that a user may have in his environment asks textkit to talk to a network.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from textkit.errors import TextkitError, TextkitWarning, UsageError
    from textkit.serving.opened import OpenModel
    from textkit.tasks.embed.serving.embedder import Embedder
    from textkit.tasks.language.serving.generator import Generated, Generator
    from textkit.tasks.language.serving.scorer import LanguageModel, Scored
    from textkit.tasks.translate.serving.translator import Translation, Translator
    from textkit.training.events import Event

_PLACES = {
    "TextkitError": "textkit.errors",
    "TextkitWarning": "textkit.errors",
    "UsageError": "textkit.errors",
    "OpenModel": "textkit.serving.opened",
    "Embedder": "textkit.tasks.embed.serving.embedder",
    "Generated": "textkit.tasks.language.serving.generator",
    "Generator": "textkit.tasks.language.serving.generator",
    "LanguageModel": "textkit.tasks.language.serving.scorer",
    "Scored": "textkit.tasks.language.serving.scorer",
    "Translation": "textkit.tasks.translate.serving.translator",
    "Translator": "textkit.tasks.translate.serving.translator",
}

__all__ = [
    "DISTRIBUTION",
    "Embedder",
    "Generated",
    "Generator",
    "LanguageModel",
    "OpenModel",
    "Scored",
    "TextkitError",
    "TextkitWarning",
    "Translation",
    "Translator",
    "UsageError",
    "__version__",
    "export",
    "load",
    "train",
]

Precision = Literal["fp32", "fp16", "int8"]


def __getattr__(name: str) -> Any:
    """The public classes, imported when they are first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'textkit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@overload
def load(
    model: Literal["en-words"] | None = None, task: Literal["embed"] | None = None, **options: Any
) -> Embedder: ...
@overload
def load(model: Literal["en-de"], task: None = None, **options: Any) -> Translator: ...
@overload
def load(model: Literal["en-lm"], task: None = None, **options: Any) -> LanguageModel: ...
@overload
def load(model: str | Path | None, task: Literal["embed"], **options: Any) -> Embedder: ...
@overload
def load(model: str | Path | None = None, *, task: Literal["translate"], **options: Any) -> Translator: ...
@overload
def load(model: str | Path | None = None, *, task: Literal["language"], **options: Any) -> LanguageModel: ...
@overload
def load(model: str | Path | None = None, task: str | None = None, **options: Any) -> OpenModel[Any]: ...
def load(model: str | Path | None = None, task: str | None = None, **options: Any) -> OpenModel[Any]:
    """The exported model `model` (a name or a folder; None: the default of `task`) as a callable: lines in, answers out.

    `task`: None for the model's own, and for `embed` where no model is named. `textkit.load()(["hello"])` gives one vector a
    line, `textkit.load("en-de")(["Hello."])` one text. Options are those of the task's class: Embedder, Translator,
    LanguageModel. Imports onnxruntime, never torch. Raises UsageError for an unknown task, model or option, TextkitError for a
    model that is damaged.
    """
    from textkit.arguments import of_arguments
    from textkit.serving import open_model

    with of_arguments():
        return open_model(model, task=task, **options)


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
    """Trains a model of the family `plugin` on files, as `textkit train` does, and returns the run's folder `output`.

    `options`: what `--set` sets, by name; `config`: a TOML file of them. `resume`: goes on with a run that was interrupted.
    `progress` is called with what happens (textkit.training.events), in this thread. Needs the extra `train`. Raises UsageError
    for what is unknown, TextkitError for data that cannot be read, and for a training that fails.
    """
    from textkit.arguments import of_arguments
    from textkit.training.calling import train as begin

    with of_arguments():
        return begin(
            plugin, data, output, dev=dev, options=options, config=config, seed=seed, device=device, threads=threads,
            resume=resume, progress=progress,
        )  # fmt: skip


def export(
    run: str | Path,
    output: str | Path,
    *,
    precision: Precision = "fp32",
    name: str | None = None,
    licence: str = "",
    explain: bool = False,
    overwrite: bool = False,
) -> Path:
    """Exports the run in a folder as a model to serve, as `textkit export-onnx` does, and returns the model's folder `output`.

    Nothing is written unless the exported graphs compute what the network does. Needs the extra `train`.
    """
    from textkit.arguments import of_arguments
    from textkit.exporting.export import export as exported
    from textkit.training.run import Run

    with of_arguments():
        return exported(
            Run.open(Path(run)), Path(output), precision, name, licence=licence, explain=explain, overwrite=overwrite
        )
