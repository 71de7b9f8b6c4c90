"""textkit turns text models into Unix filters. This module offers the same to Python: docs/python.md.

Nothing heavy is imported before it is used; serving never imports torch.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from textkit.version import DISTRIBUTION, __version__

# onnxruntime's own builds send telemetry: at its import it resolves a host's name and writes a device id below the home
# folder and a session file into TMPDIR. The variable is set here, before any import of onnxruntime, including those of
# plugins and child processes. It is set outright: no value in a user's environment asks textkit to talk to a network.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from textkit.calling import export, train
    from textkit.errors import TextkitError, TextkitWarning, UsageError
    from textkit.retrieval.hits import Hit
    from textkit.retrieval.index import Index
    from textkit.serving.opened import OpenModel
    from textkit.tasks.classify.serving.answers import Classification
    from textkit.tasks.classify.serving.classifier import Classifier
    from textkit.tasks.classify.serving.explaining import Explanation
    from textkit.tasks.embed.serving.embedder import Embedder
    from textkit.tasks.language.serving.generator import Generated, Generator
    from textkit.tasks.language.serving.scorer import LanguageModel, Scored
    from textkit.tasks.translate.serving.translations import Translation
    from textkit.tasks.translate.serving.translator import Translator

_PLACES = {
    "TextkitError": "textkit.errors",
    "TextkitWarning": "textkit.errors",
    "UsageError": "textkit.errors",
    "export": "textkit.calling",
    "train": "textkit.calling",
    "Hit": "textkit.retrieval.hits",
    "Index": "textkit.retrieval.index",
    "OpenModel": "textkit.serving.opened",
    "Classification": "textkit.tasks.classify.serving.answers",
    "Classifier": "textkit.tasks.classify.serving.classifier",
    "Explanation": "textkit.tasks.classify.serving.explaining",
    "Embedder": "textkit.tasks.embed.serving.embedder",
    "Generated": "textkit.tasks.language.serving.generator",
    "Generator": "textkit.tasks.language.serving.generator",
    "LanguageModel": "textkit.tasks.language.serving.scorer",
    "Scored": "textkit.tasks.language.serving.scorer",
    "Translation": "textkit.tasks.translate.serving.translations",
    "Translator": "textkit.tasks.translate.serving.translator",
}

__all__ = [
    "DISTRIBUTION",
    "Classification",
    "Classifier",
    "Embedder",
    "Explanation",
    "Generated",
    "Generator",
    "Hit",
    "Index",
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


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'textkit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@overload
def load(
    model: Literal["en-sentences", "en-words"] | None = None, task: Literal["embed"] | None = None, **options: Any
) -> Embedder: ...
@overload
def load(model: Literal["en-de", "de-en"], task: None = None, **options: Any) -> Translator: ...
@overload
def load(model: Literal["en-lm"], task: None = None, **options: Any) -> LanguageModel: ...
@overload
def load(model: str | Path | None, task: Literal["embed"], **options: Any) -> Embedder: ...
@overload
def load(model: str | Path | None = None, *, task: Literal["classify"], **options: Any) -> Classifier: ...
@overload
def load(model: str | Path | None = None, *, task: Literal["translate"], **options: Any) -> Translator: ...
@overload
def load(model: str | Path | None = None, *, task: Literal["language"], **options: Any) -> LanguageModel: ...
@overload
def load(model: str | Path | None = None, task: str | None = None, **options: Any) -> OpenModel[Any]: ...
def load(model: str | Path | None = None, task: str | None = None, **options: Any) -> OpenModel[Any]:
    """The exported model `model` (a name or a folder; None: the default of `task`) as a callable: lines in, answers out.

    `task`: None for the model's own, and for `embed` where no model is named. `textkit.load()(["hello"])` gives one vector
    per line, `textkit.load("en-de")(["Hello."])` one text. Options are those of the task's class: Embedder, Translator,
    LanguageModel, Classifier. Imports onnxruntime, never torch. Raises UsageError for an unknown task, model or option,
    TextkitError for a damaged model.
    """
    from textkit.arguments import of_arguments
    from textkit.serving import open_model

    with of_arguments():
        return open_model(model, task=task, **options)
