"""What a training may begin with: a run, an exported model, or a file of word vectors. Knows no architecture."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from textkit.errors import TextkitError, UsageError
from textkit.plugin import Plugin, Source, Training
from textkit.task import load
from textkit.training.run import Run


def source_of(model: str, asked: str = "--init") -> Source:
    """The source named `model`: a run's folder, an installed model or a model's folder, or a file of word vectors. `asked`:
    the option or argument that names it, for an error."""
    path = Path(model)
    if (path / "run.json").exists():
        return _of_run(path)
    if path.is_file():
        return _of_vectors(path)
    if is_checkpoint(path):
        return _of_checkpoint(path)
    return _of_model(model, asked)


def is_checkpoint(folder: Path) -> bool:
    """Whether it looks like a folder of Hugging Face or sentence-transformers."""
    return (folder / "config.json").exists() or (folder / "modules.json").exists()


def _of_run(folder: Path) -> Source:
    run = Run.open(folder)
    network = run.network()
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return Source(str(folder), run.config_record, run.vocabulary, weights)


def _of_checkpoint(folder: Path) -> Source:
    """A Hugging Face or sentence-transformers folder with an encoder."""
    read = load("textkit.interop.encoder:read")(folder)  # by name: this room is below that of other tools' formats
    return Source(str(folder), read.options, read.rule, {name: part.numpy() for name, part in read.state.items()})


def _of_model(model: str, asked: str) -> Source:
    from textkit.bundle import bundle
    from textkit.bundle.weights import weights_of

    found = bundle.located(model, "", any_task=True, asked=asked)
    weights: dict[str, np.ndarray] = {}
    for name in found.manifest.graphs:
        weights |= weights_of(found.graph(name))
    options = found.manifest.made.get("options")
    return Source(model, options if isinstance(options, dict) else {}, found.rule, weights)


def _of_vectors(path: Path) -> Source:
    read = load("textkit.interop.foreign:read")(path)  # by name: this room is below that of other tools' formats
    return Source(str(path), {}, None, {}, dict(zip(read.words, read.table[: len(read.words)], strict=False)))


def beginning(plugin: Plugin[Any, Any], model: str) -> tuple[Source, tuple[Any, Training]]:
    """The source named `model`, and what the plugin takes from it where the user says nothing: its options and the engine's."""
    source = source_of(model)
    taken = options_of(plugin, source)
    return source, (taken, plugin.fine_tuning(taken))


def options_of(plugin: Plugin[Any, Any], source: Source) -> Any:
    """The plugin's Config as the source has it, and its own defaults where the source says nothing.

    Raises UsageError where they fit no model of the plugin.
    """
    from textkit import config

    names = {field.name for field in fields(plugin.Config)}
    taken = {key: value for key, value in source.options.items() if key in names and key in plugin.inherited}
    try:
        return config.from_dict(plugin.Config, config.as_dict(plugin.Config()) | taken)
    except (TypeError, ValueError, TextkitError) as error:
        raise UsageError(f"--init {source.name}: {plugin.name} cannot begin with it: {error}") from None
