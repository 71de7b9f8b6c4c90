"""Writes an `embed` model as a folder that sentence-transformers opens, and proves first that its vectors are the model's.

encoder_write.py makes the folder of a transformer, static_write.py that of a table of vectors.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit import temporary
from textkit.bundle.weights import parsed
from textkit.bundle.writing import place, write_file
from textkit.errors import TextkitError, UsageError
from textkit.exporting.parity import STRANGE
from textkit.interop import encoder_write, static_write
from textkit.interop.encoder_sample import LINES
from textkit.interop.sentence_folder import Folder
from textkit.interop.word2vec_write import opened
from textkit.text.cleaning import cleaned

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder

FORMAT = "sentence-transformers"
_TOLERANCE = 5e-5  # of the largest number of all vectors; vectors of length 1 seldom have one above 0.2
_WORDS = 100  # of the model, where no other line can be compared
_LEAST_COSINE = 0.9  # of a line's two vectors, where the model computes with integers; wrong weights give about 0


def write_folder(
    model: str,
    folder: Path,
    device: str = "auto",
    threads: int | None = None,
    warn: Callable[[str], None] = lambda said: None,
) -> str:
    """Writes the model named `model` to `folder`, whole or not at all; returns what it wrote. `warn` is told what readers of
    the folder do in another way. Raises TextkitError, in one line, for a model that no such folder can hold exactly, and where
    something is at `folder`."""
    folder = Path(os.path.abspath(folder))
    check_free(folder)
    if os.path.isfile(model):
        raise UsageError(
            f"{model}: is a file; `textkit import` makes a model of it, and that can be written as {FORMAT}"
        )
    embedder = opened(model, device, threads)
    made = folder_of(embedder)
    check_vectors(made, embedder)
    files = dict(made.files) | {"README.md": _readme(embedder)}

    def fill(sibling: Path) -> None:
        for name, content in files.items():
            (sibling / name).parent.mkdir(parents=True, exist_ok=True)
            write_file(sibling / name, content)

    for said in made.notes:
        warn(said)
    place(folder, fill, check_free)
    return made.kind


def folder_of(embedder: Embedder) -> Folder:
    """The folder of a model. Raises TextkitError, in one line, for a model that no folder can hold."""
    bundle = embedder.bundle
    where = str(bundle.folder)
    stated: Any = bundle.manifest.made.get("options")
    options = stated if isinstance(stated, dict) else {}
    kind = options.get("encoder")
    if kind == "transformer":
        return encoder_write.made(embedder, options, where)
    if kind == "bag" or (kind is None and _is_table(bundle.graph("embed"))):
        return static_write.made(embedder, where)
    what = (
        f"its encoder is {str(kind)[:50]!r}" if kind else f"a model of {str(bundle.manifest.plugin.get('name'))[:50]!r}"
    )
    raise TextkitError(
        f"{where}: {what}; a transformer like BERT with mean, max or cls pooling, and a table of vectors that are averaged, "
        f"can be written as {FORMAT}"
    )


def check_vectors(made: Folder, embedder: Embedder) -> None:
    """Raises TextkitError where the folder's vectors are not those of the model, for ordinary lines and strange ones; for words
    of the model where it knows no word of these. Raises it too where there is nothing to compare."""
    lines = _comparable([*LINES, *STRANGE], embedder) or _comparable(embedder.words()[:_WORDS], embedder)
    if not lines:
        raise TextkitError(
            f"{embedder.bundle.folder}: no line has a vector to compare, not even one of the model's words: nothing was written"
        )
    wanted, found = embedder(lines), made.vectors(lines)
    if embedder.bundle.manifest.precision == "int8" and "onnx/model.onnx" in made.files:
        sizes = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
        good = bool(((wanted * found).sum(1) >= _LEAST_COSINE * sizes).all())
    else:
        good = bool(np.abs(wanted - found).max() <= _TOLERANCE * max(np.abs(wanted).max(), 1e-12))
    if not good:
        raise TextkitError(
            f"{embedder.bundle.folder}: the folder would give other vectors than the model: nothing was written"
        )


def _comparable(lines: list[str], embedder: Embedder) -> list[str]:
    """Those of the lines that cleaning leaves as they are, with tokens of their own, and no more than the model takes."""
    lines = [line for line in lines if cleaned(line, apart=True) == line]
    most = sum(embedder.bundle.rule.around)
    lengths = embedder.encode(lines).lengths.tolist()
    return [line for line, length in zip(lines, lengths, strict=True) if most < length <= embedder.limit]


def check_free(folder: Path) -> None:
    """Raises TextkitError where something is at `folder` that is not an empty folder."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise TextkitError(f"{folder}: exists and is not a folder")
    if folder.exists() and os.listdir(folder):
        raise TextkitError(f"{folder}: is not empty; it is left alone")
    temporary.sweep(folder)


def _is_table(graph: bytes) -> bool:
    """Whether a graph is the one that textkit makes of a table (`table_graph`)."""
    found = parsed(graph)
    return any(weight.name == "table" for weight in found.initializer) and found.node[0].op_type == "Gather"


def _readme(embedder: Embedder) -> bytes:
    """What the manifest says of the model's origin, so that it goes along with the weights."""
    manifest = embedder.bundle.manifest
    data = "".join(f"- {', '.join(f'{key}: {value}' for key, value in dict(each).items())}\n" for each in manifest.data)
    text = (
        f"# {manifest.name}\n\nVectors for lines of text, {embedder.dim} numbers each. Written by textkit {manifest.textkit} "
        f"(`textkit convert`).\n\nLicence: {manifest.licence or 'not stated'}\n"
    )
    return (text + (f"\nMade from:\n\n{data}" if data else "")).encode()
