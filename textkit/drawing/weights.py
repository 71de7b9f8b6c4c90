"""What is drawn: how much each word of one side looks at each word of the other. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Weights:
    """Where each target word looked. For attention within one side, both `source` and `target` are the words of that side.

    `weights` f32[target, source], or for all heads of all layers [layer, head, target, source]; `title` says which they are.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: np.ndarray
    title: str = ""

    @property
    def blank(self) -> bool:
        return not self.source


BLANK = Weights((), (), np.zeros((0, 0), np.float32))
