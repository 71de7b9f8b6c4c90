"""textkit turns text models into Unix filters. This file holds the version and the lazy door to the Python API."""

__version__ = "0.1.0"


def load(model: str | None = None, task: str | None = None, **options):
    """The exported model `model` (a name or a folder; None: the default of `task`) as a callable, list[str] -> list.

    `task`: None for the model's own, and for `embed` where no model is named. Imports onnxruntime, never torch.
    `textkit.load()(["hello"])` gives one vector a line, `textkit.load("en-de")(["Hello."])` one text. Options are those of
    the task's callable: `textkit.serving.embedder.Embedder`, `textkit.serving.translator.Translator`.
    """
    from textkit.serving import open_model

    return open_model(model, task=task, **options)
