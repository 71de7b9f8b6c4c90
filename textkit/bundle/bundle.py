"""An exported model's folder: read with suspicion, written whole or not at all. Knows no runtime and no plugin.

Every byte that is used was checked first: regular files inside the folder, their size and sha256, and for graphs a walk
of the protobuf. The hashes guard against damage; they do not prove who made a model.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit import process, temporary
from textkit.bundle import onnxfile
from textkit.bundle.manifest import FILE, MAX_BYTES, SCHEMA, Manifest, is_name, port_to_json
from textkit.bundle.model_files import open_regular, read_file
from textkit.bundle.places import find, installed, names_for
from textkit.errors import TextkitError, quoted
from textkit.task_registry import tasks
from textkit.version import __version__

if TYPE_CHECKING:
    from textkit.text.rule import TextRule

_MOST_BESIDE = (
    1 << 27
)  # bytes of a file that is no graph: words, vocabularies, tokenizers; a tokenizer.json has its own bound
_MOST_BESIDES = 1 << 28  # and of all of them
_CHUNK = 1 << 20

__all__ = ["Bundle", "Manifest", "amend", "find", "installed", "read", "write"]


class Bundle:
    """A model's folder whose manifest is sound. Contents are read and checked when asked for."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    def __reduce__(self) -> tuple[Any, ...]:
        """By its folder, and by its name and the hash of its manifest: on another machine that one's own copy is found."""
        return _reopened, (str(self.folder.absolute()), self.manifest.name, self.digest)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the manifest, which holds those of all other files."""
        return hashlib.sha256(read_file(self.folder, FILE, MAX_BYTES)).hexdigest()

    @cached_property
    def rule(self) -> TextRule:
        """How text becomes ids."""
        from textkit.text.rules import rule_from_spec

        with self._named():
            return rule_from_spec(self.manifest.text, self.file)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What is said of the model begins with its folder."""
        try:
            yield
        except TextkitError as error:
            text = str(error)
            raise TextkitError(text if text.startswith(str(self.folder)) else f"{self.folder}: {text}") from error

    def graph(self, name: str) -> bytes:
        """The ONNX bytes of a graph, checked: size, sha256, protobuf, and ports as the manifest states them."""
        file = self.manifest.graphs[name]["file"]
        data = self._checked(file, onnxfile.MAX_BYTES)
        header = onnxfile.inspect(data, str(self.folder / file))
        if (header.inputs, header.outputs) != self.manifest.ports(name):
            raise TextkitError(f"{self.folder / file}: its ports are not those that {FILE} states")
        if self.manifest.task == "embed" and len(self.rule) > header.rows:  # each id is a row of a table
            raise TextkitError(f"{self.folder / file}: has no {len(self.rule)} rows, which {FILE} says that words have")
        return data if header.folded else onnxfile.Unfolded(data)

    def file(self, name: str) -> bytes:
        """The bytes of a file the manifest lists, checked: a regular file of the stated size and sha256."""
        return self._checked(name, _MOST_BESIDE)

    def _checked(self, name: str, most: int) -> bytes:
        stated = self._stated(name)
        data = read_file(self.folder, name, most, stated["bytes"])
        self._compare(name, hashlib.sha256(data).hexdigest())
        return data

    def _stated(self, name: str) -> Mapping[str, Any]:
        if name not in self.manifest.files:
            raise TextkitError(f"{self.folder / FILE}: lists no file {quoted(name)}")
        return self.manifest.files[name]

    def _compare(self, name: str, sha256: str) -> None:
        if sha256 != self._stated(name)["sha256"]:
            raise TextkitError(f"{self.folder / name}: damaged or edited: its sha256 is not the one that {FILE} states")

    def verify(self) -> None:
        """Reads everything once. Raises TextkitError for the first thing that is wrong."""
        for graph in self.manifest.graphs:
            self.graph(graph)
        graphs = _graph_files(self.manifest)
        for name, stated in self.manifest.files.items():
            if name not in graphs:
                digest = hashlib.sha256()
                with open(open_regular(self.folder, name, _MOST_BESIDE, stated["bytes"]), "rb") as stream:
                    while chunk := stream.read(_CHUNK):
                        digest.update(chunk)
                self._compare(name, digest.hexdigest())
        rule = self.rule
        if not len(rule):
            raise TextkitError(f"{self.folder}: its vocabulary is empty")
        with self._named():
            rule.make_ready()


