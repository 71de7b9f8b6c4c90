"""The graph that a GPU gets instead of one that was made for a CPU, made at load and kept in the user's cache folder.

A model's file stays small and one for all devices: fp16 and fp32 are made of its int8, fp16 or fp32 weights. That takes a
second for 100 MB, and is kept under a hash of the graph and of how it was rewritten.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from textkit.bundle import onnxfile
from textkit.cuda.blocks import in_blocks
from textkit.cuda.dequantising import dequantised
from textkit.cuda.halving import halved
from textkit.cuda.model import Edit, Model
from textkit.cuda.nodes import HALF, INT8, UINT8
from textkit.errors import TextkitError
from textkit.version import __version__

_VERSION = b"3"  # changes where the same graph would be rewritten in another way
_LEAST = 1 << 20  # bytes; a smaller graph is rewritten in milliseconds
_SHAPE_NAMES = """
Add Cast Concat ConstantOfShape Div Equal Expand Gather Identity Max Min Mod Mul Range Reshape Shape Size Slice Squeeze Sub
Unsqueeze Where
"""
SHAPES = frozenset(_SHAPE_NAMES.split())  # operators that onnxruntime leaves to the CPU where their numbers are shapes
_OF_INTEGERS = (b"MatMulInteger", b"DynamicQuantize", b"MatMulNBits", b"QuantizeLinear", b"GatherND")
_MANY = 1024  # numbers; fewer say nothing of how a model is stored
_KEPT = 64  # graphs in the cache; the one that was not used for the longest time makes room


def for_cuda(graph: bytes, precision: str, edit: Edit | None = None) -> bytes:
    """`graph` as CUDA computes it in `precision`: fp16, fp32, tf32 (a matter of the session) or int8 (blocks of weights).

    `edit`: what else is changed, before precisions are and after. Raises TextkitError for a weight that fp16 does not hold.
    """
    if edit is None and precision in ("fp32", "tf32") and not any(name in graph for name in _OF_INTEGERS):
        return graph
    place = _place(graph, precision, "" if edit is None else edit.key) if len(graph) >= _LEAST else None
    found = None if place is None else _kept(place)
    if found is None:
        model = Model(graph)
        if edit is not None:
            edit(model)
        integers = dequantised(model, keep_blocks=precision == "int8")
        if precision == "int8":
            in_blocks(model, integers)
        if precision in ("fp16", "int8"):
            halved(model)
        if edit is not None:
            edit.finish(model)
        found = model.written()
        if place is not None:
            _keep(place, found)
    header = onnxfile.inspect(found, "the graph for CUDA")
    return found if header.folded else onnxfile.Unfolded(found)


def cuda_graph(graph: bytes, precision: str | None, edit: Edit | None = None) -> tuple[bytes, str]:
    """The graph as a GPU computes it, and its precision: the one that is asked for, or else the one that suits its weights.

    Raises TextkitError where fp16 was asked for and does not hold a weight; where nothing was asked for, the precision is then
    fp32.
    """
    wanted = precision or precision_of(graph)
    try:
        return for_cuda(graph, wanted, edit), wanted
    except TextkitError:
        if precision is not None or wanted == "fp32":
            raise
        return for_cuda(graph, "fp32", edit), "fp32"


def left_to_cpu(session: Any) -> str:
    """The operators of a session with a GPU that run on the CPU, with how many there are of each; '' if there are none. Those
    that handle shapes do not count: they are a few numbers, which onnxruntime leaves on the host on purpose."""
    if not hasattr(session, "get_provider_graph_assignment_info"):  # onnxruntime before 1.24
        return ""
    parts = [part for part in session.get_provider_graph_assignment_info() if part.ep_name == "CPUExecutionProvider"]
    found = Counter(node.op_type for part in parts for node in part.get_nodes() if node.op_type not in SHAPES)
    return ", ".join(f"{count} {name}" for name, count in sorted(found.items()))


def cache_folder() -> Path:
    """Where rewritten graphs are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("textkit", appauthor=False)) / "graphs"


def _place(graph: bytes, precision: str, key: str) -> Path:
    told = hashlib.sha256(graph)
    kind = "fp32" if precision == "tf32" else precision
    told.update(b"\0".join((_VERSION, __version__.encode(), kind.encode(), key.encode())))
    return cache_folder() / f"{told.hexdigest()[:32]}.onnx"


def _kept(place: Path) -> bytes | None:
    """The graph in a file of the cache: behind the SHA-256 of its bytes, so that a damaged one is made again."""
    try:
        data = place.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return None
    with suppress(OSError):
        os.utime(place)
    return data[32:]


def _keep(place: Path, graph: bytes) -> None:
    """Writes a graph into the cache; a cache that cannot be written costs the next process the same second."""
    part = place.with_suffix(f".{os.getpid()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        old = sorted(place.parent.iterdir(), key=lambda entry: entry.stat().st_mtime)
        for entry in old[: max(0, len(old) - _KEPT + 1)]:
            entry.unlink()
        part.write_bytes(hashlib.sha256(graph).digest() + graph)
        os.replace(part, place)
    except OSError:
        with suppress(OSError):
            part.unlink()


def precision_of(graph: bytes) -> str:
    """What a GPU computes a graph in unless another precision is asked for: fp32 if all its weights are, otherwise fp16.

    Weights of fewer bytes have been rounded already, more than fp16 rounds.
    """
    model = Model(graph)
    stored = [name for name in model.constants() if model.kind_of(name) in (UINT8, INT8, HALF)]
    return "fp16" if any(model.constant(name).size >= _MANY for name in stored) else "fp32"
