"""textkit turns text models into Unix filters. This file holds the version and the lazy door to the Python API."""

__version__ = "0.1.0"


def load(model: str | None = None, task: str = "embed", **options):
    """The exported model `model` (a name or a folder; None: the default of `task`) as a callable, list[str] -> list.

    Imports onnxruntime, never torch. `textkit.load()(["hello"])` gives one vector a line.
    Options are those of the task's callable: `device`, `threads`, `pooling`, `normalize`, `batch_tokens`, `long`.
    """
    from textkit.serving import open_model

    return open_model(model, task=task, **options)
