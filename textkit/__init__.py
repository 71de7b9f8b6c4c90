"""textkit turns text models into Unix filters. This file is the lazy door to the Python API."""

import os

from textkit.version import DISTRIBUTION, __version__

# onnxruntime's own builds report to their maker: at its import it resolves a host's name and writes a device id below the
# home folder and a session file into TMPDIR. Here, so that it stands before any import of onnxruntime, a plugin's and a child
# process's too. Set outright: no value that a user may have in his environment asks textkit to talk to a network.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = ["DISTRIBUTION", "__version__", "load"]


def load(model: str | None = None, task: str | None = None, **options):
    """The exported model `model` (a name or a folder; None: the default of `task`) as a callable, list[str] -> list.

    `task`: None for the model's own, and for `embed` where no model is named. Imports onnxruntime, never torch.
    `textkit.load()(["hello"])` gives one vector a line, `textkit.load("en-de")(["Hello."])` one text. Options are those of
    the task's callable, `Embedder` or `Translator` (textkit/tasks/).
    """
    from textkit.serving import open_model

    return open_model(model, task=task, **options)
