"""Where models are, and which one is meant: folders, the environment, the user's configuration. Opens no model."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from textkit.bundle.manifest import FILE, MAX_BYTES, is_name
from textkit.errors import TextkitError, UsageError, nearest
from textkit.task_registry import tasks
from textkit.temporary import recover_all, recovered

HERE = Path("exported_models")  # in the current folder; searched only for a name given with -m


def find(model: str | None, task: str, any_task: bool = False, default: str | None = None, asked: str = "-m") -> Path:
    """The folder of the model that `-m MODEL` means, or of the task's default model where `model` is None.

    A name is looked up in ./exported_models, the user's folder and the package. The default is what
    TEXTKIT_MODEL_<TASK>, the user's configuration or the package says, and never what the current folder holds. `default`: the
    package's model for a verb that needs another than the task's. `asked`: the option or argument that names it.
    Raises UsageError for an unknown name, with the nearest model for `task` (of all models, where `any_task` is true);
    TextkitError for a path where there is nothing.
    """
    if model == "":  # as a path it would be the current folder
        raise UsageError(f"{asked} '': names no model")
    if model is not None and "://" in model:
        from textkit.bundle.remote import fetched

        return fetched(model)
    if model is not None:
        shelves = [HERE, user_folder(), package_folder()]
        return _resolve(model, f"{asked} {model}", shelves, None if any_task else task)
    if (folder := preferred(task)) is not None:
        return folder
    default = default or tasks.get(task).default_model
    if default is None:
        raise UsageError(f"the task {task!r} has no default model; name one with -m or {_variable(task)}")
    folder = package_folder() / default
    if not folder.is_dir():
        raise TextkitError(f"the default model {default!r} is not installed; name one with -m or {_variable(task)}")
    return folder


def preferred(task: str) -> Path | None:
    """The folder of the model that TEXTKIT_MODEL_<TASK> or the user's configuration names for `task`; None where none does.

    Raises UsageError for an unknown name, TextkitError for a path where there is nothing, and for a malformed configuration.
    """
    variable = _variable(task)
    if chosen := os.environ.get(variable):
        return _resolve(chosen, f"{variable}={chosen}", [user_folder(), package_folder()], task)
    if chosen := configured(task):
        where = f"{configuration_file()}: {task} = {chosen!r}"
        return _resolve(chosen, where, [user_folder(), package_folder()], task, configuration_file().parent)
    return None


def _variable(task: str) -> str:
    return f"TEXTKIT_MODEL_{task.upper().replace('-', '_')}"


def installed(here: bool = True) -> Iterator[tuple[str, Path]]:
    """Every folder that may be a model, as (where, folder): './exported_models' (if `here`), 'user', 'package'. Opens none."""
    seen: set[Path] = set()
    shelves = ((f"./{HERE}", HERE), ("user", user_folder()), ("package", package_folder()))
    for where, shelf in shelves if here else shelves[1:]:
        if not shelf.is_dir() or shelf.resolve() in seen:
            continue
        seen.add(shelf.resolve())
        recover_all(shelf)
        for folder in sorted(shelf.iterdir()):
            if folder.is_dir() and is_name(folder.name) and not folder.name.startswith("__"):
                yield where, folder


def user_folder() -> Path:
    """Where the user's own models are."""
    from platformdirs import user_data_path

    return user_data_path("textkit", appauthor=False) / "models"


def configuration_file() -> Path:
    """The user's config.toml: under `[models]`, one line `task = "name or path"` for each task."""
    from platformdirs import user_config_path

    return user_config_path("textkit", appauthor=False) / "config.toml"


@cache
def package_folder() -> Path:
    """Where the models that came with textkit are: the package textkit_models, found without importing it."""
    spec = importlib.util.find_spec("textkit_models")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]).resolve() if places else Path(__file__).resolve().parents[2] / "exported_models"


def configured(task: str) -> str | None:
    """What the user's configuration names for `task`. Raises TextkitError for a malformed file."""
    file = configuration_file()
    try:
        source = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise TextkitError(f"{file}: {error.strerror}") from error
    import tomllib  # as a rule there is no such file

    try:
        data = tomllib.loads(source.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TextkitError(f"{file}: not TOML: {error}") from error
    for key in data:
        if key != "models":
            raise TextkitError(f"{file}: unknown key {key!r}{nearest(key, ['models'])}")
    models = data.get("models", {})
    if not isinstance(models, dict):
        raise TextkitError(f"{file}: 'models' is not a table")
    for key, value in models.items():
        if key not in tasks:
            raise TextkitError(f"{file}: unknown task {key!r}{nearest(key, tasks.names())}")
        if not isinstance(value, str) or not value:
            raise TextkitError(f"{file}: {key} is not the name of a model")
    return models.get(task)


def names_for(task: str | None, here: bool = True) -> list[str]:
    """The names of the models for `task` (None: for any), as their manifests say. `here`: ./exported_models too."""
    return sorted({folder.name for _, folder in installed(here) if task is None or task_of(folder) == task})


def task_of(folder: Path) -> str | None:
    """The task that a folder's manifest states, with nothing else checked; None where it cannot be read."""
    task = stated(folder).get("task")
    return task if isinstance(task, str) else None


def stated(folder: Path) -> Mapping[str, Any]:
    """What a folder's manifest holds, with nothing checked; nothing where it cannot be read."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would block
        with open(descriptor, "rb") as stream:
            data = stream.read(MAX_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        values = json.loads(data) if len(data) <= MAX_BYTES else None
    except Exception:  # whatever is wrong with it: nobody asked for this model
        return {}
    return values if isinstance(values, dict) else {}


def _resolve(model: str, where: str, shelves: list[Path], task: str | None, base: Path = Path()) -> Path:
    """The folder of a name or a path; a relative path starts at `base`."""
    if is_name(model):
        for shelf in shelves:
            if (folder := recovered(shelf / model)).is_dir():
                return folder
        beside = HERE in shelves and recovered(Path(model))  # a folder in the current one, as `-o DIR` makes it
        if not (beside and (beside / FILE).is_file()):
            close = nearest(model, names_for(task, HERE in shelves))
            raise UsageError(f"{where}: unknown model{close or '; ' + repr('textkit models') + ' lists what there is'}")
    path = recovered(base / Path(model).expanduser())
    if not path.exists():
        raise TextkitError(f"{where}: no such model folder")
    return path
