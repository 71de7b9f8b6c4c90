"""`textkit inspect`: what a training did inside. Parses and writes; training/inspecting.py computes, chart.py draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textkit.cli.options import Messages, message_options, plugin_option, promised
from textkit.cli.stdout import protected_stdout
from textkit.cli.verb import Verb, examples
from textkit.errors import UsageError
from textkit.streams.escaping import escaped

if TYPE_CHECKING:
    from textkit.training.inspecting import Gradients, Norms

LAGS, CHUNKS = 70, 100


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit inspect run weights",
        "textkit inspect run-rnn run-lstm gradients -o gradients.png",
    ),
)
@click.argument("folders", metavar="RUN...", nargs=-1, required=True)
@click.argument("what", metavar="gradients|weights", type=click.Choice(["gradients", "weights"]))
@click.option(
    "-o",
    "--output",
    metavar="PICTURE",
    callback=promised(),
    help="Draw to this file: .png, .svg or .pdf. Needs matplotlib.",
)
@click.option(
    "--lags", type=click.IntRange(min=1), metavar="N", help=f"gradients: go back this far. Default: {LAGS} tokens."
)
@click.option(
    "--chunks", type=click.IntRange(min=1), metavar="N", help=f"gradients: use this many chunks. Default: {CHUNKS}."
)
@plugin_option
@message_options
def inspect(
    messages: Messages, folders: tuple[str, ...], what: str, output: str | None, lags: int | None, chunks: int | None
) -> None:
    """Show what a training did inside, as a table of tab-separated columns, and with -o as a picture too.

    gradients: the norm of the gradient of a recurrent language model's loss after it has gone back some tokens (the lag),
    which shows whether it vanishes or explodes. The loss is that of the token after a chunk of dev text (of training text, if
    the run has no dev text). The gradient is with respect to the whole state (of an LSTM, hidden and cell), and the norms are
    means over chunks. One RUN also shows each part of the state; several are columns side by side, and panels of one picture.

    weights: the norm of all weights and of each parameter after each epoch (with eval_steps, at each dev score), beside loss
    and dev score, for any RUN that was trained in epochs. The tables of several are separated by blank lines, and a line
    `# RUN` stands before each.
    """
    if what == "weights" and (lags or chunks):
        raise UsageError(f"--{'lags' if lags else 'chunks'}: is for gradients")
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise UsageError(f"{twice}: is given twice")
    run(
        what,
        folders,
        output,
        {"lags": lags or LAGS, "chunks": chunks or CHUNKS} if what == "gradients" else {},
        messages,
    )


def run(
    what: str, folders: tuple[str, ...], output: str | None, options: Mapping[str, int], messages: Messages
) -> None:
    """Computes what is asked for, draws it if there is an output, and writes the table."""
    from textkit.drawing import chart, picture
    from textkit.streams.output import output_file

    if output is not None:
        picture.refuse(output)
    with protected_stdout() as out:
        from textkit.training import inspecting
        from textkit.training.run import Run

        work = inspecting.gradients if what == "gradients" else inspecting.norms
        found: dict[str, Any] = {folder: work(Run.open(Path(folder)), **options) for folder in folders}
        missing = ""
        if output is not None:
            draw = chart.gradients if what == "gradients" else chart.weights
            with output_file(output) as stream:
                missing = picture.save(stream, output, "".join(folders), lambda: draw(found))
        for line in gradient_lines(found) if what == "gradients" else weight_lines(found):
            out.write(line.encode("utf-8", "replace") + b"\n")
    if missing:
        messages.warn(f"no font on this machine has {missing}: drawn as boxes")


def gradient_lines(found: Mapping[str, Gradients]) -> Iterator[str]:
    """The table of gradients: lag and norm; for one run its parts too, for several one column each."""
    if len(found) == 1:
        (one,) = found.values()
        columns = {"norm": one.norm, **one.parts}
    else:
        columns = {name: run.norm for name, run in found.items()}
    yield _row("lag", *columns)
    for lag, row in enumerate(zip(*columns.values(), strict=True)):
        yield _row(lag, *row)


def weight_lines(found: Mapping[str, Norms]) -> Iterator[str]:
    """The table of weights: one row for each epoch."""
    for at, (name, run) in enumerate(found.items()):
        if len(found) > 1:
            yield from [""] * bool(at)
            yield f"# {escaped(name)}"
        columns = {"loss": run.loss}
        columns |= {f"dev {run.name}": run.score} if run.name else {}
        columns |= {} if _blank(run.dev_loss) else {"dev loss": run.dev_loss}
        yield _row("epoch", "update", *columns, "all", *run.parameters)
        rows = zip(run.epoch, run.update, *columns.values(), run.whole, *run.norm.T, strict=True)
        for epoch, update, *numbers in rows:
            yield _row(int(epoch), int(update), *numbers)


def _row(*cells: Any) -> str:
    """The cells with tabs between them; NaN is an empty cell."""
    return "\t".join(_cell(cell) for cell in cells)


def _cell(cell: Any) -> str:
    if isinstance(cell, str):
        return escaped(cell, tabs=True)
    if isinstance(cell, int):
        return str(cell)
    return "" if cell != cell else f"{cell:.6g}"


def _blank(column: Any) -> bool:
    return all(number != number for number in column)
