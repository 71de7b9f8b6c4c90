"""What a map is: places, texts, clusters with names, and columns to colour by. Knows no model, no file and no output."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NONE = "unclustered"
_FEW = 12  # different numbers from which on a column of numbers is a scale rather than a set of kinds
_CELLS = 64  # characters of a value that a legend shows


@dataclass(frozen=True)
class Column:
    """What points can be coloured by: kinds (`codes` i64[point], -1 for none of `names`; `rest` says what that is), or numbers
    (`values` f64[point], nan for none)."""

    name: str
    codes: np.ndarray | None = None
    names: Sequence[str] = ()
    rest: str = ""
    values: np.ndarray | None = None


@dataclass(frozen=True)
class Map:
    """Points. `places` f32[point, 2], from 0 to 1; `clusters` i64[point], -1 for none, the largest first; `names`: theirs;
    `origins`: file and line of each point; `columns`: the first is that of the clusters."""

    places: np.ndarray
    texts: Sequence[str]
    origins: Sequence[str]
    clusters: np.ndarray
    names: Sequence[str]
    columns: Sequence[Column]

    def __len__(self) -> int:
        return len(self.texts)


def of_clusters(clusters: np.ndarray, names: Sequence[str]) -> Column:
    return Column("cluster", codes=clusters, names=names, rest=NONE)


def of_values(name: str, values: Sequence[str | float | None]) -> Column:
    """A column of anything: a scale where all values are numbers and there are many, otherwise kinds, the most frequent
    first."""
    numbers = [_number(value) for value in values]
    blank = [value is None or (isinstance(value, str) and not value.strip()) for value in values]
    told = {number for number in numbers if number is not None}
    if len(told) > _FEW and all(number is not None or empty for number, empty in zip(numbers, blank, strict=True)):
        return Column(name, values=np.array([math.nan if number is None else number for number in numbers]))
    said = ["" if empty else str(value)[:_CELLS] for value, empty in zip(values, blank, strict=True)]
    counts = Counter(value for value in said if value)
    kinds = sorted(counts, key=lambda value: (-counts[value], value))
    numbered = {value: at for at, value in enumerate(kinds)}
    return Column(
        name, codes=np.array([numbered.get(value, -1) for value in said], np.int64), names=kinds, rest="(blank)"
    )


def _number(value: str | float | None) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def scaled(places: np.ndarray) -> np.ndarray:
    """Places between 0 and 1, f32[point, 2]: both axes by the same factor, the middle of the shorter one at a half."""
    if not len(places):
        return places.astype(np.float32)
    low, high = places.min(axis=0), places.max(axis=0)
    span = float((high - low).max()) or 1.0
    return ((places - (low + high) / 2) / span + 0.5).astype(np.float32)
