"""BLEU and chrF of translations, by sacrebleu, with the signature that says how they were computed. Knows lines, no model.

BLEU: Papineni et al. 2002; chrF: Popović 2015; sacrebleu, which makes the figures of papers comparable: Post 2018.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from textkit.errors import TextkitError, UsageError, nearest, pip_install
from textkit.evaluation.measuring import LIKELY, NOT
from textkit.streams.lines import Reader

METRICS = ("bleu", "chrf")
TOKENIZE = "13a"  # sacrebleu's own default
_LOOKED_AT = 100  # first lines, which decide whether a file has two columns


@dataclass(frozen=True)
class Test:
    """Lines to translate, each with one reference or more, and where they are from."""

    name: str
    sources: list[str]
    references: list[list[str]]


@dataclass(frozen=True)
class Figure:
    """The `value`, out of 100, of `metric` over `lines` lines; `signature`: how sacrebleu computed it."""

    metric: str
    value: float
    lines: int
    references: int
    signature: str
    detail: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        record = {"metric": self.metric, "value": self.value, "lines": self.lines, "references": self.references}
        return record | {"signature": self.signature} | self.detail


class Scorer:
    """Translations and their references -> figures. `tokenize`: one of sacrebleu's names, for BLEU alone.

    Raises UsageError for an unknown name, TextkitError where sacrebleu, or what the tokenizer needs, is not installed.
    """

    def __init__(
        self, metrics: Sequence[str] = METRICS[:1], tokenize: str | None = None, lowercase: bool = False
    ) -> None:
        try:
            from sacrebleu.metrics import BLEU, CHRF
        except ImportError:
            raise TextkitError(f"BLEU and chrF need sacrebleu: {pip_install('train')}") from None
        if tokenize is not None and "bleu" not in metrics:
            raise UsageError("--tokenize: has no effect on chrf, which counts characters")
        tokenize = TOKENIZE if tokenize is None else tokenize
        if tokenize not in BLEU.TOKENIZERS:
            raise UsageError(f"--tokenize {tokenize}: unknown{nearest(tokenize, BLEU.TOKENIZERS)}")
        make: dict[str, Callable[[], Any]] = {
            "bleu": lambda: BLEU(lowercase=lowercase, tokenize=tokenize, force=True),
            "chrf": lambda: CHRF(lowercase=lowercase),
        }
        self.metrics: dict[str, Any] = {}
        for metric in dict.fromkeys(metrics):
            if metric not in make:
                raise UsageError(f"unknown metric {metric!r}{nearest(metric, METRICS)}")
            try:
                self.metrics[metric] = make[metric]()
            except (ImportError, RuntimeError, OSError) as error:
                why = " ".join(str(error).split())
                raise TextkitError(f"--tokenize {tokenize}: sacrebleu cannot: {why}") from error

    def __call__(self, translations: Sequence[str], references: Sequence[Sequence[str]]) -> list[Figure]:
        """One figure per metric. Lines may differ in the number of references, but each has at least one."""
        if len(translations) != len(references):
            raise TextkitError(f"{len(translations)} translations and references for {len(references)} lines")
        most = max(map(len, references))
        streams = [[line[at] if at < len(line) else None for line in references] for at in range(most)]
        figures = []
        for name, metric in self.metrics.items():
            score = metric.corpus_score(list(translations), streams)
            detail = {}
            if name == "bleu":
                detail = {
                    "precisions": [float(precision) for precision in score.precisions],
                    "brevity_penalty": float(score.bp),
                    "length": int(score.sys_len),
                    "reference_length": int(score.ref_len),
                }
            count = sum(map(len, references))
            signature = str(metric.get_signature())
            figures.append(Figure(name, float(score.score), len(translations), count, signature, detail))
        return figures


def read_tests(paths: Sequence[str | os.PathLike[str]]) -> Iterator[Test]:
    """The tests in files that are plain, gzip or zstandard; '-' for stdin.

    If the first file has a tab in its first line with text, each file is a test of lines "source<tab>reference". Further
    columns are ignored, as in training, and lines with the same source become one with several references. Otherwise the
    first file holds the sources, and each other file the references, line by line.

    Raises TextkitError naming the file, and the line where one is at fault; UsageError for sources without references.
    """
    names = [os.fspath(path) for path in paths]
    first = _lines(names[0])
    if "\t" in next((line for line in first if line.strip()), ""):
        yield _grouped(names[0], first)
        for name in names[1:]:
            yield _grouped(name, _lines(name))
        return
    if len(names) == 1:
        raise UsageError(
            f"{names[0]}: has no tab in its first line: give the file of its translations too, or a TSV file"
        )
    others = [_lines(name) for name in names[1:]]
    for name, lines in zip(names[1:], others, strict=True):
        if len(lines) != len(first):
            raise TextkitError(
                f"{names[0]} has {len(first):,} lines, {name} has {len(lines):,}: they do not belong together"
            )
    yield Test(" ".join(names), first, [list(line) for line in zip(*others, strict=True)])


def _lines(name: str) -> list[str]:
    with Reader(None if name == "-" else name) as reader:
        lines = list(chain.from_iterable(reader))
    if not any(map(str.strip, lines)):
        raise TextkitError(f"{reader.name}: holds no data")
    return lines


def _grouped(name: str, lines: Sequence[str]) -> Test:
    """A TSV file's sources in the order in which they first occur, each with all its references."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        source, tab, reference = line.partition("\t")
        if not line.strip():
            continue
        reference = reference.partition("\t")[0]
        if not (tab and source.strip() and reference.strip()):
            what = "no tab" if not tab else f"no text {'before' if reference.strip() else 'after'} its tab"
            raise TextkitError(f"{name}: line {number} has {what}")
        found.setdefault(source, []).append(reference)
    return Test(name, list(found), list(found.values()))


def claims(paths: Sequence[str]) -> int:
    """How likely these files are data for models of the task `translate`: two sides, in two files or in two columns."""
    if len(paths) > 1:
        return LIKELY
    with Reader(paths[0]) as reader:
        lines = islice(
            (line for line in chain.from_iterable(reader) if line.strip() and not line.startswith("#")), _LOOKED_AT
        )
        return LIKELY if all("\t" in line for line in lines) else NOT
