"""The branch of `textkit distill` for teachers that translate: first they translate, then the student learns what they made."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit import signals
from textkit.cli.options import Messages
from textkit.verbs.train import run_training

if TYPE_CHECKING:
    from textkit.tasks.translate.distilling import Distillation, Done

PLUGIN = "transformer"
_SHOWN = 10.0  # seconds between two plain lines


def translates(teacher: str) -> bool:
    """Whether the model named `teacher` is there and translates."""
    from textkit.bundle import bundle
    from textkit.bundle.places import find
    from textkit.training.initial import is_checkpoint

    if os.path.isdir(teacher) and (is_checkpoint(Path(teacher)) or (Path(teacher) / "run.json").exists()):
        return False
    if os.path.isfile(teacher):
        return False
    return bundle.read(find(teacher, "", any_task=True, asked="TEACHER")).manifest.task == "translate"


def placed(name: str) -> str:
    """A model's folder by its full path, so that a training goes on from another folder; a name as it is."""
    return os.path.abspath(name) if os.path.exists(name) else name


def translating(folder: Path) -> bool:
    """Whether a run has not begun yet, as its teachers are still translating."""
    from textkit.training.run import DISTILLED

    return (folder / DISTILLED / "plan.json").exists() and not (folder / "run.json").exists()


def translator(
    messages: Messages, folder: Path, resume: bool, teachers: tuple[str, ...], size: dict[str, Any], n_best: int | None,
    beam_size: int | None, references: bool, **rest: Any,
) -> None:  # fmt: skip
    """Translates what is not translated yet, and then trains. `size`: what the student's options are planned by; `rest`: what
    `run_training` takes besides."""
    from textkit.errors import UsageError
    from textkit.streams import encoding
    from textkit.tasks.translate.distilling import Distillation, Teaching, opened
    from textkit.training.run import DISTILLED

    place = folder / DISTILLED
    if encoding.chosen() is not None:  # the training that follows reads made pairs and dev lines alike
        raise UsageError("--encoding: is for models that embed; what translators learn from is UTF-8")
    if resume:
        made, recipe = opened(place, rest["device"], rest["threads"])
        made.unchanged()
    else:
        texts = tuple(str(Path(path).resolve()) for path in rest["data"])
        beam = max(n_best, 4) if beam_size is None and n_best else beam_size
        made = Distillation(
            place, Teaching(teachers, texts, n_best or 1, beam, references), rest["device"], rest["threads"]
        )
        recipe = _recipe(messages, folder, made, size, rest)
        made.begin(recipe)
    _translate(messages, folder, made)
    file = recipe["config"]
    rest |= {key: recipe[key] for key in ("assignments", "seed", "command")}
    rest |= {
        "data": [made.pairs],
        "dev": list(map(Path, recipe["dev"])),
        "config": None if file is None else Path(file),
        "init": recipe.get("init"),
    }
    return run_training(messages, folder, False, plugin=PLUGIN, **rest)


def _recipe(
    messages: Messages, folder: Path, made: Distillation, size: dict[str, Any], rest: dict[str, Any]
) -> dict[str, Any]:
    """What the training will be given. Its mistakes are found before anything is translated, which may take hours."""
    from textkit import config
    from textkit.corpora.corpus import corpus_of
    from textkit.errors import UsageError
    from textkit.registry import registry
    from textkit.tasks.translate.student import plan
    from textkit.training.effects import check_options, check_said
    from textkit.training.initial import beginning
    from textkit.training.run import occupied

    if not rest["data"]:
        raise UsageError("missing argument TEXT: the files of lines that the teachers translate")
    if occupied(folder) or folder.exists():
        raise UsageError(f"-o {folder}: exists; give another folder, or --resume to go on with this run")
    assignments, planned, init = list(rest["assignments"]), {}, rest["init"]
    plugin, source, base = registry.get(PLUGIN), None, None
    if init is not None:  # the student has what the model has, but for what is said
        source, base = beginning(plugin, init)
        if rest["config"] is None:
            planned = {"decoder_autoreg": "ssru"} | ({"encoder_layers": size["layers"]} if size["layers"] else {})
            assignments = [*(f"{key}={value}" for key, value in planned.items()), *assignments]
    elif rest["config"] is None:
        given = dict(assignment.split("=", 1) for assignment in assignments if "=" in assignment)
        manifest, rule = made.teachers[0].bundle.manifest, made.teachers[0].rule
        options = manifest.made.get("options")
        text = {"source_language": rule.source_language, "target_language": rule.target_language}
        planned = plan(size["most"], size["layers"], given, {**text, **(options if isinstance(options, dict) else {})})
        assignments = [*(f"{key}={config.as_typed(value)}" for key, value in planned.items()), *assignments]
    options, training = config.resolve(plugin, rest["config"], assignments, base)
    check_said(plugin, config.said(plugin, rest["config"], assignments), options, training)
    check_options(plugin, training)
    if rest["dev"]:
        corpus_of(plugin, rest["dev"], options).check()
    if source is not None:
        rule = plugin.adopt(corpus_of(plugin, rest["data"], options), options, source)
        plugin.begin(plugin.network(options, rule), options, rule, source)
    if planned:
        messages.hint(", ".join(f"{key} {value}" for key, value in planned.items()))
    file = rest["config"]
    return {
        "assignments": assignments,
        "config": None if file is None else str(Path(file).resolve()),
        "dev": [str(Path(path).resolve()) for path in rest["dev"]],
        "init": init,
        "seed": rest["seed"],
        "command": list(rest["command"]),
    }


def _translate(messages: Messages, folder: Path, made: Distillation) -> None:
    from textkit.training.events import Stage
    from textkit.training.progress import display

    begun, first, shown = time.monotonic(), made.done, -_SHOWN
    done = first
    with ExitStack() as stack:
        screen = stack.enter_context(display(str(folder), messages.interactive, messages.quiet))
        try:
            for done in made.run():
                seconds = time.monotonic() - begun
                if messages.interactive or seconds - shown >= _SHOWN:
                    shown = seconds
                    screen.show(Stage(_progress(done, first, seconds)))
        except (KeyboardInterrupt, signals.Ended) as error:
            if signals.is_behind(error):
                error.add_note(f"{done.lines:,} lines are translated; go on with: textkit distill -o {folder} --resume")
            raise
    left = f"; {done.doubtful:,} lines without a translation beyond doubt were left out" if done.doubtful else ""
    messages.hint(f"{done.pairs:,} pairs of {done.lines:,} lines in {made.pairs}{left}")


def _progress(done: Done, first: Done, seconds: float) -> str:
    from textkit.cli.progress import clock

    rate = (done.lines - first.lines) / max(seconds, 1e-9)
    left = f", {clock((done.total - done.lines) / rate)} left" if rate else ""
    return f"translated {done.lines:,} of {done.total:,} lines, {rate:,.0f} lines/s{left}"
