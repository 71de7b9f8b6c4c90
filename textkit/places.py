"""Where models lie and which one is meant: folders, the environment, the user's configuration. Opens no model."""

from __future__ import annotations

import importlib.util
import os
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from textkit.errors import TextkitError, UsageError, nearest
from textkit.manifest import FILE, is_name
from textkit.tasks import TASKS

HERE = Path("exported_models")  # of the current folder; for a name given with -m alone
DEFAULTS = {"embed": "en-words", "language": "en-lm", "translate": "en-de"}  # task -> the package's model


def find(model: str | None, task: str) -> Path:
    """The folder of the model that `-m MODEL` means; of the task's default where `model` is None.

    A name is looked for in ./exported_models, the user's folder and the package. The default is what
    TEXTKIT_MODEL_<TASK>, the user's configuration, or the package says, and never what the current folder holds.
    Raises UsageError for an unknown name, with the nearest one; TextkitError for a path where there is nothing.
    """
    if model == "":  # as a path it would be the current folder
        raise UsageError("-m '': names no model")
    if model is not None:
        return _resolve(model, f"-m {model}", [HERE, user_folder(), package_folder()])
    variable = _variable(task)
    if chosen := os.environ.get(variable):
        return _resolve(chosen, f"{variable}={chosen}", [user_folder(), package_folder()])
    if chosen := configured(task):
        where = f"{configuration_file()}: {task} = {chosen!r}"
        return _resolve(chosen, where, [user_folder(), package_folder()], configuration_file().parent)
    folder = package_folder() / DEFAULTS[task]
    if not folder.is_dir():
        raise TextkitError(f"the default model {DEFAULTS[task]!r} is not installed; name one with -m or {variable}")
    return folder


def _variable(task: str) -> str:
    return f"TEXTKIT_MODEL_{task.upper()}"


def installed() -> Iterator[tuple[str, Path]]:
    """Every folder that may be a model, as (where, folder): './exported_models', 'user', 'package'. Opens none."""
    seen: set[Path] = set()
    for where, shelf in ((f"./{HERE}", HERE), ("user", user_folder()), ("package", package_folder())):
        if not shelf.is_dir() or shelf.resolve() in seen:
            continue
        seen.add(shelf.resolve())
        for folder in sorted(shelf.iterdir()):
            if folder.is_dir() and is_name(folder.name) and not folder.name.startswith("__"):
                yield where, folder


def user_folder() -> Path:
    """Where the user's own models lie."""
    from platformdirs import user_data_path

    return user_data_path("textkit", appauthor=False) / "models"


def configuration_file() -> Path:
    """The user's config.toml: `[models]`, and under it a task = "name or path" each."""
    from platformdirs import user_config_path

    return user_config_path("textkit", appauthor=False) / "config.toml"


@cache
def package_folder() -> Path:
    """Where the models that came with textkit lie: the package textkit_models, found without importing it."""
    spec = importlib.util.find_spec("textkit_models")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]).resolve() if places else Path(__file__).resolve().parent.parent / "exported_models"


def configured(task: str) -> str | None:
    """What the user's configuration names for `task`. Raises TextkitError for a file that is not as it should be."""
    file = configuration_file()
    try:
        data = tomllib.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise TextkitError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TextkitError(f"{file}: not TOML: {error}") from error
    for key in data:
        if key != "models":
            raise TextkitError(f"{file}: unknown key {key!r}{nearest(key, ['models'])}")
    models = data.get("models", {})
    if not isinstance(models, dict):
        raise TextkitError(f"{file}: 'models' is not a table")
    for key, value in models.items():
        if key not in TASKS:
            raise TextkitError(f"{file}: unknown task {key!r}{nearest(key, TASKS)}")
        if not isinstance(value, str) or not value:
            raise TextkitError(f"{file}: {key} is not the name of a model")
    return models.get(task)


def _resolve(model: str, where: str, shelves: list[Path], base: Path = Path()) -> Path:
    """The folder of a name or a path; relative paths begin at `base`."""
    if is_name(model):
        for shelf in shelves:
            if (shelf / model).is_dir():
                return shelf / model
        if not (HERE in shelves and (Path(model) / FILE).is_file()):  # a folder beside one, as `-o DIR` made it
            names = {folder.name for place, folder in installed() if HERE in shelves or place != f"./{HERE}"}
            raise UsageError(f"{where}: unknown model{nearest(model, names)}")
    path = base / Path(model).expanduser()
    if not path.exists():
        raise TextkitError(f"{where}: no such model folder")
    return path
