"""The options of searching for and drawing texts, and the target's special ids. Knows no model and no graph; numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from textkit.arguments import of_arguments
from textkit.errors import UsageError
from textkit.searching.settings import SEARCH

EXTRA_LENGTH = 16  # tokens added to what `max_length_factor` allows: a short line may have a long translation

_LOGITS = 1 << 26  # the most floats of a step, lines * beams * vocabulary: wide beams with large vocabularies reach it
_PAIRS = 1 << 18  # the most lines * beams * beams: each beam may see what every other beam of its line has cached
MOST_CHOICES = 256  # a larger top-k is taken from the whole distribution: the graph's top-k is not made for it


@dataclass(frozen=True)
class Target:
    """The target's special ids, and how many ids there are."""

    start: int
    eos: int
    unk: int
    pad: int
    size: int


@dataclass(frozen=True)
class Search:
    """How a text is searched for or drawn. `textkit/searching/settings.py` has the bounds, default and meaning of each option.

    Lengths count tokens without eos. `max_length` None is the model's limit. A text's score is the sum of its tokens'
    log-probabilities / length^length_penalty, and here both count eos. A text that is cut at the limit is scored as if eos
    followed and cost nothing. With `sample`, `n_best` texts are drawn at random instead: after `temperature`, from the `top_k`
    likeliest tokens (0: all), and of these from the likeliest that make up `top_p` (Holtzman et al. 2020). The random numbers
    depend only on `seed` and the line.
    """

    beam_size: int = SEARCH["beam_size"].default
    n_best: int = SEARCH["n_best"].default
    length_penalty: float = SEARCH["length_penalty"].default
    min_length: int = SEARCH["min_length"].default
    max_length: int | None = SEARCH["max_length"].default
    max_length_factor: float = SEARCH["max_length_factor"].default
    early_stopping: bool = SEARCH["early_stopping"].default
    no_repeat_ngram_size: int = SEARCH["no_repeat_ngram_size"].default
    allow_unk: bool = SEARCH["allow_unk"].default
    sample: bool = SEARCH["sample"].default
    temperature: float = SEARCH["temperature"].default
    top_k: int = SEARCH["top_k"].default
    top_p: float = SEARCH["top_p"].default
    seed: int = SEARCH["seed"].default

    def __post_init__(self) -> None:
        for name, setting in SEARCH.items():
            value = getattr(self, name)
            if value is not None or setting.default is not None:
                object.__setattr__(self, name, setting.checked(value, name))
        with of_arguments():
            if self.n_best > self.beam_size and not self.sample:
                raise UsageError(f"--n-best {self.n_best}: is more than --beam-size {self.beam_size} finds")
            if self.max_length is not None and self.min_length > self.max_length:
                raise UsageError(f"--min-length {self.min_length}: is more than --max-length {self.max_length}")

    @property
    def beams(self) -> int:
        """How many beams or samples a line has at a time."""
        return self.n_best if self.sample else self.beam_size

    @property
    def draws_from_all(self) -> bool:
        """Whether samples are drawn from whole distributions, not from the likeliest tokens that a graph gives."""
        return self.sample and self.temperature > 0 and not self.draws_in_order

    @property
    def draws_plainly(self) -> bool:
        """Whether samples are drawn from all tokens but those that are never produced, which a graph can do itself."""
        return self.draws_from_all and not self.top_k and self.top_p == 1 and not self.no_repeat_ngram_size

    @property
    def draws_freely(self) -> bool:
        """Whether what is drawn from depends on the distribution alone, so that a GPU's graph can draw."""
        return self.sample and self.temperature > 0 and not self.no_repeat_ngram_size

    @property
    def draws_in_order(self) -> bool:
        """Whether samples are drawn from so few of the likeliest that a graph gives them in their order."""
        return 0 < self.top_k <= MOST_CHOICES

    def lines_at_once(self, vocabulary: int) -> int:
        """The most lines of a batch whose logits, and the attention among whose beams, take at most some 256 MB each."""
        return max(1, min(_LOGITS // (self.beams * vocabulary), _PAIRS // self.beams**2))

    def limits(self, source_lengths: np.ndarray, most: int) -> np.ndarray:
        """The most tokens of each line's translation, i64[line]; `most`: the model's limit."""
        limits = np.full(len(source_lengths), most if self.max_length is None else min(self.max_length, most))
        if self.max_length_factor:
            np.minimum(limits, (self.max_length_factor * source_lengths).astype(np.int64) + EXTRA_LENGTH, out=limits)
        return np.maximum(limits, min(max(self.min_length, 1), most))
