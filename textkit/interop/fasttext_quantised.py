"""Reads fastText's quantised matrices (.ftz; Joulin et al. 2016, "FastText.zip"): rows as codes into a table of centroids.

A row is cut into parts of `dsub` numbers, and each part is one of 256 centroids. If the row's norm was taken out first, it is
one of 256 numbers as well. Follows fastText's QuantMatrix and ProductQuantizer to the byte. Knows no dictionary.
"""

from __future__ import annotations

import struct

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.source import Source

_CENTROIDS = 256
_HEAD = struct.Struct("<?qqi")  # whether norms are separate, rows, columns, bytes of codes
_QUANTIZER = struct.Struct("<4i")  # numbers per row, parts, numbers per part, numbers of the last part


class Quantised:
    """A matrix of `rows` rows of `columns` numbers. The source must stand where the matrix's size is written."""

    def __init__(self, source: Source) -> None:
        norms, self.rows, self.columns, size = _HEAD.unpack(source.take(_HEAD.size, "the size of its input matrix"))
        if not (0 < self.rows < 1 << 40 and 0 < self.columns <= 1 << 16 and size % self.rows == 0):
            raise TextkitError(f"{source.name}: {size} codes for {self.rows} rows of {self.columns} numbers: damaged")
        parts = size // self.rows
        source.expect(size, f"{size:,} codes")
        self._codes = np.empty((self.rows, parts), np.uint8)
        source.fill(self._codes, "the codes of its input matrix")
        self._parts = _quantizer(source, self.columns, parts)
        self._norms: np.ndarray | None = None
        if norms:
            source.expect(self.rows, f"{self.rows:,} codes of norms")
            codes = np.empty(self.rows, np.uint8)
            source.fill(codes, "the codes of its norms")
            self._norms = _quantizer(source, 1, 1)[0][codes]

    def row(self, start: int, stop: int) -> np.ndarray:
        """The rows start..stop-1, f32[row, column]."""
        codes = self._codes[start:stop]
        values = np.concatenate([table[codes[:, at]] for at, table in enumerate(self._parts)], axis=1)
        return values if self._norms is None else values * self._norms[start:stop]


def _quantizer(source: Source, columns: int, parts: int) -> list[np.ndarray]:
    """The centroids f32[256, part] of each part."""
    stated = _QUANTIZER.unpack(source.take(_QUANTIZER.size, "a table of centroids"))
    dim, count, width, last = stated
    if not (
        dim == columns and count == parts > 0 and width > 0 and 0 < last <= width and (parts - 1) * width + last == dim
    ):
        raise TextkitError(f"{source.name}: {count} parts of {width} and {last} numbers for rows of {columns}: damaged")
    source.expect(4 * _CENTROIDS * dim, f"{_CENTROIDS} centroids of {dim} numbers")
    flat = np.empty(_CENTROIDS * dim, "<f4")
    source.fill(flat, "a table of centroids")
    if not np.isfinite(flat).all():
        raise TextkitError(f"{source.name}: its centroids hold NaN or infinity")
    cuts = np.arange(1, parts) * _CENTROIDS * width
    return [part.reshape(_CENTROIDS, -1) for part in np.split(flat, cuts)]
