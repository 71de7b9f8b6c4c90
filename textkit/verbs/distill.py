"""`textkit distill`: a small embedding model out of a large one. Plans the student and hands it to the training."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textkit.cli.options import Messages, device_option, encoding_option, message_options, threads_option
from textkit.cli.setting_options import Number
from textkit.cli.verb import Remembering, examples
from textkit.defaults import SEED
from textkit.searching.settings import SEARCH

if TYPE_CHECKING:
    from textkit.plugin import Source
    from textkit.text.rule import TextRule

PLUGIN = "sentence-encoder"


@click.command(
    cls=Remembering,
    epilog=examples(
        "textkit distill all-MiniLM-L6-v2 text.txt.gz -o run --max-mb 10",
        "textkit distill ./teacher lines.txt -o run --static",
        "textkit distill -o run --resume               # after Ctrl-C, a crash, kill -9",
        "textkit export-onnx run -o small --precision int8",
    ),
)
@click.argument("teacher", required=False)
@click.argument("data", metavar="[TEXT]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "folder", metavar="RUN", required=True, type=click.Path(path_type=Path), help="Folder of the run."
)
@click.option("--dev", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="Lines for the dev score.")
@click.option(
    "--max-mb",
    type=float,
    default=10,
    show_default=True,
    metavar="MB",
    help="Size of the model in int8.",
)
@click.option(
    "--layers", type=click.IntRange(min=1), metavar="N", help="Layers of the student. Default: half of the teacher's."
)
@click.option(
    "--static", is_flag=True, help="Make a table of tokens' vectors: the fastest model, which sees no context."
)
@click.option(
    "--dim", type=click.IntRange(min=1), metavar="N", help="Numbers per vector of a static model. Default: 256."
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="An option of the training, as for textkit train."
)
@click.option("--seed", type=Number(SEARCH["seed"]), metavar="N", help=f"Seed of all randomness. Default: {SEED}.")
@click.option("--resume", is_flag=True, help="Go on with the run; nothing else need be repeated.")
@encoding_option
@device_option
@threads_option
@message_options
@click.pass_context
def distill(ctx: click.Context, messages: Messages, folder: Path, resume: bool, **rest: Any) -> None:
    """Teach a small model to embed lines as the model TEACHER does, from the lines of TEXT, which need no labels.

    TEACHER is an embedding model: a model's name or folder, or the folder of a sentence-transformers checkpoint. The student
    begins with layers of a transformer's own, and with the tokens that TEXT has most, as many as --max-mb leaves room for.
    Then it learns the teacher's vectors for the lines and for parts of them. These vectors are computed once and kept in RUN
    until the training is complete.
    """
    from textkit.verbs.train import run_training

    teacher, static, dim = rest.pop("teacher"), rest.pop("static"), rest.pop("dim")
    most, layers = rest.pop("max_mb"), rest.pop("layers")
    rest |= {"command": ctx.meta[Remembering.KEY], "config": None, "tensorboard": False}
    if resume:
        return run_training(messages, folder, True, plugin=None, init=None, **rest)
    if teacher is None:
        raise click.UsageError("missing argument TEACHER: the model to learn from", ctx)
    if dim is not None and not static:
        raise click.UsageError("--dim: is for --static; a transformer has the teacher's", ctx)
    if layers is not None and static:
        raise click.UsageError("--layers: has no effect with --static", ctx)
    teacher = os.path.abspath(teacher) if os.path.exists(teacher) else teacher
    given = dict(assignment.split("=", 1) for assignment in rest["assignments"] if "=" in assignment)
    planned = plan(teacher, most, layers, (dim or 256) if static else 0, given.get("feedforward"))
    messages.hint(", ".join(f"{key} {value}" for key, value in planned.items() if key not in ("objective", "teacher")))
    rest["assignments"] = [*(f"{key}={value}" for key, value in planned.items()), *rest["assignments"]]
    return run_training(messages, folder, False, plugin=PLUGIN, init=teacher, **rest)


def plan(teacher: str, most: float, layers: int | None, dim: int, feedforward: str | None = None) -> dict[str, Any]:
    """The options of the student. `most`: its size in MB; `dim`: of a static one, 0 for a transformer; `feedforward`: what
    the user sets, None for the teacher's."""
    from textkit.errors import UsageError
    from textkit.training.initial import source_of

    source = source_of(teacher)
    if source.rule is None or "dim" not in source.options:
        raise UsageError(f"TEACHER {teacher}: no encoder that a student could begin with")
    bytes_left = int(most * 1e6) - _AROUND
    per_token = _per_token(source.rule)
    common = {"objective": "teacher", "teacher": teacher, "dropout": 0}
    if dim:
        width = _width(source)
        dim, projected = min(dim, width), {"projected": width} if dim < width else {}
        more = {"encoder": "bag", "weighting": "idf", "pooling": "mean", "dim": dim, **projected}
        return {**common, **more, "vocab_size": _tokens(source, int(bytes_left / (dim + 4 + per_token)), most)}
    if source.options.get("encoder") != "transformer":
        raise UsageError(
            f"TEACHER {teacher}: is no transformer, whose layers a student could take; --static makes a table"
        )
    size = int(source.options["dim"])
    wanted = layers or max(1, int(source.options["layers"]) // 2)
    units = int(source.options["feedforward"])
    if feedforward is not None and feedforward.isdecimal():  # any other value is refused with the rest of the options
        units = min(units, int(feedforward))
    # A byte for each weight, and 4 for each scale, bias and number of a norm; positions have 2.
    each = 4 * size * size + 2 * size * units + 4 * (14 * size + 2 * units) + _LAYER
    bytes_left -= wanted * each + 2 * size * int(source.options["positions"])
    return {**common, "layers": wanted, "vocab_size": _tokens(source, int(bytes_left / (size + 4 + per_token)), most)}


# Bytes of a model in int8 that are no weights. Measured: those of en-sentences are 13,500 and 4,200.
_AROUND = 30_000  # of the manifest, which lists the data, and of the nodes and names around the layers
_LAYER = 5_000  # of the nodes and names of a layer
_LEAST = 1000  # tokens with which a text is still more than letters


def _per_token(rule: TextRule) -> float:
    """The bytes of tokenizer.json for each token, as a smaller one is written: 15 for WordPiece, 30 for pairs with merges."""
    from textkit.text.rule import TOKENIZER_FILE

    content = json.loads(rule.files().get(TOKENIZER_FILE, b"{}"))
    return len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()) / len(rule)


def _width(source: Source) -> int:
    return int(source.options.get("output") or source.options["dim"])


def _tokens(source: Source, room: int, most: float) -> int:
    from textkit.errors import UsageError

    assert source.rule is not None
    if room < _LEAST:
        raise UsageError(
            f"--max-mb {most:g}: leaves room for {max(room, 0)} tokens, and {_LEAST} are the least; fewer --layers need less"
        )
    return min(room, len(source.rule))