def read(folder: Path, task: str | None = None) -> Bundle:
    """The model in `folder`. Raises TextkitError with one line naming the file for whatever is not a sound model.

    Here the manifest is checked, and that each file it lists is there, regular and of its size; contents are checked
    when they are used. `task`: the task the model must have.
    """
    folder = temporary.recovered(Path(folder))
    if not folder.is_dir():
        raise TextkitError(f"{folder}: {'not a folder' if folder.exists() else 'no such model folder'}")
    manifest = Manifest.from_json(read_file(folder, FILE, MAX_BYTES), str(folder / FILE))
    graphs = _graph_files(manifest)
    for name, stated in manifest.files.items():
        os.close(open_regular(folder, name, onnxfile.MAX_BYTES if name in graphs else _MOST_BESIDE, stated["bytes"]))
    sizes = {name: stated["bytes"] for name, stated in manifest.files.items()}
    beside = sum(size for name, size in sizes.items() if name not in graphs)
    if beside > _MOST_BESIDES:
        raise TextkitError(
            f"{folder / FILE}: lists {beside} bytes of files that are no graphs; at most {_MOST_BESIDES} are read"
        )
    # What is never opened is no reason for a graph to have more memory.
    process.model_bytes = max(process.model_bytes, sum(size for name, size in sizes.items() if name in graphs))
    if task is not None and manifest.task != task:
        others = ", ".join(names_for(task))
        there = f"; models for it: {others}" if others else ""
        raise TextkitError(f"{folder}: a model for {manifest.task!r}, not for {task!r}{there}")
    return Bundle(folder, manifest)


def _reopened(folder: str, name: str, digest: str) -> Bundle:
    """The model that was pickled: in its folder, or wherever a model of its name is that has the same manifest."""
    places = [Path(folder), *(found for _, found in installed() if found.name in (name, Path(folder).name))]
    for place in places:
        with suppress(TextkitError, OSError):
            found = read(place)
            if found.digest == digest:
                return found
    raise TextkitError(
        f"{folder}: the model {name!r} that was pickled is not there, and no model of that name is the same"
    )


def _graph_files(manifest: Manifest) -> set[str]:
    return {stated["file"] for stated in manifest.graphs.values()}


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

    Written to a sibling, read back and verified, then put in its place in one step. An existing folder is replaced only
    when it is a model's and `overwrite` is asked for; an empty one is taken. Raises TextkitError; nothing is left behind
    then. Whenever the process is killed, the old model or the new one is there, whole.
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
            _write_file(sibling / file, content)
        read(sibling, task).verify()

    _place(folder, fill, overwrite)
    return folder


def _graph_entry(graph: str, model: bytes) -> dict[str, Any]:
    """What the manifest says of a graph. Raises TextkitError for a model that would not be read."""
    file = f"{graph}.onnx"
    header = onnxfile.inspect(model, file)
    inputs, outputs = ([port_to_json(port) for port in side] for side in (header.inputs, header.outputs))
    return {"file": file, "inputs": inputs, "outputs": outputs}


def _file_entry(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def amend(folder: Path, **changes: Any) -> Bundle:
    """Replaces keys of the manifest that describe the model (scores, parity, data, licence, made, name, defaults)."""
    bundle = read(folder)
    allowed = {"scores", "parity", "data", "licence", "made", "name", "defaults"}
    if not changes.keys() <= allowed:
        raise TextkitError(f"{folder}: {', '.join(sorted(changes.keys() - allowed))} cannot be amended")
    text = dataclasses.replace(bundle.manifest, **changes).to_json()
    Manifest.from_json(text, str(folder / FILE))
    try:
        with temporary.beside(folder / FILE) as sibling:
            _write_file(sibling, text)
            os.replace(sibling, folder / FILE)
    except OSError as error:
        raise TextkitError(f"{folder / FILE}: cannot be written: {error.strerror}") from error
    return read(folder)


def _write_file(path: Path, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def check_target(folder: Path, overwrite: bool) -> None:
    """Raises TextkitError where writing to `folder` would destroy something that was not asked for."""
    temporary.recovered(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise TextkitError(f"{folder}: exists and is not a folder")
    held = {entry.name for entry in os.scandir(folder)} if folder.exists() else set()
    held -= {path.name for path in temporary.leftovers(folder / FILE)}  # of a killed `amend`
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
        known |= {entry for entry in held if entry.endswith((".onnx", ".txt", ".json", ".i32"))}
    if held - known:
        raise TextkitError(f"{folder}: holds {', '.join(sorted(held - known))}, not the model's; it is left alone")


def _place(folder: Path, fill: Callable[[Path], None], overwrite: bool) -> None:
    """Makes a sibling of `folder`, fills it, and puts it in its place; takes everything back when that fails."""
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary.beside(folder, folder=True) as sibling:
            fill(sibling)
            _sync_folder(sibling)
            check_target(folder, overwrite)  # once more: another process may have been quicker
            temporary.put(sibling, folder)
            with suppress(OSError):  # it is in its place, whatever becomes of the disk
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
