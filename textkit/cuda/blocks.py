"""Stores matrices as 8-bit integers with a scale for every 32 numbers, for a GPU whose memory is short (MatMulNBits).

That operator of onnxruntime's has CUDA kernels. It multiplies in fp16; only the weights are integers, so a row's result depends
on that row alone. The integers of an int8 model stay what they are: a column's scale becomes that of each of its blocks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from textkit.cuda.model import Model
from textkit.cuda.nodes import MICROSOFT, Node

BLOCK = 32  # numbers that share a scale
SMALL = 1024  # numbers; a matrix of fewer stays as it is
_ZERO = 128  # how 0 is stored
_LEAST = 6.2e-5  # the least scale that fp16 holds with all its digits

Integers = tuple[np.ndarray, np.ndarray]  # i8[in, out] and the scale of each column, f32[out] or f32[]


def in_blocks(model: Model, integers: Mapping[str, Integers]) -> None:
    """Makes products with constant matrices products with blocks, in place. `integers`: matrix -> the integers it was."""
    makers = model.makers()
    found: dict[str, tuple[str, str, int, int]] = {}
    for node in model.nodes:
        if node.operator != "MatMul" or node.domain or not _is_matrix(model, makers, node.takes[1]):
            continue
        name = node.takes[1]
        if name not in found:
            stored = _stored(model, makers, name, integers)
            if stored is None:
                continue
            blocks, scales, width = stored
            names = [model.put(model.unique(name), array) for array in (blocks, scales.reshape(-1))]
            found[name] = names[0], names[1], width, len(blocks)
        blocks_name, scales_name, width, count = found[name]
        node.operator, node.domain, node.takes = "MatMulNBits", MICROSOFT, [node.takes[0], blocks_name, scales_name]
        for key, value in (("K", width), ("N", count), ("bits", 8), ("block_size", BLOCK)):
            node.with_integer(key, value)


def _is_matrix(model: Model, makers: Mapping[str, Node], name: str) -> bool:
    node = makers.get(name)
    if node is not None and node.operator == "Transpose":
        name = node.takes[0]
    return model.is_constant(name) and model.constant(name).ndim == 2 and model.constant(name).size >= SMALL


def _stored(
    model: Model, makers: Mapping[str, Node], name: str, integers: Mapping[str, Integers]
) -> tuple[np.ndarray, np.ndarray, int] | None:
    """u8[out, block, BLOCK], f32[out, block], and the length of a column; None where fp16 does not hold the scales."""
    if name in integers:
        steps, by = integers[name]
        padded = _padded(np.ascontiguousarray(steps.T))
        scale = np.broadcast_to(np.reshape(by, (-1, 1)), padded.shape[:2]).astype(np.float32)
    else:
        rows = model.constant(name).T if model.is_constant(name) else model.constant(makers[name].takes[0])
        steps = rows.T
        padded = _padded(np.ascontiguousarray(rows, np.float32))
        scale = np.abs(padded).max(2) / np.float32(127)
        padded = np.rint(padded / np.where(scale == 0, 1, scale)[:, :, None])
    if 0 < scale[scale > 0].min(initial=np.inf) < _LEAST:
        return None
    return (padded + _ZERO).astype(np.uint8), scale, len(steps)


def _padded(rows: np.ndarray) -> np.ndarray:
    """[out, in] -> [out, block, BLOCK], in blocks that end with zeros."""
    count, width = rows.shape
    blocks = -(-width // BLOCK)
    wide = np.zeros((count, blocks * BLOCK), np.float32)
    wide[:, :width] = rows
    return wide.reshape(count, blocks, BLOCK)
