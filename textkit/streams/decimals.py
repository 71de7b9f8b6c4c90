"""Numbers as text and back, fast: a matrix as lines of decimals, decimals as numbers. Knows no file format and no model.

Writing: Python's own `%.5g` takes 150 ns a number, numpy's functions 500 ns. Here the digits of a number are looked up in
a table made once, which takes 40 ns: a number is an integer of `digits` digits times a power of ten, and the table has a
row with what `%g` would write for the two. Numbers too small, too large or too few for the table go to `%g` itself; the
bytes are the same.

Reading: four times as fast as np.fromstring. Digits are read column by column over all numbers: the first digit of each,
then the second of each. Integers of up to 15 digits and powers of ten up to 22 are exact in f64, so one division rounds
once, as C's strtod does (Clinger 1990). Longer numbers, and those with an exponent, are left to float().
"""

from __future__ import annotations

from functools import cache

import numpy as np

TEXT_DIGITS = 5  # what fastText's print-sentence-vectors writes
EXACT_DIGITS = 9  # enough to give every f32 back exactly

_LOWEST, _HIGHEST = -4, 2  # powers of ten in the table: 0.0001 to 999.99; `%g` writes smaller ones with an exponent
_CLASSES = _HIGHEST - _LOWEST + 1
_HEAD = 5  # digits looked up at once
_FIRST = 10 ** (_HEAD - 1)  # 10000
_HEADS = 9 * _FIRST  # to 99999
_TAIL = 4  # digits looked up after the head where there are nine
_WIDTH = 10  # characters of the longest row of the table, 0.00012345
_FEW = 50_000  # numbers; for fewer, making the table takes longer than it saves
_ROWS = 1 << 14  # numbers formatted at once, so that all stays in the processor's cache

_LONGEST = 16  # characters after the sign: 15 digits and a point
_PARSED = 1 << 17  # bytes parsed at once, so that the columns stay in the processor's cache


