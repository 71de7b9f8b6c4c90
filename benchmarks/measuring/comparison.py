"""The two sides of a comparison as cells of a table. Knows no plugin and no peer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from measuring import report
from measuring.trained import Trained, median

RATIOS = ("times as fast", "each round")  # the headings of the cells from `spread`


def speeds(theirs: Sequence[Trained], ours: Sequence[Trained]) -> list[str]:
    """Cells: their words/s, ours, how many times as fast ours are, and the same for each round."""
    ratios = [one.rate / other.rate for one, other in zip(ours, theirs, strict=True)]
    return [f"{median([one.rate for one in side]):,.0f}" for side in (theirs, ours)] + spread(ratios)


def spread(ratios: Sequence[float]) -> list[str]:
    """Cells: the median ratio, and every ratio."""
    return [f"**{median(ratios):.2f}**", " ".join(f"{ratio:.2f}" for ratio in ratios)]


def processes(theirs: Sequence[Trained], ours: Sequence[Trained]) -> list[str]:
    """Cells: the seconds that their whole process took, and ours."""
    return [f"{median([one.seconds for one in side]):.1f}" for side in (theirs, ours)]


def seed_table(name: str, seeds: Sequence[tuple[Trained, Trained]]) -> str:
    """A table of the similarity for each seed, and a sentence on how often textkit's is no lower."""
    rows = [
        [seed, f"{theirs.rho:.3f}", f"{ours.rho:.3f}", "yes" if ours.rho >= theirs.rho else "**no**"]
        for seed, (theirs, ours) in enumerate(seeds, 1)
    ]
    good = sum(ours.rho >= theirs.rho for theirs, ours in seeds)
    table = report.table(["seed", name, "textkit", "no lower"], rows)
    return f"{table}\n\nNo lower on {good} of {len(seeds)} seeds."


def described(settings: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value:g}" for key, value in settings.items()
    )
