"""Begins a run from what a user typed, or finds the run to go on with; lists the options. Knows no training loop."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import shutil
import textwrap
import tokenize
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textkit import config, signals
from textkit.corpora.corpus import corpus_of, describe_file
from textkit.defaults import SEED
from textkit.errors import TextkitError, UsageError
from textkit.plugin import Plugin, Source, Training
from textkit.registry import registry
from textkit.training.effects import check_options, check_said, has_score, unmet, without_effect
from textkit.training.run import DISTILLED, Run, occupied

# Options that may change when a run goes on: its result depends on none of them.
_FREE = ("checkpoint_seconds", "checkpoint_steps", "log_seconds")


@dataclass(frozen=True)
class Recipe:
    """What the user typed, unchanged; None or empty where the user gave nothing."""

    plugin: str | None
    data: Sequence[Path]
    dev: Sequence[Path]
    config: Path | None
    assignments: Sequence[str]
    seed: int | None
    command: Sequence[str] = ()
    init: str | None = None  # the model to begin with


@dataclass(frozen=True)
class Plan:
    """What a run is to be trained with. `given`: the options that the user set, or that --init brings along."""

    plugin: Plugin
    options: Any
    training: Training
    seed: int
    given: frozenset[str]
    source: Source | None = None  # what --init names

    def begun(self, folder: Path, recipe: Recipe, like: Run | None = None) -> Run:
        """A new run in `folder`. `like`: one with the same data, which then need not be read to describe it."""
        run = Run.create(
            folder, self.plugin, self.options, self.training, self.seed, recipe.data, recipe.dev, recipe.command,
            recipe.init, like,
        )  # fmt: skip
        run.source = self.source
        return run


def begin(folder: Path, recipe: Recipe) -> Run:
    """A new run. Every mistake that shows without reading all of the data is found before the folder is made."""
    recipe = with_beginning(recipe)
    return plan(folder, recipe).begun(folder, recipe)


def with_beginning(recipe: Recipe) -> Recipe:
    """The recipe, with the model to begin with where its plugin needs one and the user names none."""
    from textkit.bundle.places import find

    task = registry.get(recipe.plugin).begins_with if recipe.plugin and recipe.init is None else ""
    return dataclasses.replace(recipe, init=str(find(None, task))) if task else recipe


def plan(folder: Path, recipe: Recipe) -> Plan:
    """What the recipe says, checked as far as that can be done without reading all of the data."""
    if not recipe.plugin:
        raise UsageError("missing argument PLUGIN: the name of the model to train; textkit plugins lists them")
    plugin = registry.get(recipe.plugin)
    base = source = None
    if recipe.init is not None:
        from textkit.training.initial import beginning

        source, base = beginning(plugin, recipe.init)
    options, training = config.resolve(plugin, recipe.config, recipe.assignments, base)
    said = config.said(plugin, recipe.config, recipe.assignments)
    check_said(plugin, said, options, training)
    check_options(plugin, training)
    if not recipe.data:
        raise UsageError("missing argument DATA: the files to train on")
    if occupied(folder):
        raise UsageError(f"-o {folder}: exists; give another folder, or --resume to go on with this run")
    if recipe.dev and not has_score(plugin):
        raise UsageError(f"--dev: has no effect on {plugin.name}, which has no dev score")
    corpora = [corpus_of(plugin, paths, options) for paths in (recipe.data, recipe.dev) if paths]
    for corpus in corpora:
        corpus.check()
    if recipe.dev:
        corpora[0].check_dev(corpora[1])
    seed = SEED if recipe.seed is None else recipe.seed
    given = frozenset([*said, *(plugin.inherited if recipe.init is not None else ())])
    return Plan(plugin, options, training, seed, given, source)


def go_on(folder: Path, recipe: Recipe) -> Run:
    """The run in `folder`. Anything that is given again is compared with what was given at its start.

    Raises UsageError for a change of what must stay the same: the plugin, its options, the engine's options that the result
    depends on, the seed, the data. Options that are not given again stay as they were.

    A complete run goes on if engine options are given anew (more epochs, another learning rate, another optimizer). It
    starts from its best weights, and optimizer and schedule begin anew.
    """
    run = Run.open(folder)
    plugin = run.plugin
    if recipe.plugin not in (None, run.name):
        raise UsageError(f"--resume: {folder} is a run of {run.name}, not of {recipe.plugin}")
    _same("--seed", run.seed, run.seed if recipe.seed is None else recipe.seed)
    given, training = config.resolve(plugin, recipe.config, recipe.assignments, (run.config, run.training))
    changes = {}
    said = config.said(plugin, recipe.config, recipe.assignments)
    for key in said:
        if hasattr(run.config, key):
            _same(key, getattr(run.config, key), getattr(given, key))
        elif getattr(run.training, key) != getattr(training, key):
            if key not in _FREE and not run.complete:
                _same(key, getattr(run.training, key), getattr(training, key))
            changes[key] = getattr(training, key)
    again = run.complete and bool(changes.keys() - set(_FREE))
    if again:
        check_said(plugin, changes, run.config, training)
        check_options(plugin, training)
        training = lengthened(run, said, training)
    if again or not run.complete:
        for option, known, paths in (("DATA", run.data, recipe.data), ("--dev", run.dev, recipe.dev)):
            if paths:
                _same(option, [file["file"] for file in known], [str(Path(path).resolve()) for path in paths])
            _unchanged(known)
    if again:
        run.reopen(training, _reached(run))
    elif not run.complete:
        run.change(**changes)
    return run


def lengthened(run: Run, said: Sequence[str], training: Training) -> Training:
    """The options of a complete run that goes on, with `epochs` and `max_steps` set to its new end.

    An end that the user gave is counted from the run's very beginning; UsageError if the run has already reached it. An end
    that was not given, if it is reached, moves on by as much as the run has trained since it last began.
    """
    epochs, steps, begun = run.facts["epochs"], run.facts["steps"], run.again or {}
    if training.max_steps and steps >= training.max_steps:
        if {"epochs", "max_steps"} & set(said):
            advice = "; 0: epochs decide" if "epochs" in said else ""
            raise UsageError(
                f"--resume: max_steps={training.max_steps}: {steps} updates are done, set it higher to go on{advice}"
            )
        more = max(steps - begun.get("step", 0), 1)
        training = dataclasses.replace(training, max_steps=steps + more)
    if epochs >= training.epochs:
        if "epochs" in said:
            raise UsageError(f"--resume: epochs={training.epochs}: {epochs} are done, set it higher to go on")
        more = max(epochs - begun.get("epoch", 0), 1)
        training = dataclasses.replace(training, epochs=epochs + more)
    return training


def _reached(run: Run) -> dict[str, Any]:
    """The fields of the Position from which a complete run goes on."""
    facts = run.facts
    at = {"epoch": facts["epochs"], "step": facts["steps"]}
    at |= {f"first_{key}": value for key, value in at.items()}
    at |= {key: facts[key] for key in ("examples", "words", "seconds")} | {"last_loss": facts.get("loss")}
    if score := facts.get("dev_score"):
        at |= {"best": score["value"], "best_step": facts["best_step"], "best_detail": score}
    return at


@contextmanager
def swept(run: Run, fresh: bool) -> Iterator[None]:
    """Removes the folder of a `fresh` run that failed before it had anything to go on with."""
    try:
        yield
    except BaseException as error:
        nothing = fresh and (isinstance(error, Exception) or not run.has_vocabulary) and sweep(run)
        if nothing and signals.is_behind(error):
            error.add_note(f"nothing was written to {run.folder}")
        raise


def sweep(run: Run) -> bool:
    """Removes the folder of a run unless it holds something to go on with; returns whether it is gone."""
    if run.checkpoint.exists() or run.weights.exists() or (run.folder / DISTILLED).exists():
        return False
    shutil.rmtree(run.folder, ignore_errors=True)
    return True


@dataclass(frozen=True)
class Option:
    """One option for --set: its name, its default, its author's comment, and what it needs to have an effect where the
    defaults give it none."""

    name: str
    default: Any
    comment: str
    needs: str = ""


def options(plugin: Plugin) -> dict[str, list[Option]]:
    """All options that a training of the plugin obeys, the plugin's own first."""
    own = plugin.Config()
    needs, never = unmet(plugin, own, plugin.training), without_effect(plugin)
    groups = {plugin.name: _options(plugin.Config, own), "engine": _options(Training, plugin.training)}
    return {
        group: [
            dataclasses.replace(option, needs=needs.get(option.name, ""))
            for option in members
            if group != "engine" or option.name not in never
        ]
        for group, members in groups.items()
    }


