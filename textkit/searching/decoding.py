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
from typing import Any, Protocol

import numpy as np

from textkit.searching.beams import Beams
from textkit.searching.constraints import Constraints
from textkit.searching.drawing import Draw
from textkit.searching.history import Hypothesis
from textkit.searching.options import Search, Target
from textkit.searching.sampling import Samples, Watch

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
    sampler = chooser if isinstance(chooser, Samples) and chooser.draws else None  # whose tokens the model draws
    waste = 0  # steps of lines that were done, since some left last
    step = 0
    while True:
        full = chooser.whole or constraints.whole(step)
        k = constraints.choices(step, chooser.choices) if chooser.choices else 0
        draw = sampler.draw(step, rows) if sampler is not None and not constraints.chosen_among(step) else None
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
