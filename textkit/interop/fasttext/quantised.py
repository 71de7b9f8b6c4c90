"""Reads fastText's quantised matrices (.ftz; Joulin et al. 2016, "FastText.zip"): rows as codes into a table of centroids.

A row is cut into parts of `dsub` numbers, and each part is one of 256 centroids. If the row's norm was taken out first, it is
one of 256 numbers as well. Follows fastText's QuantMatrix and ProductQuantizer to the byte. Knows no dictionary.
"""

from __future__ import annotations

import copy
import struct

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.source import Source

CENTROIDS = 256
_HEAD = struct.Struct("<?qqi")  # whether norms are separate, rows, columns, bytes of codes
_QUANTIZER = struct.Struct("<4i")  # numbers per row, parts, numbers per part, numbers of the last part


class Quantised:
    """A matrix of `rows` rows of `columns` numbers. The source must stand where the matrix's size is written.

    `codes` u8[row, part]; `parts`: for each part its centroids, f32[256, numbers]; `norms`: None, or u8[row] and the numbers
    f32[256] that they stand for.
    """

    def __init__(self, source: Source, what: str = "its input matrix") -> None:
        norms, self.rows, self.columns, size = _HEAD.unpack(source.take(_HEAD.size, f"the size of {what}"))
        if not (0 < self.rows < 1 << 40 and 0 < self.columns <= 1 << 16 and size % self.rows == 0):
            raise TextkitError(f"{source.name}: {size} codes for {self.rows} rows of {self.columns} numbers: damaged")
        parts = size // self.rows
        source.expect(size, f"{size:,} codes")
        self.codes = np.empty((self.rows, parts), np.uint8)
        source.fill(self.codes, f"the codes of {what}")
        self.parts = _quantizer(source, self.columns, parts)
        self.norms: tuple[np.ndarray, np.ndarray] | None = None
        if norms:
            source.expect(self.rows, f"{self.rows:,} codes of norms")
            codes = np.empty(self.rows, np.uint8)
            source.fill(codes, "the codes of its norms")
            self.norms = codes, _quantizer(source, 1, 1)[0][:, 0]
            most = max(float(np.abs(part).max()) for part in self.parts) * float(np.abs(self.norms[1]).max())
            if most > float(np.finfo(np.float32).max):
                raise TextkitError(f"{source.name}: its centroids times its norms are no finite numbers: damaged")

    def row(self, at: slice | np.ndarray) -> np.ndarray:
        """The rows `at`, f32[row, column]."""
        codes = self.codes[at]
        values = np.concatenate([table[codes[:, part]] for part, table in enumerate(self.parts)], axis=1)
        return values if self.norms is None else values * self.norms[1][self.norms[0][at], None]

    def only(self, rows: np.ndarray) -> Quantised:
        """The matrix of the `rows` i64[row] alone, in this order."""
        found = copy.copy(self)
        found.rows, found.codes = len(rows), self.codes[rows]
        found.norms = None if self.norms is None else (self.norms[0][rows], self.norms[1])
        return found


def _quantizer(source: Source, columns: int, parts: int) -> list[np.ndarray]:
    """The centroids f32[256, part] of each part."""
    stated = _QUANTIZER.unpack(source.take(_QUANTIZER.size, "a table of centroids"))
    dim, count, width, last = stated
    if not (
        dim == columns and count == parts > 0 and width > 0 and 0 < last <= width and (parts - 1) * width + last == dim
    ):
        raise TextkitError(f"{source.name}: {count} parts of {width} and {last} numbers for rows of {columns}: damaged")
    source.expect(4 * CENTROIDS * dim, f"{CENTROIDS} centroids of {dim} numbers")
    flat = np.empty(CENTROIDS * dim, "<f4")
    source.fill(flat, "a table of centroids")
    if not np.isfinite(flat).all():
        raise TextkitError(f"{source.name}: its centroids hold NaN or infinity")
    cuts = np.arange(1, parts) * CENTROIDS * width
    return [part.reshape(CENTROIDS, -1) for part in np.split(flat, cuts)]
