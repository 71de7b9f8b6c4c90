"""The figures of a Report as rows of cells and as a JSON object, and its confusions as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from textkit.evaluation.measuring import Figures
from textkit.tasks.classify.evaluation import measures
from textkit.tasks.classify.evaluation.evaluating import Report

MOST_SHOWN = 40  # confusions in a table for people; JSON has all
MOST_DRAWN = 150  # labels in a picture
NO_LABEL = ""


def figures(report: Report, metric: str, data: str, confusions: bool) -> Figures:
    """The report as it is written: a row for each figure, then one for each label, and with `confusions` one for each pair."""
    found = summary(report)
    rows: list[tuple[object, ...]] = []
    for name in sorted(found, key=lambda name: name != metric):  # the one that is asked for comes first
        rows.append((name, _four(found[name]), report.used, report.total, report.unknown, data))
    for label in labels(report):
        rows.append(
            ("label", label["label"], *(_four(label[key]) for key in ("precision", "recall", "f1")), label["lines"])
        )
    pairs = confused(report) if not report.head.several else []
    for pair in pairs[:MOST_SHOWN] if confusions else ():
        rows.append(("confusion", pair["wanted"], pair["given"], pair["lines"]))
    record: dict[str, Any] = {"data": data, "metric": metric, "value": found[metric]}
    record |= {"used": report.used, "total": report.total, "unknown": report.unknown}
    record |= {name.replace("-", "_"): value for name, value in found.items()}
    record |= {"temperature": report.head.temperature, "out_of_scope": report.outside, "labels": labels(report)}
    return Figures(record | {"confusions": pairs, "reliability": _bins(report.reliability)}, rows)


def summary(report: Report) -> dict[str, float | None]:
    """The figures of the whole, by name; None where one is not defined."""
    found = {"accuracy": report.accuracy, "macro-f1": report.macro_f1}
    if report.head.several:
        found["micro-f1"] = report.micro_f1
    found["ece"] = measures.calibration_error_of(report.reliability)
    found["ece-uncalibrated"] = measures.calibration_error_of(report.uncalibrated)
    if report.outside:
        found["out-of-scope-auroc"] = report.auroc
        if not math.isnan(report.outlier_auroc):
            found["outlier-auroc"] = report.outlier_auroc
    return {name: None if math.isnan(value) else value for name, value in found.items()}


def labels(report: Report) -> list[dict[str, Any]]:
    """The figures of each label that is wanted or given somewhere."""
    found = report.per_label
    columns = zip(
        found.precision.tolist(), found.recall.tolist(), found.f1.tolist(), found.support.tolist(), strict=True
    )
    rows = list(columns)
    return [
        dict(zip(("label", "precision", "recall", "f1", "lines"), (report.head.labels[at], *rows[at]), strict=True))
        for at in report.present.tolist()
    ]


def confused(report: Report) -> list[dict[str, Any]]:
    """Each pair of labels that was confused, the most lines first."""
    names = (*report.head.labels, NO_LABEL)  # the last is that of -1
    return [
        {"wanted": names[wanted], "given": names[given], "lines": lines} for wanted, given, lines in report.confusions()
    ]


def draw(stream: BinaryIO, path: str, report: Report) -> tuple[str, int]:
    """Draws the confusions as a heat map: labels of the data down, answers across, shares of each row's lines.

    Returns the characters that no font has, and how many labels are left out: of more than MOST_DRAWN, those that are confused
    the least.
    """
    from textkit.drawing import picture

    shown = _drawn(report)
    names = [report.head.labels[at] for at in shown]
    title = "answers (across) to the lines of each label (down)"
    missing = picture.write(stream, path, names, names, report.shares(shown), title)
    return missing, len(report.present) - len(shown)


def _drawn(report: Report) -> Sequence[int]:
    present: list[int] = report.present.tolist()
    if len(present) <= MOST_DRAWN:
        return present
    errors = np.zeros(len(report.head.labels) + 1, np.int64)
    for wanted, given, lines in report.confusions():
        errors[wanted] += lines
        errors[given] += lines
    return sorted(sorted(present, key=lambda at: -errors[at])[:MOST_DRAWN])


def _bins(sums: np.ndarray) -> list[dict[str, float | int]]:
    """The bins of a diagram of reliability that hold an answer."""
    return [
        {"confidence": float(confidence / count), "accuracy": float(right / count), "count": int(count)}
        for count, confidence, right in sums.T.tolist()
        if count
    ]


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
