"""`textkit distill`: a small model out of a large one, or of several. Plans the student and hands it to the training.

The branch for translators, which first translate, is in distill_translations.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from textkit.cli.options import Messages, encoding_option, message_options, threads_option, training_device_option
from textkit.cli.setting_options import MEGABYTES, Number
from textkit.cli.verb import Remembering, examples
from textkit.defaults import SEED
from textkit.searching.settings import SEARCH
from textkit.verbs.distill_translations import placed, translates, translating, translator

if TYPE_CHECKING:
    from textkit.plugin import Source
    from textkit.text.rule import TextRule

PLUGIN = "sentence-encoder"


@click.command(
    cls=Remembering,
    epilog=examples(
        "textkit distill all-MiniLM-L6-v2 text.txt.gz -o run --max-mb 10",
        "textkit distill ./teacher lines.txt -o run --static",
        "textkit distill en-de pairs.tsv more-english.txt --dev dev.tsv -o run",
        "textkit distill --teacher A --teacher B pairs.tsv -o run --n-best 4",
        "textkit distill en-de pairs.tsv -o run --init en-de --layers 12",
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
    type=MEGABYTES,
    default=10,
    show_default=True,
    metavar="MB",
    help="Size of the model in int8.",
)
@click.option(
    "--layers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Layers of the student. Default: half of the teacher's. A translator's encoder: 6.",
)
@click.option(
    "--static", is_flag=True, help="Make a table of tokens' vectors: the fastest model, which sees no context."
)
@click.option(
    "--dim", type=click.IntRange(min=1), metavar="N", help="Numbers per vector of a static model. Default: 256."
)
@click.option(
    "--teacher", "teachers", multiple=True, metavar="MODEL",
    help="A translator to learn from, instead of TEACHER; repeat it for several.",
)  # fmt: skip
@click.option(
    "-n",
    "--n-best",
    type=Number(SEARCH["n_best"]),
    metavar="N",
    help="Translations of a line to choose from. Default: 1.",
)
@click.option(
    "-b",
    "--beam-size",
    type=Number(SEARCH["beam_size"]),
    metavar="N",
    help="Of the teachers. Default: each one's own, or --n-best.",
)
@click.option("--references", is_flag=True, help="Learn from the pairs of TEXT themselves, too.")
@click.option(
    "--config", metavar="F.toml", type=click.Path(path_type=Path), help="The student's options, for translators."
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="An option of the training, as for textkit train."
)
@click.option(
    "--init", metavar="MODEL", help="Begin with a translator's weights, often the teacher's own; it says the size, too."
)
@click.option("--seed", type=Number(SEARCH["seed"]), metavar="N", help=f"Seed of all randomness. Default: {SEED}.")
@click.option("--resume", is_flag=True, help="Go on with the run; nothing else need be repeated.")
@encoding_option
@training_device_option
@threads_option
@message_options
@click.pass_context
def distill(
    ctx: click.Context, messages: Messages, folder: Path, resume: bool, teacher: str | None, teachers: tuple[str, ...],
    config: Path | None, init: str | None, **rest: Any,
) -> None:  # fmt: skip
    """Teach a small model what the model TEACHER knows, from the lines of TEXT.

    An embedding model (a name or folder, or the folder of a sentence-transformers checkpoint) teaches a student to embed lines
    as it does. TEXT needs no labels. The student begins with layers of a transformer's own, and with the tokens that TEXT has
    most, as many as --max-mb leaves room for. Then it learns the teacher's vectors for the lines and for parts of them. These
    vectors are computed once and kept in RUN until the training is complete.

    A translator teaches by its translations. TEXT holds lines of the source language, or pairs (source, tab, reference).
    Each line is translated once, into RUN/distilled/pairs.tsv. With --n-best or several teachers, the translation most like
    the reference is taken, and without a reference the one that the others agree with most. Doubtful ones are left out. The
    student then learns these pairs. It is a transformer with a deep encoder and a decoder without self-attention, as large as
    --max-mb allows, or what --config says, or what --init has.
    """
    from textkit.verbs.train import run_training

    of_translators = {key: rest.pop(key) for key in ("n_best", "beam_size", "references")}
    static, dim, most, layers = (rest.pop(key) for key in ("static", "dim", "max_mb", "layers"))
    rest |= {"command": ctx.meta[Remembering.KEY], "config": None, "tensorboard": False}
    if resume and not translating(folder):
        return run_training(messages, folder, True, plugin=None, init=None, **rest)
    if teachers and teacher is not None:
        rest["data"], teacher = (Path(teacher), *rest["data"]), None
    names = tuple(map(placed, (*teachers, *filter(None, [teacher]))))
    if not names and not resume:
        raise click.UsageError("missing argument TEACHER: the model to learn from", ctx)
    if resume or teachers or translates(names[0]):
        if static or dim is not None:
            raise click.UsageError(
                f"--{'static' if static else 'dim'}: is for models that embed, and these translate", ctx
            )
        _check_size(ctx, layers, config, init)
        size = {"most": most, "layers": layers}
        rest |= {"config": config, "init": init and placed(init)}
        return translator(messages, folder, resume, names, size, **of_translators, **rest)
    for key, value in {**of_translators, "config": config, "init": init}.items():
        if value:
            raise click.UsageError(f"--{key.replace('_', '-')}: is for teachers that translate", ctx)
    if dim is not None and not static:
        raise click.UsageError("--dim: is for --static; a transformer has the teacher's", ctx)
    if layers is not None and static:
        raise click.UsageError("--layers: has no effect with --static", ctx)
    given = dict(assignment.split("=", 1) for assignment in rest["assignments"] if "=" in assignment)
    if not rest["data"]:
        raise click.UsageError(
            "missing argument TEXT: lines for the teacher, as in: textkit distill MODEL text.txt -o run", ctx
        )
    planned = plan(names[0], most, layers, (dim or 256) if static else 0, given.get("feedforward"))
    messages.hint(", ".join(f"{key} {value}" for key, value in planned.items() if key not in ("objective", "teacher")))
    rest["assignments"] = [*(f"{key}={value}" for key, value in planned.items()), *rest["assignments"]]
    return run_training(messages, folder, False, plugin=PLUGIN, init=names[0], **rest)


def _check_size(ctx: click.Context, layers: int | None, config: Path | None, init: str | None) -> None:
    """Raises UsageError where the size of a student that translates is said twice."""
    said = ctx.get_parameter_source("max_mb") is not ParameterSource.DEFAULT
    if config is not None and (said or layers is not None):
        raise click.UsageError(
            f"--{'max-mb' if said else 'layers'}: has no effect with --config, which says the size", ctx
        )
    if init is not None and said:
        raise click.UsageError("--max-mb: has no effect with --init, whose model says the size", ctx)


def plan(teacher: str, most: float, layers: int | None, dim: int, feedforward: str | None = None) -> dict[str, Any]:
    """The options of the student. `most`: its size in MB; `dim`: of a static one, 0 for a transformer; `feedforward`: what
    the user sets, None for the teacher's."""
    from textkit.errors import UsageError
    from textkit.training.initial import source_of

    source = source_of(teacher, "TEACHER")
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
