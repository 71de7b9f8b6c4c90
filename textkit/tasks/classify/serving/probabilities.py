"""Logits to probabilities. numpy only."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """[..., label] -> probabilities that add up to 1."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    found: np.ndarray = shifted / shifted.sum(-1, keepdims=True)
    return found


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Each label's own probability."""
    found: np.ndarray = 0.5 * (1 + np.tanh(0.5 * logits))
    return found
