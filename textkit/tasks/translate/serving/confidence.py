"""How good a translation is likely to be: the chrF that lines like it had, from what the search knows of it anyway.

    sigmoid(bias + likelihood * p^2 + shortness * min(0, log(target / source) - ratio))

p is the geometric mean of the probabilities of the tokens; target and source are lengths in characters. The four coefficients
are learnt from pairs (calibration.py) and lie in the manifest. The two that multiply are never negative: what is likelier, or
less short, is never thought worse. Nothing here depends on other lines. Knows no graph.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from textkit.tasks.translate.task import CONFIDENCE

LOW = "low-confidence"  # the doubt about a translation
DOUBTFUL = 0.35  # of less confidence a translation is doubted


class Known(NamedTuple):
    """What confidence depends on: p^2, and the logarithm of target / source."""

    likelihood: float
    longer: float


def known(logprob: float, length: int, source: str, text: str) -> Known:
    """`logprob`: that of all `length` tokens of `text`, the translation of `source`."""
    mean = logprob / max(1, length)
    likelihood = 0.0 if math.isnan(mean) else math.exp(2 * min(0.0, mean))  # a broken model may say anything
    return Known(likelihood, math.log((len(text) + 1) / (len(source) + 1)))


@dataclass(frozen=True)
class Confidence:
    """Translations -> the chrF, from 0 to 1, that is expected of them."""

    bias: float
    likelihood: float
    shortness: float
    ratio: float  # the logarithm of target / source of an ordinary translation

    def __call__(self, what: Known) -> float:
        total = self.bias + self.likelihood * what.likelihood + self.shortness * min(0.0, what.longer - self.ratio)
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, total))))

    def record(self) -> dict[str, float]:
        """As the manifest has it."""
        return asdict(self)


def confidence_of(facts: Mapping[str, Any]) -> Confidence | None:
    """The one that a manifest states; None where it states none."""
    stated = facts.get("confidence")
    return Confidence(**{name: float(stated[name]) for name in CONFIDENCE.fields}) if stated else None
