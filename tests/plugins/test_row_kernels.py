"""Rows as vector instructions: every width against numpy, and nothing written past a row's end."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from textkit_plugins.embeddings import compiled
from textkit_plugins.embeddings.row_kernels import add_rows, copy_row, dots


@pytest.mark.parametrize("dim", [1, 2, 3, 7, 16, 17, 100, 128, 300])
def test_rows_of_any_width(dim: int) -> None:
    @njit
    def add(row, factors, stride, rows, count):
        add_rows(row, factors, stride, rows, count, dim)

    @njit
    def products(row, rows, count, out):
        dots(row, rows, count, out, dim)

    @njit
    def copy(source, target):
        copy_row(source, target, dim)

    random = np.random.default_rng(dim)
    rows = random.normal(size=(5, dim + 3)).astype(np.float32)
    row = random.normal(size=dim + 3).astype(np.float32)
    factors = random.normal(size=10).astype(np.float32)
    for stride in (1, 2):
        got = row.copy()
        add(got, factors, stride, rows, 4)
        expected = row.copy()
        expected[:dim] += factors[: 4 * stride : stride] @ rows[:4, :dim]
        np.testing.assert_allclose(got, expected, atol=1e-5)
        np.testing.assert_array_equal(got[dim:], row[dim:])
    add(got, factors, 1, rows, 0)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    out = np.full(5, 9, np.float32)
    products(row, rows, 4, out)
    np.testing.assert_allclose(out, [*(rows[:4, :dim] @ row[:dim]), 9], atol=1e-4)
    copied = np.zeros(dim + 3, np.float32)
    copy(row, copied)
    np.testing.assert_array_equal(copied, [*row[:dim], 0, 0, 0])


def test_kernels_compile_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    why = "cannot cache function 'twice': no locator available for file 'x'"

    def refuse(self: object, function: object) -> None:
        raise RuntimeError(why)

    monkeypatch.setattr("numba.core.caching.FunctionCache.__init__", refuse)
    assert compiled.njit(cache=True)(lambda x: x + x)(21) == 42
    why = "something else"
    with pytest.raises(RuntimeError, match="something else"):
        compiled.njit(cache=True)(lambda x: x)
