"""`textkit export-onnx`: a training run becomes a model to serve. textkit.exporting.export does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from textkit.cli.options import Messages, bundle_options, explain_option, message_options, plugin_option
from textkit.cli.stdout import protected_stdout
from textkit.cli.verb import Remembering, examples


@click.command(
    "export-onnx",
    cls=Remembering,
    epilog=examples(
        "textkit export-onnx run -o exported_models/mine --precision int8",
        "echo 'some text' | textkit embed -m mine",
        "textkit export-onnx run --as embed -o exported_models/vectors",
        "echo 'river bank' | textkit embed -m vectors --tokens",
    ),
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@bundle_options
@click.option(
    "--data-note", metavar="TEXT", default="", help="What the training data is and where it is from, for the manifest."
)
@click.option(
    "--as",
    "task",
    type=click.Choice(["embed"]),
    help="embed: the states of a translator, language model or classifier as a model for `textkit embed`.",
)
@explain_option
@plugin_option
@message_options
@click.pass_context
def export_onnx(ctx: click.Context, run: Path, folder: Path, messages: Messages, **facts: Any) -> None:
    """Export the training run RUN as a model that serves without torch.

    The exported graph is first compared with the trained network; if they differ, nothing is written.

    With --as embed, what the network makes of each token of a line is exported, as vectors of tokens in their context: those of
    a translator's encoder know the whole line, and those of a language model know the words before.
    """
    from textkit.exporting.export import export
    from textkit.training.run import Run

    with protected_stdout():
        opened = Run.open(run)
        if not opened.complete:
            messages.warn(f"{run}: the training is not complete; what is exported is its weights so far")
        written = export(opened, folder, command=ctx.meta[Remembering.KEY], **facts)
    messages.note(f"wrote {written}")
