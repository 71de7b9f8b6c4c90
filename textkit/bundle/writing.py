"""Writes a model's folder: beside its place, read back and verified, then put there whole or not at all. Knows no runtime."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit import temporary
from textkit.bundle import onnxfile
from textkit.bundle.bundle import Bundle, read
from textkit.bundle.manifest import FILE, SCHEMA, Manifest, is_name, port_to_json
from textkit.errors import TextkitError
from textkit.task_registry import tasks
from textkit.version import __version__

if TYPE_CHECKING:
    from textkit.text.rule import TextRule


def write(
    folder: Path,
    *,
    name: str,
    task: str,
    rule: TextRule,
    graphs: Mapping[str, bytes],
    plugin: Mapping[str, Any],
    limits: Mapping[str, Any],
    defaults: Mapping[str, Any],
    facts: Mapping[str, Any],
    data: Sequence[Any],
    licence: str,
    scores: Sequence[Any],
    parity: Mapping[str, Any],
    precision: str,
    made: Mapping[str, Any],
    overwrite: bool = False,
) -> Path:
    """Writes a model to `folder`, whole or not at all; returns the folder. `facts`: the task's own keys of the manifest.

    The model is written to a sibling, read back and verified, then put in its place in one step. An existing folder is
    replaced only if it is a model's and `overwrite` is true; an empty one is used. Raises TextkitError, and then leaves
    nothing behind. Whenever the process is killed, either the old model or the new one is there, whole.
    """
    folder = Path(os.path.abspath(folder))
    if not is_name(name):
        raise TextkitError(f"--name {name}: use letters, digits, '.', '_', '+' and '-', at most 100")
    check_target(folder, overwrite)
    contents = {f"{graph}.onnx": model for graph, model in graphs.items()} | dict(rule.files())
    manifest = Manifest(
        schema=SCHEMA, name=name, task=task, text=rule.spec(), plugin=dict(plugin), textkit=__version__,
        graphs={graph: _graph_entry(graph, model) for graph, model in graphs.items()},
        files={file: _file_entry(content) for file, content in contents.items()},
        limits=dict(limits), defaults=dict(defaults), facts=dict(facts), data=list(data), licence=licence, scores=list(scores),
        parity=dict(parity), precision=precision, made=dict(made),
        served_by=tasks.distribution(task),
    )  # fmt: skip
    try:
        text = manifest.to_json()
    except (TypeError, ValueError) as error:
        raise TextkitError(f"{folder}: the manifest cannot be written: {error}") from error

    def fill(sibling: Path) -> None:
        for file, content in [*contents.items(), (FILE, text)]:
            write_file(sibling / file, content)
        read(sibling, task).verify()

    place(folder, fill, lambda target: check_target(target, overwrite))
    return folder


def _graph_entry(graph: str, model: bytes) -> dict[str, Any]:
    """What the manifest says of a graph. Raises TextkitError for one that would not be read back."""
    file = f"{graph}.onnx"
    header = onnxfile.inspect(model, file)
    inputs, outputs = ([port_to_json(port) for port in side] for side in (header.inputs, header.outputs))
    return {"file": file, "inputs": inputs, "outputs": outputs}


def _file_entry(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def amend(folder: Path, **changes: Any) -> Bundle:
    """Replaces keys of the manifest that describe the model (scores, parity, data, licence, made, name, defaults, facts)."""
    bundle = read(folder)
    allowed = {"scores", "parity", "data", "licence", "made", "name", "defaults", "facts"}
    if not changes.keys() <= allowed:
        raise TextkitError(f"{folder}: {', '.join(sorted(changes.keys() - allowed))} cannot be amended")
    text = dataclasses.replace(bundle.manifest, **changes).to_json()
    Manifest.from_json(text, str(folder / FILE))
    try:
        with temporary.beside(folder / FILE) as sibling:
            write_file(sibling, text)
            os.replace(sibling, folder / FILE)
    except OSError as error:
        raise TextkitError(f"{folder / FILE}: cannot be written: {error.strerror}") from error
    return read(folder)


def write_file(path: Path, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def check_target(folder: Path, overwrite: bool) -> None:
    """Raises TextkitError where writing to `folder` would destroy something that nobody asked to replace."""
    temporary.recovered(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise TextkitError(f"{folder}: exists and is not a folder")
    held = {entry.name for entry in os.scandir(folder)} if folder.exists() else set()
    held -= {path.name for path in temporary.leftovers(folder / FILE)}  # left by a killed `amend`
    if not held:
        return
    if FILE not in held:
        raise TextkitError(f"{folder}: exists and is not a model's folder; it is left alone")
    if not overwrite:
        raise TextkitError(f"{folder}: holds a model already; --overwrite replaces it")
    known = {FILE}
    try:
        known |= read(folder).manifest.files.keys()
    except TextkitError:
        known |= {entry for entry in held if entry.endswith((".onnx", ".txt", ".json", ".i32", ".u8"))}
    if held - known:
        raise TextkitError(f"{folder}: holds {', '.join(sorted(held - known))}, not the model's; it is left alone")


def place(folder: Path, fill: Callable[[Path], None], check: Callable[[Path], None]) -> None:
    """Makes a sibling of `folder`, fills it and puts it in its place; undoes everything where that fails. `check` raises
    TextkitError where something is at `folder` that must stay."""
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary.beside(folder, folder=True) as sibling:
            fill(sibling)
            _sync_folder(sibling)
            check(folder)  # once more: another process may have been quicker
            temporary.put(sibling, folder)
            with suppress(OSError):  # the folder is in its place, even if this fails
                _sync_folder(folder.parent)
    except BaseException as error:
        if not folder.exists():
            for parent in made:
                _remove_empty(parent)
        if isinstance(error, OSError):
            raise TextkitError(f"{folder}: cannot be written: {error.strerror or error}") from error
        raise


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