def format_decimals(matrix: np.ndarray, digits: int = TEXT_DIGITS, separator: str = " ") -> bytes:
    """`matrix` f32[row, column] as text: one line per row, each number as `%.{digits}g`, `separator` (one or two
    characters) between numbers. `digits`: TEXT_DIGITS or EXACT_DIGITS.
    """
    rows, columns = matrix.shape
    if not columns:
        return b"\n" * rows
    if matrix.size < _FEW and not _table.cache_info().currsize:
        return _plain(matrix, digits, separator)
    step = max(1, _ROWS // columns)
    return b"".join(_looked_up(matrix[at : at + step], digits, separator) for at in range(0, rows, step))


def _plain(matrix: np.ndarray, digits: int, separator: str) -> bytes:
    line = separator.join([f"%.{digits}g"] * matrix.shape[1]) + "\n"
    return (line * len(matrix) % tuple(matrix.ravel().tolist())).encode()


def _looked_up(matrix: np.ndarray, digits: int, separator: str) -> bytes:
    numbers = matrix.ravel()
    with np.errstate(invalid="ignore"):  # a signalling nan
        size = np.abs(numbers).astype(np.float64)
    rank = np.full(len(numbers), -1, np.int8)  # the power of ten, counted from _LOWEST
    for power in range(_LOWEST, _HIGHEST + 2):
        rank += size >= 10.0**power
    strange = (rank < 0) | (rank >= _CLASSES)  # too small (nan and zero among them) or too large
    odd = bool(strange.any())
    if odd:
        rank[strange] = 0
        size[strange] = 10.0**_LOWEST
    # Exact: an f32 has 24 bits and the largest power of ten used here 28. A half is rounded as %g rounds it.
    head = np.rint(size * _scales(digits)[rank]).astype(np.int64)
    grown = head >= 10**digits  # 9.999996 has become 10.000
    if grown.any():
        head[grown] = 10 ** (digits - 1)
        rank[grown] += 1
        strange |= rank >= _CLASSES
        odd = True
        rank[strange] = 0
    heads, tails = _table()
    cells = np.zeros(len(numbers), _cell(digits, len(separator)))  # NUL stands for no character
    cells["sign"] = np.signbit(numbers) * np.uint8(ord("-"))
    if digits == _HEAD:
        cells["head"] = heads.take(head + (rank.astype(np.int64) * _HEADS - _FIRST))
    else:
        tail = head % 10**_TAIL
        head //= 10**_TAIL
        # A head alone ends with its last nonzero digit; with a tail after it, all its digits count.
        cells["head"] = heads.take(head + (((tail != 0) * np.int64(_CLASSES) + rank) * _HEADS - _FIRST))
        cells["tail"] = tails.take(tail)
    cells["gap"] = np.array(separator.encode(), f"V{len(separator)}")
    cells["gap"].reshape(matrix.shape)[:, -1] = np.array(b"\n".ljust(len(separator), b"\0"), f"V{len(separator)}")
    if odd:
        zero = numbers == 0
        cells["head"][zero] = np.array(b"0".ljust(_WIDTH, b"\0"), f"V{_WIDTH}")
        strange &= ~zero
        characters = cells.view(np.uint8).reshape(len(cells), -1)
        characters[zero, 1 + _WIDTH : -len(separator)] = 0
        for at in np.flatnonzero(strange):
            text = b"%.*g" % (digits, numbers[at])
            characters[at, : -len(separator)] = 0
            characters[at, : len(text)] = np.frombuffer(text, np.uint8)
    return cells.tobytes().translate(None, b"\0")


@cache
def _cell(digits: int, separator: int) -> np.dtype:
    tail = [("tail", f"V{_TAIL}")] if digits > _HEAD else []
    return np.dtype([("sign", "u1"), ("head", f"V{_WIDTH}"), *tail, ("gap", f"V{separator}")])


@cache
def _scales(digits: int) -> np.ndarray:
    """The factors that make numbers of each power of ten integers of `digits` digits."""
    return np.array([10.0 ** (digits - 1 - power) for power in range(_LOWEST, _HIGHEST + 1)])


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """The texts of digits, V10[2 * power * head] for the first five and V4[tail] for the four that may follow.

    V10 has each five digits at each power of ten without trailing zeros, and then with them, for a tail to follow. V4 has
    each four digits without trailing zeros. NUL stands for no character.
    """
    heads = _digits(np.arange(_FIRST, 10**_HEAD), _HEAD)
    ended = _without_zeros(heads)
    table = np.zeros((2, _CLASSES, _HEADS, _WIDTH), np.uint8)
    for power in range(_LOWEST, _HIGHEST + 1):
        for rows, digits in zip(table[:, power - _LOWEST], (ended, heads), strict=True):
            if power < 0:
                lead = np.frombuffer(b"0." + b"0" * (-power - 1), np.uint8)
                rows[:, : len(lead)] = lead
                rows[:, len(lead) : len(lead) + _HEAD] = digits
            else:
                rows[:, : power + 1] = heads[:, : power + 1]
                rows[:, power + 1] = np.where(digits[:, power + 1] == 0, 0, ord("."))
                rows[:, power + 2 : _HEAD + 1] = digits[:, power + 1 :]
    tails = _without_zeros(_digits(np.arange(10**_TAIL), _TAIL))
    return table.view(f"V{_WIDTH}").ravel(), tails.view(f"V{_TAIL}").ravel()


def _digits(numbers: np.ndarray, places: int) -> np.ndarray:
    """The decimal digits of each number as characters, u8[number, places]."""
    powers = 10 ** np.arange(places - 1, -1, -1)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def _without_zeros(digits: np.ndarray) -> np.ndarray:
    """The same with NUL for the trailing zeros of each row."""
    trailing = np.cumprod((digits == ord("0"))[:, ::-1], axis=1)[:, ::-1]
    return np.where(trailing, 0, digits).astype(np.uint8)


def parse_decimals(data: list[bytes]) -> np.ndarray:
    """The numbers f32[total] of `data`; an item is numbers separated by one space. ValueError for anything else."""
    found: list[np.ndarray] = []
    part: list[bytes] = []
    size = 0
    for item in data:
        part.append(item)
        size += len(item)
        if size > _PARSED:
            found.append(_parse(b" ".join(part)))
            part, size = [], 0
    if part:
        found.append(_parse(b" ".join(part)))
    return np.concatenate(found) if found else np.empty(0, np.float32)


def _parse(text: bytes) -> np.ndarray:
    characters = np.frombuffer(text + b" " * _LONGEST, np.uint8)
    ends = np.flatnonzero(characters[: len(text) + 1] == ord(" "))
    starts = np.append(0, ends[:-1] + 1)
    negative = characters[starts] == ord("-")
    digits = starts + negative
    lengths = ends - digits
    value = np.zeros(len(starts))
    decimals = np.zeros(len(starts), np.int64)  # digits after the point
    points = np.zeros(len(starts), np.int64)
    plain = (lengths > 0) & (lengths <= _LONGEST)
    for column in range(min(int(lengths.max()), _LONGEST)):
        character = characters[digits + column]
        inside = column < lengths
        digit = character - np.uint8(ord("0"))  # wraps round below
        is_digit = inside & (digit < 10)
        is_point = inside & (character == ord("."))
        plain &= is_digit | is_point | ~inside
        value = np.where(is_digit, value * 10 + digit, value)
        decimals += is_digit & (points > 0)
        points += is_point
    plain &= (points < 2) & (lengths > points) & (lengths - points < _LONGEST)
    value = np.where(negative, -value, value) / 10.0 ** np.minimum(decimals, 22)
    others = np.flatnonzero(~plain)
    if len(others):
        spelled = [text[starts[at] : ends[at]] for at in others]
        if any(b"_" in number for number in spelled):  # float() would read 1_000
            raise ValueError("not a number")
        value[others] = list(map(float, spelled))
    with np.errstate(over="ignore"):  # too large for f32 is infinity, which the caller refuses
        return value.astype(np.float32)
