"""What a search over the options of `classifier` tries (textkit train classifier --budget). Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textkit.plugin import Space

MANY = 200_000  # lines from which a few passes are enough

# Each begins a family of blocks, or the other end of one; the search goes on from those that do well.
POINTS: tuple[Mapping[str, Any], ...] = (
    {"learning_rate": 0.02, "epochs": 8, "dim": 32},  # a bag in a fraction of the time
    {"weighting": "idf", "learning_rate": 0.01},
    {"maxn": 0, "word_ngrams": 2, "min_count": 1, "learning_rate": 0.02, "epochs": 12},  # words alone
    {
        "text": "bpe", "vocab_size": 4000, "encoder": "cnn", "pooling": "max", "dim": 128, "dropout": 0.3,
        "learning_rate": 2e-3, "epochs": 12,
    },
    {"dim": 128, "units": 128, "normalization": "batch", "dropout": 0.3, "learning_rate": 5e-3},
    {
        "text": "bpe", "vocab_size": 4000, "encoder": "rnn", "cell": "gru", "pooling": "attention", "dim": 64,
        "dropout": 0.3, "learning_rate": 3e-3, "epochs": 12,
    },
)  # fmt: skip

SCALES: Mapping[str, tuple[Any, ...]] = {
    "learning_rate": (1e-3, 2e-3, 3e-3, 5e-3, 7e-3, 0.01, 0.015, 0.02, 0.03, 0.05),
    "dim": (8, 16, 32, 48, 64, 96, 128, 192, 256),
    "dropout": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    "word_ngrams": (1, 2, 3),
    "minn": (1, 2, 3),
    "maxn": (0, 3, 4, 5, 6, 7),
    "across": (False, True),
    "features": (1000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000),
    "min_count": (1, 2, 3, 5),
    "vocab_size": (500, 1000, 2000, 4000, 8000, 16_000, 32_000),
    "weighting": ("none", "idf"),
    "pooling": ("mean", "max", "attention"),
    "filters": (25, 50, 100, 150, 200, 300),
    "hidden": (32, 64, 96, 128, 192, 256),
    "cell": ("gru", "lstm"),
    "wide": (0, 1, 2, 3),
    "word_dropout": (0.0, 0.05, 0.1, 0.2, 0.3),
    "units": (0, 32, 64, 128, 256),
    "normalization": ("none", "length", "layer", "batch"),
    "class_weight": ("none", "sqrt", "balanced"),
    "label_smoothing": (0.0, 0.05, 0.1, 0.2),
    "batch_size": (16, 32, 64, 128),
}

SMALLER = ("features", "vocab_size", "dim", "filters", "hidden")


def space(lines: int) -> Space:
    """The space for training data of so many lines."""
    epochs = (1, 2, 3, 5, 8) if lines >= MANY else (3, 5, 8, 12, 20, 30)
    return Space(POINTS, {**SCALES, "epochs": epochs}, SMALLER)
