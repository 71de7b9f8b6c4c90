"""The trials of a search over options: what came of each, which one is kept, their table. Knows no search and no loop."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from textkit.config import as_typed
from textkit.errors import UsageError
from textkit.plugin import Score

if TYPE_CHECKING:
    from textkit.training.run import Run

ALIKE = 1e-3  # scores that differ by less than this share of the best one count as equal
MB = 1e6  # bytes
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_BUDGET = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([smh])")
_OVERHEAD = 20_000  # bytes of nodes, names and the manifest
_LONGEST = 366 * 86400.0  # seconds: a year


class Point(NamedTuple):
    """What was known at one point of a training."""

    share: float  # of the training that was done
    passes: float  # over the data
    value: float  # the best dev score until then


@dataclass(eq=False)
class Trial:
    """A training with some options, and what came of it."""

    number: int  # from 1
    values: Mapping[str, Any]  # every option
    changed: Mapping[str, Any]  # the options that differ from what the search began with
    score: Score | None = None  # the best dev score
    curve: list[Point] = field(default_factory=list)
    bytes: int = 0  # of the model in int8, an estimate; 0: not known
    rate: float = 0.0  # lines per second of the fastest dev score; 0: not known
    seconds: float = 0.0  # of the whole trial
    epochs: int = 0  # passes over the data that were done
    # epochs, max_steps, patience, fit: by itself; enough: its time was over; worse: clearly worse than the best one; size: the
    # model is too large; failed: the training had an error
    end: str = ""
    error: str = ""

    def note(self, share: float, passes: float, score: Score) -> None:
        """Takes a dev score, with the share of the training that was done, and its passes over the data."""
        if self.score is None or ahead(score, self.score.value) > 0:
            self.score = score
        self.curve.append(Point(share, passes, self.score.value))

    def at(self, measure: Literal["share", "passes"], most: float) -> float | None:
        """The best dev score until so much of the training was done; None if there was none yet."""
        known = [point.value for point in self.curve if getattr(point, measure) <= most + 1e-9]
        return known[-1] if known else None

    def row(self) -> dict[str, Any]:
        """What the table says of the trial."""
        score = None if self.score is None else {"name": self.score.name, "value": self.score.value}
        return {
            "trial": self.number, "score": score, "bytes": self.bytes, "lines_per_second": round(self.rate, 1),
            "seconds": round(self.seconds, 3), "epochs": self.epochs, "end": self.end, "options": _plain(self.changed),
            **({"error": self.error} if self.error else {}),
        }  # fmt: skip


def ahead(score: Score, value: float) -> float:
    """By how much `score` is better than `value`; below 0 if it is worse. NaN is worse than all."""
    difference = score.value - value if score.higher_is_better else value - score.value
    return difference if difference == difference else (float("inf") if value != value else float("-inf"))


def hopeless(trial: Trial, best: Trial | None) -> bool:
    """Whether a trial is behind the best one by more than that one gained from the same point of its training to its end.

    The same point is the same share of the training and the same number of passes over the data: a trial with fewer passes has
    done less at the same share, and its learning rate is lower after the same passes. It must be behind at both.
    """
    if best is None or best.score is None or trial.score is None or trial.curve[-1].share >= 1:
        return False
    point = trial.curve[-1]
    for then in (best.at("share", point.share), best.at("passes", point.passes)):
        if then is None or -ahead(trial.score, then) <= max(ahead(best.score, then), 0.0) + ALIKE * abs(then):
            return False
    return True


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that have a model and a score, the best first; of equal scores the earlier one is first."""
    done = [trial for trial in trials if trial.score is not None and trial.end not in ("worse", "size", "failed")]
    done = [trial for trial in done if trial.score.value == trial.score.value]  # type: ignore[union-attr]
    return sorted(done, key=lambda trial: (-ahead(trial.score, 0.0), trial.number))  # type: ignore[arg-type]


def alike(trials: Sequence[Trial]) -> list[Trial]:
    """Of `ranked` trials those whose scores hardly differ from the best; the one with the least bytes / rate is first.

    So half the size is worth as much as twice the rate.
    """
    if not trials:
        return []
    top = trials[0].score
    assert top is not None
    near = [one for one in trials if one.score and -ahead(one.score, top.value) <= ALIKE * abs(top.value)]
    return sorted(near, key=lambda one: (one.bytes / one.rate if one.rate else float("inf"), one.number))


def estimated_bytes(run: Run) -> int:
    """About the bytes of the exported model in int8: the numbers of the network, and the files of its text rule.

    Tables and products have a byte a number, and 4 for the scale of each row. All else is counted with 4 bytes a number, though
    some recurrent layers take less. The nodes of the graph and the manifest are small. A real export says exactly.
    """
    from torch import nn

    every: dict[int, int] = {}  # by the identity of the parameter: one may belong to two modules
    for module in run.new_network().modules():
        for parameter in module.parameters(recurse=False):
            rows = parameter.shape[0] if isinstance(module, (nn.Embedding, nn.Linear)) and parameter.dim() == 2 else 0
            whole = parameter.numel() <= rows  # a single number a row stays as it is
            size = 4 * parameter.numel() if whole or not rows else parameter.numel() + 4 * rows
            every[id(parameter)] = min(size, every.get(id(parameter), size))
    rule = run.vocabulary
    files = sum(len(content) for content in rule.files().values()) + len(json.dumps(rule.spec()))
    return sum(every.values()) + files + _OVERHEAD


def table(trials: Sequence[Trial], kept: Trial | None) -> str:
    """The trials as TSV with a header; a star marks the one that is kept."""
    lines = ["\t".join(("trial", "kept", "score", "value", "bytes", "lines/s", "seconds", "epochs", "end", "options"))]
    for one in trials:
        name, value = (one.score.name, f"{one.score.value:.6g}") if one.score else ("", "")
        cells = (
            str(one.number), "*" if one is kept else "", name, value, str(one.bytes or ""),
            f"{one.rate:.0f}" if one.rate else "", f"{one.seconds:.1f}", str(one.epochs), one.end, typed(one.changed),
        )  # fmt: skip
        lines.append("\t".join(cells))
    return "".join(f"{line}\n" for line in lines)


def typed(options: Mapping[str, Any]) -> str:
    """Options as one types them after --set."""
    return " ".join(f"{key}={as_typed(value)}" for key, value in options.items())


def seconds_of(budget: str | float) -> float:
    """The seconds of a budget such as 90s, 5m or 1h; a number is seconds. UsageError for anything else."""
    if isinstance(budget, str):
        found = _BUDGET.fullmatch(budget.strip())
        seconds = float(found[1]) * _UNITS[found[2]] if found else -1.0
    else:
        seconds = -1.0 if isinstance(budget, bool) else float(budget)
    if not 0 < seconds <= _LONGEST:
        raise UsageError(f"--budget {budget}: must be a time above 0, such as 90s, 5m or 1h")
    return seconds


def checked_mb(most: float | None) -> float | None:
    """The bound on the size of the exported model in MB. UsageError for what is none."""
    if most is not None and not 0 < most < 1e6:
        raise UsageError(f"--max-mb {most:g}: must be above 0 and below 1000000")
    return most


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
