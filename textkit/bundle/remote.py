"""Models in object stores and other file systems that fsspec reads (s3://, gs://, ...), copied to this machine once.

A copy lies in the user's cache folder under the hash of the model's manifest, which has the hashes of all its files. They are
checked when the copy is opened, as those of any model.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from textkit.bundle.manifest import FILE, MAX_BYTES, is_name
from textkit.errors import TextkitError, one_line, pip_install
from textkit.temporary import beside, put

_BLOCK = 1 << 20


def fetched(model: str) -> Path:
    """The folder of this machine's copy of the model at the address `model`.

    Raises TextkitError that names the address where there is no model, where it cannot be read, and where fsspec or what it
    needs for this kind of store is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise TextkitError(f"{model}: needs fsspec, which is not installed: {pip_install('remote')}") from None
    try:
        store, root = url_to_fs(model)
        manifest = store.cat_file(f"{root}/{FILE}", end=MAX_BYTES + 1)
    except FileNotFoundError:
        raise TextkitError(f"{model}: no model there") from None
    except Exception as error:  # each kind of store has its own: a missing package, credentials, the network
        raise TextkitError(f"{model}: cannot be read: {one_line(error)[:200]}") from error
    folder = _cache() / hashlib.sha256(manifest).hexdigest()[:32] / _name(model, manifest)
    if not (folder / FILE).is_file():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with beside(folder, folder=True) as copy:
                for name, size in _files(model, manifest).items():
                    _copy(store, f"{root}/{name}", copy / name, size)
                (copy / FILE).write_bytes(manifest)
                put(copy, folder)
        except TextkitError:
            raise
        except Exception as error:
            raise TextkitError(f"{model}: cannot be copied to {folder}: {one_line(error)[:200]}") from error
    return folder


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("textkit", appauthor=False) / "models"


def _name(model: str, manifest: bytes) -> str:
    values = _values(model, manifest)
    name = values.get("name")
    return str(name) if is_name(name) else "model"


def _files(model: str, manifest: bytes) -> dict[str, int]:
    """The files that a manifest names, with their sizes; what else is wrong with it is found when the copy is opened."""
    files = _values(model, manifest).get("files")
    if isinstance(files, dict) and all(is_name(name) and isinstance(one, dict) for name, one in files.items()):
        sizes = {name: one.get("bytes") for name, one in files.items() if name != FILE}
        if all(isinstance(size, int) and 0 <= size < 1 << 31 for size in sizes.values()):
            return sizes
    raise TextkitError(f"{model}: its {FILE} is no model's")


def _values(model: str, manifest: bytes) -> dict[str, Any]:
    try:
        values = json.loads(manifest) if len(manifest) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise TextkitError(f"{model}: its {FILE} is no model's")
    return values


def _copy(store: Any, path: str, place: Path, size: int) -> None:
    """Copies a file; of one that is longer than it should be no more than that shows."""
    with store.open(path, "rb") as source, open(place, "wb") as target:
        left = size + 1
        while left and (data := source.read(min(left, _BLOCK))):
            target.write(data)
            left -= len(data)
        target.flush()
        os.fsync(target.fileno())
