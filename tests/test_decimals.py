"""Decimals written and read: every digit is compared with Python's own %g and float()."""

from __future__ import annotations

import numpy as np
import pytest

from textkit.streams import decimals
from textkit.streams.decimals import EXACT_DIGITS, TEXT_DIGITS, format_decimals, parse_decimals


def by_python(matrix: np.ndarray, digits: int, separator: str) -> bytes:
    return "".join(separator.join(f"{float(n):.{digits}g}" for n in row) + "\n" for row in matrix).encode()


def numbers_to_write() -> np.ndarray:
    """f32[n, 7]: every kind of number, many of each."""
    generator = np.random.default_rng(2)
    spread = generator.standard_normal(60_000) * 10.0 ** generator.integers(-9, 9, 60_000)
    halves = generator.integers(-(2**17), 2**17, 60_000) / 2.0 ** generator.integers(0, 17, 60_000)  # ties of rounding
    any_bits = generator.integers(0, 2**32, 30_000, dtype=np.uint32)
    any_bits[(any_bits >> 23) & 0xFF == 0xFF] = 0  # infinity and nan are in `special`
    powers = 10.0 ** np.arange(-12, 13)
    below = np.nextafter(powers.astype(np.float32), np.float32(0))
    special = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1.03125, 9.99995, 999.995, 999.994, 3.4e38, 1e-45, 0.1]
    parts = [spread, halves, any_bits.view(np.float32), powers, -powers, below, special]
    flat = np.concatenate([np.asarray(part, np.float32) for part in parts])
    return flat[: len(flat) // 7 * 7].reshape(-1, 7)


@pytest.mark.parametrize("digits", [TEXT_DIGITS, EXACT_DIGITS])
@pytest.mark.parametrize("separator", [" ", ", "])
def test_digits_are_those_of_percent_g(digits: int, separator: str) -> None:
    matrix = numbers_to_write()
    assert format_decimals(matrix, digits, separator) == by_python(matrix, digits, separator)


@pytest.mark.parametrize("digits", [TEXT_DIGITS, EXACT_DIGITS])
def test_few_numbers_are_written_alike(digits: int) -> None:
    few = numbers_to_write()[-40:]
    plain = few[~np.isnan(few).any(axis=1)]
    decimals._table.cache_clear()
    without_table = format_decimals(plain, digits)
    assert decimals._table.cache_info().currsize == 0
    decimals._table()
    assert format_decimals(plain, digits) == without_table == by_python(plain, digits, " ")


def test_nine_digits_give_every_number_back() -> None:
    matrix = np.random.default_rng(3).standard_normal((2000, 50)).astype(np.float32)
    text = format_decimals(matrix, EXACT_DIGITS)
    assert np.array_equal(np.array([line.split() for line in text.splitlines()], np.float32), matrix)


def test_shapes_without_numbers() -> None:
    assert format_decimals(np.zeros((0, 3), np.float32)) == b""
    assert format_decimals(np.zeros((2, 0), np.float32)) == b"\n\n"


@pytest.mark.parametrize("form", ["%.9g", "%.6f", "%.17g", "%r"])
def test_decimals_equal_strtod(form):
    random = np.random.default_rng(7)
    values = (random.standard_normal(5000) * 10.0 ** random.integers(-12, 12, 5000)).astype(np.float32)
    spelled = [(repr(value) if form == "%r" else form % value).encode() for value in values.tolist()]
    expected = np.array([np.float32(float(text)) for text in spelled])
    np.testing.assert_array_equal(parse_decimals([b" ".join(spelled[:2500]), *spelled[2500:]]), expected)


def test_decimals_of_every_spelling():
    spelled = b"+1 -.5 5. 1e3 00012.50 -1e-3 123456789012345 1234567890123456789 0.000000000000000000001"
    expected = [1, -0.5, 5, 1000, 12.5, -0.001, 123456789012345, 1234567890123456789, 1e-21]
    assert parse_decimals([spelled]).tolist() == np.array(expected, np.float32).tolist()


@pytest.mark.parametrize(
    "text", [b"", b"1  2", b" 1", b"1 ", b"-", b".", b"1.2.3", b"x", b"--1", b"1e", b"1_0", b"0x1", b"1,5"]
)
def test_what_is_no_decimal(text):
    with pytest.raises(ValueError, match=r"."):
        parse_decimals([text])