def _options(cls: type, values: Any) -> list[Option]:
    comments: dict[str, str] = {}
    for part in reversed(cls.__mro__):
        comments |= _comments(part)
    fields = dataclasses.fields(cls)
    return [Option(field.name, getattr(values, field.name), comments.get(field.name, "")) for field in fields]


def _comments(cls: type) -> dict[str, str]:
    """The comment on the lines of each field, or above them, read from the source where it can be; else metadata["comment"]."""
    fields = getattr(cls, "__dataclass_fields__", {})
    told = {name: field.metadata["comment"] for name, field in fields.items() if "comment" in field.metadata}
    try:
        source = textwrap.dedent(inspect.getsource(cls))
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        (defined,) = ast.parse(source).body
    except (OSError, TypeError, SyntaxError, tokenize.TokenError, ValueError):
        return told
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    on_line = {token.start[0]: token.string.lstrip("# ") for token in comments}
    alone = {token.start[0] for token in comments if token.line.lstrip().startswith("#")}
    found = {}
    for node in defined.body if isinstance(defined, ast.ClassDef) else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            end = node.end_lineno or node.lineno
            lines = [number for number in range(node.lineno, end + 1) if number in on_line]
            if not lines:
                first = node.lineno
                while first - 1 in alone:
                    first -= 1
                lines = list(range(first, node.lineno))
            found[node.target.id] = " ".join(on_line[number] for number in lines)
    return {**told, **{name: comment for name, comment in found.items() if comment}}


def _same(what: str, before: Any, now: Any) -> None:
    if before != now:
        raise UsageError(f"--resume: {what} was {_shown(before)} when the run began, not {_shown(now)}; give a new -o")


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, (list, tuple)) else str(value)


def _unchanged(files: Sequence[dict[str, Any]]) -> None:
    for file in files:
        path = Path(file["file"])
        if describe_file(path)["sha256"] != file["sha256"]:
            raise TextkitError(f"{path}: is not the file that the run began with; give a new -o")
