"""Classifiers: an encoder with one head or several, their losses, and the module behind the graph `classify`. Knows no text.

A head answers one question about a line. Where exactly one of its labels holds, the loss is cross-entropy over a softmax; with
two labels, the softmax over (0, z) is the sigmoid of z, so a bag with one number per token is logistic regression. Where
several may hold, each label has a sigmoid of its own. Beside the vector, n-grams of tokens may have weights for each label
(wide.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from textkit.tasks.classify.task import QUANTILES
from textkit_plugins.encoder.network import Encoder
from textkit_plugins.encoder.wide import Wide

if TYPE_CHECKING:
    from textkit_plugins.encoder.classifying import ClassifierOptions
    from textkit_plugins.encoder.few import FewShotOptions


class Batch(NamedTuple):
    """Lines and what is right about them, for the head numbered `head`."""

    ids: Tensor  # i64[line, token]
    weight: Tensor  # f32[line, token], 0 for padding
    wanted: Tensor  # i64[line], or f32[line, label] where several labels may hold
    count: Tensor  # f32[line]: how much each line counts
    head: int
    epoch: int = 0


class Head(nn.Module):
    """A line's vector -> logits of the labels."""

    def __init__(self, options: ClassifierOptions | FewShotOptions, labels: int, several: bool) -> None:
        super().__init__()
        self.labels, self.several = labels, several
        self.binary = labels == 2 and not several
        width = options.width
        steps: list[nn.Module] = [] if options.units else [*_norm(options.normalization, width)]
        steps.append(nn.Dropout(options.dropout))
        if options.units:
            activation = nn.ReLU() if options.units_activation == "relu" else nn.Tanh()
            steps += [nn.Linear(width, options.units), *_norm(options.normalization, options.units), activation]
            steps.append(nn.Dropout(options.dropout))
            width = options.units
        self.size = 1 if self.binary else labels
        self.steps = nn.Sequential(*steps, nn.Linear(width, self.size))
        self.register_buffer("class_weight", torch.ones(labels))
        # Set by the dev score, and kept with the weights that it was measured on.
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("thresholds", torch.full((labels,), 0.5))
        self.register_buffer("calibration", torch.full((2,), -1.0))  # expected error without and with temperature
        self.register_buffer("typical", torch.full((QUANTILES,), torch.nan))  # quantiles of familiarity.scores

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        state.setdefault(f"{prefix}typical", self.typical)  # runs of an older textkit have none
        super()._load_from_state_dict(state, prefix, *rest)

    def forward(self, vector: Tensor, more: Tensor | None = None) -> Tensor:
        """f32[line, width] -> f32[line, label]; `more` f32[line, size]: what a wide branch adds to the layer's numbers"""
        logits = self.steps(vector) if more is None else self.steps(vector) + more
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.binary else logits

    def loss(self, logits: Tensor, batch: Batch, smoothing: float, focal: float) -> Tensor:
        """The mean over the lines, each as often as it counts.

        `smoothing`: the share of the target that all labels get (Szegedy et al. 2016). `focal`: the exponent by which lines
        that are already right count less (Lin et al. 2017); 0: they count as much as others.
        """
        if self.several:
            target = batch.wanted * (1 - smoothing) + smoothing / 2
            each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
            if focal:
                probability = torch.sigmoid(logits)
                missed = batch.wanted + (1 - 2 * batch.wanted) * probability  # 1 - the probability of what is right
                each = each * missed**focal
            each = (each * (1 + batch.wanted * (self.class_weight - 1))).sum(1)
            return (each * batch.count).sum() / batch.count.sum().clamp(min=1e-12)
        log = torch.log_softmax(logits, 1)
        right = log.gather(1, batch.wanted[:, None])[:, 0]
        each = -(1 - smoothing) * right - smoothing * log.mean(1)
        if focal:
            each = each * (1 - right.exp()).clamp(min=0) ** focal
        count = batch.count * self.class_weight[batch.wanted]
        return (each * count).sum() / count.sum().clamp(min=1e-12)


def _norm(kind: str, width: int) -> list[nn.Module]:
    if kind == "length":
        return [Unit()]
    return {"none": [], "layer": [nn.LayerNorm(width)], "batch": [nn.BatchNorm1d(width)]}[kind]


class Unit(nn.Module):
    """Scales vectors to length 1; zeros stay zeros."""

    def forward(self, vector: Tensor) -> Tensor:
        return functional.normalize(vector, dim=1)


class Classifier(nn.Module):
    """One encoder and a head for each question."""

    def __init__(
        self,
        options: ClassifierOptions | FewShotOptions,
        rows: int,
        labels: Sequence[int],
        several: Sequence[bool],
        ngrams: Mapping[str, Any] | None = None,
    ) -> None:
        """`ngrams`: what ngrams.learnt_ngrams gave, for a wide branch; None: without one."""
        super().__init__()
        self.options: Any = options
        self.encoder = Encoder(options, rows)
        self.heads = nn.ModuleList(Head(options, *head) for head in zip(labels, several, strict=True))
        self.sizes = [head.size for head in self.heads]
        self.wide = None if ngrams is None else Wide(options, ngrams, sum(self.sizes))

    def forward(self, ids: Tensor, weight: Tensor, head: int) -> Tensor:
        """ids i64 and weight f32 [line, token] -> logits f32[line, label] of one head"""
        return self.heads[head](self.encoder(ids, weight)[0], self.added(ids, weight)[head])

    def added(self, ids: Tensor, weight: Tensor) -> Sequence[Tensor | None]:
        """What the wide branch adds to the numbers of each head, f32[line, size]; None without a branch."""
        if self.wide is None:
            return [None] * len(self.sizes)
        return self.wide(ids, weight).split(self.sizes, 1)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and how many of its lines are right."""
        self.encoder.freeze(self.options.still_frozen(len(self.encoder.tokens.blocks()), batch.epoch))
        head = self.heads[batch.head]
        logits = self(batch.ids, batch.weight, batch.head)
        loss = head.loss(logits, batch, self.options.label_smoothing, self.options.focal)
        with torch.no_grad():
            each = (
                (logits > 0) == (batch.wanted > 0.5)
                if head.several
                else logits.argmax(1, True) == batch.wanted[:, None]
            )
            right = each.all(1)
        return loss, right.sum()


class Served(nn.Module):
    """The graph `classify`: the logits of all heads side by side, and each token's share in the line's vector."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network
        self.tokens = network.encoder.tokens.exportable()

    def forward(self, ids: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        vector, share, _ = self.network.encoder(ids, weight, self.tokens)
        added = self.network.added(ids, weight)
        return torch.cat([head(vector, more) for head, more in zip(self.network.heads, added, strict=True)], 1), share
