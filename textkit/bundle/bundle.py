"""An exported model's folder, read with suspicion; writing.py writes it. Knows no runtime and no plugin.

Every byte that is used was checked first: regular files inside the folder, their size and sha256, and for graphs a walk
of the protobuf. The hashes guard against damage; they do not prove who made a model.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit import process, temporary
from textkit.bundle import onnxfile
from textkit.bundle.manifest import FILE, MAX_BYTES, Manifest
from textkit.bundle.model_files import open_regular, read_file
from textkit.bundle.places import find, installed, names_for
from textkit.errors import TextkitError, quoted

if TYPE_CHECKING:
    from textkit.text.rule import TextRule

_MOST_BESIDE = 1 << 27  # bytes of a file other than a graph (words, tokenizer); tokenizer.json has its own bound
_MOST_BESIDES = 1 << 28  # bytes of all these files together
_CHUNK = 1 << 20

__all__ = ["Bundle", "Manifest", "find", "installed", "read"]


class Bundle:
    """A model's folder whose manifest is sound. Contents are read and checked when asked for."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the folder, the name and the manifest's hash, so that another machine finds its own copy of the model."""
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
        """Makes each TextkitError raised inside begin with the model's folder."""
        try:
            yield
        except TextkitError as error:
            text = str(error)
            raise TextkitError(text if text.startswith(str(self.folder)) else f"{self.folder}: {text}") from error

    def graph(self, name: str) -> bytes:
        """The ONNX bytes of a graph, checked: its size, sha256 and protobuf, and its ports against the manifest."""
        file = self.manifest.graphs[name]["file"]
        data = self._checked(file, onnxfile.MAX_BYTES)
        header = onnxfile.inspect(data, str(self.folder / file))
        if (header.inputs, header.outputs) != self.manifest.ports(name):
            raise TextkitError(f"{self.folder / file}: its ports are not those that {FILE} states")
        if self.manifest.task == "embed" and len(self.rule) > header.rows:  # each id is a row of a table
            raise TextkitError(f"{self.folder / file}: has {header.rows} rows, but {FILE} has {len(self.rule)} words")
        return data if header.folded else onnxfile.Unfolded(data)

    def file(self, name: str) -> bytes:
        """The bytes of a file that the manifest lists, checked: a regular file of the stated size and sha256."""
        return self._checked(name, _MOST_BESIDE)

    def _checked(self, name: str, most: int) -> bytes:
        stated = self._stated(name)
        data = read_file(self.folder, name, most, stated["bytes"])
        self._compare(name, hashlib.sha256(data).hexdigest())
        return data

    def _stated(self, name: str) -> Mapping[str, Any]:
        if name not in self.manifest.files:
            raise TextkitError(f"{self.folder / FILE}: lists no file {quoted(name)}")
        stated: Mapping[str, Any] = self.manifest.files[name]
        return stated

    def _compare(self, name: str, sha256: str) -> None:
        if sha256 != self._stated(name)["sha256"]:
            raise TextkitError(f"{self.folder / name}: damaged or edited: its sha256 is not the one that {FILE} states")

    def verify(self) -> None:
        """Reads everything once. Raises TextkitError for the first thing that is wrong."""
        for graph in self.manifest.graphs:
            self.graph(graph)
        graphs = graph_files(self.manifest)
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


def located(
    model: str | None, task: str, any_task: bool = False, default: str | None = None, asked: str = "-m"
) -> Bundle:
    """The model that `-m MODEL` means, or the default of `task` where `model` is None. `any_task`: a named one may have any.
    `default` and `asked`: as `find` has them.

    Raises what `find` and `read` raise.
    """
    return read(find(model, task, any_task, default, asked), None if any_task else task)


def read(folder: Path, task: str | None = None) -> Bundle:
    """The model in `folder`. Raises TextkitError, one line that names the file, for anything but a sound model.

    Checks the manifest, and that each file it lists is there, is a regular file and has the stated size; contents are
    checked when they are used. `task`: the task that the model must have.
    """
    folder = temporary.recovered(Path(folder))
    if not folder.is_dir():
        raise TextkitError(f"{folder}: {'not a folder' if folder.exists() else 'no such model folder'}")
    manifest = Manifest.from_json(read_file(folder, FILE, MAX_BYTES), str(folder / FILE))
    graphs = graph_files(manifest)
    for name, stated in manifest.files.items():
        os.close(open_regular(folder, name, onnxfile.MAX_BYTES if name in graphs else _MOST_BESIDE, stated["bytes"]))
    sizes = {name: stated["bytes"] for name, stated in manifest.files.items()}
    beside = sum(size for name, size in sizes.items() if name not in graphs)
    if beside > _MOST_BESIDES:
        raise TextkitError(
            f"{folder / FILE}: lists {beside} bytes of files other than graphs; at most {_MOST_BESIDES} are read"
        )
    # Graphs alone count: listing large files that nothing opens must not allow a graph more memory.
    process.model_bytes = max(process.model_bytes, sum(size for name, size in sizes.items() if name in graphs))
    if task is not None and manifest.task != task:
        others = ", ".join(names_for(task))
        there = f"; models for it: {others}" if others else ""
        raise TextkitError(f"{folder}: a model for {manifest.task!r}, not for {task!r}{there}")
    return Bundle(folder, manifest)


def _reopened(folder: str, name: str, digest: str) -> Bundle:
    """The model that was pickled: the one in its folder, or an installed one of its name with the same manifest."""
    places = [Path(folder), *(found for _, found in installed() if found.name in (name, Path(folder).name))]
    for place in places:
        with suppress(TextkitError, OSError):
            found = read(place)
            if found.digest == digest:
                return found
    raise TextkitError(
        f"{folder}: the model {name!r} that was pickled is not there, and no model of that name is the same"
    )


def graph_files(manifest: Manifest) -> set[str]:
    return {stated["file"] for stated in manifest.graphs.values()}
