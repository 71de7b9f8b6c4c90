"""Searches for translations over the graphs encode and step: greedy, beam and samples, for any number of lines at once.

The model is anything that encodes and steps (StepModel); the search reads none of its memory and state. Knows no text, no
file and no onnxruntime; numpy alone. What may come next is in constraints.py, the choice in beams.py and samples.py, what
was chosen in history.py.

Beam search is that of Graves (2012, "Sequence Transduction with Recurrent Neural Networks") and Sutskever et al. (2014,
section 3.2): of all continuations of a line's beams the likeliest go on. One that ends among the best `beam_size` is kept
and its beam is given to the next. A line is done when as many as `beam_size` are kept and the likeliest beam, taken at the
length it has, is no better than the worst of them; or at its limit of tokens. `early_stopping`: as soon as so many are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from textkit.defaults import SEED
from textkit.errors import UsageError
from textkit.searching.beams import Beams
from textkit.searching.constraints import Constraints
from textkit.searching.drawing import Draw
from textkit.searching.history import Hypothesis
from textkit.searching.sampling import Samples, Watch

__all__ = ["Hypothesis", "Search", "StepModel", "Target", "search"]

EXTRA_LENGTH = 16  # tokens that `max_length_factor` allows on top: a short line may have a long translation

_LOGITS = (
    1 << 26
)  # floats of a step: lines * beams * vocabulary; more is reached by wide beams and large vocabularies alone
_PAIRS = 1 << 18  # lines * beams * beams: each beam may see what every other beam of its line has cached
_MOST_CHOICES = 256  # a larger top-k is cut from the whole distribution: the graph's top-k is not made for that
_COMPACT = 4  # finished lines leave when they have cost a line's step for every so many lines in the batch


class StepModel(Protocol):
    """What is searched over. What `memory` and `state` hold belongs to lines, and is never read here."""

    draws: bool  # whether `step` takes a Draw

    def encode(self, source: np.ndarray, source_mask: np.ndarray) -> tuple[Any, Any]:
        """source i64[line, source], source_mask bool[line, source] -> memory [line, ...], state [line, 1, ...]."""

    def step(
        self,
        token: np.ndarray,
        parent: np.ndarray,
        k: int,
        memory: Any,
        state: Any,
        full: bool,
        draw: Draw | None = None,
    ) -> Mapping[str, Any]:
        """token, parent i64[line, beam] -> top_id, top_logprob [line, beam, k], likeliest first, neither where k is 0; with
        `full` logprob [line, beam, vocab]; with `draw` drawn_id, drawn_logprob [line, beam]; attention [line, beam, source]
        where it was asked for. The answer is the next step's `state`."""

    def keep(self, memory: Any, state: Any, rows: np.ndarray) -> tuple[Any, Any]:
        """Memory and state of the lines `rows` alone."""


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
    """How translations are looked for. `max_length`: the most tokens, their end not counted; None: the model's limit.

    A translation's score is the sum of its tokens' log-probabilities / length^length_penalty, its end counted in both; of
    one that is cut at the limit as if its end followed and cost nothing. `sample`: `n_best` translations drawn at random
    instead, after `temperature`, of the `top_k` likeliest tokens (0: all) and of the likeliest that make up `top_p` (Holtzman
    et al. 2020). The numbers depend on `seed` and the line alone.
    """

    beam_size: int = 4
    n_best: int = 1
    length_penalty: float = 1.0
    min_length: int = 0
    max_length: int | None = None
    max_length_factor: float = 0.0  # the most tokens for one of the source, and EXTRA_LENGTH; 0: no such limit
    early_stopping: bool = False  # done with `beam_size` finished, though a better one may be on its way
    no_repeat_ngram_size: int = 0  # no n-gram of this size occurs twice; 0: any may
    allow_unk: bool = False
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = SEED

    def __post_init__(self) -> None:
        for name, least in (
            ("beam_size", 1), ("n_best", 1), ("min_length", 0), ("max_length", 1), ("no_repeat_ngram_size", 0), ("top_k", 0),
            ("seed", 0),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name}={value}: must be at least {least}")
        for name in ("temperature", "max_length_factor", "length_penalty"):
            value = getattr(self, name)
            if not np.isfinite(value) or (value < 0 and name != "length_penalty"):
                raise UsageError(f"{name}={value}: must be a number{' from 0 on' * (name != 'length_penalty')}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p={self.top_p}: must be above 0 and at most 1")
        if self.n_best > self.beam_size and not self.sample:
            raise UsageError(f"n_best={self.n_best} is more than beam_size={self.beam_size} finds")
        if self.max_length is not None and self.min_length > self.max_length:
            raise UsageError(f"min_length={self.min_length} is more than max_length={self.max_length}")

    @property
    def beams(self) -> int:
        """How many a line has at a time."""
        return self.n_best if self.sample else self.beam_size

    @property
    def draws_from_all(self) -> bool:
        """Whether samples are drawn from whole distributions, not from the likeliest that a graph gives."""
        return self.sample and self.temperature > 0 and not 0 < self.top_k <= _MOST_CHOICES

    @property
    def draws_plainly(self) -> bool:
        """Whether they are drawn from all tokens at once, none left out but for those that never come: a graph can do that."""
        return self.draws_from_all and not self.top_k and self.top_p == 1 and not self.no_repeat_ngram_size

    def lines_at_once(self, vocabulary: int) -> int:
        """How many lines a batch may have, for its logits and the attention among its beams to stay within some 256 MB each."""
        return max(1, min(_LOGITS // (self.beams * vocabulary), _PAIRS // self.beams**2))

    def limits(self, source_lengths: np.ndarray, most: int) -> np.ndarray:
        """The most tokens of each line's translation, i64[line]; `most`: what the model takes."""
        limits = np.full(len(source_lengths), most if self.max_length is None else min(self.max_length, most))
        if self.max_length_factor:
            np.minimum(limits, (self.max_length_factor * source_lengths).astype(np.int64) + EXTRA_LENGTH, out=limits)
        return np.maximum(limits, min(max(self.min_length, 1), most))


def search(
    model: StepModel,
    source: np.ndarray,
    source_mask: np.ndarray,
    target: Target,
    options: Search,
    *,
    most: int = 512,
    prefixes: Sequence[Sequence[int]] | None = None,
    keys: np.ndarray | None = None,
    logprobs: bool = False,
    attention: bool = False,
    starts: np.ndarray | None = None,
    watch: Watch | None = None,
    spare: int = 0,
    first: Sequence[np.ndarray | None] | None = None,
) -> list[list[Hypothesis]]:
    """The `n_best` translations of each line, best first; at least one each.

    source i64[line, source], padded, and source_mask bool[line, source]; `most`: the most tokens of a translation that the
    model takes; `prefixes`: target ids with which each line's translations begin; `keys` i64[line, 2]: what a line's random
    numbers depend on besides the seed, its number without. `logprobs`, `attention`: whether hypotheses have them. `starts`
    i64[line]: the token that each line's first step reads, `target.start` without. `watch`: told of every token of a
    sample. `spare`: how many more than `n_best` are given where beam search has found them. `first`: of
    each sampled line the ids of which its first token is one; None: any.
    """
    lines = len(source)
    if not lines:
        return []
    limits = options.limits(source_mask.sum(1), most)
    constraints = Constraints(target, options, limits, prefixes, most, first)
    if options.sample:
        if keys is None:
            keys = np.stack([np.arange(lines), np.zeros(lines, np.int64)], 1)
        by_graph = model.draws and options.draws_plainly and not constraints.longest_prefix
        chooser: Beams | Samples = Samples(target, options, constraints, keys, watch, by_graph)
    else:
        chooser = Beams(target, options, constraints, spare)
    if logprobs or attention:
        chooser.history.keep(logprobs, source.shape[1] if attention else 0)
    begin = np.full(lines, target.start) if starts is None else starts
    _loop(model, source, source_mask, begin, chooser, constraints)
    return chooser.found()


def _loop(
    model: StepModel, source: np.ndarray, source_mask: np.ndarray, starts: np.ndarray, chooser: Beams | Samples,
    constraints: Constraints,
) -> None:  # fmt: skip
    """Steps until every line is done. Runs once a step for all lines: nothing in it is done line by line."""
    memory, state = model.encode(source, source_mask)
    token = np.repeat(starts[:, None], chooser.beams if chooser.draws else 1, 1)  # [line, beam]
    parent = np.zeros_like(token)
    rows = np.arange(len(source))  # the line in each row of the batch
    waste = 0  # steps of lines that were done, since some left last
    step = 0
    while True:
        full = chooser.whole or constraints.whole(step)
        k = constraints.choices(step, chooser.choices) if chooser.choices else 0
        draw = chooser.draw(step, rows) if chooser.draws and not constraints.chosen_among(step) else None
        outputs = model.step(token, parent, k, memory, state, full, draw)
        if k and constraints.crowded_out(outputs["top_id"]):
            constraints.ask_for_more()
            if k < constraints.size:
                outputs = model.step(token, parent, constraints.choices(step, chooser.choices), memory, state, full)
        if chooser.history.attention is not None:
            chooser.history.see(step, rows, outputs["attention"])
        token, parent, done = chooser.choose(step, rows, outputs)
        constraints.chosen(token, parent)
        state = outputs
        step += 1
        if done is None or not done.any():
            continue
        gone = int(done.sum())
        if gone == len(rows):
            return
        waste += gone
        if waste * _COMPACT >= len(rows):
            going = np.flatnonzero(~done)
            rows, token, parent, waste = rows[going], token[going], parent[going], 0
            memory, state = model.keep(memory, state, going)
            chooser.keep_rows(going)
            constraints.keep_rows(going)
