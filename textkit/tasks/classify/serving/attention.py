"""What a classifier looks at: the share of each word in its line's vector, for `textkit attention`. Not how it is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textkit.drawing.weights import BLANK, Weights
from textkit.errors import TextkitError, UsageError
from textkit.serving.padding import left
from textkit.tasks.classify.serving.classifier import Classifier
from textkit.tasks.classify.serving.explaining import shares
from textkit.tasks.classify.serving.sources import Graph
from textkit.tasks.classify.serving.words import words_of

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

_TITLE = "share of the attention"


class Attention:
    """A line -> Weights of one row: its label, and the share of each word. `pieces`: of each token instead of each word."""

    def __init__(
        self,
        model: str | Path | Bundle | None = None,
        device: str = "auto",
        threads: int | None = None,
        kind: str = "cross",
        layer: int | None = None,
        head: int | None = None,
        every: bool = False,
        pieces: bool = False,
    ) -> None:
        """Raises UsageError for what the model does not show, TextkitError for a model that is damaged or has no attention."""
        self.classifier = Classifier(model, device, threads)
        self.bundle, self.pieces = self.classifier.bundle, pieces
        asked = {"kind": kind != "cross", "layer": layer is not None, "head": head is not None, "all": every}
        for name, given in asked.items():
            if given:
                raise UsageError(f"--{name}: {self.bundle.folder} labels lines, and has one weight for each word")
        if not self.classifier.attends:
            raise TextkitError(
                f"{self.bundle.folder}: the model has no attention; textkit classify --explain weighs words by leaving them out"
            )

    @property
    def device(self) -> str:
        return self.classifier.session.device

    def load(self) -> None:
        """Reads and checks now what would otherwise be loaded when first used. Raises TextkitError."""
        _ = self.device  # the session is made on first use

    def __call__(self, line: str, target: str | None = None) -> Weights:
        """The weights; BLANK for a line without a token. Raises TextkitError where the model cannot say what its tokens are."""
        if target is not None:
            raise UsageError("--target: is for a translation")
        source = self.classifier.source
        assert isinstance(source, Graph)
        read = source.encode([line])
        answers = self.classifier.decide(read)
        if not answers.seen[0]:
            return BLANK
        target = self.classifier.labels[int(answers.likeliest[0])]
        if self.pieces:
            (given,) = source.importance(read)
            rule = source.bundle.rule
            tokens = left(rule.tokens(line), source.limit, rule.around)  # one may have several ids, or none
            sums = [given[first:last].sum() for _, first, last in tokens]
            return Weights(tuple(token for token, _, _ in tokens), (target,), np.array([sums], np.float32), _TITLE)
        words = words_of(line)
        found = shares(source, read, [line], [words])
        if found is None:
            raise TextkitError(f"{self.bundle.folder}: its rule does not say where tokens are; --pieces shows them")
        texts = tuple(line[start:stop] for start, stop in words)
        return Weights(texts, (target,), np.array([[word.weight for word in found[0]]], np.float32), _TITLE)
