"""Serving: exported models as callables, list[str] -> one result per line. Imports no torch; onnxruntime when used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from textkit.errors import UsageError, nearest

if TYPE_CHECKING:
    from textkit.serving.opened import OpenModel

BATCH_TOKENS = 4096  # with padding; larger batches exceed the processor's cache (4096 rows of 256 numbers are 4 MB)
Long = Literal["split", "cut"]  # what becomes of a text that is too long for a model
LONG: tuple[str, ...] = get_args(Long)
# What is said to be done with lines that are too long, where they become vectors.
LONG_DONE: Mapping[str, str] = {"split": "split, and the parts averaged by length", "cut": "cut"}


def open_model(model: Any = None, task: str | None = None, **options: Any) -> OpenModel[Any]:
    """The exported model `model` (a name or a folder; None: the default of `task`) as the callable of its task.

    `task`: the task that the model must have; None: any task, or `embed` if no model is named.

    Raises UsageError for an unknown task, model or option, and TextkitError for a damaged model.
    """
    import inspect

    from textkit.bundle import bundle
    from textkit.task import load
    from textkit.task_registry import tasks

    if task is None and model is not None:
        if not isinstance(model, bundle.Bundle):
            model = bundle.located(str(model), "embed", any_task=True)
        task = model.manifest.task
    kind = load(tasks.get("embed" if task is None else task).serving)
    known = list(inspect.signature(kind).parameters)
    for option in options:
        if option not in known:
            raise UsageError(f"unknown option {option!r}{nearest(option, known)}")
    return kind(model, **options)
