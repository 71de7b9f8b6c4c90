"""The result of a measurement: a figure, and how much of the data it covers. Knows no model and no file format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from textkit.evaluation.measuring import Figures


@dataclass(frozen=True)
class Result:
    """The `value` of `metric` over `used` of `total` items; None if no item could be used.

    `outside`: items with a word that is not in the vocabulary; they count as `used` if subwords spell such words. `parts`: the
    figures of the data's sections. `per`: the unit of a mean, such as the word in a perplexity per word.
    """

    metric: str
    value: float | None
    used: int
    total: int
    outside: int = 0
    parts: tuple[Result, ...] = ()
    detail: dict[str, Any] = field(default_factory=dict)
    per: str = ""

    def record(self) -> dict[str, Any]:
        """Plain JSON values. A perplexity has six digits, because more say nothing."""
        record: dict[str, Any] = {"metric": self.metric, "value": self.value, "used": self.used, "total": self.total}
        record |= {"per": self.per} if self.per else {}
        record |= {"out_of_vocabulary": self.outside} | self.detail
        for name, value in record.items():
            if isinstance(value, float) and (
                name.startswith("perplexity") or (name, self.metric) == ("value", "perplexity")
            ):
                record[name] = float(f"{value:.6g}")
        return record | ({"parts": [part.record() for part in self.parts]} if self.parts else {})

    def figures(self, data: str) -> Figures:
        """The result as it is written, with the name of its data: a row for the whole, and one for each part."""
        rows = [(*part._cells(), part.used, part.total, part.outside, data) for part in (self, *self.parts)]
        return Figures({"data": data} | self.record(), rows)

    def _cells(self) -> tuple[str, str]:
        """The metric and its value: four decimals for a value between -1 and 1, six digits for a perplexity."""
        if self.per:
            return f"{self.metric} per {self.per}", "" if self.value is None else f"{self.value:.6g}"
        return self.metric, "" if self.value is None else f"{self.value:.4f}"
