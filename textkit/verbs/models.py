"""`textkit models`: the exported models that can be served, and the broken ones with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from textkit.cli.options import Messages, list_format_option, message_options
from textkit.cli.stdout import protected_stdout
from textkit.cli.verb import Verb, examples
from textkit.errors import MOST_QUOTED, TextkitError, one_line, quoted

_LONGEST = 400  # characters of a reason


@dataclass(frozen=True)
class Model:
    """One line of the list. `default`: it serves its task if no -m is given. `problem`: None for a sound model."""

    name: str  # what -m takes
    where: str  # ./exported_models, user or package
    folder: str
    task: str = ""
    source_language: str | None = None  # of a translator, where it is stated
    target_language: str | None = None
    default: bool = False
    bytes: int = 0
    precision: str = ""
    dim: int | None = None
    license: str = ""
    scores: list[Any] = field(default_factory=list)
    data: list[Any] = field(default_factory=list)  # what it was trained on
    made: dict[str, Any] = field(default_factory=dict)  # the commands that made it
    problem: str | None = None


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit models",
        "textkit models --format json",
    ),
)
@list_format_option
@message_options
def models(form: str, messages: Messages) -> None:
    """List the models that can be served: those in ./exported_models, in your own folder, and in the package.

    A model marked * serves its task if no -m is given.
    """
    from textkit.cli.tables import write_json, write_table

    with protected_stdout() as out:
        found = list(listed(messages))
        if form == "json":
            write_json(out, {"models": [asdict(model) for model in found]})
            return
        write_table(
            out, ("MODEL", "TASK", "LANGUAGES", "WHERE", "SIZE", "PRECISION", "DIM", "SCORES"), map(_row, found)
        )


def listed(messages: Messages) -> Iterator[Model]:
    """Every installed model, read and checked whole; a broken one with the reason, whatever it raises."""
    from textkit.bundle.bundle import installed, read

    defaults = _defaults(messages)
    for where, folder in installed():
        name, at = folder.name, str(folder)
        try:
            bundle = read(folder)
            bundle.verify()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a library that panics raises something that is no Exception
            yield Model(name, where, at, problem=reason(error))
            continue
        about = bundle.manifest
        size = sum(file["bytes"] for file in about.files.values())
        default = folder.resolve() in defaults
        source, target = (about.text.get(key) or None for key in ("source_language", "target_language"))
        yield Model(
            name, where, at, about.task, source, target, default, size, about.precision, about.dim, about.licence,
            list(about.scores), list(about.data), dict(about.made),
        )  # fmt: skip


def reason(error: BaseException) -> str:
    """What is wrong with a model, in one line of a few hundred characters."""
    text = str(error) if isinstance(error, TextkitError) else one_line(error)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _defaults(messages: Messages) -> set[Path]:
    """The folders of the tasks' default models."""
    from textkit.bundle.bundle import find
    from textkit.task_registry import tasks

    found = set()
    for task in tasks.with_default_models():
        try:
            found.add(find(None, task).resolve())
        except TextkitError as error:
            messages.warn(error)
    return found


def _row(model: Model) -> tuple[str, ...]:
    if model.problem:
        return (model.name, "-", "-", model.where, "-", "-", "-", f"broken: {model.problem}")
    scores = ", ".join(_scores([score for score in model.scores if isinstance(score, dict)]))
    name = f"{model.name} *" if model.default else model.name
    size = f"{model.bytes / 1e6:.1f} MB"
    known = model.source_language or model.target_language
    languages = f"{model.source_language or '?'} to {model.target_language or '?'}" if known else "-"
    return (name, model.task, languages, model.where, size, model.precision, str(model.dim or "-"), scores or "-")


def _scores(scores: list[dict[str, Any]]) -> Iterator[str]:
    """The figures of the manifest in few words and significant digits, with the data's name if two have the same metric."""
    of = [score.get("metric") for score in scores]
    for score, metric in zip(scores, of, strict=True):
        value, data = score.get("value"), score.get("data")
        label = f"perplexity per {score.get('per', 'word')}" if metric == "perplexity" else _shown(metric)
        where = f" ({Path(data).stem})" if of.count(metric) > 1 and isinstance(data, str) else ""
        yield (
            f"{label} {value:.4g}{_shown(where)}"
            if isinstance(value, float)
            else f"{label} {_shown(value)}{_shown(where)}"
        )


def _shown(value: Any) -> str:
    """A value from a third-party manifest: a short string as it is, anything else quoted and cut."""
    return value if isinstance(value, str) and len(value) <= MOST_QUOTED else quoted(value)
